// A lamp that blinks, on two ports; its interrupt line is high while it is lit.
//
//   port 0  control: bit 0 on (read and write), bit 1 lit (read only)
//   port 1  how often the lamp was lit, modulo 256; any write clears it
#pragma once

#include "backplane/device.hpp"

namespace example {

class PluginName final : public backplane::Device<PluginName> {
  public:
    static constexpr std::string_view kType = "isa.plugin_name";
    using Device::Device;

    static void describe(backplane::Schema<PluginName>& s);
    void reset(backplane::Reset kind);
    void state(backplane::StateVisitor& v);

  private:
    backplane::u64 read(backplane::u64 offset, backplane::u32 bytes);
    void write(backplane::u64 offset, backplane::u32 bytes, backplane::u64 value);
    void on_phase(backplane::i64 due);
    void switch_off();

    // What a guest can observe: named in state().
    bool on_ = false;
    bool lit_ = false;
    backplane::u8 count_ = 0;

    // What the board file sets.
    backplane::Duration period_;

    // Bound by describe(); lines and timers are saved by the kernel.
    backplane::LineOut irq_;
    backplane::Timer phase_;
    backplane::TracePoint switched_;
};

}  // namespace example
