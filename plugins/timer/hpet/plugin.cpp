#include "backplane/plugin.hpp"

#include "model.hpp"

BACKPLANE_PLUGIN("timer.hpet", "0.1.0", "Apache-2.0", kDevice, "", backplane::timer::Hpet)
