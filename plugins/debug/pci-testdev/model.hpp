// A PCI function that counts writes: for tests of BARs, and of how fast a register is reached. QEMU's device of this
// name looks the same to a guest.
//
// BAR 0 (memory, 4 KiB) and BAR 1 (ports, 256) have three tests each. Writing 0 to 2 to offset 0 chooses one, and a
// header can be read then:
//
//   00h  test     its number: 0 to 2 for memory, 3 to 5 for ports; writing chooses a test and clears its count
//   01h  width    of the writes that are counted: 1
//   04h  offset   where they have to go, in the same BAR (32 bits)
//   08h  data     what they have to write; the second test of each BAR counts any value
//   0Ch  count    of such writes (32 bits)
//   10h  name     ended by a zero
//
// Wider accesses are those of their bytes, the lowest first. With no test chosen everything reads as 0.
#pragma once

#include <array>

#include "backplane/device.hpp"
#include "backplane/pci.hpp"

namespace backplane {

struct PciTestDevice : Device<PciTestDevice> {
    static constexpr std::string_view kType = "debug.pci-testdev";
    static constexpr u32 kTests = 3;  // of each BAR
    static constexpr u32 kNone = 2 * kTests;
    using Device::Device;

    static void describe(Schema<PciTestDevice>& s);
    bp_status start();
    void reset(Reset kind);
    void state(StateVisitor& v);
    bp_status restored();

  private:
    u64 read(u64 offset, u32 bytes);
    void write_memory(u64 offset, u32 bytes, u64 value);
    void write_ports(u64 offset, u32 bytes, u64 value);
    void write(u64 offset, u32 bytes, u64 value, u32 first);
    void write_byte(u64 offset, u8 value, u32 first);
    u8 read_byte(u64 offset) const;

    PciFunction pci_;
    Region memory_, ports_;
    u32 test_ = kNone;
    std::array<u32, kNone> counts_{};
};

}  // namespace backplane
