#include "backplane/plugin.hpp"
#include "model.hpp"

BACKPLANE_PLUGIN("firmware.kernel", "0.1.0", "Apache-2.0", kBackend, "files", backplane::BootKernel)
