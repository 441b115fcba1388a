// Running: the machine's thread (timers, completions, requests) and a thread for each vCPU. deterministic.cpp does it
// all in one.
#include <pthread.h>

#include <algorithm>
#include <chrono>

#include "kernel/control/machine_events.hpp"
#include "kernel/debug/debugger.hpp"
#include "kernel/machine/cross_check.hpp"
#include "kernel/machine/machine.hpp"

namespace backplane::kernel {

namespace {
void clear_bits(u32& word, u32 bits) { __atomic_fetch_and(&word, ~bits, __ATOMIC_ACQUIRE); }
u32 load_bits(const u32& word) { return __atomic_load_n(&word, __ATOMIC_ACQUIRE); }
}  // namespace

u64 Machine::instructions() const {
    u64 sum = 0;
    for (const Vcpu& v : live_->vcpus) sum += __atomic_load_n(&v.shared.instructions, __ATOMIC_RELAXED);
    return sum;
}

void Machine::wake() {
    std::lock_guard g(wake_mutex_);
    woken_ = true;
    machine_wake_.notify_one();
}

// Gives up the machine's lock until somebody calls wake() or `ns` have passed (negative: however long).
void Machine::sleep(std::unique_lock<MachineLock>& lock, std::int64_t ns) {
    lock.unlock();
    {
        std::unique_lock g(wake_mutex_);
        if (ns < 0)
            machine_wake_.wait(g, [this] { return woken_; });
        else
            machine_wake_.wait_for(g, std::chrono::nanoseconds(ns), [this] { return woken_; });
        woken_ = false;
    }
    lock.lock();
}

// Lines may have set an attention bit of a CPU that sleeps in HLT.
void Machine::wake_those_halted() {
    if (clock_->deterministic()) return;
    for (Vcpu& v : live_->vcpus)
        if (v.halted && load_bits(v.shared.attention)) {
            v.halted = false;
            --live_->halted;
            vcpu_wake_[v.shared.index].notify_one();
        }
}

void Machine::wake_vcpus() {
    for (auto& wake : vcpu_wake_) wake.notify_one();
}

void Machine::run_timers(u64 until) {
    u32 owner = 0, index = 0;
    std::int64_t due = 0;
    while (live_->timers.fired() < until && live_->timers.pop(clock_->now(), owner, index, due)) {
        Instance& d = *live_->devices[owner];
        d.timers[index].due = -1;
        d.type->timers[index].expired(d.object, due);
        // What this one waited for the host for comes before the next one, whether the host was quick or not.
        if (clock_->deterministic()) run_posted();
    }
}

// A timer that keeps re-arming in the past must not starve the rest of the machine.
void Machine::run_due_timers() { run_timers(live_->timers.fired() + 1000); }

void Machine::look_for_late_timers(Vcpu& v) {
    if (clock_->deterministic()) return;  // there a timer ends the CPU's run in time
    clock_->untold();
    v.looked_at = v.shared.instructions;
    const std::int64_t next = live_->timers.next();
    if (next < 0 || clock_->certainly_before(next - kSoon)) return;
    clock_->tell();  // the next access looks again
    if (!clock_->certainly_before(next)) run_due_timers();
}

// A timer became the earliest one.
void Machine::timer_moved(const Assembly& assembly, std::int64_t due) {
    if (&assembly != live_.get()) return;
    clock_->tell();
    wake();
    // The deadline of the current run was computed without it.
    if (executing_ && clock_->instructions_at(due) - others_ < executing_->shared.deadline)
        executing_->tell(BP_ATTENTION_STOP);
}

void Machine::request(Instance* d, u32 what, u32 argument, std::string reason) {
    switch (what) {
        case BP_REQUEST_RESET:
            if (!options_.reboot && !outcome_) outcome_ = Outcome{Outcome::Reason::kReset, 0, std::move(reason)};
            reset_requested_ = true, reset_by_guest_ = d != nullptr;
            break;
        case BP_REQUEST_POWEROFF:
            if (!outcome_)
                outcome_ = Outcome{Outcome::Reason::kPowerOff, static_cast<int>(argument), std::move(reason)};
            break;
        case BP_REQUEST_EXIT:
            if (!outcome_) outcome_ = Outcome{Outcome::Reason::kExit, static_cast<int>(argument), std::move(reason)};
            break;
        case BP_REQUEST_STOP:
            if (!pause_requested_) pause_reason_ = reason;
            pause_requested_ = true;
            logger_.log(d ? d->log : log_, BP_LOG_WARN, "the machine is stopped: " + reason);
            break;
        default: return;
    }
    requested_ = true;
    stop_vcpus();
    wake();
}

void Machine::quit(std::string reason) {
    lock_.lock();
    if (!quit_) quit_ = std::move(reason);
    stop_vcpus();
    wake();
    lock_.unlock();
}

void Machine::reset() {
    if (clock_->deterministic()) return input(kResetChannel, "");
    lock_.lock();
    request(nullptr, BP_REQUEST_RESET, 0, "reset");
    lock_.unlock();
}

void Machine::pause() {
    lock_.lock();
    pause_requested_ = true;
    stop_vcpus();
    wake();
    lock_.unlock();
}

void Machine::resume() {
    lock_.lock();
    // A stop that was not yet complete is told as well: who waits for one of the two hears both.
    if (pause_requested_ && !paused_) tell_stopped_soon(*control_, pause_reason_);
    if (pause_requested_ || paused_) tell_resumed(*control_);
    // Also when the stop was only asked for: a drive that asked for it has kept its request back.
    if (pause_requested_) tell_run_state(true);
    pause_requested_ = false;
    pause_reason_.clear();
    paused_ = false;
    clock_->resume();
    wake();
    lock_.unlock();
}

std::string Machine::pause_reason() {
    lock_.lock();
    std::string reason = pause_reason_;
    lock_.unlock();
    return reason;
}

void Machine::tell_run_state(bool running) {
    for (const Instance& d : live_->all())
        if (d.run_changed) d.run_changed(d.run_context, running ? 1 : 0);
}

void Machine::tell_cross_check(const Instance& device, u32 line, bool level) {
    cross_check_->output(device, line, level);
}

void Machine::stop_vcpus() {
    hold_vcpus_ = true;
    live_->set_attention(BP_ATTENTION_STOP);
    wake_vcpus();
}

// Waits until no vCPU is inside its engine. The lock is given up meanwhile.
void Machine::park_vcpus(std::unique_lock<MachineLock>& lock) {
    stop_vcpus();
    parked_.wait(lock, [this] {
        for (const Vcpu& v : live_->vcpus)
            if (v.running) return false;
        return true;
    });
}

void Machine::system_reset() {
    logger_.log(log_, BP_LOG_DEBUG, "system reset");
    for (Instance* d : live_->order) d->type->abi->reset(d->object, BP_RESET_SYSTEM);
    if (clock_->deterministic())
        for (Vcpu& v : live_->vcpus) v.halted = false;
    if (cross_check_) cross_check_->replaced();
    tell_reset(*control_, reset_by_guest_);
}

void Machine::handle_exit(Vcpu& cpu, u32 exit) {
    switch (exit) {
        case BP_EXIT_SHUTDOWN: {
            char text[512];
            const std::size_t n = cpu.table->where(cpu.engine, text, sizeof text);
            logger_.log(log_, BP_LOG_DEBUG, "triple fault at " + std::string(text, n));
            request(cpu.device, BP_REQUEST_RESET, 0, "triple fault");
            break;
        }
        case BP_EXIT_BREAK:
            debugger_->stopped(cpu);
            pause_requested_ = break_ = true;
            stop_vcpus();
            wake();
            break;
        case BP_EXIT_ERROR:
            if (!outcome_)
                outcome_ =
                    Outcome{Outcome::Reason::kError, kExitFailure, cpu.device->name() + ": " + cpu.device->failure};
            stop_vcpus();
            wake();
            break;
        default: break;
    }
}

void Machine::vcpu_thread(std::size_t index) {
    ::pthread_setname_np(::pthread_self(), "vcpu");
    std::unique_lock lock(lock_);
    std::condition_variable_any& wake = vcpu_wake_[index];
    while (!end_vcpus_) {
        if (hold_vcpus_ || debugger_->stays(index)) {
            parked_.notify_all();
            wake.wait(lock, [&] { return (!hold_vcpus_ && !debugger_->stays(index)) || end_vcpus_; });
            continue;
        }
        Vcpu& cpu = live_->vcpus[index];
        cpu.running = true;
        lock.unlock();
        const u32 exit = cpu.table->run(cpu.engine);
        lock.lock();
        cpu.running = false;
        handle_exit(cpu, exit);
        if (exit == BP_EXIT_HALT && !hold_vcpus_) {
            cpu.halted = true;
            ++live_->halted;
            // Another assembly may take over meanwhile; this one's vCPU is gone then.
            const u64 swaps = swaps_;
            // Whoever found an attention bit has taken it off the list of those that sleep: it must not sleep on, even
            // if the bit (a stop that is over) has gone meanwhile.
            wake.wait(lock, [&] {
                return hold_vcpus_ || end_vcpus_ || swaps != swaps_ || !cpu.halted || load_bits(cpu.shared.attention);
            });
            if (swaps == swaps_ && cpu.halted) {
                cpu.halted = false;
                --live_->halted;
            }
        }
    }
    parked_.notify_all();
}

// Acts on what was asked for. Returns false when the machine ends.
bool Machine::serve_requests(std::unique_lock<MachineLock>& lock) {
    const bool standstill = has_standstill_.load(std::memory_order_acquire);
    if (!outcome_ && !reset_requested_ && !standstill && !(pause_requested_ && !paused_)) {
        if (hold_vcpus_ && !paused_) {
            hold_vcpus_ = false;
            for (Vcpu& v : live_->vcpus) clear_bits(v.shared.attention, BP_ATTENTION_STOP);
            wake_vcpus();
        }
        return true;
    }
    park_vcpus(lock);
    // Time stands still with the CPUs.
    if (standstill) {
        if (!paused_) clock_->pause();
        run_standstill();
        if (!paused_) clock_->resume();
    }
    if (outcome_) return false;
    if (reset_requested_) {
        reset_requested_ = false;
        // All processors are reset at one time: their time-stamp counters begin together.
        if (!paused_) clock_->pause();
        system_reset();
        if (!paused_) clock_->resume();
    }
    if (pause_requested_ && !paused_) {
        paused_ = true;
        clock_->pause();
        debugger_->paused();
        tell_stopped(*control_, pause_reason_);
        tell_run_state(false);
    }
    return serve_requests(lock);
}

Outcome Machine::run() {
    control_->begin();
    Outcome outcome = clock_->deterministic() ? run_deterministic() : run_realtime();
    {
        std::lock_guard g(posted_mutex_);
        ended_ = true;
    }
    drop_input();
    locked([&] {
        run_standstill();
        tell_ended(*control_, outcome, reset_by_guest_);
    });
    return outcome;
}

Outcome Machine::run_realtime() {
    std::unique_lock lock(lock_);
    clock_->resume();
    vcpu_wake_.resize(live_->vcpus.size());
    for (std::size_t i = 0; i < live_->vcpus.size(); ++i) vcpu_threads_.emplace_back([this, i] { vcpu_thread(i); });
    for (;;) {
        run_posted();
        deliver_live_input();
        if (!paused_) run_due_timers();
        while (auto work = paused_ ? std::function<void()>{} : take_at_time()) at_standstill(std::move(work));
        if (quit_ && !outcome_) outcome_ = Outcome{Outcome::Reason::kQuit, 0, *quit_};
        if (!serve_requests(lock)) break;
        wake_halted();
        if (has_posted_.load(std::memory_order_acquire) || has_input_.load(std::memory_order_acquire)) continue;
        const std::int64_t next = paused_ ? -1 : next_event();
        const std::int64_t left = next < 0 ? -1 : std::max<std::int64_t>(0, next - clock_->now());
        if (left != 0) sleep(lock, left);
    }
    end_vcpus_ = true;
    wake_vcpus();
    lock.unlock();
    for (std::thread& thread : vcpu_threads_) thread.join();
    vcpu_threads_.clear();
    lock.lock();
    clock_->pause();
    return *outcome_;
}

}  // namespace backplane::kernel
