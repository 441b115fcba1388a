#include "model.hpp"

#include <algorithm>

namespace backplane::timer {
namespace {

// Registers (section 2.3).
constexpr u64 kCapabilities = 0x000;
constexpr u64 kPeriodRegister = 0x004;
constexpr u64 kGeneral = 0x010;
constexpr u64 kStatus = 0x020;
constexpr u64 kCounterLow = 0x0f0;
constexpr u64 kCounterHigh = 0x0f4;
constexpr u64 kFirstTimer = 0x100;
constexpr u64 kTimerStride = 0x20;
constexpr u64 kTimerConfigLow = 0x00;
constexpr u64 kTimerConfigHigh = 0x04;
constexpr u64 kComparatorLow = 0x08;
constexpr u64 kComparatorHigh = 0x0c;

// Vendor 8086h, legacy routes, 64-bit counter, three timers, revision 1.
constexpr u32 kCapabilityValue = 0x8086'a201;
constexpr u32 kPeriodFs = 10'000'000;
constexpr i64 kTickNs = 10;

constexpr u64 kEnable = 1u << 0;
constexpr u64 kLegacy = 1u << 1;

constexpr u32 kTimerLevel = 1u << 1;
constexpr u32 kTimerInterrupt = 1u << 2;
constexpr u32 kTimerPeriodic = 1u << 3;
constexpr u32 kTimerSetValue = 1u << 6;
constexpr u32 kTimer32Bit = 1u << 8;
constexpr unsigned kTimerRouteShift = 9;
constexpr u32 kTimerWritable = 0x3f4e;
// Periodic and 64-bit capable, may be routed to I/O APIC pin 2 only.
constexpr u64 kTimerReset = 0x0000'0004'0000'0030;

// A period of a few ticks would leave the machine no time for anything else; no guest could serve more interrupts.
constexpr u64 kShortestPeriod = 200;

}  // namespace

void Hpet::describe(Schema<Hpet>& s) {
    s.doc(
        "High precision event timers: 100 MHz counter, three comparators. In legacy replacement mode timer 0 drives "
        "irq0 and timer 1 "
        "irq8, and the line legacy tells the interval timer and the clock to keep still; else a timer drives the route "
        "that its "
        "configuration names. No message-signalled (FSB) delivery.");
    s.memory<&Hpet::read, &Hpet::write>("registers", 0x400, 4 | 8, "registers");
    s.lines_out("route", &Hpet::routes_, "I/O APIC pins by number; the timers report pin 2 as their only one");
    s.line_out("irq0", &Hpet::irq0_, "timer 0 in legacy replacement mode");
    s.line_out("irq8", &Hpet::irq8_, "timer 1 in legacy replacement mode");
    s.line_out("legacy", &Hpet::legacy_, "high while legacy replacement is on");
    s.timer<&Hpet::expired0>("timer0", [](Hpet& h) -> Timer& { return h.events_[0]; });
    s.timer<&Hpet::expired1>("timer1", [](Hpet& h) -> Timer& { return h.events_[1]; });
    s.timer<&Hpet::expired2>("timer2", [](Hpet& h) -> Timer& { return h.events_[2]; });
    s.trace("timer", &Hpet::trace_, "comparator matches");
}

bool Hpet::enabled() const { return (general_ & kEnable) != 0; }
bool Hpet::legacy() const { return (general_ & (kEnable | kLegacy)) == (kEnable | kLegacy); }
u64 Hpet::counter() const {
    return enabled() ? stopped_at_ + static_cast<u64>((now() - started_) / kTickNs) : stopped_at_;
}
u64 Hpet::width_mask(const Comparator& c) { return c.config & kTimer32Bit ? 0xffff'ffff : ~u64{0}; }

u64 Hpet::read(u64 offset, u32 bytes) {
    const u64 low = read_half(offset);
    return bytes == 8 ? low | u64{read_half(offset + 4)} << 32 : low;
}

void Hpet::write(u64 offset, u32 bytes, u64 value) {
    write_half(offset, static_cast<u32>(value));
    if (bytes == 8) write_half(offset + 4, static_cast<u32>(value >> 32));
}

u32 Hpet::read_half(u64 offset) {
    if (offset >= kFirstTimer) {
        const u64 index = (offset - kFirstTimer) / kTimerStride;
        return index < kTimers ? read_timer(static_cast<u32>(index), offset % kTimerStride) : 0;
    }
    switch (offset) {
        case kCapabilities: return kCapabilityValue;
        case kPeriodRegister: return kPeriodFs;
        case kGeneral: return static_cast<u32>(general_);
        case kStatus: return status_;
        case kCounterLow: return static_cast<u32>(counter());
        case kCounterHigh: return static_cast<u32>(counter() >> 32);
        default: return 0;
    }
}

void Hpet::write_half(u64 offset, u32 value) {
    if (offset >= kFirstTimer) {
        const u64 index = (offset - kFirstTimer) / kTimerStride;
        if (index < kTimers) write_timer(static_cast<u32>(index), offset % kTimerStride, value);
        return;
    }
    switch (offset) {
        case kGeneral: write_general(value); break;
        case kStatus: write_status(value); break;
        case kCounterLow: write_counter(0, value); break;
        case kCounterHigh: write_counter(32, value); break;
        default: break;
    }
}

void Hpet::write_general(u32 value) {
    const u64 count = counter();
    for (u32 i = 0; i < kTimers; ++i) advance(i);
    release_levels();
    general_ = value & (kEnable | kLegacy);
    stopped_at_ = count;
    started_ = now();
    legacy_.set(legacy());
    drive_levels();
    for (u32 i = 0; i < kTimers; ++i) plan(i);
}

void Hpet::write_status(u32 value) {
    release_levels();
    status_ &= ~value;
    drive_levels();
}

void Hpet::write_counter(unsigned shift, u32 value) {
    if (enabled()) log_guest("the counter is written while it runs");
    const u64 count = (counter() & ~(u64{0xffff'ffff} << shift)) | u64{value} << shift;
    stopped_at_ = count;
    started_ = now();
    for (u32 i = 0; i < kTimers; ++i) plan(i);
}

u32 Hpet::read_timer(u32 index, u64 reg) {
    const Comparator& c = timers_[index];
    switch (reg) {
        case kTimerConfigLow: return static_cast<u32>(c.config);
        case kTimerConfigHigh: return static_cast<u32>(c.config >> 32);
        case kComparatorLow: advance(index); return static_cast<u32>(c.value);
        case kComparatorHigh: advance(index); return static_cast<u32>(c.value >> 32);
        default: return 0;
    }
}

void Hpet::write_timer(u32 index, u64 reg, u32 value) {
    switch (reg) {
        case kTimerConfigLow: write_timer_config(index, value); break;
        case kComparatorLow: write_comparator(index, 0, value); break;
        case kComparatorHigh: write_comparator(index, 32, value); break;
        default: break;
    }
}

void Hpet::write_timer_config(u32 index, u32 value) {
    advance(index);
    release_levels();
    Comparator& c = timers_[index];
    c.config = (c.config & ~u64{kTimerWritable}) | (value & kTimerWritable);
    if (c.config & kTimer32Bit) c.value &= 0xffff'ffff, c.period &= 0xffff'ffff;
    if (!(c.config & kTimerLevel)) status_ &= ~(1u << index);
    drive_levels();
    plan(index);
}

// In periodic mode a write sets the period, and the accumulator too if the guest announced it (section 2.3.9.2.2).
void Hpet::write_comparator(u32 index, unsigned shift, u32 value) {
    advance(index);
    Comparator& c = timers_[index];
    if (shift && (c.config & kTimer32Bit)) return;
    const u64 mask = u64{0xffff'ffff} << shift, bits = u64{value} << shift;
    if (!(c.config & kTimerPeriodic) || (c.config & kTimerSetValue)) c.value = (c.value & ~mask) | bits;
    if (c.config & kTimerPeriodic) c.period = (c.period & ~mask) | bits;
    c.config &= ~u64{kTimerSetValue};
    plan(index);
}

// Brings a periodic accumulator up to the counter, as the matches since the last look would have done.
void Hpet::advance(u32 index) {
    Comparator& c = timers_[index];
    if (!enabled() || !(c.config & kTimerPeriodic) || !c.period) return;
    const u64 mask = width_mask(c), count = counter() & mask;
    const u64 behind = (count - c.value) & mask;
    // More than half the range behind means ahead.
    if (behind > mask >> 1) return;
    c.value = (c.value + (behind / c.period + 1) * c.period) & mask;
}

void Hpet::plan(u32 index) {
    const Comparator& c = timers_[index];
    if (!enabled() || !(c.config & kTimerInterrupt)) {
        events_[index].cancel();
        return;
    }
    const u64 mask = width_mask(c);
    const u64 count = counter();
    u64 ticks = (c.value - count) & mask;
    if ((c.config & kTimerPeriodic) && c.period && c.period < kShortestPeriod) ticks = std::max(ticks, kShortestPeriod);
    // Centuries away: not in this machine's life, and beyond the clock's range.
    constexpr u64 kForever = u64{1} << 58;
    if (ticks >= kForever) {
        events_[index].cancel();
        return;
    }
    // From the start of the counter, so that no fraction of a tick accumulates.
    events_[index].arm(started_ + static_cast<i64>(count - stopped_at_ + ticks) * kTickNs);
}

void Hpet::expired(u32 index) {
    Comparator& c = timers_[index];
    if (!enabled() || !(c.config & kTimerInterrupt)) return;  // armed by nobody but a damaged snapshot
    fire(index);
    if ((c.config & kTimerPeriodic) && c.period) {
        advance(index);
        plan(index);
        return;
    }
    // A one-shot comparator (and a periodic one whose period was never written) matches again when the counter comes
    // round: in 32-bit mode after 43 seconds.
    if (!(c.config & kTimer32Bit)) return;
    const u64 count = counter();
    const u64 ticks = ((c.value - count - 1) & 0xffff'ffff) + 1;
    events_[index].arm(started_ + static_cast<i64>(count - stopped_at_ + ticks) * kTickNs);
}

LineOut& Hpet::output(u32 index) {
    if (legacy() && index < 2) return index == 0 ? irq0_ : irq8_;
    return routes_[timers_[index].config >> kTimerRouteShift & (kRoutes - 1)];
}

void Hpet::fire(u32 index) {
    const Comparator& c = timers_[index];
    trace_("timer %u", index);
    if (c.config & kTimerLevel) {
        status_ |= 1u << index;
        drive_levels();
    } else {
        output(index).pulse();
    }
}

void Hpet::drive_levels() {
    for (u32 i = 0; i < kTimers; ++i)
        if ((status_ & 1u << i) && (timers_[i].config & kTimerInterrupt)) output(i).raise();
}

// Before anything changes that decides which line a timer drives.
void Hpet::release_levels() {
    for (u32 i = 0; i < kTimers; ++i) output(i).lower();
}

void Hpet::reset(Reset) {
    release_levels();
    general_ = 0;
    status_ = 0;
    stopped_at_ = 0;
    started_ = now();
    for (u32 i = 0; i < kTimers; ++i) {
        timers_[i] = {kTimerReset, ~u64{0}, 0};
        events_[i].cancel();
    }
    legacy_.lower();
}

void Hpet::state(StateVisitor& v) {
    v("general", general_, {.max = kEnable | kLegacy});
    v("status", status_, {.max = (1u << kTimers) - 1});
    v("stopped_at", stopped_at_);
    v("started", started_, kTimeField);
    v.each("timer", timers_, [](StateVisitor& visitor, Comparator& c) {
        visitor("config", c.config);
        visitor("value", c.value);
        visitor("period", c.period);
    });
}

bp_status Hpet::restored() {
    // Whatever a damaged snapshot says.
    started_ = std::min(started_, now());
    for (Comparator& c : timers_) c.value &= width_mask(c), c.period &= width_mask(c);
    return BP_OK;
}

}  // namespace backplane::timer
