// A machine: devices in slots, joined by wires, spaces and interfaces, and the threads that run it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "backplane/abi/cpu.h"
#include "kernel/clock/clock.hpp"
#include "kernel/config/board_spec.hpp"
#include "kernel/line/wires.hpp"
#include "kernel/log/logger.hpp"
#include "kernel/machine/instance.hpp"
#include "kernel/machine/lock.hpp"
#include "kernel/plugin/registry.hpp"
#include "kernel/space/memory_space.hpp"
#include "kernel/space/port_space.hpp"
#include "kernel/space/ram.hpp"
#include "kernel/trace/tracer.hpp"

namespace backplane::kernel {

struct MachineOptions {
    SearchPaths search;        // for firmware
    bool reboot = true;        // false: a reset ends the machine
    bool verify_only = false;  // build and check, but open no images and start nothing
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
    void post(std::function<void()> work);  // under the lock, in the machine's thread, soon
    // Runs `work` soon, in the machine's thread, under the lock, while every vCPU stands outside its engine and no
    // request is under way on the host; also while paused. Any thread. It is run even if the machine ends meanwhile.
    void at_standstill(std::function<void()> work);
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

    const BoardSpec& board() const { return board_; }
    Instance* device(std::string_view name);
    const std::deque<Instance>& devices() const { return devices_; }
    // The first device that offers `id` (to links or on a bus), or the named one. Table is nullptr if there is none.
    bp_interface find_interface(std::string_view id, std::string_view device = {});
    // Where each vCPU is and what each device waits for, as text.
    std::string report();
    // All declared state, "device.field = value" a line.
    std::string state_text(std::string_view device = {});
    // Instruction trace of the first vCPU into a file. Throws Error.
    void trace_instructions(const std::string& path);
    std::int64_t now() const { return clock_->now(); }
    std::uint64_t instructions() const;
    std::uint64_t guest_memory() const;

  private:
    friend struct SlotServices;
    friend struct CpuServices;
    struct Vcpu {
        Machine* machine = nullptr;
        Instance* device = nullptr;
        const bp_cpu* table = nullptr;
        void* engine = nullptr;
        bp_vcpu shared{};
        bp_cpu_bus bus{};
        std::thread thread;
        bool running = false;  // inside the engine's run()
        bool halted = false;
    };
    struct Route {
        std::string what;
        Instance* from;
        Instance* into;
    };

    // build.cpp, join.cpp
    void build();
    void create_devices();
    void place_regions();
    void join_buses();
    void join_links();
    void join_lines();
    void start_devices();
    void publish_facts();
    void attach_engines();
    void connect_output(Instance& from, u32 output, const Value& to, u32 wire_of_output);
    u32 wire_for_output(Instance& from, u32 output);
    void connect_sink(u32 wire, const Value& sink);
    void check_failure(Instance& device, bp_status status, const Position& position, const char* doing);
    bool publish(Instance& device, const bp_fact& fact);
    void tear_down();

    // run.cpp
    Outcome run_realtime();
    Outcome run_deterministic();
    void vcpu_thread(Vcpu& cpu);
    void handle_exit(Vcpu& cpu, u32 exit);
    void request(Instance* device, u32 what, u32 argument, std::string reason);
    void run_posted();
    void run_timers();
    void run_late_timers();
    void timer_moved(std::int64_t due);
    void stop_vcpus();
    void drain();
    void run_standstill();
    void park_vcpus(std::unique_lock<MachineLock>& lock);
    void wake();
    void sleep(std::unique_lock<MachineLock>& lock, std::int64_t ns);
    void wake_halted();
    void system_reset();
    void set_attention(u32 bits);
    bool serve_requests(std::unique_lock<MachineLock>& lock);

    BoardSpec board_;
    PluginRegistry& registry_;
    Logger& logger_;
    Tracer& tracer_;
    MachineOptions options_;
    u32 log_ = 0;

    Ram ram_;
    std::unique_ptr<MemorySpace> memory_;
    std::unique_ptr<PortSpace> ports_;
    std::unique_ptr<Clock> clock_;
    std::int64_t start_time_ = 0;
    u64 random_state_ = 0;
    TimerQueue timers_;
    Wires wires_;
    std::deque<Instance> devices_;
    std::vector<Instance*> order_;  // in which they start: a bus before what sits on it
    std::vector<Route> routes_;
    Instance* publishing_ = nullptr;
    std::deque<Vcpu> vcpus_;
    std::string publish_failure_;

    MachineLock lock_;
    std::condition_variable_any vcpu_wake_, parked_;
    // The machine's thread sleeps on these; a back end may wake it without the machine's lock.
    std::mutex wake_mutex_;
    std::condition_variable machine_wake_;
    bool woken_ = false;
    std::mutex posted_mutex_;
    std::deque<std::function<void()>> posted_;
    std::atomic<bool> has_posted_{false};
    std::deque<std::function<void()>> standstill_;  // guarded by posted_mutex_
    std::atomic<bool> has_standstill_{false};

    bool reset_requested_ = false;
    std::optional<Outcome> outcome_;
    std::atomic<bool> paused_{false};
    std::atomic<bool> pause_requested_{false};
    bool hold_vcpus_ = false;  // vCPUs wait outside run()
    bool end_vcpus_ = false;
};

}  // namespace backplane::kernel
