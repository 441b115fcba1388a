/// @file
/// Short names that every plugin uses.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "backplane/abi/base.h"

namespace backplane {

/// Unsigned integer of 8 bits.
using u8 = std::uint8_t;
/// Unsigned integer of 16 bits.
using u16 = std::uint16_t;
/// Unsigned integer of 32 bits.
using u32 = std::uint32_t;
/// Unsigned integer of 64 bits.
using u64 = std::uint64_t;
/// Signed integer of 8 bits.
using i8 = std::int8_t;
/// Signed integer of 16 bits.
using i16 = std::int16_t;
/// Signed integer of 32 bits.
using i32 = std::int32_t;
/// Signed integer of 64 bits.
using i64 = std::int64_t;

/// The view as the ABI's string; as long-lived as what it looks at.
inline constexpr bp_str to_bp(std::string_view s) { return {s.data(), s.size()}; }
/// The ABI's string as a view; empty for a null string.
inline constexpr std::string_view to_view(bp_str s) {
    return s.data ? std::string_view{s.data, s.size} : std::string_view{};
}

/// A property that is a size.
struct Bytes {
    u64 value = 0;  ///< bytes
};
/// A property that is a time.
struct Duration {
    i64 ns = 0;  ///< nanoseconds
};
/// A property that names a host file.
struct Path {
    std::string text;  ///< absolute or relative to the current folder; empty if not given
};

/// Why reset() is called: power was applied, or the board's reset line was raised.
enum class Reset : u32 { kPowerOn = 1, kSystem = 2 };

}  // namespace backplane
