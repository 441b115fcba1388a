// Reset control register of Intel's PCI-to-ISA bridges (82371SB data sheet 290550-002, 2.5.4; I/O port CF9h).
#pragma once

#include "backplane/device.hpp"

namespace backplane {

struct ResetControl : Device<ResetControl> {
    static constexpr std::string_view kType = "chipset.reset_control";
    using Device::Device;

    static void describe(Schema<ResetControl>& s);
    void reset(Reset kind);
    void state(StateVisitor& v);
    u64 read(u64 offset, u32 bytes);
    void write(u64 offset, u32 bytes, u64 value);

  private:
    u8 value_ = 0;
};

}  // namespace backplane
