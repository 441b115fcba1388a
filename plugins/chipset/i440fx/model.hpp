// Intel 440FX PCIset: PCI and memory controller (82441FX PMC, 82442FX DBX; data sheet 290549-001, May 1996).
//
// The northbridge owns the machine's RAM, decides page by page what stands at A0000h-FFFFFh (PAM, SMRAM), is host
// bridge and root of PCI bus 0 with configuration mechanism #1, and collects the interrupt pins of the slots into
// PIRQA-PIRQD.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "backplane/abi/commands.h"
#include "backplane/device.hpp"
#include "backplane/pci.hpp"

namespace backplane {

struct I440fx : Device<I440fx> {
    static constexpr std::string_view kType = "chipset.i440fx";
    using Device::Device;

    static void describe(Schema<I440fx>& s);
    bp_status start();
    bp_status publish();
    void reset(Reset kind);
    void state(StateVisitor& v);
    bp_status restored();

    // Configuration mechanism #1 (PCI 2.1, 3.7.4.1).
    u64 read_address(u64 offset, u32 bytes);
    void write_address(u64 offset, u32 bytes, u64 value);
    u64 read_data(u64 offset, u32 bytes);
    void write_data(u64 offset, u32 bytes, u64 value);

    bp_status attach(std::string_view address, std::string_view child_name, bp_interface child, bp_interface* host);

    // What users may ask: the functions on the bus.
    std::string functions_json();

  private:
    static constexpr u32 kFunctions = 256;
    static constexpr u32 kUnplaced = kFunctions;

    // One plugged-in function: what the child holds as its bus.
    struct Place {
        I440fx* bridge;
        u32 devfn;  // kUnplaced until automatic placement
        std::string child;
        bp_interface function;
    };
    // A part of A0000h-FFFFFh whose accesses the bridge steers.
    struct Window {
        u32 reg;    // configuration register
        u32 shift;  // of its two bits
        u32 mapping;
    };

    static void set_pin(void* place, u32 pin, int level);
    static u32 place_of(void* place);
    static const bp_pci_bus kBusTable;
    static const bp_commands kCommands;

    u64 below_4g() const { return memory_.value >= hole_.value ? hole_.value : memory_.value; }
    u64 above_4g() const { return memory_.value - below_4g(); }
    bp_status map_ram();
    bp_status map_window(u64 base, u64 size, u32* mapping);
    void place_automatically();
    Place* find(u32 devfn);
    u32 config_read(u32 reg, u32 bytes);
    void config_write(u32 reg, u32 bytes, u32 value);
    void own_written(u32 reg, u32 bytes);
    void apply_pam();
    void protect_smram();
    void apply_smram();
    bool pirq_level(u32 pirq) const;

    // Properties.
    Bytes memory_;
    Bytes hole_;

    // Guest-visible state.
    PciFunction host_;                   // function 0:0.0
    u32 address_ = 0;                    // CONFADD
    std::array<u8, kFunctions> pins_{};  // level of each function's INTA-INTD in bits 0-3

    u32 ram_ = 0;
    std::vector<Window> pam_;
    u32 smram_ = 0;
    std::vector<std::unique_ptr<Place>> places_;
    std::array<LineOut, 4> pirq_;
    TracePoint config_;
};

}  // namespace backplane
