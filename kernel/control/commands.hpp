// The commands that need no knowledge of any device. docs/control.md describes them.
#pragma once

#include <string>

#include "kernel/control/control.hpp"
#include "kernel/log/logger.hpp"
#include "kernel/trace/tracer.hpp"

namespace backplane::kernel {

class Machine;

struct CommandContext {
    Machine& machine;
    Logger& logger;
    Tracer& tracer;
    std::string program_version;  // "0.1.0"
};

// All of them, and the events, into the machine's Control. What the context refers to outlives the machine's run.
void add_commands(const CommandContext& context);

void add_run_commands(const CommandContext& context);
void add_device_commands(const CommandContext& context);
void add_state_commands(const CommandContext& context);
void add_trace_commands(const CommandContext& context);
void add_snapshot_commands(const CommandContext& context);
void add_offered_commands(const CommandContext& context);
void add_inspect_commands(const CommandContext& context);
void add_probe_commands(const CommandContext& context);

}  // namespace backplane::kernel
