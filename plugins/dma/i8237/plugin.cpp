#include "backplane/plugin.hpp"

#include "model.hpp"

BACKPLANE_PLUGIN("dma.i8237", "0.1.0", "Apache-2.0", kDevice, "", backplane::dma::I8237Pair)
