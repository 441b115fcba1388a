// Version of the program and of the plugin ABI it speaks.
#pragma once

#include <string>

namespace backplane::runner {
std::string version_text();    // with the ABI's
std::string version_number();  // "0.1.0"
}  // namespace backplane::runner
