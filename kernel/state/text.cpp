#include "kernel/state/text.hpp"

#include <fmt/format.h>

#include <bit>

#include "backplane/abi/device.h"
#include "kernel/state/snapshot.hpp"

namespace backplane::kernel {

namespace {

// Length of the well-formed plain character at the beginning of `text`, 0 if there is none.
std::size_t plain_character(std::string_view text) {
    const auto byte = [text](std::size_t i) { return i < text.size() ? u32{static_cast<u8>(text[i])} : 0u; };
    const auto follows = [&](std::size_t i) { return (byte(i) & 0xc0) == 0x80; };
    const u32 first = byte(0);
    if (first < 0x20 || first == 0x7f) return 0;
    if (first < 0x80) return 1;
    std::size_t length = 0;
    u32 code = 0, least = 0;
    if (first >= 0xc2 && first < 0xe0)
        length = 2, code = first & 0x1f, least = 0xa0;  // below: control characters
    else if (first >= 0xe0 && first < 0xf0)
        length = 3, code = first & 0x0f, least = 0x800;
    else if (first >= 0xf0 && first < 0xf5)
        length = 4, code = first & 0x07, least = 0x10000;
    else
        return 0;
    for (std::size_t i = 1; i < length; ++i) {
        if (!follows(i)) return 0;
        code = code << 6 | (byte(i) & 0x3f);
    }
    // Line and paragraph separators and marks that turn the direction of writing could disguise a line.
    const bool disguise = (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
    return code < least || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) || disguise ? 0 : length;
}

}  // namespace

bool is_plain_utf8(std::string_view text) {
    while (!text.empty()) {
        const std::size_t length = plain_character(text);
        if (length == 0) return false;
        text.remove_prefix(length);
    }
    return true;
}

std::string printable(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const std::size_t length = plain_character(text);
        if (length == 0)
            out += fmt::format("\\x{:02x}", static_cast<u8>(text[0]));
        else
            out += text.substr(0, length);
        text.remove_prefix(length ? length : 1);
    }
    return out;
}

std::string element_text(const StateValue& value, u64 element) {
    const u64 size = value.element_size;
    u64 raw = 0;
    for (u64 i = size; i-- > 0;) raw = raw << 8 | static_cast<u8>(value.bytes[element * size + i]);
    if (value.kind == BP_STATE_BOOL) return raw ? "true" : "false";
    if (value.kind == BP_STATE_SIGNED) {
        const u64 shift = 64 - 8 * size;
        return fmt::format("{}", static_cast<i64>(raw << shift) >> shift);
    }
    if (value.kind == BP_STATE_FLOAT)
        return size == 4 ? fmt::format("{}", std::bit_cast<float>(static_cast<u32>(raw)))
                         : fmt::format("{}", std::bit_cast<double>(raw));
    return fmt::format("{:0{}x}", raw, 2 * size);
}

std::string value_text(const StateValue& value, u64 most) {
    std::string out;
    for (u64 i = 0; i < value.count && i < most; ++i) out += (i ? " " : "") + element_text(value, i);
    if (value.count > most) out += fmt::format(" ... ({} elements)", value.count);
    return out;
}

std::string state_kind_name(u32 kind) {
    switch (kind) {
        case BP_STATE_UNSIGNED: return "unsigned";
        case BP_STATE_SIGNED: return "signed";
        case BP_STATE_BOOL: return "bool";
        case BP_STATE_BYTES: return "bytes";
        case BP_STATE_FLOAT: return "float";
        default: return fmt::format("kind {}", kind);
    }
}

std::string time_text(i64 ns) { return fmt::format("{}.{:09} s", ns / 1'000'000'000, ns % 1'000'000'000); }

}  // namespace backplane::kernel
