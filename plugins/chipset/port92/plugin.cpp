#include "backplane/plugin.hpp"

#include "model.hpp"

BACKPLANE_PLUGIN("chipset.port92", "0.1.0", "Apache-2.0", kDevice, "", backplane::chipset::Port92)
