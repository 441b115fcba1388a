#include "backplane/plugin.hpp"
#include "model.hpp"

BACKPLANE_PLUGIN("debug.post", "0.1.0", "Apache-2.0", kDevice, "", backplane::DebugPost)
