// What the machine starts from: "cad" as it was written until 2009, or "order=cad,once=d,menu=on".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "drives/drives.hpp"

namespace backplane::drives {

// Settings of the board for it. Throws OptionError.
std::vector<Setting> boot_settings(std::string_view text, const std::string& option);

}  // namespace backplane::drives
