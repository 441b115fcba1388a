#include "backplane/plugin.hpp"
#include "model.hpp"

BACKPLANE_PLUGIN("debug.bochs-shutdown", "0.1.0", "Apache-2.0", kDevice, "", backplane::BochsShutdown)
