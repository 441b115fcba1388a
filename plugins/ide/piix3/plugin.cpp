#include "backplane/plugin.hpp"

#include "model.hpp"

BACKPLANE_PLUGIN("ide.piix3", "0.1.0", "Apache-2.0", kDevice, "", backplane::piix3::Ide)
