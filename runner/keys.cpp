#include "runner/keys.hpp"

#include <algorithm>

namespace backplane::runner {

namespace {
struct Name {
    std::string_view name;
    std::uint32_t code;
};
constexpr std::uint32_t kShift = 0x2a;
constexpr Name kNames[] = {
    {"esc", 0x01},
    {"1", 0x02},
    {"2", 0x03},
    {"3", 0x04},
    {"4", 0x05},
    {"5", 0x06},
    {"6", 0x07},
    {"7", 0x08},
    {"8", 0x09},
    {"9", 0x0a},
    {"0", 0x0b},
    {"minus", 0x0c},
    {"equal", 0x0d},
    {"backspace", 0x0e},
    {"tab", 0x0f},
    {"q", 0x10},
    {"w", 0x11},
    {"e", 0x12},
    {"r", 0x13},
    {"t", 0x14},
    {"y", 0x15},
    {"u", 0x16},
    {"i", 0x17},
    {"o", 0x18},
    {"p", 0x19},
    {"bracket_left", 0x1a},
    {"bracket_right", 0x1b},
    {"ret", 0x1c},
    {"enter", 0x1c},
    {"ctrl", 0x1d},
    {"a", 0x1e},
    {"s", 0x1f},
    {"d", 0x20},
    {"f", 0x21},
    {"g", 0x22},
    {"h", 0x23},
    {"j", 0x24},
    {"k", 0x25},
    {"l", 0x26},
    {"semicolon", 0x27},
    {"apostrophe", 0x28},
    {"grave_accent", 0x29},
    {"shift", 0x2a},
    {"backslash", 0x2b},
    {"z", 0x2c},
    {"x", 0x2d},
    {"c", 0x2e},
    {"v", 0x2f},
    {"b", 0x30},
    {"n", 0x31},
    {"m", 0x32},
    {"comma", 0x33},
    {"dot", 0x34},
    {"slash", 0x35},
    {"shift_r", 0x36},
    {"kp_multiply", 0x37},
    {"alt", 0x38},
    {"spc", 0x39},
    {"space", 0x39},
    {"caps_lock", 0x3a},
    {"f1", 0x3b},
    {"f2", 0x3c},
    {"f3", 0x3d},
    {"f4", 0x3e},
    {"f5", 0x3f},
    {"f6", 0x40},
    {"f7", 0x41},
    {"f8", 0x42},
    {"f9", 0x43},
    {"f10", 0x44},
    {"num_lock", 0x45},
    {"scroll_lock", 0x46},
    {"kp_7", 0x47},
    {"kp_8", 0x48},
    {"kp_9", 0x49},
    {"kp_subtract", 0x4a},
    {"kp_4", 0x4b},
    {"kp_5", 0x4c},
    {"kp_6", 0x4d},
    {"kp_add", 0x4e},
    {"kp_1", 0x4f},
    {"kp_2", 0x50},
    {"kp_3", 0x51},
    {"kp_0", 0x52},
    {"kp_decimal", 0x53},
    {"f11", 0x57},
    {"f12", 0x58},
    {"kp_enter", 0x11c},
    {"ctrl_r", 0x11d},
    {"kp_divide", 0x135},
    {"alt_r", 0x138},
    {"home", 0x147},
    {"up", 0x148},
    {"pgup", 0x149},
    {"left", 0x14b},
    {"right", 0x14d},
    {"end", 0x14f},
    {"down", 0x150},
    {"pgdn", 0x151},
    {"insert", 0x152},
    {"delete", 0x153},
    {"meta_l", 0x15b},
    {"meta_r", 0x15c},
    {"menu", 0x15d},
    {"print", 0x137},
    {"pause", 0x146},
};
std::optional<std::uint32_t> one(std::string_view name) {
    const auto* found =
        std::find_if(std::begin(kNames), std::end(kNames), [&](const Name& n) { return n.name == name; });
    if (found == std::end(kNames)) return std::nullopt;
    return found->code;
}
}  // namespace

std::optional<std::vector<std::uint32_t>> key_codes(std::string_view combination) {
    std::vector<std::uint32_t> codes;
    while (!combination.empty()) {
        const auto dash = combination.find('-');
        const auto code = one(combination.substr(0, dash));
        if (!code) return std::nullopt;
        codes.push_back(*code);
        combination.remove_prefix(dash == std::string_view::npos ? combination.size() : dash + 1);
    }
    if (codes.empty()) return std::nullopt;
    return codes;
}

std::optional<std::vector<std::uint32_t>> key_codes_for(char c) {
    constexpr std::string_view kPlain =
        "1234567890-=\b\tqwertyuiop[]\n\x01"
        "asdfghjkl;'`\x01\\zxcvbnm,./";
    constexpr std::string_view kShifted =
        "!@#$%^&*()_+\x01\x01QWERTYUIOP{}\x01\x01"
        "ASDFGHJKL:\"~\x01|ZXCVBNM<>?";
    if (c == ' ') return std::vector<std::uint32_t>{0x39};
    if (c == '\r') c = '\n';
    if (const auto at = kPlain.find(c); at != std::string_view::npos && c != '\x01')
        return std::vector<std::uint32_t>{static_cast<std::uint32_t>(at + 2)};
    if (const auto at = kShifted.find(c); at != std::string_view::npos && c != '\x01')
        return std::vector<std::uint32_t>{kShift, static_cast<std::uint32_t>(at + 2)};
    return std::nullopt;
}

}  // namespace backplane::runner
