#include "backplane/plugin.hpp"

#include "model.hpp"

BACKPLANE_PLUGIN("ata.disk", "0.1.0", "Apache-2.0", kDevice, "", backplane::ata::Disk)
