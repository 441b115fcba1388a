// What `--cross-check N[,ENGINE]` asks for, and the differences between engines that are known (engines/*.yaml).
#pragma once

#include <string>

#include "kernel/machine/machine.hpp"

namespace backplane::runner {

// Throws kernel::Error.
kernel::CrossCheckOptions parse_cross_check(const std::string& text, const kernel::SearchPaths& search);

}  // namespace backplane::runner
