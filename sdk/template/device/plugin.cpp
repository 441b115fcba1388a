#include "backplane/plugin.hpp"
#include "model.hpp"

BACKPLANE_PLUGIN("isa.plugin_name", "0.1.0", "Apache-2.0", kDevice, "", example::PluginName)
