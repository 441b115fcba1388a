// Intel 8254 programmable interval timer (data sheet 231164-005), three counters on the 1.193182 MHz clock of a PC.
#pragma once

#include <array>

#include "backplane/device.hpp"
#include "counter.hpp"

namespace backplane::timer {

class I8254 : public Device<I8254> {
  public:
    static constexpr std::string_view kType = "timer.i8254";
    using Device::Device;
    static void describe(Schema<I8254>& s);

    void reset(Reset kind);
    void state(StateVisitor& v);
    bp_status restored();

  private:
    u64 read(u64 offset, u32 bytes);
    void write(u64 offset, u32 bytes, u64 value);
    void gate(u32 channel, bool level);
    void inhibit(bool level);
    void expired(unsigned channel, i64 due);
    void expired0(i64 due) { expired(0, due); }
    void expired1(i64 due) { expired(1, due); }
    void expired2(i64 due) { expired(2, due); }

    u64 clock_at(i64 ns) const;
    i64 time_of(u64 clock) const;
    bool driven(unsigned channel) const { return channel != 1 || drive_out1_; }
    void run(unsigned channel, u64 clock);
    void drive(unsigned channel);
    void plan(unsigned channel);

    u64 frequency_ = 0;
    u8 gated_ = 0;
    bool drive_out1_ = false;
    bool inhibited_ = false;
    std::array<Counter, 3> counters_;
    std::array<bool, 3> gates_{};  // levels of the gate inputs
    std::array<LineOut, 3> outs_;
    std::array<Timer, 3> timers_;
};

}  // namespace backplane::timer
