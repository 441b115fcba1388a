#include "backplane/plugin.hpp"
#include "model.hpp"

BACKPLANE_PLUGIN("chardev.plugin_name", "0.1.0", "Apache-2.0", kBackend, "threads", example::PluginName)
