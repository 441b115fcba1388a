// Parts of a snapshot as text that is safe on a terminal, whoever wrote the file.
#pragma once

#include <string>
#include <string_view>

#include "backplane/types.hpp"

namespace backplane::kernel {

struct StateValue;

// Valid UTF-8 (no overlong forms, no surrogates) without control characters.
bool is_plain_utf8(std::string_view text);
// The same text with \xNN in place of every byte that is not plain UTF-8.
std::string printable(std::string_view text);

// One element: numbers in hexadecimal of full width, signed ones in decimal, `true` or `false`, floats with all digits.
std::string element_text(const StateValue& value, u64 element);
// The first `most` elements, separated by spaces, and "... (N elements)" if there are more.
std::string value_text(const StateValue& value, u64 most = 64);
std::string state_kind_name(u32 kind);  // "unsigned"

// 1234567890 ns -> "1.234567890 s".
std::string time_text(i64 ns);

}  // namespace backplane::kernel
