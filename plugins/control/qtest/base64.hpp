// Bytes as text: base64 (RFC 4648, 4) and hexadecimal digits.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace backplane::qtest {

inline std::string to_base64(const std::string& bytes) {
    constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const std::size_t left = bytes.size() - i;
        std::uint32_t word = 0;
        for (std::size_t n = 0; n < 3; ++n)
            word = word << 8 | (n < left ? static_cast<std::uint8_t>(bytes[i + n]) : 0u);
        for (std::size_t n = 0; n < 4; ++n) out += n <= left ? kDigits[(word >> (18 - 6 * n)) & 63] : '=';
    }
    return out;
}

// Throws std::runtime_error.
inline std::string from_base64(const std::string& text) {
    std::string out;
    std::uint32_t word = 0;
    unsigned bits = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        const int value = c >= 'A' && c <= 'Z'   ? c - 'A'
                          : c >= 'a' && c <= 'z' ? c - 'a' + 26
                          : c >= '0' && c <= '9' ? c - '0' + 52
                          : c == '+'             ? 62
                          : c == '/'             ? 63
                                                 : -1;
        if (value < 0) {
            if (text.find_first_not_of('=', i) != std::string::npos) throw std::runtime_error("that is no base64");
            break;
        }
        word = word << 6 | static_cast<std::uint32_t>(value), bits += 6;
        if (bits >= 8) bits -= 8, out += static_cast<char>(word >> bits);
    }
    return out;
}

inline std::string to_hex(const std::string& bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    std::string out;
    for (const char c : bytes) out += kDigits[static_cast<std::uint8_t>(c) >> 4], out += kDigits[c & 15];
    return out;
}

// Of digits that are known to be such.
inline std::string from_hex(const std::string& digits) {
    const auto value = [](char c) { return c <= '9' ? c - '0' : (c | 32) - 'a' + 10; };
    std::string out;
    for (std::size_t i = 0; i + 1 < digits.size(); i += 2)
        out += static_cast<char>(value(digits[i]) << 4 | value(digits[i + 1]));
    return out;
}

}  // namespace backplane::qtest
