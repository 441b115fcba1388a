#include "backplane/plugin.hpp"

#include "model.hpp"

BACKPLANE_PLUGIN("example.pci-copier", "1.0.0", "Apache-2.0", kDevice, "", example::PciCopier)
