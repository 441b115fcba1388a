#include "keys.hpp"

#include <charconv>

namespace backplane::drives {
namespace {

// Reads up to a single comma; two stand for one.
std::string next_part(std::string_view text, std::size_t* at) {
    std::string part;
    while (*at < text.size()) {
        const char c = text[(*at)++];
        if (c == ',') {
            if (*at == text.size() || text[*at] != ',') return part;
            ++*at;
        }
        part += c;
    }
    return part;
}

std::string list_of(const std::vector<std::string_view>& words) {
    std::string list;
    for (std::size_t i = 0; i < words.size(); ++i)
        list += (i == 0 ? "" : i + 1 == words.size() ? " or " : ", ") + std::string(words[i]);
    return list;
}

}  // namespace

Keys::Keys(std::string_view text, std::string_view first, std::string option) : option_(std::move(option)) {
    for (std::size_t at = 0; at < text.size();) {
        const bool leading = at == 0;
        const std::string part = next_part(text, &at);
        const auto equals = part.find('=');
        if (equals == 0) fail("a value without a name: \"" + part + "\"");
        if (equals != std::string::npos)
            keys_.push_back({part.substr(0, equals), part.substr(equals + 1)});
        else if (leading && !first.empty())
            keys_.push_back({std::string(first), part});
        else if (part.empty())
            continue;  // "a,,b" was read as a comma; a trailing one has always been let through
        else if (part.starts_with("no") && part.size() > 2)
            keys_.push_back({part.substr(2), "off", true});
        else
            keys_.push_back({part, "on", true});
    }
}

bool Keys::has(std::string_view name) const {
    for (const Key& key : keys_)
        if (key.name == name) return true;
    return false;
}

Key* Keys::take(std::string_view name) {
    Key* last = nullptr;
    for (Key& key : keys_)
        if (key.name == name) key.used = true, last = &key;
    return last;
}

std::optional<std::string> Keys::text(std::string_view name) {
    const Key* key = take(name);
    if (!key) return std::nullopt;
    if (key->flag) fail("\"" + key->name + "\" needs a value: " + key->name + "=...");
    return key->value;
}

std::optional<bool> Keys::boolean(std::string_view name) {
    const Key* key = take(name);
    if (!key) return std::nullopt;
    for (const char* yes : {"on", "yes", "true", "y"})
        if (key->value == yes) return true;
    for (const char* no : {"off", "no", "false", "n"})
        if (key->value == no) return false;
    fail(key->name + "=" + key->value + ": expected on or off");
}

std::optional<std::uint64_t> Keys::number(std::string_view name, std::uint64_t minimum, std::uint64_t maximum) {
    const Key* key = take(name);
    if (!key) return std::nullopt;
    const bool hex = key->value.starts_with("0x") || key->value.starts_with("0X");
    const char* const begin = key->value.data() + (hex ? 2 : 0);
    const char* const end = key->value.data() + key->value.size();
    std::uint64_t value = 0;
    const auto [at, error] = std::from_chars(begin, end, value, hex ? 16 : 10);
    if (key->flag || error != std::errc() || at != end || value < minimum || value > maximum)
        fail(key->name + "=" + key->value + ": expected a number from " + std::to_string(minimum) + " to " +
             std::to_string(maximum));
    return value;
}

std::optional<std::string> Keys::choice(std::string_view name, const std::vector<std::string_view>& choices) {
    const Key* key = take(name);
    if (!key) return std::nullopt;
    std::vector<std::string_view> words;
    for (const std::string_view choice : choices) {
        const auto equals = choice.find('=');
        const std::string_view spelling = choice.substr(0, equals);
        if (!key->flag && key->value == spelling)
            return std::string(equals == std::string_view::npos ? choice : choice.substr(equals + 1));
        words.push_back(spelling);
    }
    fail(key->name + "=" + key->value + ": expected " + list_of(words));
}

void Keys::ignore(const std::vector<std::string_view>& names) {
    for (const std::string_view name : names) take(name);
}

void Keys::reject_rest(const std::vector<std::string_view>& known) const {
    for (const Key& key : keys_)
        if (!key.used) fail("it does not know \"" + key.name + "\"; it knows " + list_of(known));
}

}  // namespace backplane::drives
