// From the text of a YAML scalar to numbers, sizes, times and names, with errors that name the place.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backplane/types.hpp"
#include "kernel/config/value.hpp"

namespace backplane::kernel {

// Texts. Numbers: decimal, 0x hexadecimal, 0b binary, 0o octal, `_` between digits. A leading 0 before other digits is
// refused: some readers take 010 for eight.
std::optional<u64> parse_number(std::string_view text);
std::optional<u64> parse_size(
    std::string_view text);  // number, or decimal number with K M G T (powers of 1024), "128M", "128MiB"
std::optional<u64> parse_duration(std::string_view text);  // nanoseconds; "0", "10ns", "1.5us", "3ms", "2s"
std::optional<bool> parse_bool(std::string_view text);     // true false yes no on off 1 0

// Values; `what` begins the error text: "timer0: `rate`". A wrong kind, text or range throws Error.
u64 to_number(const Value& value, const std::string& what, u64 minimum = 0, u64 maximum = ~u64{0});
u64 to_size(const Value& value, const std::string& what, u64 minimum = 0, u64 maximum = ~u64{0});
u64 to_duration(const Value& value, const std::string& what, u64 minimum = 0, u64 maximum = ~u64{0});
bool to_bool(const Value& value, const std::string& what);
const std::string& to_text(const Value& value, const std::string& what);
const std::string& to_choice(const Value& value, const std::string& what, const std::vector<std::string>& choices);
// A path, made absolute: relative to the file that the value stands in, or to the working directory if it came from an
// option.
std::string to_path(const Value& value, const std::string& what);
const Value& to_map(const Value& value, const std::string& what);

std::string size_text(u64 bytes);  // 134217728 -> "128M"

std::string in_ticks(std::string_view name);  // `name`
// "a, b or c".
std::string list_of(const std::vector<std::string>& names);
// The known name nearest to `word`, if it is near enough to be meant.
std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& known);
// "; did you mean `x`?", or "".
std::string did_you_mean(std::string_view word, const std::vector<std::string>& known);

}  // namespace backplane::kernel
