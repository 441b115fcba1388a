#include "backplane/plugin.hpp"

#include "model.hpp"

BACKPLANE_PLUGIN("disk.drive", "0.1.0", "Apache-2.0", kBackend, "files,threads", backplane::drive::Drive)
