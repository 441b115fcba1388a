#include "counter.hpp"

#include <algorithm>

namespace backplane::timer {
namespace {

constexpr u8 kStatusOut = 0x80;
constexpr u8 kStatusNullCount = 0x40;
constexpr u8 kAccessLow = 1;
constexpr u8 kAccessHigh = 2;
constexpr u8 kAccessBoth = 3;

enum Mode : u8 { kTerminalCount, kOneShot, kRateGenerator, kSquareWave, kSoftwareStrobe, kHardwareStrobe };

// Hexadecimal digits above 9 count as what they are worth, as in a chain of decade counters.
u32 from_bcd(u16 v) { return (v & 15u) + 10 * (v >> 4 & 15u) + 100 * (v >> 8 & 15u) + 1000 * (v >> 12 & 15u); }
u16 to_bcd(u32 v) {
    return static_cast<u16>(v % 10 | (v / 10 % 10) << 4 | (v / 100 % 10) << 8 | (v / 1000 % 10) << 12);
}

}  // namespace

void Counter::reset(u64 clock) {
    const bool gate = gate_;
    *this = Counter{};
    clock_ = clock, gate_ = gate;
    written_ = true, running_ = true;
    start_half();
}

u32 Counter::initial() const {
    const u32 n = bcd_ ? from_bcd(count_) : count_;
    return n ? n : modulus();
}

u16 Counter::shown() const { return bcd_ ? to_bcd(element_ % 10000) : static_cast<u16>(element_); }

// Mode 3 counts by two; an odd count is loaded less one and makes the high half one clock longer.
void Counter::start_half() {
    const u32 n = initial();
    odd_ = n & 1;
    element_ = n & ~1u;
    null_count_ = false;
}

u64 Counter::half_left() const { return element_ / 2 + (odd_ && out_ ? 1 : 0); }

void Counter::load() {
    loading_ = false, running_ = true, null_count_ = false;
    switch (mode()) {
        case kSquareWave:
            out_ = true;
            start_half();
            return;
        case kOneShot: out_ = false; break;
        case kRateGenerator:
        case kSoftwareStrobe:
        case kHardwareStrobe: out_ = true; break;
        default: break;
    }
    armed_ = true;
    element_ = initial();
}

void Counter::run_to(u64 clock) {
    if (clock <= clock_) return;
    u64 clocks = clock - clock_;
    clock_ = clock;
    if (loading_) {
        load();
        --clocks;
    }
    const bool gated = mode() != kOneShot && mode() != kHardwareStrobe;
    if (!running_ || !clocks) return;
    if (gated && !gate_) {
        // A strobe that is due still ends after its one clock.
        if (mode() == kSoftwareStrobe && armed_ && element_ == 0) armed_ = false, out_ = true;
        return;
    }
    if (mode() == kRateGenerator)
        count_rate(clocks);
    else if (mode() == kSquareWave)
        count_square(clocks);
    else
        count_down(clocks);
}

void Counter::count_down(u64 clocks) {
    const bool strobe = mode() == kSoftwareStrobe || mode() == kHardwareStrobe;
    if (armed_) {
        if (clocks >= element_) {
            if (!strobe)
                out_ = true, armed_ = false;
            else if (clocks == element_)
                out_ = false;
            else
                out_ = true, armed_ = false;
        }
    }
    const u64 down = clocks % modulus();
    element_ = element_ >= down ? static_cast<u32>(element_ - down) : static_cast<u32>(element_ + modulus() - down);
}

void Counter::count_rate(u64 clocks) {
    const u32 period = initial();
    if (clocks < element_) {
        element_ -= static_cast<u32>(clocks);
    } else {
        // The clock that would reach 0 reloads from the count register, which may have been written meanwhile.
        const u64 into = (clocks - element_) % period;
        null_count_ = false;
        element_ = static_cast<u32>(period - into);
    }
    out_ = element_ != 1 || period == 1;  // a count of 1 is illegal here: OUT stays high
}

void Counter::count_square(u64 clocks) {
    u64 left = half_left();
    if (clocks < left) {
        element_ -= static_cast<u32>(2 * clocks);
        return;
    }
    clocks -= left;
    out_ = !out_;
    start_half();
    if (initial() < 2) {  // illegal here: OUT stays high
        out_ = true;
        return;
    }
    clocks %= initial();
    left = half_left();
    if (clocks >= left) {
        clocks -= left;
        out_ = !out_;
        start_half();
    }
    element_ -= static_cast<u32>(2 * clocks);
}

u64 Counter::next_change() const {
    if (loading_) {
        // What follows depends on the count register; look again after the load.
        return clock_ + 1;
    }
    if (!running_) return kNever;
    const u8 m = mode();
    const bool strobing = (m == kSoftwareStrobe || m == kHardwareStrobe) && armed_ && element_ == 0;
    if (strobing) return clock_ + 1;
    if (m != kOneShot && m != kHardwareStrobe && !gate_) return kNever;
    switch (m) {
        case kRateGenerator:
            if (!out_) return clock_ + 1;
            if (element_ > 1) return clock_ + element_ - 1;
            return initial() > 1 ? clock_ + initial() : kNever;
        case kSquareWave:
            if (initial() < 2 && out_ && element_ == 0) return kNever;
            return clock_ + (half_left() ? half_left() : 1);
        default: return armed_ ? clock_ + element_ : kNever;
    }
}

void Counter::set_gate(bool level) {
    if (level == gate_) return;
    gate_ = level;
    switch (mode()) {
        case kOneShot:
        case kHardwareStrobe:
            if (level && written_) loading_ = true;
            break;
        case kRateGenerator:
        case kSquareWave:
            if (level && written_) loading_ = true;
            if (!level) out_ = true;
            break;
        default: break;
    }
}

void Counter::control(u8 word) {
    access_ = word >> 4 & 3;
    mode_ = word >> 1 & 7;
    bcd_ = word & 1;
    running_ = loading_ = written_ = armed_ = false;
    write_high_ = read_high_ = false;
    count_latched_ = 0, status_latched_ = false;
    null_count_ = true;
    out_ = mode() != kTerminalCount;
    count_ = 0;
}

void Counter::latch_count() {
    if (count_latched_) return;  // the first latched value stays until it is read
    count_latch_ = shown();
    count_latched_ = access_ == kAccessBoth ? 2 : 1;
    // In two-byte access the latched value is read from its low byte on.
    if (access_ == kAccessBoth) read_high_ = false;
}

void Counter::latch_status() {
    if (status_latched_) return;
    status_latched_ = true;
    status_latch_ = static_cast<u8>((out_ ? kStatusOut : 0) | (null_count_ ? kStatusNullCount : 0) | access_ << 4 |
                                    mode_ << 1 | (bcd_ ? 1 : 0));
}

void Counter::write(u8 value) {
    if (access_ == kAccessBoth && !write_high_) {
        low_byte_ = value;
        write_high_ = true;
        if (mode() == kTerminalCount) running_ = loading_ = out_ = false;  // the first byte stops the count
        return;
    }
    switch (access_) {
        case kAccessLow: count_ = value; break;
        case kAccessHigh: count_ = static_cast<u16>(value << 8); break;
        default: count_ = static_cast<u16>(value << 8 | low_byte_); break;
    }
    write_high_ = false;
    null_count_ = true;
    const bool first = !written_;
    written_ = true;
    switch (mode()) {
        case kTerminalCount:
            out_ = false;
            loading_ = true;
            break;
        case kSoftwareStrobe: loading_ = true; break;
        case kRateGenerator:
        case kSquareWave:
            if (first) loading_ = true;  // later counts wait for the end of the (half) cycle
            break;
        default: break;  // modes 1 and 5 wait for the gate
    }
}

u8 Counter::read() {
    if (status_latched_) {
        status_latched_ = false;
        return status_latch_;
    }
    const u16 value = count_latched_ ? count_latch_ : shown();
    if (count_latched_) --count_latched_;
    switch (access_) {
        case kAccessLow: return static_cast<u8>(value);
        case kAccessHigh: return static_cast<u8>(value >> 8);
        default: break;
    }
    const bool high = read_high_;
    read_high_ = !read_high_;
    return static_cast<u8>(high ? value >> 8 : value);
}

void Counter::validate(u64 clock) {
    clock_ = std::min(clock_, clock);
    if (mode() <= kOneShot && element_ == 0) armed_ = false;
}

void Counter::state(StateVisitor& v) {
    v("clock", clock_);
    v("element", element_, {.max = 65536});
    v("count", count_);
    v("low_byte", low_byte_);
    v("access", access_, {.min = kAccessLow, .max = kAccessBoth});
    v("mode", mode_, {.max = 7});
    v("bcd", bcd_);
    v("out", out_);
    v("gate", gate_);
    v("running", running_);
    v("loading", loading_);
    v("written", written_);
    v("null_count", null_count_);
    v("armed", armed_);
    v("odd", odd_);
    v("write_high", write_high_);
    v("read_high", read_high_);
    v("status_latched", status_latched_);
    v("status_latch", status_latch_);
    v("count_latched", count_latched_, {.max = 2});
    v("count_latch", count_latch_);
}

}  // namespace backplane::timer
