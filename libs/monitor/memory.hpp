// Dumps of guest memory, and numbers in other forms.
#pragma once

#include <string>
#include <vector>

#include "monitor/call.hpp"

namespace backplane::monitor {

// words: command, perhaps "/8xw" (count, form x d u o c, size b h w g), an address. `linear`: through the first CPU's
// page tables.
std::string dump_memory(const Call& call, const std::vector<std::string>& words, bool linear);
std::string print_number(const std::vector<std::string>& words);

}  // namespace backplane::monitor
