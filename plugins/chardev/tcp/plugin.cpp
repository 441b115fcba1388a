#include "backplane/plugin.hpp"
#include "model.hpp"

BACKPLANE_PLUGIN("chardev.tcp", "0.1.0", "Apache-2.0", kBackend, "files,network,threads", backplane::TcpChardev)
