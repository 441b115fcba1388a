// How a machine was started, as kept in its snapshots: so that a snapshot alone is enough to go on.
#pragma once

#include <string>

#include "kernel/config/board_spec.hpp"

namespace backplane::runner {

// {"machine": NAME, "vm": FILE, "settings": {PATH: VALUE}}; files by their full path.
std::string request_json(const kernel::BoardRequest& request, const kernel::BoardSpec& board);
// What a snapshot says. Throws Error: no snapshot, or one that does not know.
kernel::BoardRequest saved_request(const std::string& snapshot);

}  // namespace backplane::runner
