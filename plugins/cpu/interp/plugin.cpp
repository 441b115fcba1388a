#include <backplane/plugin.hpp>

#include "model.hpp"

using backplane::InterpCpu;
BACKPLANE_PLUGIN("cpu.interp", "0.1.0", "Apache-2.0", kEngine, "files", InterpCpu)
