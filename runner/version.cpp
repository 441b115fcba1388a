#include "runner/version.hpp"

#include "backplane/abi/base.h"

namespace backplane::runner {

std::string version_text() {
    return "backplane " BACKPLANE_VERSION " (plugin ABI " + std::to_string(BP_ABI_MAJOR) + "." +
           std::to_string(BP_ABI_MINOR) + ")";
}

std::string version_number() { return BACKPLANE_VERSION; }

}  // namespace backplane::runner
