// Factory setting of a PC/AT's configuration memory: what the assembler of the machine would have entered in SETUP. No
// chip; layout after the IBM PC/AT Technical Reference (1984), "CMOS RAM Address Map", with the extensions that SeaBIOS
// reads.
#pragma once

#include <array>

#include "backplane/abi/backend.h"
#include "backplane/device.hpp"

namespace backplane::chipset {

class PcCmos : public Device<PcCmos> {
  public:
    static constexpr std::string_view kType = "chipset.pc-cmos";
    static constexpr u32 kStateVersion = 2;
    using Device::Device;
    static void describe(Schema<PcCmos>& s);

    bp_status start();
    bp_status publish();
    bp_status consume(const Fact& fact);
    void reset(Reset kind);
    void state(StateVisitor& v);

  private:
    struct Disk {
        bool present = false;
        u32 cylinders = 0, heads = 0, sectors = 0, translation = 0;
    };

    void set(u32 index, u64 value);
    void set16(u32 index, u64 value);
    void write();
    void write_memory();
    bp_status parse(const char* name, const std::string& letters, std::array<u8, 3>* devices);
    void write_boot_order();
    void write_floppies();
    void write_disks();

    Link<bp_nvram> nvram_;
    std::string boot_order_, boot_once_;
    bool forget_disk0_ = false, forget_disk1_ = false, forget_disk2_ = false, forget_disk3_ = false;
    bool floppy_check_ = true;
    bool fpu_ = true;
    bool mouse_ = true;

    // From facts, before the first instruction; a reset or a restore leaves the memory alone, but for the boot order
    // when `boot_once` has had its turn.
    std::array<u8, 3> boot_devices_{}, first_boot_{};
    bool once_ = false;
    u64 below_4g_ = 0, above_4g_ = 0;
    u64 boot_cpus_ = 1;
    std::array<u8, 2> floppies_{};
    std::array<Disk, 4> disks_{};
};

}  // namespace backplane::chipset
