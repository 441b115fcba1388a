#include "backplane/plugin.hpp"

#include "model.hpp"

BACKPLANE_PLUGIN("intc.i8259", "0.1.0", "Apache-2.0", kDevice, "", backplane::intc::I8259Pair)
