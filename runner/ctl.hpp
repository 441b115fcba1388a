// backplane ctl: commands to a running machine, from the shell.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

namespace CLI {
class App;
}

namespace backplane::runner {

// Runs one command over the control socket at `address` (what --control said; "": $BACKPLANE_CONTROL) and prints what
// it returns as JSON. Returns the exit code; errors are on standard error. Throws kernel::Error for a wrong address.
int control_call(const std::string& address, const std::string& command, const nlohmann::json& arguments);

// `--control ADDRESS` for a subcommand that ends in control_call().
void add_control_option(CLI::App& app, std::string& address);

void add_ctl(CLI::App& app, int& code);

}  // namespace backplane::runner
