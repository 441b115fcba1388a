#include "kernel/config/convert.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <limits>

namespace backplane::kernel {

namespace {

int digit_of(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return 99;
}

__extension__ typedef unsigned __int128 u128;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::optional<u64> multiply(u64 a, u64 b) {
    u64 out = 0;
    if (__builtin_mul_overflow(a, b, &out)) return std::nullopt;
    return out;
}

// "1.5" of a unit, exact as long as the unit has enough divisors; sizes must come out as whole bytes.
std::optional<u64> scaled(std::string_view digits, u64 unit, bool must_be_whole) {
    const auto dot = digits.find('.');
    if (dot == std::string_view::npos) {
        const auto n = parse_number(digits);
        return n ? multiply(*n, unit) : std::nullopt;
    }
    const std::string_view whole = digits.substr(0, dot), fraction = digits.substr(dot + 1);
    if (whole.empty() || fraction.empty() || fraction.size() > 9) return std::nullopt;
    if (!std::all_of(whole.begin(), whole.end(), is_digit) || !std::all_of(fraction.begin(), fraction.end(), is_digit))
        return std::nullopt;
    const auto n = parse_number(whole);
    const auto high = n ? multiply(*n, unit) : std::nullopt;
    if (!high) return std::nullopt;
    u128 part = 0, scale = 1;
    for (char c : fraction) part = part * 10 + static_cast<unsigned>(c - '0'), scale *= 10;
    const u128 product = part * unit;
    if (must_be_whole && product % scale != 0) return std::nullopt;
    u64 out = 0;
    if (__builtin_add_overflow(*high, static_cast<u64>(product / scale), &out)) return std::nullopt;
    return out;
}

struct Unit {
    std::string_view name;
    u64 factor;
};

// Splits "128M" after the last digit.
std::optional<u64> with_unit(std::string_view text, const std::vector<Unit>& units, bool must_be_whole) {
    std::size_t split = text.size();
    while (split > 0 && !is_digit(text[split - 1])) --split;
    const std::string_view digits = text.substr(0, split);
    std::string_view suffix = text.substr(split);
    while (!suffix.empty() && suffix.front() == ' ') suffix.remove_prefix(1);
    for (const Unit& unit : units)
        if (suffix == unit.name) return scaled(digits, unit.factor, must_be_whole);
    return std::nullopt;
}

std::string shown(const Value& value) {
    if (!value.is_scalar()) return value.kind_name();
    std::string text = value.text().substr(0, 60);
    if (text.size() < value.text().size()) text += "...";
    return "`" + text + "`";
}

[[noreturn]] void refuse(const Value& value, const std::string& what, const std::string& expected) {
    throw Error(value.position(), what + " must be " + expected + ", not " + shown(value));
}

void check_range(const Value& value, const std::string& what, u64 n, u64 minimum, u64 maximum,
                 std::string (*show)(u64)) {
    if (n >= minimum && n <= maximum) return;
    if (maximum == ~u64{0}) refuse(value, what, "at least " + show(minimum));
    if (minimum == maximum) refuse(value, what, show(minimum));
    if (minimum == 0) refuse(value, what, "at most " + show(maximum));
    refuse(value, what, "from " + show(minimum) + " to " + show(maximum));
}

std::string show_number(u64 n) { return std::to_string(n); }

std::string show_duration(u64 ns) {
    if (ns % 1'000'000'000 == 0) return std::to_string(ns / 1'000'000'000) + "s";
    if (ns % 1'000'000 == 0) return std::to_string(ns / 1'000'000) + "ms";
    if (ns % 1000 == 0) return std::to_string(ns / 1000) + "us";
    return std::to_string(ns) + "ns";
}

// Optimal string alignment distance: a swapped pair of letters counts one.
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t cost = a[i - 1] == b[j - 1] ? 0 : 1;
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + cost});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = std::min(row[j], before[j - 2] + 1);
        }
        std::swap(before, last), std::swap(last, row);
    }
    return last[b.size()];
}

}  // namespace

std::optional<u64> parse_number(std::string_view text) {
    int base = 10;
    if (text.size() > 2 && text[0] == '0') {
        if (text[1] == 'x' || text[1] == 'X') base = 16;
        if (text[1] == 'b' || text[1] == 'B') base = 2;
        if (text[1] == 'o' || text[1] == 'O') base = 8;
    }
    if (base != 10) text.remove_prefix(2);
    if (text.empty() || text.front() == '_' || text.back() == '_') return std::nullopt;
    if (base == 10 && text.size() > 1 && text[0] == '0') return std::nullopt;
    u64 n = 0;
    for (char c : text) {
        if (c == '_') continue;
        const int d = digit_of(c);
        if (d >= base) return std::nullopt;
        if (__builtin_mul_overflow(n, static_cast<u64>(base), &n) || __builtin_add_overflow(n, static_cast<u64>(d), &n))
            return std::nullopt;
    }
    return n;
}

