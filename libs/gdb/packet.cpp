#include "gdb/packet.hpp"

#include <cstdio>

namespace backplane::gdb {

namespace {
constexpr char kDigits[] = "0123456789abcdef";
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

std::string hex(std::string_view bytes) {
    std::string text;
    text.reserve(2 * bytes.size());
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        text += kDigits[byte >> 4];
        text += kDigits[byte & 15u];
    }
    return text;
}

std::string hex_number(u64 value) {
    char text[24];
    std::snprintf(text, sizeof text, "%llx", static_cast<unsigned long long>(value));
    return text;
}

std::optional<std::string> unhex(std::string_view text) {
    if (text.size() % 2 != 0) return std::nullopt;
    std::string bytes;
    bytes.reserve(text.size() / 2);
    for (std::size_t i = 0; i < text.size(); i += 2) {
        const int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);
        if (high < 0 || low < 0) return std::nullopt;
        bytes += static_cast<char>(high << 4 | low);
    }
    return bytes;
}

std::optional<u64> take_hex(std::string_view& text) {
    u64 value = 0;
    std::size_t used = 0;
    for (; used < text.size() && hex_digit(text[used]) >= 0; ++used) {
        if (value >> 60 != 0) return std::nullopt;
        value = value << 4 | static_cast<u64>(hex_digit(text[used]));
    }
    if (used == 0) return std::nullopt;
    text.remove_prefix(used);
    return value;
}

std::string framed(std::string_view data) {
    std::string out = "$";
    unsigned sum = 0;
    const auto put = [&](char c) {
        out += c;
        sum += static_cast<unsigned char>(c);
    };
    for (const char c : data) {
        if (c == '$' || c == '#' || c == '}' || c == '*') {
            put('}');
            put(static_cast<char>(c ^ 0x20));
        } else {
            put(c);
        }
    }
    out += '#';
    out += kDigits[sum >> 4 & 15u];
    out += kDigits[sum & 15u];
    return out;
}

std::optional<Decoder::Piece> Decoder::next(std::string_view& bytes) {
    while (!bytes.empty()) {
        const char c = bytes.front();
        bytes.remove_prefix(1);
        switch (where_) {
            case Where::kOutside:
                if (c == '\x03') return Piece{Kind::kInterrupt, {}};
                if (c == '-') return Piece{Kind::kRepeat, {}};
                if (c == '$') where_ = Where::kData, data_.clear(), sum_ = 0, too_long_ = false;
                break;  // '+' and noise
            case Where::kData:
                if (c == '$') {  // the packet before has lost its end
                    data_.clear(), sum_ = 0, too_long_ = false;
                    break;
                }
                if (c == '#') {
                    where_ = Where::kFirstDigit;
                    break;
                }
                sum_ += static_cast<unsigned char>(c);
                if (c == '}')
                    where_ = Where::kEscaped;
                else if (data_.size() < kPacketSize)
                    data_ += c;
                else
                    too_long_ = true;
                break;
            case Where::kEscaped:
                sum_ += static_cast<unsigned char>(c);
                where_ = Where::kData;
                if (data_.size() < kPacketSize)
                    data_ += static_cast<char>(c ^ 0x20);
                else
                    too_long_ = true;
                break;
            case Where::kFirstDigit:
                digits_good_ = hex_digit(c) >= 0;
                said_ = static_cast<unsigned>(hex_digit(c)) & 15u;
                where_ = Where::kSecondDigit;
                break;
            case Where::kSecondDigit:
                digits_good_ = digits_good_ && hex_digit(c) >= 0;
                said_ = said_ << 4 | (static_cast<unsigned>(hex_digit(c)) & 15u);
                where_ = Where::kOutside;
                if (!digits_good_ || said_ != (sum_ & 0xffu)) return Piece{Kind::kDamaged, {}};
                if (too_long_) return Piece{Kind::kTooLong, {}};
                return Piece{Kind::kPacket, std::move(data_)};
        }
    }
    return std::nullopt;
}

}  // namespace backplane::gdb
