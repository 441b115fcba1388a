// Names of keys, as in `key ctrl-alt-delete`, and their scan codes (set 1; extended keys have 100h added).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace backplane::runner {

// "ret" -> {1Ch}; "ctrl-c" -> {1Dh, 2Eh}. nullopt: an unknown name.
std::optional<std::vector<std::uint32_t>> key_codes(std::string_view combination);
// The keys that type `c` on a US keyboard (with shift where needed).
std::optional<std::vector<std::uint32_t>> key_codes_for(char c);

}  // namespace backplane::runner
