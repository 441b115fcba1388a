// What the subcommands share: exit codes, the standard search, one function a subcommand.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernel/config/board_spec.hpp"
#include "kernel/config/search.hpp"
#include "kernel/plugin/registry.hpp"
#include "libs/drives/drives.hpp"

namespace CLI {
class App;
}

namespace backplane::runner {

// Exit codes of `backplane run`: 0 the guest powered off or the user ended it, 1 the machine failed, 2 configuration or
// command line, 3 plugin; 4 ended by --no-reboot; 6 this computer lacks something; a guest's debug exit device gives
// its own code.
inline constexpr int kExitReset = 4;

struct Context {
    kernel::SearchPaths search;
    std::unique_ptr<kernel::PluginRegistry> registry;

    Context();
    // Adds what this program itself brings (the terminal).
    void use_terminal();
};

// Options that say which board: used by `run` and by `machine show|check|graph`.
struct BoardOptions {
    std::string vm;
    std::string machine;
    std::vector<std::string> sets;
    std::vector<std::pair<std::string, std::string>> shortcuts;  // option name without dashes -> value
    drives::DriveList drives;
    std::string boot;
    std::vector<std::string> controls;
    kernel::BoardRequest request() const;
};
// Asks for the deterministic clock on behalf of `option`. Throws if somebody asks for another one, but for the board.
void require_deterministic(kernel::BoardRequest& request, const kernel::SearchPaths& search, const std::string& option);
void add_board_options(CLI::App& app, BoardOptions& options);

// Each registers its subcommand; `code` gets the exit code when it was chosen.
void add_run(CLI::App& app, int& code);
void add_machine(CLI::App& app, int& code);
void add_cpu(CLI::App& app, int& code);
void add_plugin(CLI::App& app, int& code);
void add_disk(CLI::App& app, int& code);
void add_snapshot(CLI::App& app, int& code);
void add_ctl(CLI::App& app, int& code);
void add_import(CLI::App& app, int& code);

}  // namespace backplane::runner
