// Debugging the programs that a machine's processors run: state, memory, breakpoints and steps, over all of the
// processors. It knows the interfaces bp.cpu.state/1 and bp.cpu.debug/1 and no processor.
//
// What is set here stays when another assembly takes over (a snapshot is restored, an engine reloaded).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "backplane/abi/cpu_state.h"
#include "kernel/machine/assembly.hpp"

namespace backplane::kernel {

class Machine;

class Debugger {
  public:
    explicit Debugger(Machine& machine) : machine_(machine) {}
    Debugger(const Debugger&) = delete;
    Debugger& operator=(const Debugger&) = delete;

    // Number of processors that can be debugged: all of them or none. Any thread, as everything below; not from within
    // an engine's run().
    std::size_t cpus();
    std::string name(std::size_t cpu);
    u32 features(std::size_t cpu);  // BP_CPU_HAS_...
    bp_x86_state state(std::size_t cpu);
    // Why not, or "".
    std::string set_state(std::size_t cpu, const bp_x86_state& state);
    // What a processor's bp.cpu.debug/1 says. `how`: BP_DEBUG_...
    u64 read(std::size_t cpu, u64 address, void* data, u64 size, u32 how);
    u64 write(std::size_t cpu, u64 address, const void* data, u64 size, u32 how);
    std::int64_t translate(std::size_t cpu, u64 address, u32 how);

    bp_status add_breakpoint(u64 address);
    bp_status remove_breakpoint(u64 address);
    bp_status add_watchpoint(u64 address, u32 length, u32 access);
    bp_status remove_watchpoint(u64 address, u32 length, u32 access);
    // Everything that was asked for; the machine stays as it is.
    void clear();

    // What a processor does when the machine goes on.
    enum class Go { kOn, kStep, kStay };
    // The paused machine goes on, processors that are not named (by their number) as the last one. `hold`: interrupts
    // wait while a processor steps. False, and nothing happens, if nobody would move or the machine is not paused.
    bool go(const std::vector<Go>& what, bool hold);

    struct Stop {
        std::size_t cpu = 0;
        bp_cpu_stop what{};
    };
    // What has stopped processors since the last call, in this order.
    std::vector<Stop> take_stops();

    // --- the machine's side, under its lock ------------------------------------------------------------------------
    void stopped(Vcpu& cpu);  // its run() has returned BP_EXIT_BREAK
    bool in_use() const { return !breakpoints_.empty() || !watchpoints_.empty(); }
    void assembly_changed();  // what was set is set again
    void paused();            // every processor stands
    bool stays(std::size_t cpu) const { return cpu < stay_.size() && stay_[cpu]; }

  private:
    struct Watch {
        u64 address;
        u32 length, access;
        bool operator==(const Watch&) const = default;
    };
    // Runs work while every processor stands outside its engine.
    void still(const std::function<void()>& work);
    bp_status on_all(const std::function<bp_status(const Vcpu& cpu)>& work);
    Vcpu* vcpu(std::size_t cpu);

    Machine& machine_;
    std::vector<u64> breakpoints_;
    std::vector<Watch> watchpoints_;
    std::vector<bool> stay_;
    std::vector<Stop> stops_;
};

}  // namespace backplane::kernel
