// The subcommand `backplane plugin check`.
#pragma once

namespace CLI {
class App;
}

namespace backplane::runner {
void add_plugin_check(CLI::App& plugin, int& code);
}
