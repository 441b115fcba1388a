// Parts of a board that are there several times: the section `repeat`.
#pragma once

#include "kernel/config/parameters.hpp"

namespace backplane::kernel {

// Carries out what stands under `repeat` of the merged board and takes the section out of it: devices are made, lines
// made or given more ends, routes of `publish` added. Other parameters than the rounds' own stay as they are, to be
// substituted with the rest of the board. Throws Error.
void expand_repeats(Value& board, const ParameterSet& parameters);

}  // namespace backplane::kernel
