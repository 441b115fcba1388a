#include "kernel/clock/clock.hpp"

#include <time.h>
#include <x86intrin.h>

namespace backplane::kernel {

namespace {
std::int64_t host_now() {
    timespec t{};
    ::clock_gettime(CLOCK_MONOTONIC, &t);
    return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}
}  // namespace

std::int64_t Clock::now() const {
    if (mode_ == Mode::kDeterministic) return base_ + static_cast<std::int64_t>(executed()) * ns_per_instruction_;
    const std::int64_t time = realtime();
    tell();
    return time;
}

std::int64_t Clock::realtime() const { return running_ ? host_now() - base_ : stopped_; }

namespace {
// How far a look may be extrapolated, and how long the counter is watched before its rate is believed.
constexpr std::int64_t kLookHolds = 20'000'000, kRateKnownAfter = 1'000'000;
}  // namespace

void Clock::look() {
    last_look_ = {__rdtsc(), realtime()};
    if (first_look_.time == 0) first_look_ = last_look_;
    const std::int64_t watched = last_look_.time - first_look_.time;
    if (watched < kRateKnownAfter) return;
    ticks_per_1024ns_ = (last_look_.ticks - first_look_.ticks) * 1024 / static_cast<std::uint64_t>(watched);
    // The product above must not overflow, and the rate may change: start again after a second.
    if (watched > 1'000'000'000) first_look_ = last_look_;
}

bool Clock::certainly_before(std::int64_t when) {
    if (mode_ == Mode::kDeterministic || !running_) return now() < when;
    if (ticks_per_1024ns_ != 0 && when > last_look_.time) {
        // Seven eighths of the time that is left: the counter may run a little faster than it did.
        const std::int64_t left = when - last_look_.time < kLookHolds ? when - last_look_.time : kLookHolds;
        const std::uint64_t allowed = static_cast<std::uint64_t>(left) * ticks_per_1024ns_ / 1024 * 7 / 8;
        if (__rdtsc() - last_look_.ticks < allowed) return true;
    }
    look();
    return last_look_.time < when;
}

void Clock::resume() {
    if (mode_ == Mode::kDeterministic || running_) return;
    base_ = host_now() - stopped_;
    running_ = true;
    tell();
    forget_looks();
}

void Clock::pause() {
    if (mode_ == Mode::kDeterministic || !running_) return;
    stopped_ = host_now() - base_;
    running_ = false;
}

void Clock::follow(const std::uint64_t* instructions, std::uint64_t others) {
    instructions_ = instructions;
    others_ = others;
}

void Clock::set(std::int64_t when) {
    if (mode_ == Mode::kDeterministic)
        base_ += when - now();
    else
        stopped_ = when;
}

void Clock::skip_to(std::int64_t when) {
    const std::int64_t t = now();
    if (mode_ == Mode::kDeterministic && when > t) base_ += when - t;
}

std::uint64_t Clock::instructions_at(std::int64_t when) const {
    const std::uint64_t count = executed();
    const std::int64_t left = when - now();
    if (left <= 0) return count;
    return count + static_cast<std::uint64_t>((left + ns_per_instruction_ - 1) / ns_per_instruction_);
}

void TimerQueue::arm(std::uint32_t owner, std::uint32_t index, Timer& timer, std::int64_t due) {
    cancel(owner, index, timer);
    timer.due = due < 0 ? 0 : due;
    timer.sequence = ++sequence_;
    queue_.emplace(timer.due, owner, timer.sequence, index);
}

void TimerQueue::restore(std::uint32_t owner, std::uint32_t index, Timer& timer, const Timer& saved) {
    cancel(owner, index, timer);
    if (saved.due < 0) return;
    timer = saved;
    queue_.emplace(timer.due, owner, timer.sequence, index);
}

void TimerQueue::cancel(std::uint32_t owner, std::uint32_t index, Timer& timer) {
    if (timer.due < 0) return;
    queue_.erase({timer.due, owner, timer.sequence, index});
    timer.due = -1;
}

bool TimerQueue::pop(std::int64_t now, std::uint32_t& owner, std::uint32_t& index, std::int64_t& due) {
    if (queue_.empty() || std::get<0>(*queue_.begin()) > now) return false;
    std::uint64_t sequence = 0;
    std::tie(due, owner, sequence, index) = *queue_.begin();
    queue_.erase(queue_.begin());
    ++fired_;
    return true;
}

}  // namespace backplane::kernel
