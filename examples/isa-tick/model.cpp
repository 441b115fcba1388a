#include "model.hpp"

namespace example {
namespace {

constexpr u64 kPorts = 8;
constexpr u64 kControl = 0, kStatus = 1, kPeriod = 2, kCount = 4;

constexpr u8 kRun = 1u << 0, kInterruptEnable = 1u << 1, kControlBits = kRun | kInterruptEnable;
constexpr u8 kTick = 1u << 0, kOverrun = 1u << 1, kStatusBits = kTick | kOverrun;

constexpr u64 kShortestUnit = 10'000, kLongestUnit = 1'000'000'000;  // ns

}  // namespace

void IsaTick::describe(Schema<IsaTick>& s) {
    s.doc("An ISA card with a programmable ticker and an interrupt (example).");
    // The lower limit keeps a guest from asking for more ticks than a host can deliver.
    s.property("unit", &IsaTick::unit_,
               {.doc = "what a period of 1 lasts", .def = "1ms", .min = kShortestUnit, .max = kLongestUnit});
    s.ports<&IsaTick::read, &IsaTick::write>("registers", kPorts, 1 | 2 | 4, "control, status, period, count");
    s.line_out("irq", &IsaTick::irq_, "high while a tick is not acknowledged and interrupts are enabled");
    s.timer<&IsaTick::on_tick>("tick", &IsaTick::timer_);
    s.trace("started", &IsaTick::started_, "the guest starts or stops the ticker");
    s.trace("ticked", &IsaTick::ticked_, "each tick");
}

void IsaTick::reset(Reset) {
    control_ = status_ = 0;
    period_ = 0;
    count_ = 0;
    timer_.cancel();
    update_irq();
}

void IsaTick::state(StateVisitor& v) {
    v("control", control_, {.max = kControlBits});
    v("status", status_, {.max = kStatusBits});
    v("period", period_);
    v("count", count_);
}

u64 IsaTick::read(u64 offset, u32 bytes) {
    u64 value = 0;
    for (u32 i = 0; i < bytes; ++i) value |= u64{read_byte(offset + i)} << (8 * i);
    return value;
}

void IsaTick::write(u64 offset, u32 bytes, u64 value) {
    for (u32 i = 0; i < bytes; ++i) write_byte(offset + i, static_cast<u8>(value >> (8 * i)));
}

u8 IsaTick::read_byte(u64 offset) const {
    if (offset == kControl) return control_;
    if (offset == kStatus) return status_;
    if (offset < kCount) return static_cast<u8>(period_ >> (8 * (offset - kPeriod)));
    return static_cast<u8>(count_ >> (8 * (offset - kCount)));
}

void IsaTick::write_byte(u64 offset, u8 value) {
    if (offset == kControl) {
        set_control(value);
    } else if (offset == kStatus) {
        status_ &= static_cast<u8>(~value);
        update_irq();
    } else if (offset < kCount) {
        const unsigned shift = static_cast<unsigned>(8 * (offset - kPeriod));
        period_ = static_cast<u16>((period_ & ~(0xffu << shift)) | (unsigned{value} << shift));
    } else {
        log_guest("write to the count, which is read-only");
    }
}

void IsaTick::set_control(u8 value) {
    if (value & ~kControlBits) log_guest("reserved control bits written: %02x", value);
    const bool was_running = control_ & kRun;
    control_ = value & kControlBits;
    const bool runs = control_ & kRun;
    if (runs && !was_running) {
        count_ = 0;
        timer_.arm_in(period_ns());
    } else if (!runs) {
        timer_.cancel();
    }
    if (runs != was_running) started_("%s, period %lld ns", runs ? "on" : "off", static_cast<long long>(period_ns()));
    update_irq();
}

void IsaTick::on_tick(i64 due) {
    ++count_;
    ticked_("%u", count_);
    if (status_ & kTick) status_ |= kOverrun;
    status_ |= kTick;
    // From the time that it was due and not from now: a late call must not make the ticker slow.
    timer_.arm(due + period_ns());
    update_irq();  // last: whoever hears the line finds the device in its new state
}

void IsaTick::update_irq() { irq_.set((control_ & kInterruptEnable) && (status_ & kTick)); }

i64 IsaTick::period_ns() const { return unit_.ns * (period_ ? period_ : 0x10000); }

}  // namespace example
