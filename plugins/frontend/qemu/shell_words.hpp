// Command lines as a shell reads them: quotes, backslashes, continued lines, comments. Nothing is expanded.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace backplane::qemu {

// The words of each command.
std::vector<std::vector<std::string>> shell_commands(std::string_view text);

}  // namespace backplane::qemu
