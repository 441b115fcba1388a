// A machine: devices in slots, joined by wires, spaces and interfaces, and the threads that run it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "kernel/clock/clock.hpp"
#include "kernel/config/board_spec.hpp"
#include "kernel/input/input_log.hpp"
#include "kernel/log/logger.hpp"
#include "kernel/machine/assembly.hpp"
#include "kernel/machine/lock.hpp"
#include "kernel/plugin/registry.hpp"
#include "kernel/space/ram.hpp"
#include "kernel/trace/tracer.hpp"

namespace backplane::kernel {

class Control;
class CrossCheck;
class Debugger;

// A field of the processors' shared state in which engines may differ, or some of its bits.
struct KnownDifference {
    std::string field;
    u64 mask = ~u64{0};
    std::string engine;  // the type of engine that differs from others
};

// Another engine executes everything as well, `block` instructions at a time, and is compared with the machine's.
struct CrossCheckOptions {
    u64 block = 0;       // 0: none
    std::string engine;  // as the board's parameter `engine`; "": a second one of the machine's own
    std::vector<KnownDifference> known;
};

struct MachineOptions {
    SearchPaths search;           // for firmware
    bool reboot = true;           // false: a reset ends the machine
    bool verify_only = false;     // build and check, but open no images and start nothing
    std::string program_version;  // for the headers of snapshots
    CrossCheckOptions cross_check = {};
    // How the machine was started, as a text that is kept in snapshots.
    std::function<std::string(const BoardSpec&)> request_json = {};
};

// Why run() ended.
struct Outcome {
    enum class Reason { kPowerOff, kExit, kQuit, kReset, kError } reason = Reason::kQuit;
    int code = 0;
    std::string text;
};

class Machine {
  public:
    // Builds and powers on. Throws Error, with everything undone, if anything about the board is wrong.
    Machine(const BoardSpec& board, PluginRegistry& registry, Logger& logger, Tracer& tracer,
            MachineOptions options = {});
    ~Machine();
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;

    // Runs until the guest powers off or quit() is called. Once.
    Outcome run();

    // Any thread, not a signal handler.
    void quit(std::string reason);
    void reset();
    void pause();
    void resume();
    // Also between the call of pause() and the moment when all CPUs have stopped.
    bool paused() const { return pause_requested_; }
    // Under the lock: the pause is complete.
    bool stands() const { return paused_; }
    // In words, if a device had to stop the machine; empty: somebody wanted it so.
    std::string pause_reason();
    void post(std::function<void()> work);  // under the lock, in the machine's thread, soon
    // The one door for what comes from outside: bytes go in at any time, in any thread, and are handed to the channel's
    // owner in the machine's thread, under the lock, at a point of the machine's time. Back ends have a channel by
    // their name. With the deterministic clock nothing is delivered while the machine is paused. `done` is called
    // exactly once: with true in the machine's thread, right after the owner had the bytes; with false, in any thread,
    // if they were not wanted: a recording is replayed, or the machine has ended.
    using Input = std::function<void(const u8* data, std::size_t size)>;
    void add_input(std::string channel, Input deliver);  // before run()
    void input(const std::string& channel, std::string bytes, std::function<void(bool arrived)> done = {});
    // Deterministic clock, before run(): records everything that comes in into a file, or replays such a file, which
    // must have been recorded on an equal machine in the same state. Throws Error.
    void record_input(const std::string& path);
    void replay_input(const std::string& path);
    // A session is recorded or replayed: nothing but input may change the machine from outside.
    bool in_session() const { return input_log_.recording() || input_log_.replaying(); }
    // Deterministic clock: runs `work` as at a standstill, when exactly `count` instructions have been executed. Throws
    // Error if that is past.
    void at_instructions(u64 count, std::function<void()> work);
    // The same when the machine's time has come to `time` (ns), or soon after it.
    void at_time(std::int64_t time, std::function<void()> work);
    bool deterministic() const { return clock_->deterministic(); }
    // Runs `work` soon, in the machine's thread, under the lock, while every vCPU stands outside its engine and no
    // request is under way on the host; also while paused. Any thread. It is run even if the machine ends meanwhile.
    void at_standstill(std::function<void()> work);
    // The same, and returns when it is done; what `work` throws comes out here. Not from within an engine's run() or
    // other work that holds the lock, but for work at a standstill.
    void standstill(const std::function<void()>& work);
    // Runs `work` under the lock in the caller's thread.
    void locked(const std::function<void()>& work);

    // A machine at rest (run() not called) driven from outside: accesses as a CPU makes them, and virtual time, which
    // in deterministic mode moves only by advance(): timers expire in order, a reset that was asked for happens, a
    // power-off is ignored.
    u64 port_read(u32 port, u32 bytes);
    void port_write(u32 port, u32 bytes, u64 value);
    u64 memory_read(u64 address, u32 bytes);
    void memory_write(u64 address, u32 bytes, u64 value);
    void advance(std::int64_t ns);

