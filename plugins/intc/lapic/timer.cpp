// The APIC timer: 1 GHz through the divide register.
#include <algorithm>

#include "model.hpp"

namespace backplane::intc {

using namespace lapic;

namespace {

// A periodic timer set to a few nanoseconds would leave the machine no time for anything else; no processor could serve
// more.
constexpr u64 kShortestPeriodNs = 2'000;

}  // namespace

// Divided clocks since the count was loaded.
u64 LocalApic::elapsed() const { return static_cast<u64>(now() - timer_start_) >> timer_shift_; }

u32 LocalApic::current_count() const {
    if (!timer_running_ || !timer_initial_) return 0;
    const u64 passed = elapsed();
    if (periodic()) return static_cast<u32>(timer_initial_ - passed % timer_initial_);
    return passed >= timer_initial_ ? 0 : static_cast<u32>(timer_initial_ - passed);
}

void LocalApic::start_timer(u32 count) {
    timer_initial_ = count;
    timer_start_ = now();
    timer_running_ = count != 0;
    plan_timer(timer_start_);
}

// Keeps the current count while the divider or the mode changes under it.
void LocalApic::rebase_timer() {
    if (!timer_running_) return;
    const u32 left = current_count();
    if (left == 0) {
        // A one-shot that is over does not come back by becoming periodic; one that is due and not served yet is.
        if (!timer_.armed()) timer_running_ = false;
        return;
    }
    timer_start_ = now() - static_cast<i64>(u64{timer_initial_ - left} << timer_shift_);
}

void LocalApic::set_divide(u32 value) {
    const u32 left = current_count();
    timer_divide_ = value & 0x0b;
    // Bits 3, 1, 0: 0 divides by 2, 6 by 128, 7 by 1.
    timer_shift_ = (((timer_divide_ & 3) | (timer_divide_ >> 1 & 4)) + 1) & 7;
    if (timer_running_ && !left && !timer_.armed()) timer_running_ = false;
    if (timer_running_ && left) timer_start_ = now() - static_cast<i64>(u64{timer_initial_ - left} << timer_shift_);
    plan_timer(now());
}

void LocalApic::plan_timer(i64 now) {
    if (!timer_running_ || !timer_initial_ || (lvt_[kLvtTimer] & kLvtMasked)) {
        timer_.cancel();
        return;
    }
    const u64 period = u64{timer_initial_} << timer_shift_;
    u64 rounds = 1;
    if (periodic()) {
        const u64 passed = static_cast<u64>(now - timer_start_);
        const u64 earliest = passed + (period < kShortestPeriodNs ? kShortestPeriodNs : 1);
        rounds = (earliest + period - 1) / period;
    } else if (!timer_.armed() && static_cast<u64>(now - timer_start_) >= period) {
        return;  // it passed while it was masked; one that is armed is only late, and comes
    }
    timer_.arm(timer_start_ + static_cast<i64>(rounds * period));
}

void LocalApic::timer_expired(i64) {
    fire_lvt(kLvtTimer);
    if (periodic()) {
        // Moving the start along keeps the numbers small.
        const u64 period = u64{timer_initial_} << timer_shift_;
        if (period) timer_start_ += static_cast<i64>(static_cast<u64>(now() - timer_start_) / period * period);
    } else {
        timer_running_ = false;
    }
    plan_timer(now());
    update();
}

}  // namespace backplane::intc
