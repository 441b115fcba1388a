#include "framer.hpp"

#include <utility>

namespace backplane {

namespace {

// Bytes that stand in no JSON text, not even in a string. A client may send one to begin anew.
bool ends_everything(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\t' && c != '\n' && c != '\r') || byte >= 0xfe;
}

std::string code(char c) {
    constexpr char kDigits[] = "0123456789abcdef";
    const auto byte = static_cast<unsigned char>(c);
    return {'0', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
}

}  // namespace

Framer::Piece Framer::mistake(Where next, std::string text) {
    where_ = next;
    text_.clear(), open_.clear(), skipped_ = 0;
    return {Kind::kMistake, std::move(text)};
}

Framer::Piece Framer::next(std::string_view& data) {
    while (!data.empty()) {
        const char c = data.front();
        data.remove_prefix(1);
        Piece piece =
            where_ == Where::kInside || where_ == Where::kString || where_ == Where::kEscape ? inside(c) : outside(c);
        if (piece.kind != Kind::kNothing) return piece;
        if (text_.size() > kMostBytes || skipped_ > kMostBytes)
            return {Kind::kTooLong, "more than " + std::to_string(kMostBytes) + " bytes without a complete object"};
    }
    return {};
}

Framer::Piece Framer::outside(char c) {
    if (c == '\n' || ends_everything(c)) {
        const bool lost = where_ != Where::kBetween;
        where_ = Where::kBetween, skipped_ = 0;
        if (c == '\n' || lost) return {};
        return mistake(Where::kBetween, "unexpected byte " + code(c));
    }
    if ((c == '{' || c == '[') && where_ != Where::kLostLine) {
        where_ = Where::kInside, skipped_ = 0;
        text_ = c, open_ = c;
        return {};
    }
    if (where_ != Where::kBetween) {
        ++skipped_;
        return {};
    }
    if (c == ' ' || c == '\t' || c == '\r') return {};
    return mistake(Where::kLost, "expected an object");
}

Framer::Piece Framer::inside(char c) {
    if (ends_everything(c)) return mistake(Where::kBetween, "unexpected byte " + code(c));
    text_ += c;
    if (where_ == Where::kEscape) {
        where_ = Where::kString;
    } else if (where_ == Where::kString) {
        if (c == '\n' || c == '\r' || c == '\t')
            return mistake(c == '\n' ? Where::kBetween : Where::kLost, "a string has no end");
        if (c == '"') where_ = Where::kInside;
        if (c == '\\') where_ = Where::kEscape;
    } else if (c == '"') {
        where_ = Where::kString;
    } else if (c == '{' || c == '[') {
        if (open_.size() >= kMostDepth)
            return mistake(Where::kLostLine, "more than " + std::to_string(kMostDepth) + " levels");
        open_ += c;
    } else if (c == '}' || c == ']') {
        if (open_.back() != (c == '}' ? '{' : '[')) return mistake(Where::kLost, std::string("unexpected ") + c);
        open_.pop_back();
        if (open_.empty()) {
            where_ = Where::kBetween;
            return {Kind::kText, std::exchange(text_, {})};
        }
    }
    return {};
}

}  // namespace backplane
