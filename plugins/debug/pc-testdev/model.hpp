// What test suites for processors (kvm-unit-tests) expect on a PC beside debug.exit: a scratch register that ports and
// string instructions are tried on, interrupt lines to pull, and memory that is no RAM. QEMU's device of this name has
// the same registers:
//
//   E0h-E3h        scratch: 32 bits, in bytes, words or at once
//   E4h            flush: the page at the address that is written shall be forgotten by whoever keeps it (nobody does
//   here) E8h-EBh        the scratch register once more 2000h + n      level of
//   interrupt line n: 0 low, other values high FF000000h      64 KiB of memory, reached access by access
#pragma once

#include <array>

#include "backplane/device.hpp"

namespace backplane {

struct PcTestDevice : Device<PcTestDevice> {
    static constexpr std::string_view kType = "debug.pc-testdev";
    static constexpr u32 kLines = 24;
    static constexpr u32 kMemory = 0x10000;
    using Device::Device;

    static void describe(Schema<PcTestDevice>& s);
    void reset(Reset kind);
    void state(StateVisitor& v);

  private:
    u64 read_scratch(u64 offset, u32 bytes);
    void write_scratch(u64 offset, u32 bytes, u64 value);
    void flush(u64 offset, u32 bytes, u64 value);
    void write_line(u64 offset, u32 bytes, u64 value);
    u64 read_memory(u64 offset, u32 bytes);
    void write_memory(u64 offset, u32 bytes, u64 value);

    u32 scratch_ = 0;
    std::array<u8, kMemory> memory_{};
    std::array<LineOut, kLines> irq_;
    TracePoint flushes_;
};

}  // namespace backplane