    // Time does not go on by itself: the clock is deterministic, and no CPU executes instructions.
    bool waits_for_time() const { return deterministic() && live_->vcpus.empty(); }
    // Such a machine, while it runs: what is due until then happens, in its order. Only in its thread.
    void advance_to(std::int64_t until);
    std::int64_t next_due() const { return live_->timers.next(); }  // -1: nothing is
    // Physical memory without registers, whose reading has effects. False: part of the range is no memory. Under the
    // lock.
    bool copy_from_memory(u64 address, void* data, u64 size) const;
    bool copy_to_memory(u64 address, const void* data, u64 size);
    std::string memory_label(u64 offset) const;  // whose memory stands there in the guest's: "board.ram"
    // Called under the lock for every change of a line, from within whatever changes it. Before run().
    using LineWatch = std::function<void(const Instance& device, bool output, u32 line, bool level)>;
    void watch_lines(LineWatch watch) { line_watch_ = std::move(watch); }

    // The state of the whole machine. Only at a standstill, or before run(). All throw Error, and then nothing has
    // changed: the file of that name is as it was, the machine goes on.
    void save(const std::string& path);
    // `force`: also if an image is not as it was.
    void load(const std::string& path, bool force);
    // Loads a plugin's file anew and gives its devices the state they had. `what`: a device's name, a plugin's id, or
    // the path of a file with a new build. Returns what was done, in words.
    std::string reload(const std::string& what);
    // The CPUs go on on another engine: a value of the board's parameter `engine`, or "" for new instances of the
    // present one. Returns what was done, in words.
    std::string exchange_engine(const std::string& engine);

    PluginRegistry& registry() { return registry_; }
    const SearchPaths& search() const { return options_.search; }
    // Commands and events for front ends.
    Control& control() { return *control_; }
    // Breakpoints and steps of the processors' programs.
    Debugger& debugger() { return *debugger_; }

    const BoardSpec& board() const { return board_; }
    // What these return is valid under the lock, or until a snapshot is restored or a plugin reloaded.
    Instance* device(std::string_view name) { return live_->device(name); }
    auto devices() const { return live_->all(); }
    const Assembly& assembly() const { return *live_; }
    const std::vector<FactState>& facts() const { return live_->facts; }
    // The first device that offers `id` (to links or on a bus), or the named one. Table is nullptr if there is none.
    bp_interface find_interface(std::string_view id, std::string_view device = {});
    // Where each vCPU is and what each device waits for, as text.
    std::string report();
    // All declared state, "device.field = value" a line.
    std::string state_text(std::string_view device = {});
    // Instruction trace of the first vCPU into a file, and of every other one into PATH.NAME. Throws Error.
    void trace_instructions(const std::string& path);
    std::int64_t now() const { return clock_->now(); }
    std::uint64_t instructions() const;
    std::uint64_t guest_memory() const;

  private:
    static constexpr const char* kResetChannel = "machine:reset";
    // Deterministic: instructions that a CPU executes before the next one's turn. A prime: with a multiple of a loop's
    // length a CPU would end every turn at the same place, for ever inside a lock that another one spins for.
    static constexpr u64 kTurn = 10'007;
    friend struct SlotServices;
    friend struct CpuServices;
    friend class Builder;
    friend class Debugger;
    friend class CrossCheck;

    // machine.cpp
    void make_clock();
    std::unique_ptr<Assembly> new_assembly();

    // snapshot.cpp
    Snapshot collect();
    void check_times(const Snapshot& snapshot) const;
    struct TakeOver {
        bool force = false;                               // also if an image is not as it was
        bool new_engines = false;                         // CPUs get the shared state, whatever their type
        BoardSpec* board = nullptr;                       // to build from; becomes the machine's
        std::function<void(const Assembly&)> check = {};  // of what is built
    };
    void take_over(const Snapshot& saved, const TakeOver& how);

    // exchange.cpp
    void check_exchange(const Assembly& next) const;

    // input.cpp
    struct PendingInput {
        std::string channel, bytes;
        std::function<void(bool arrived)> done;
    };
    std::optional<PendingInput> take_input();
    void drop_input();
    void deliver_input(const std::string& channel, std::string_view bytes);
    bool deliver_more() const;
    void deliver_live_input();
    MachineIdentity identity();

    // deterministic.cpp
    Outcome run_deterministic();
    Outcome run_without_cpu();
    InputStamp stamp() const;
    u64 next_deadline(u64 executed) const;
    bool timer_due(u64 until) const;
    void run_at_points();
    void follow_clock(const Vcpu& cpu);
    bool can_run(const Vcpu& cpu) const;
    bool all_idle() const;
    Vcpu& next_in_turn(std::optional<u32> unfinished);
    u64 end_of_turn(const Vcpu& cpu) const;
    void deliver_recorded_input();
    void end_if_due();
    void idle(std::unique_lock<MachineLock>& lock);
    void finish_input();

