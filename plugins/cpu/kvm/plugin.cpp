#include <backplane/plugin.hpp>

#include "model.hpp"

using backplane::AutoCpu;
using backplane::KvmCpu;
BACKPLANE_PLUGIN("cpu.kvm", "0.1.0", "Apache-2.0", kEngine, "files,threads", KvmCpu, AutoCpu)
