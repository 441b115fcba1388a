#include "model.hpp"

namespace backplane::timer {
namespace {

__extension__ using u128 = unsigned __int128;

constexpr u64 kNanoseconds = 1'000'000'000;
constexpr u64 kControlPort = 3;
// Control word (data sheet, "Control Word Format").
constexpr u8 kReadBack = 3;  // in the counter field
constexpr u8 kReadBackNoCount = 0x20;
constexpr u8 kReadBackNoStatus = 0x10;
constexpr u8 kAccessBits = 0x30;  // 0: counter latch command
// After the host stood still for long, at most so many output changes are made up for; more would only merge in the
// interrupt controller.
constexpr int kCatchUp = 64;

}  // namespace

void I8254::describe(Schema<I8254>& s) {
    s.doc(
        "8254 interval timer. OUT0 is the line irq0, OUT2 the line out2. A gate input counts only for the channels "
        "named in `gated`; "
        "the others' gates are tied high.");
    s.property("frequency", &I8254::frequency_, {"input clock in Hz", "1193182", false, {}, 1, 1'000'000'000});
    s.property("gated", &I8254::gated_, {"channels that obey their gate input, one bit each", "4", false, {}, 0, 7});
    s.property("drive_out1", &I8254::drive_out1_,
               {"drive the line out1; costs host time, and nothing in a PC listens", "false"});
    s.ports<&I8254::read, &I8254::write>("ports", 4, 1, "counters 0-2 and the control word");
    s.lines_in<&I8254::gate>("gate", 3, "gate inputs");
    s.line_in<&I8254::inhibit>("inhibit", "keeps irq0 low while high (HPET legacy replacement); the counter runs on");
    s.line_out(
        "irq0", [](I8254& t) -> LineOut& { return t.outs_[0]; }, "OUT0: system timer interrupt");
    s.line_out(
        "out1", [](I8254& t) -> LineOut& { return t.outs_[1]; }, "OUT1: memory refresh; only with drive_out1");
    s.line_out(
        "out2", [](I8254& t) -> LineOut& { return t.outs_[2]; }, "OUT2: tone");
    s.timer<&I8254::expired0>("counter0", [](I8254& t) -> Timer& { return t.timers_[0]; });
    s.timer<&I8254::expired1>("counter1", [](I8254& t) -> Timer& { return t.timers_[1]; });
    s.timer<&I8254::expired2>("counter2", [](I8254& t) -> Timer& { return t.timers_[2]; });
}

u64 I8254::clock_at(i64 ns) const { return static_cast<u64>(static_cast<u128>(ns) * frequency_ / kNanoseconds); }

// The first nanosecond at which clock_at() yields `clock`.
i64 I8254::time_of(u64 clock) const {
    return static_cast<i64>((static_cast<u128>(clock) * kNanoseconds + frequency_ - 1) / frequency_);
}

void I8254::run(unsigned channel, u64 clock) {
    Counter& c = counters_[channel];
    if (driven(channel))
        for (int n = 0; n < kCatchUp && c.next_change() < clock; ++n) {
            c.run_to(c.next_change());
            drive(channel);
        }
    c.run_to(clock);
    drive(channel);
}

void I8254::drive(unsigned channel) {
    if (driven(channel)) outs_[channel].set(counters_[channel].out() && !(channel == 0 && inhibited_));
}

void I8254::plan(unsigned channel) {
    const u64 next = driven(channel) ? counters_[channel].next_change() : Counter::kNever;
    if (next == Counter::kNever)
        timers_[channel].cancel();
    else
        timers_[channel].arm(time_of(next));
}

void I8254::expired(unsigned channel, i64 due) {
    run(channel, clock_at(due));
    // A timer that came late leaves the changes in between to this loop rather than to one host wake-up each.
    run(channel, clock_at(now()));
    plan(channel);
}

u64 I8254::read(u64 offset, u32 bytes) {
    if (offset == kControlPort) return 0xff;  // write only
    const auto channel = static_cast<unsigned>(offset);
    run(channel, clock_at(now()));
    return counters_[channel].read();
}

void I8254::write(u64 offset, u32 bytes, u64 value) {
    const u8 byte = static_cast<u8>(value);
    const u64 clock = clock_at(now());
    if (offset != kControlPort) {
        const auto channel = static_cast<unsigned>(offset);
        run(channel, clock);
        counters_[channel].write(byte);
        drive(channel);
        plan(channel);
        return;
    }
    if (byte >> 6 == kReadBack) {
        for (unsigned channel = 0; channel < 3; ++channel) {
            if (!(byte & 2 << channel)) continue;
            run(channel, clock);
            if (!(byte & kReadBackNoCount)) counters_[channel].latch_count();
            if (!(byte & kReadBackNoStatus)) counters_[channel].latch_status();
        }
        return;
    }
    const unsigned channel = byte >> 6;
    run(channel, clock);
    if (byte & kAccessBits)
        counters_[channel].control(byte);
    else
        counters_[channel].latch_count();
    drive(channel);
    plan(channel);
}

void I8254::gate(u32 channel, bool level) {
    gates_[channel] = level;
    if (!(gated_ & 1 << channel)) return;
    run(channel, clock_at(now()));
    counters_[channel].set_gate(level);
    drive(channel);
    plan(channel);
}

void I8254::inhibit(bool level) {
    run(0, clock_at(now()));
    inhibited_ = level;
    drive(0);
    plan(0);
}

void I8254::reset(Reset) {
    const u64 clock = clock_at(now());
    for (unsigned channel = 0; channel < 3; ++channel) {
        Counter& c = counters_[channel];
        c.set_gate(!(gated_ & 1 << channel) || gates_[channel]);
        c.reset(clock);
        drive(channel);
        plan(channel);
    }
}

void I8254::state(StateVisitor& v) {
    v.each("counter", counters_, [](StateVisitor& visitor, Counter& c) { c.state(visitor); });
    v("gates", gates_);
    v("inhibited", inhibited_);
}

bp_status I8254::restored() {
    for (Counter& c : counters_) c.validate(clock_at(now()));
    return BP_OK;
}

}  // namespace backplane::timer
