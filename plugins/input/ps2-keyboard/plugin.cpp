#include "backplane/plugin.hpp"
#include "model.hpp"

BACKPLANE_PLUGIN("input.ps2_keyboard", "0.1.0", "Apache-2.0", kDevice, "", backplane::Ps2Keyboard)
