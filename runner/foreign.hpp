// Command lines and machine files of other programs: plugins translate them (bp.command-line/1), and this program runs
// or writes what comes out. It knows none of their options itself.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/config/board_spec.hpp"

namespace backplane::runner {

// If a plugin claims the name that this program was started under: the exit code of the whole run.
std::optional<int> run_as(const std::string& program, const std::vector<std::string>& arguments);
// `backplane COMMAND ARGUMENT...`, where a plugin brings the command.
std::optional<int> run_foreign(const std::string& command, const std::vector<std::string>& arguments);
// The commands that plugins bring, for the help; "" if none.
std::string foreign_help();

// What the kernel is asked for, from a VM file in memory. Every setting is placed at the option that its line names in
// its comment, or, without one, at the text `where`.
kernel::BoardRequest request_of_vm(std::string_view yaml, const std::string& where);

}  // namespace backplane::runner
