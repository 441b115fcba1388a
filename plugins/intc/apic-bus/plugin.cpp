#include "backplane/plugin.hpp"

#include "model.hpp"

BACKPLANE_PLUGIN("intc.apic-bus", "0.1.0", "Apache-2.0", kDevice, "", backplane::intc::ApicBus)
