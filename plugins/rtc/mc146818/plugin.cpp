#include "backplane/plugin.hpp"

#include "model.hpp"

BACKPLANE_PLUGIN("rtc.mc146818", "0.1.0", "Apache-2.0", kDevice, "", backplane::rtc::Mc146818)
