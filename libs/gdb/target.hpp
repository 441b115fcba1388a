// What a session needs of the machine whose processors are debugged.
#pragma once

#include <string>
#include <vector>

#include "backplane/abi/cpu_state.h"
#include "backplane/types.hpp"

namespace backplane::gdb {

struct Stop {
    std::size_t cpu = 0;
    bp_cpu_stop what{};
};

class Target {
  public:
    virtual ~Target() = default;
    virtual std::size_t cpus() = 0;
    virtual std::string cpu_name(std::size_t cpu) = 0;
    virtual u32 features(std::size_t cpu) = 0;  // BP_CPU_HAS_...
    virtual bp_x86_state state(std::size_t cpu) = 0;
    virtual bool set_state(std::size_t cpu, const bp_x86_state& state) = 0;
    // How many bytes could be copied.
    virtual u64 read(std::size_t cpu, u64 address, void* data, u64 size, bool physical) = 0;
    virtual u64 write(std::size_t cpu, u64 address, const void* data, u64 size, bool physical) = 0;
    virtual bool add_breakpoint(u64 address) = 0;
    virtual bool remove_breakpoint(u64 address) = 0;
    virtual bool add_watchpoint(u64 address, u32 length, u32 access) = 0;
    virtual bool remove_watchpoint(u64 address, u32 length, u32 access) = 0;

    enum class Go { kOn, kStep, kStay };
    // The machine goes on; Session::stopped() tells that it has stopped again. One for each processor.
    virtual void go(const std::vector<Go>& what, bool hold_interrupts) = 0;
    virtual void pause() = 0;  // likewise
    // All breakpoints and watchpoints go. `on`: the machine goes on.
    virtual void leave(bool on) = 0;
    // Runs a line of the machine's monitor.
    virtual std::string monitor(const std::string& line) = 0;
    virtual void kill() = 0;
};

}  // namespace backplane::gdb
