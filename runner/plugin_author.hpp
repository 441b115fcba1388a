// The subcommands of `backplane plugin` for those who write plugins.
#pragma once

namespace CLI {
class App;
}

namespace backplane::runner {

// Adds new and lint; `code` gets the exit code of the chosen one.
void add_plugin_author(CLI::App& plugin, int& code);

}  // namespace backplane::runner
