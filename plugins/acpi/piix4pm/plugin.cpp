#include "backplane/plugin.hpp"
#include "model.hpp"

BACKPLANE_PLUGIN("acpi.piix4pm", "0.1.0", "Apache-2.0", kDevice, "", backplane::Piix4Pm)
