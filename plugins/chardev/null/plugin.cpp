#include "backplane/plugin.hpp"
#include "model.hpp"

BACKPLANE_PLUGIN("chardev.null", "0.1.0", "Apache-2.0", kBackend, "", backplane::NullChardev)
