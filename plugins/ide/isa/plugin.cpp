#include "backplane/plugin.hpp"

#include "model.hpp"

BACKPLANE_PLUGIN("ide.isa", "0.1.0", "Apache-2.0", kDevice, "", backplane::isa_ide::Ide)
