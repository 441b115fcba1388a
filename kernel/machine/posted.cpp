// What others ask the machine to do: on its own thread, while it stands still, or at a time of its clock.
#include <algorithm>
#include <future>

#include "kernel/machine/cross_check.hpp"
#include "kernel/machine/machine.hpp"

namespace backplane::kernel {

void Machine::post(std::function<void()> work) {
    {
        std::lock_guard g(posted_mutex_);
        posted_.push_back(std::move(work));
        has_posted_.store(true, std::memory_order_release);
    }
    wake();
}

void Machine::at_standstill(std::function<void()> work) {
    bool ended = false;
    {
        std::lock_guard g(posted_mutex_);
        standstill_.push_back(std::move(work));
        has_standstill_.store(true, std::memory_order_release);
        ended = ended_;
    }
    if (ended)
        locked([this] { run_standstill(); });
    else
        wake();
}

void Machine::standstill(const std::function<void()>& work) {
    if (standing_.load() == std::this_thread::get_id()) return work();
    std::promise<void> done;
    at_standstill([&] {
        try {
            work();
            done.set_value();
        } catch (...) {
            done.set_exception(std::current_exception());
        }
    });
    done.get_future().get();
}

// Until back ends have nothing under way and no completion is left to deliver: a completion may begin the next request.
void Machine::drain() {
    do {
        run_posted();
        for (Instance* d : live_->order) d->type->abi->drain(d->object);
    } while (has_posted_.load(std::memory_order_acquire));
}

void Machine::run_standstill() {
    while (has_standstill_.load(std::memory_order_acquire)) {
        std::deque<std::function<void()>> batch;
        {
            std::lock_guard g(posted_mutex_);
            batch.swap(standstill_);
            has_standstill_.store(false, std::memory_order_release);
        }
        for (auto& work : batch) {
            run_standing(work);
            // Who comes next finds the machine as this work left it.
            if (reset_requested_ && live_->vcpus.empty() && !outcome_) {
                reset_requested_ = false;
                system_reset();
            }
        }
    }
}

void Machine::run_standing(const std::function<void()>& work) {
    struct Standing {
        std::atomic<std::thread::id>& who;
        std::thread::id before;
        ~Standing() { who.store(before); }
    } standing{standing_, standing_.exchange(std::this_thread::get_id())};
    drain();
    try {
        work();
    } catch (const std::exception& e) {
        logger_.log(log_, BP_LOG_ERROR, e.what());
    }
    if (cross_check_) cross_check_->replaced();
}

void Machine::locked(const std::function<void()>& work) {
    lock_.lock();
    work();
    wake_halted();
    lock_.unlock();
}

void Machine::at_time(std::int64_t time, std::function<void()> work) {
    lock_.lock();
    at_times_.emplace(time, std::move(work));
    wake();
    lock_.unlock();
}

// Of at_time(), if its time has come; empty otherwise.
std::function<void()> Machine::take_at_time() {
    if (at_times_.empty() || at_times_.begin()->first > clock_->now()) return {};
    auto work = std::move(at_times_.begin()->second);
    at_times_.erase(at_times_.begin());
    return work;
}

// When the machine has something to do by its clock; -1: never.
std::int64_t Machine::next_event() const {
    const std::int64_t due = live_->timers.next();
    if (at_times_.empty()) return due;
    return due < 0 ? at_times_.begin()->first : std::min(due, at_times_.begin()->first);
}

void Machine::run_posted() {
    while (has_posted_.load(std::memory_order_acquire)) {
        std::deque<std::function<void()>> batch;
        {
            std::lock_guard g(posted_mutex_);
            batch.swap(posted_);
            has_posted_.store(false, std::memory_order_release);
        }
        for (auto& work : batch) work();
    }
}

}  // namespace backplane::kernel
