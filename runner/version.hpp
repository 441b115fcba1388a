// Version of the program and of the plugin ABI it speaks.
#pragma once

#include <string>

namespace backplane::runner {
std::string version_text();
}
