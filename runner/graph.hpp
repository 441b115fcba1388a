// A picture of a board: SVG text.
#pragma once

#include <string>

#include "kernel/config/board_spec.hpp"
#include "kernel/plugin/registry.hpp"

namespace backplane::runner {
// Devices as boxes, grouped by what they sit on; wires, links and facts as lines.
std::string board_svg(const kernel::BoardSpec& board, kernel::PluginRegistry& registry);
}  // namespace backplane::runner
