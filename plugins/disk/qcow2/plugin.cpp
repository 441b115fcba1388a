#include "backplane/plugin.hpp"

#include "model.hpp"

BACKPLANE_PLUGIN("disk.qcow2", "0.1.0", "Apache-2.0", kBackend, "files,threads", backplane::qcow2_disk::Qcow2)
