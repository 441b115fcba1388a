#include "backplane/plugin.hpp"

#include "model.hpp"

BACKPLANE_PLUGIN("intc.ioapic", "0.1.0", "Apache-2.0", kDevice, "", backplane::intc::IoApic)
