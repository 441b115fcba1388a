#include "backplane/plugin.hpp"

#include "model.hpp"

BACKPLANE_PLUGIN("serial.uart16550", "0.1.0", "Apache-2.0", kDevice, "", backplane::serial::Uart16550)
