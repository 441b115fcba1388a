// Virtual time in nanoseconds since power-on, and the timers that wait for it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <set>
#include <tuple>

namespace backplane::kernel {

// realtime: follows the host's monotonic clock while the machine runs.
// deterministic: driven by executed instructions; nothing of the host enters it.
class Clock {
  public:
    enum class Mode { kRealtime, kDeterministic };

    Clock(Mode mode, std::int64_t ns_per_instruction) : mode_(mode), ns_per_instruction_(ns_per_instruction) {}
    Mode mode() const { return mode_; }
    bool deterministic() const { return mode_ == Mode::kDeterministic; }

    // Realtime: any thread. Deterministic: the thread that executes instructions.
    std::int64_t now() const;
    // True if `when` has certainly not come yet. Asked before every access to a device, so it looks at the processor's
    // counter only, where that suffices; false says that now() has to be asked. One thread at a time.
    bool certainly_before(std::int64_t when);
    // Realtime: whether now() has been called (by any thread), or the clock begun to go, since untold(). As long as
    // nobody is told the time, nobody can tell that it has passed.
    bool told() const { return told_.load(std::memory_order_acquire); }
    void untold() { told_.store(false, std::memory_order_relaxed); }
    void tell() const {
        if (!told_.load(std::memory_order_relaxed)) told_.store(true, std::memory_order_release);
    }
    void resume();  // realtime: time goes on from where it stood
    void pause();

    // Deterministic: where the executing vCPU keeps its count, and what the others have executed. Time does not change.
    void follow(const std::uint64_t* instructions, std::uint64_t others = 0);
    // A restored machine: it is `when` now. Realtime: only while paused.
    void set(std::int64_t when);
    // Idle: jumps to `when`.
    void skip_to(std::int64_t when);
    // The count of all instructions at which `when` is reached.
    std::uint64_t instructions_at(std::int64_t when) const;
    std::int64_t ns_per_instruction() const { return ns_per_instruction_; }

  private:
    Mode mode_;
    std::int64_t ns_per_instruction_;
    std::int64_t base_ = 0;     // realtime: host time of virtual time 0; deterministic: skipped time
    std::int64_t stopped_ = 0;  // virtual time while paused
    bool running_ = false;
    const std::uint64_t* instructions_ = nullptr;
    std::uint64_t others_ = 0;
    mutable std::atomic<bool> told_{true};
    std::int64_t realtime() const;
    std::uint64_t executed() const { return instructions_ ? *instructions_ + others_ : 0; }

    // certainly_before(): the counter and the time at the first and the last look at both.
    struct Look {
        std::uint64_t ticks = 0;
        std::int64_t time = 0;
    };
    Look first_look_, last_look_;
    std::uint64_t ticks_per_1024ns_ = 0;  // 0: not known yet
    void look();
    void forget_looks() { first_look_ = last_look_ = {}, ticks_per_1024ns_ = 0; }
};

// All armed timers of the machine, in the order (time, device, sequence).
class TimerQueue {
  public:
    struct Timer {
        std::int64_t due = -1;
        std::uint64_t sequence = 0;
    };
    // `owner`: index of the device, `index`: of its timer.
    void arm(std::uint32_t owner, std::uint32_t index, Timer& timer, std::int64_t due);
    void cancel(std::uint32_t owner, std::uint32_t index, Timer& timer);
    std::int64_t next() const { return queue_.empty() ? -1 : std::get<0>(*queue_.begin()); }
    // Takes the earliest timer that is due at `now`; false if there is none.
    bool pop(std::int64_t now, std::uint32_t& owner, std::uint32_t& index, std::int64_t& due);
    std::size_t size() const { return queue_.size(); }

    // How many timers have expired, and the number that was last given to an armed one: both are saved.
    std::uint64_t fired() const { return fired_; }
    std::uint64_t sequence() const { return sequence_; }
    void restore_counters(std::uint64_t fired, std::uint64_t sequence) { fired_ = fired, sequence_ = sequence; }
    // Arms a timer as it was saved, in its old place among those of the same time.
    void restore(std::uint32_t owner, std::uint32_t index, Timer& timer, const Timer& saved);

  private:
    std::set<std::tuple<std::int64_t, std::uint32_t, std::uint64_t, std::uint32_t>> queue_;
    std::uint64_t sequence_ = 0;
    std::uint64_t fired_ = 0;
};

}  // namespace backplane::kernel
