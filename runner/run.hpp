// Running a machine: what `backplane run` can be told, and the run itself.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kernel/config/board_spec.hpp"
#include "runner/options.hpp"

namespace backplane::runner {

struct RunOptions {
    BoardOptions board;
    std::optional<kernel::BoardRequest> machine;  // in place of `board`: what somebody else has put together
    std::string log, trace, trace_file, trace_instructions, script, display = "none", restore, record, replay, gdb,
                                                                    cross_check;
    std::vector<std::string> at;
    bool no_reboot = false, paused = false, force = false, print_stats = false;
};

// Everything but what says which board.
void add_run_options(CLI::App& app, RunOptions& options);

// Until the machine ends; returns the exit code. Throws kernel::Error.
int run_machine(const RunOptions& options);

}  // namespace backplane::runner
