// IA-PC high precision event timers (specification 1.0a, October 2004): a 100 MHz counter of 64 bits with three
// comparators.
#pragma once

#include <array>

#include "backplane/device.hpp"

namespace backplane::timer {

class Hpet : public Device<Hpet> {
  public:
    static constexpr std::string_view kType = "timer.hpet";
    static constexpr u32 kTimers = 3;
    static constexpr u32 kRoutes = 32;
    using Device::Device;
    static void describe(Schema<Hpet>& s);

    void reset(Reset kind);
    void state(StateVisitor& v);
    bp_status restored();

  private:
    struct Comparator {
        u64 config = 0;
        u64 value = 0;   // comparator; in periodic mode the accumulator
        u64 period = 0;  // last value written, for periodic mode
    };

    u64 read(u64 offset, u32 bytes);
    void write(u64 offset, u32 bytes, u64 value);
    u32 read_half(u64 offset);
    void write_half(u64 offset, u32 value);
    void write_general(u32 value);
    void write_status(u32 value);
    void write_counter(unsigned shift, u32 value);
    u32 read_timer(u32 index, u64 reg);
    void write_timer(u32 index, u64 reg, u32 value);
    void write_timer_config(u32 index, u32 value);
    void write_comparator(u32 index, unsigned shift, u32 value);

    bool enabled() const;
    bool legacy() const;
    u64 counter() const;
    static u64 width_mask(const Comparator& c);
    void advance(u32 index);
    void plan(u32 index);
    void fire(u32 index);
    void expired(u32 index);
    void expired0(i64) { expired(0); }
    void expired1(i64) { expired(1); }
    void expired2(i64) { expired(2); }
    LineOut& output(u32 index);
    void drive_levels();
    void release_levels();

    u64 general_ = 0;
    u32 status_ = 0;      // level-triggered interrupts that wait to be cleared
    u64 stopped_at_ = 0;  // the counter while it stands, else its value at started_
    i64 started_ = 0;
    std::array<Comparator, kTimers> timers_;
    std::array<LineOut, kRoutes> routes_;
    LineOut irq0_, irq8_, legacy_;
    std::array<Timer, kTimers> events_;
    TracePoint trace_;
};

}  // namespace backplane::timer
