// Short names that every plugin uses.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "backplane/abi/base.h"

namespace backplane {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using i8 = std::int8_t;
using i16 = std::int16_t;
using i32 = std::int32_t;
using i64 = std::int64_t;

inline constexpr bp_str to_bp(std::string_view s) { return {s.data(), s.size()}; }
inline constexpr std::string_view to_view(bp_str s) {
    return s.data ? std::string_view{s.data, s.size} : std::string_view{};
}

// Property types that carry their unit.
struct Bytes {
    u64 value = 0;
};
struct Duration {
    i64 ns = 0;
};
struct Path {
    std::string text;  // absolute or relative to the current folder; empty if not given
};

enum class Reset : u32 { kPowerOn = 1, kSystem = 2 };

}  // namespace backplane
