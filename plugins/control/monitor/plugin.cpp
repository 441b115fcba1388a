#include "backplane/plugin.hpp"
#include "model.hpp"

BACKPLANE_PLUGIN("control.monitor", "0.1.0", "Apache-2.0", kFrontend, "threads,files,network",
                 backplane::MonitorControl)