std::optional<u64> parse_size(std::string_view text) {
    if (const auto n = parse_number(text)) return n;
    static const std::vector<Unit> kUnits = {{"", 1},
                                             {"B", 1},
                                             {"K", 1ull << 10},
                                             {"k", 1ull << 10},
                                             {"KiB", 1ull << 10},
                                             {"M", 1ull << 20},
                                             {"MiB", 1ull << 20},
                                             {"G", 1ull << 30},
                                             {"GiB", 1ull << 30},
                                             {"T", 1ull << 40},
                                             {"TiB", 1ull << 40}};
    return with_unit(text, kUnits, true);
}

std::optional<u64> parse_duration(std::string_view text) {
    if (text == "0") return 0;
    static const std::vector<Unit> kUnits = {{"ns", 1},         {"us", 1000},         {"µs", 1000},
                                             {"ms", 1'000'000}, {"s", 1'000'000'000}, {"min", 60'000'000'000}};
    return with_unit(text, kUnits, false);
}

std::optional<bool> parse_bool(std::string_view text) {
    for (const char* yes : {"true", "yes", "on", "1", "True", "Yes", "On"})
        if (text == yes) return true;
    for (const char* no : {"false", "no", "off", "0", "False", "No", "Off"})
        if (text == no) return false;
    return std::nullopt;
}

u64 to_number(const Value& value, const std::string& what, u64 minimum, u64 maximum) {
    const auto n = value.is_scalar() ? parse_number(value.text()) : std::nullopt;
    if (!n) refuse(value, what, "a number (such as 12 or 0x1200)");
    check_range(value, what, *n, minimum, maximum, show_number);
    return *n;
}

u64 to_size(const Value& value, const std::string& what, u64 minimum, u64 maximum) {
    const auto n = value.is_scalar() ? parse_size(value.text()) : std::nullopt;
    if (!n) refuse(value, what, "a size (a number of bytes, or with K, M, G or T: 128M)");
    check_range(value, what, *n, minimum, maximum, size_text);
    return *n;
}

u64 to_duration(const Value& value, const std::string& what, u64 minimum, u64 maximum) {
    const auto n = value.is_scalar() ? parse_duration(value.text()) : std::nullopt;
    if (!n) refuse(value, what, "a time with its unit (ns, us, ms, s: 1.5ms)");
    check_range(value, what, *n, minimum, maximum, show_duration);
    return *n;
}

bool to_bool(const Value& value, const std::string& what) {
    const auto b = value.is_scalar() ? parse_bool(value.text()) : std::nullopt;
    if (!b) refuse(value, what, "true or false");
    return *b;
}

const std::string& to_text(const Value& value, const std::string& what) {
    if (!value.is_scalar()) refuse(value, what, "a single value");
    return value.text();
}

const std::string& to_choice(const Value& value, const std::string& what, const std::vector<std::string>& choices) {
    if (!value.is_scalar()) refuse(value, what, list_of(choices));
    for (const std::string& choice : choices)
        if (choice == value.text()) return value.text();
    throw Error(value.position(),
                what + " must be " + list_of(choices) + ", not " + shown(value) + did_you_mean(value.text(), choices));
}

std::string to_path(const Value& value, const std::string& what) {
    const std::string& text = to_text(value, what);
    if (text.empty()) refuse(value, what, "the path of a file");
    if (text.starts_with("~/"))
        if (const char* home = std::getenv("HOME"); home && *home) return std::string(home) + text.substr(1);
    const std::filesystem::path path = text;
    std::error_code error;
    const auto absolute =
        path.is_absolute() ? path : std::filesystem::absolute(value.position().directory() / path, error);
    if (error) throw Error(value.position(), what + ": " + error.message());
    return absolute.lexically_normal().string();
}

const Value& to_map(const Value& value, const std::string& what) {
    if (!value.is_map()) refuse(value, what, "a map");
    return value;
}

std::string size_text(u64 bytes) {
    static constexpr char kUnits[] = {'T', 'G', 'M', 'K'};
    for (int i = 0; i < 4; ++i) {
        const int shift = 40 - 10 * i;
        if (bytes != 0 && bytes % (1ull << shift) == 0) return std::to_string(bytes >> shift) + kUnits[i];
    }
    return std::to_string(bytes);
}

std::string in_ticks(std::string_view name) { return "`" + std::string(name) + "`"; }

std::string list_of(const std::vector<std::string>& names) {
    std::string out;
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (i) out += i + 1 == names.size() ? " or " : ", ";
        out += names[i];
    }
    return out;
}

std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& known) {
    if (word.size() > 64) return std::nullopt;
    const std::string* best = nullptr;
    std::size_t best_distance = std::numeric_limits<std::size_t>::max();
    for (const std::string& name : known) {
        if (name.size() > 128 || name == word) continue;
        const std::size_t d = distance(word, name);
        if (d < best_distance) best = &name, best_distance = d;
    }
    // Of very short words one letter may differ, of longer ones two, of long ones a third.
    const std::size_t length = best ? std::max(word.size(), best->size()) : 0;
    if (best && best_distance <= (length <= 3 ? 1 : std::max<std::size_t>(2, length / 3))) return *best;
    // A name that begins or ends with what was written is meant even if it is far.
    for (const std::string& name : known)
        if (word.size() >= 3 && (name.starts_with(word) || name.ends_with(word))) return name;
    return std::nullopt;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& known) {
    const auto name = nearest(word, known);
    return name ? "; did you mean `" + *name + "`?" : "";
}

}  // namespace backplane::kernel
