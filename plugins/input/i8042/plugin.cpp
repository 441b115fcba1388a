#include "backplane/plugin.hpp"
#include "model.hpp"

BACKPLANE_PLUGIN("input.i8042", "0.1.0", "Apache-2.0", kDevice, "", backplane::I8042)
