#include "backplane/plugin.hpp"

#include "model.hpp"

BACKPLANE_PLUGIN("example.isa-tick", "1.0.0", "Apache-2.0", kDevice, "", example::IsaTick)
