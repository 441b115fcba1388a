// Property values as text, as a board file writes them.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

#include "backplane/testkit/declaration.hpp"

namespace backplane::testkit {

// The number that a text of this kind stands for (an enum: the choice's index), or nullopt if it is none. Texts and
// paths are 0. A time may stand without its unit here (nanoseconds), which a board file must not do.
inline std::optional<u64> property_number(const Declaration::Property& p, std::string_view text) {
    struct Unit {
        std::string_view name;
        u64 factor;
    };
    static constexpr Unit kSizes[] = {{"B", 1},          {"K", 1ull << 10},   {"k", 1ull << 10}, {"KiB", 1ull << 10},
                                      {"M", 1ull << 20}, {"MiB", 1ull << 20}, {"G", 1ull << 30}, {"GiB", 1ull << 30},
                                      {"T", 1ull << 40}, {"TiB", 1ull << 40}};
    static constexpr Unit kTimes[] = {
        {"ns", 1}, {"us", 1000}, {"ms", 1'000'000}, {"s", 1'000'000'000}, {"min", 60'000'000'000}};
    const auto one_of = [text](std::initializer_list<std::string_view> words) {
        return std::find(words.begin(), words.end(), text) != words.end();
    };
    // Digits with an optional fraction, and what follows them.
    const auto scaled = [text](const Unit* first, const Unit* last) -> std::optional<u64> {
        std::size_t used = 0;
        const std::string copy(text);
        u64 whole = 0;
        try {
            whole = std::stoull(copy, &used, copy.starts_with("0x") || copy.starts_with("0X") ? 16 : 10);
        } catch (const std::exception&) {
            return std::nullopt;
        }
        if (!(copy[0] >= '0' && copy[0] <= '9')) return std::nullopt;
        double fraction = 0;
        if (used < copy.size() && copy[used] == '.') {
            double step = 0.1;
            for (++used; used < copy.size() && copy[used] >= '0' && copy[used] <= '9'; ++used, step /= 10)
                fraction += step * (copy[used] - '0');
        }
        while (used < copy.size() && copy[used] == ' ') ++used;
        const std::string_view suffix = std::string_view(copy).substr(used);
        if (suffix.empty()) return whole;
        for (const Unit* u = first; u != last; ++u)
            if (u->name == suffix)
                return whole * u->factor + static_cast<u64>(fraction * static_cast<double>(u->factor) + 0.5);
        return std::nullopt;
    };
    switch (p.kind) {
        case BP_PROPERTY_BOOL:
            if (one_of({"true", "yes", "on", "1"})) return 1;
            if (text.empty() || one_of({"false", "no", "off", "0"})) return 0;
            return std::nullopt;
        case BP_PROPERTY_ENUM: {
            const auto found = std::find(p.choices.begin(), p.choices.end(), text);
            if (found == p.choices.end())
                return text.empty() && !p.choices.empty() ? std::optional<u64>(0) : std::nullopt;
            return static_cast<u64>(found - p.choices.begin());
        }
        case BP_PROPERTY_U64: return text.empty() ? p.minimum : scaled(nullptr, nullptr);
        case BP_PROPERTY_SIZE: return text.empty() ? p.minimum : scaled(std::begin(kSizes), std::end(kSizes));
        case BP_PROPERTY_DURATION: return text.empty() ? p.minimum : scaled(std::begin(kTimes), std::end(kTimes));
        default: return 0;
    }
}

// Whether the declaration accepts the text; else what is wrong with it.
inline std::string property_fault(const Declaration::Property& p, std::string_view text) {
    const std::optional<u64> number = property_number(p, text);
    const std::string shown = "\"" + std::string(text) + "\"";
    if (!number) {
        if (p.kind == BP_PROPERTY_ENUM) return shown + " is none of its choices";
        return shown + " is no value of its kind";
    }
    if (p.kind == BP_PROPERTY_DURATION && *number && text.find_first_not_of("0123456789") == std::string_view::npos)
        return shown + " has no unit (ns, us, ms, s)";
    const bool ranged = p.kind == BP_PROPERTY_U64 || p.kind == BP_PROPERTY_SIZE || p.kind == BP_PROPERTY_DURATION;
    if (ranged && (*number < p.minimum || *number > p.maximum)) return shown + " is out of its range";
    return {};
}

}  // namespace backplane::testkit
