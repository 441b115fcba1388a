#include "backplane/plugin.hpp"
#include "model.hpp"

BACKPLANE_PLUGIN("input.ps2_mouse", "0.1.0", "Apache-2.0", kDevice, "", backplane::Ps2Mouse)