    // run.cpp
    Outcome run_realtime();
    void vcpu_thread(std::size_t index);
    void handle_exit(Vcpu& cpu, u32 exit);
    void request(Instance* device, u32 what, u32 argument, std::string reason);
    void run_posted();
    void run_timers(u64 until);  // until so many have expired
    void run_due_timers();
    // Before every access to a device. Looking at the clock is the dearest part of that, so a vCPU that was here a few
    // instructions ago, when nothing was due soon, is let through, unless somebody was told the time meanwhile. One
    // whose engine executes instructions that it does not count always looks.
    static constexpr u64 kFewInstructions = 64;
    static constexpr std::int64_t kSoon = 20'000;  // ns
    void run_late_timers(Vcpu& v) {
        if (v.shared.instructions - v.looked_at - 1 < kFewInstructions && !v.hardware && !clock_->told()) return;
        look_for_late_timers(v);
    }
    void look_for_late_timers(Vcpu& v);
    void timer_moved(const Assembly& assembly, std::int64_t due);
    void tell_run_state(bool running);
    void output_changed(const Instance& device, u32 line, bool level) {
        if (cross_check_ && device.assembly == live_.get()) tell_cross_check(device, line, level);
        if (line_watch_ && device.assembly == live_.get()) line_watch_(device, true, line, level);
    }
    void tell_cross_check(const Instance& device, u32 line, bool level);
    void stop_vcpus();
    void drain();
    std::function<void()> take_at_time();
    std::int64_t next_event() const;
    void run_standstill();
    void run_standing(const std::function<void()>& work);
    void park_vcpus(std::unique_lock<MachineLock>& lock);
    void wake();
    void sleep(std::unique_lock<MachineLock>& lock, std::int64_t ns);
    // After every access to a device, so it must be cheap while nobody sleeps.
    void wake_halted() {
        if (live_->halted != 0) wake_those_halted();
    }
    void wake_those_halted();
    void wake_vcpus();
    void system_reset();
    bool serve_requests(std::unique_lock<MachineLock>& lock);

    std::unique_ptr<Control> control_;
    std::unique_ptr<Debugger> debugger_;
    std::unique_ptr<CrossCheck> cross_check_;  // if it is asked for
    BoardSpec board_;
    PluginRegistry& registry_;
    Logger& logger_;
    Tracer& tracer_;
    MachineOptions options_;
    u32 log_ = 0;

    Ram ram_;
    std::unique_ptr<Clock> clock_;
    std::int64_t start_time_ = 0;
    u64 random_state_ = 0;
    std::unique_ptr<Assembly> live_;
    u64 swaps_ = 0;  // how often another assembly took over
    Instance* publishing_ = nullptr;
    std::string publish_failure_;

    MachineLock lock_;
    std::condition_variable_any parked_;
    std::deque<std::condition_variable_any> vcpu_wake_;  // by vCPU: who is interrupted wakes alone
    int accessing_ = -1;                                 // index of the vCPU whose access to a device is under way
    // Deterministic: who executes, and what it has of its turn. See deterministic.cpp.
    u32 turn_ = 0;
    u64 turn_end_ = 0;  // in its instructions
    u64 others_ = 0;    // what all the others have executed
    Vcpu* executing_ = nullptr;
    // The machine's thread sleeps on these; a back end may wake it without the machine's lock.
    std::mutex wake_mutex_;
    std::condition_variable machine_wake_;
    bool woken_ = false;
    std::mutex posted_mutex_;
    std::deque<std::function<void()>> posted_;
    std::atomic<bool> has_posted_{false};
    std::deque<std::function<void()>> standstill_;  // guarded by posted_mutex_
    std::atomic<bool> has_standstill_{false};
    std::map<std::string, Input> inputs_;
    std::deque<PendingInput> pending_input_;  // guarded by posted_mutex_
    std::atomic<bool> has_input_{false};
    InputLog input_log_;
    std::multimap<u64, std::function<void()>> at_counts_;
    std::multimap<std::int64_t, std::function<void()>> at_times_;
    LineWatch line_watch_;
    static std::string trace_file(const std::string& path, const Vcpu& cpu);
    std::string trace_path_;                   // of the instruction trace, or ""
    bool ended_ = false;                       // run() is over; guarded by posted_mutex_
    std::atomic<std::thread::id> standing_{};  // who runs work at a standstill

    bool requested_ = false;  // by a device, or another part of the machine itself
    bool reset_requested_ = false;
    bool reset_by_guest_ = false;
    std::optional<std::string> quit_;  // why somebody outside wants an end
    std::optional<Outcome> outcome_;
    std::atomic<bool> paused_{false};
    std::atomic<bool> pause_requested_{false};
    std::string pause_reason_;
    bool break_ = false;       // a debugger's breakpoint or step has stopped a vCPU
    bool hold_vcpus_ = false;  // vCPUs wait outside run()
    bool end_vcpus_ = false;
    std::vector<std::thread> vcpu_threads_;
};

}  // namespace backplane::kernel
