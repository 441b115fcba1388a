#include "backplane/plugin.hpp"
#include "model.hpp"

BACKPLANE_PLUGIN("chipset.i440fx", "0.1.0", "Apache-2.0", kDevice, "", backplane::I440fx)
