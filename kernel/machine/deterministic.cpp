// Running with the deterministic clock: one thread does everything, and whatever could come at any moment of the
// host's time is taken at a point that every run reaches in the same way.
//
// Such an exact point is where the CPU stands between two instructions and has not looked for interrupts yet: where it
// stops for a deadline, and where it halts. A CPU that was stopped from outside (a key of the user's) may stand behind
// the taking of an interrupt; then it executes one more instruction first.
//
// Several CPUs take turns of kTurn instructions, in the order of the board. A halted CPU is passed over until an
// interrupt comes; what is left of its turn it keeps until another one has executed an instruction. Instructions and
// time count what all have executed together. Nothing but executed instructions decides whose turn it is: how often a
// halted CPU was asked in vain (somebody outside wanted a stop) leaves no trace, nor whether it stopped for a deadline
// or halted at the same instruction.
#include <algorithm>

#include "kernel/debug/debugger.hpp"
#include "kernel/machine/cross_check.hpp"
#include "kernel/machine/machine.hpp"

namespace backplane::kernel {

namespace {
void clear_bits(u32& word, u32 bits) { __atomic_fetch_and(&word, ~bits, __ATOMIC_ACQUIRE); }
u32 load_bits(const u32& word) { return __atomic_load_n(&word, __ATOMIC_ACQUIRE); }
}  // namespace

InputStamp Machine::stamp() const { return {instructions(), live_->timers.fired(), clock_->now()}; }

// Where the CPU stops if nothing stops it before.
u64 Machine::next_deadline(u64 executed) const {
    constexpr u64 kQuantum = 1'000'000;  // how long a completion or a front end waits at most, in instructions
    u64 deadline = executed + kQuantum;
    if (const std::int64_t due = live_->timers.next(); due >= 0)
        deadline = std::min(deadline, clock_->instructions_at(due));
    if (!at_counts_.empty()) deadline = std::min(deadline, at_counts_.begin()->first);
    if (!at_times_.empty()) deadline = std::min(deadline, clock_->instructions_at(at_times_.begin()->first));
    if (const auto due = input_log_.next()) deadline = std::min(deadline, due->instructions);
    return std::max(deadline, executed + 1);
}

void Machine::follow_clock(const Vcpu& cpu) {
    others_ = 0;
    for (const Vcpu& v : live_->vcpus)
        if (&v != &cpu) others_ += v.shared.instructions;
    clock_->follow(&cpu.shared.instructions, others_);
}

// Whether somebody outside wants a stop has no say: a halted CPU is halted at the same point in every run.
bool Machine::can_run(const Vcpu& cpu) const {
    const bool woken = (load_bits(cpu.shared.attention) & ~u32{BP_ATTENTION_STOP}) != 0;
    return !debugger_->stays(cpu.shared.index) && (!cpu.halted || woken);
}

bool Machine::all_idle() const {
    return std::none_of(live_->vcpus.begin(), live_->vcpus.end(), [this](const Vcpu& v) { return can_run(v); });
}

// `unfinished` stands at no exact point and has to get to one first, unless a debugger lets another one run alone.
Vcpu& Machine::next_in_turn(std::optional<u32> unfinished) {
    std::deque<Vcpu>& all = live_->vcpus;
    if (all.size() == 1) return all.front();
    if (unfinished && !debugger_->stays(*unfinished)) return all[*unfinished];
    if (can_run(all[turn_]) && all[turn_].shared.instructions < turn_end_) return all[turn_];
    for (std::size_t n = 1; n <= all.size(); ++n)
        if (Vcpu& next = all[(turn_ + n) % all.size()]; can_run(next)) return next;
    const auto moves =
        std::find_if(all.begin(), all.end(), [this](const Vcpu& v) { return !debugger_->stays(v.shared.index); });
    return moves != all.end() ? *moves : all[turn_];
}

u64 Machine::end_of_turn(const Vcpu& cpu) const {
    if (live_->vcpus.size() == 1) return ~u64{0};
    const u64 executed = cpu.shared.instructions;
    return cpu.shared.index == turn_ && executed < turn_end_ ? turn_end_ : executed + kTurn;
}

bool Machine::timer_due(u64 until) const {
    const std::int64_t due = live_->timers.next();
    return due >= 0 && due <= clock_->now() && live_->timers.fired() < until;
}

void Machine::at_instructions(u64 count, std::function<void()> work) {
    if (!clock_->deterministic()) throw Error("instructions are counted exactly with the deterministic clock only");
    lock_.lock();
    const u64 executed = instructions();
    if (count >= executed) at_counts_.emplace(count, std::move(work));
    lock_.unlock();
    if (count < executed)
        throw Error("instruction " + std::to_string(count) + " is past: the machine has executed " +
                    std::to_string(executed));
}

void Machine::run_at_points() {
    while (const auto work = take_at_time()) run_standing(work);
    while (!at_counts_.empty() && at_counts_.begin()->first <= instructions()) {
        const auto work = std::move(at_counts_.begin()->second);
        at_counts_.erase(at_counts_.begin());
        run_standing(work);
    }
}

// Replaying: what the recording has for exactly this point.
void Machine::deliver_recorded_input() {
    if (has_input_.load(std::memory_order_acquire)) {
        logger_.log(log_, BP_LOG_WARN, "a recorded session is replayed: keys, other input and resets are ignored");
        drop_input();
    }
    const InputStamp now = stamp();
    while (deliver_more()) {
        const auto event = input_log_.take(now);
        if (!event) break;
        deliver_input(std::string(event->channel),
                      {reinterpret_cast<const char*>(event->bytes.data()), event->bytes.size()});
    }
    if (input_log_.exhausted())
        logger_.log(log_, BP_LOG_WARN,
                    input_log_.path() + " has no end: who recorded it was killed. The machine goes on from " +
                        now.text() + " with input as it comes");
    else if (const std::string text = input_log_.divergence(now); !text.empty() && !outcome_)
        outcome_ = Outcome{Outcome::Reason::kError, kExitFailure, text};
}

// The end of the session, where somebody asks for it or as it was recorded.
void Machine::end_if_due() {
    if (outcome_) return;
    if (quit_) {
        outcome_ = Outcome{Outcome::Reason::kQuit, 0, *quit_};
        return;
    }
    const InputEnd* end = input_log_.end();
    if (!end || end->at != stamp()) return;
    const bool known = end->reason <= static_cast<u32>(Outcome::Reason::kError);
    outcome_ = Outcome{known ? static_cast<Outcome::Reason>(end->reason) : Outcome::Reason::kQuit, end->code,
                       "as recorded: " + end->text};
}

// All CPUs have halted: time goes on at the next timer, or with what comes from outside.
void Machine::idle(std::unique_lock<MachineLock>& lock) {
    if (const std::int64_t due = next_event(); due >= 0) return clock_->skip_to(due);
    const auto next = input_log_.next();
    if (!next) return sleep(lock, -1);
    const InputStamp now = stamp();
    if (*next != now && !outcome_)
        outcome_ =
            Outcome{Outcome::Reason::kError, kExitFailure, input_log_.divergence_text(now) + ", halted for ever"};
}

// Says in the recording how the session ended, or holds the end against the recorded one.
void Machine::finish_input() {
    const InputStamp now = stamp();
    if (input_log_.recording() &&
        !input_log_.record_end({now, static_cast<u32>(outcome_->reason), outcome_->code, outcome_->text}))
        logger_.log(log_, BP_LOG_ERROR, input_log_.error());
    const auto due = input_log_.next();
    if (!due || quit_ || outcome_->reason == Outcome::Reason::kError) return;
    const InputEnd* end = input_log_.end();
    if (!end || end->at != now)
        outcome_ = Outcome{Outcome::Reason::kError, kExitFailure, input_log_.divergence_text(now) + ", where it ended"};
}

// Nothing happens by itself: a front end lets time go on.
Outcome Machine::run_without_cpu() {
    std::unique_lock lock(lock_);
    if (in_session())
        outcome_ = Outcome{Outcome::Reason::kError, kExitConfig, "recording and replaying need a CPU on the board"};
    for (;;) {
        run_posted();
        deliver_live_input();
        if (quit_ && !outcome_) outcome_ = Outcome{Outcome::Reason::kQuit, 0, *quit_};
        if (!serve_requests(lock)) return *outcome_;
        // While paused, input waits.
        const bool input = !paused_ && has_input_.load(std::memory_order_acquire);
        if (!input && !has_posted_.load(std::memory_order_acquire)) sleep(lock, -1);
    }
}

Outcome Machine::run_deterministic() {
    if (live_->vcpus.empty()) return run_without_cpu();
    std::unique_lock lock(lock_);
    bool exact = true, after_break = false;
    std::optional<u32> unfinished;  // who stands at no exact point
    // A timer that keeps re-arming in the past must not keep the CPU from running.
    constexpr u64 kMostTimers = 1000;
    u64 timers_until = live_->timers.fired() + kMostTimers;
    for (;;) {
        run_posted();
        if (exact && !paused_) {
            run_at_points();
            if (input_log_.next())
                deliver_recorded_input();
            else
                deliver_live_input();
        }
        if (!paused_) run_timers(timers_until);
        // What the machine itself asks for happens where it asks, which is the same in every run.
        exact = exact || outcome_ || (requested_ && !break_);
        // A debugger's stop is no exact point, but what is wanted of the machine meanwhile must not wait for one.
        if (exact || break_) {
            requested_ = false;
            end_if_due();
            if (!serve_requests(lock)) break;
            if (paused_) {
                sleep(lock, -1);
                continue;
            }
            after_break = after_break || break_;
            break_ = false;
        }
        // Before the CPU's next instruction comes everything that belongs here: the answer that a device waited for the
        // host for, a timer that is due, input that was recorded after such a timer.
        if (has_posted_.load(std::memory_order_acquire) || timer_due(timers_until)) continue;
        if (exact && input_log_.next() == stamp()) continue;
        Vcpu& cpu = next_in_turn(unfinished);
        follow_clock(cpu);
        const u64 executed = cpu.shared.instructions, end = end_of_turn(cpu);
        cpu.shared.deadline = !exact && (hold_vcpus_ || after_break)
                                  ? executed + 1
                                  : std::min(next_deadline(executed + others_) - others_, end);
        hold_vcpus_ = after_break = false;
        clear_bits(cpu.shared.attention, BP_ATTENTION_STOP);
        cpu.running = true;
        executing_ = &cpu;
        lock.unlock();
        const u32 exit = cross_check_ ? cross_check_->run(cpu) : cpu.table->run(cpu.engine);
        lock.lock();
        executing_ = nullptr;
        cpu.running = false;
        exact = (exit != BP_EXIT_STOP && exit != BP_EXIT_BREAK) || cpu.shared.instructions >= cpu.shared.deadline;
        unfinished = exact ? std::nullopt : std::optional(cpu.shared.index);
        cpu.halted = exit == BP_EXIT_HALT;
        if (cpu.shared.instructions != executed) turn_ = cpu.shared.index, turn_end_ = end;
        timers_until = live_->timers.fired() + kMostTimers;
        handle_exit(cpu, exit);
        if (exit == BP_EXIT_HALT && !outcome_ && all_idle()) idle(lock);
    }
    finish_input();
    return *outcome_;
}

}  // namespace backplane::kernel
