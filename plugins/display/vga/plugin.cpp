#include "backplane/plugin.hpp"
#include "model.hpp"

BACKPLANE_PLUGIN("display.vga", "0.1.0", "Apache-2.0", kDevice, "", backplane::Vga, backplane::IsaVga)
