#include "kernel/config/repeat.hpp"

#include <algorithm>
#include <cctype>

#include "kernel/config/convert.hpp"
#include "kernel/config/machine_file.hpp"

namespace backplane::kernel {

namespace {

constexpr u64 kMostRounds = 1024;
constexpr std::size_t kMostValues = 20'000;  // that come out of all repetitions together

struct Round {
    const std::string& variable;
    u64 value;
};

// Puts the round's number for ${variable}. $${ stays: it is the parameters' turn to read it.
std::string replaced(const std::string& text, const Round& round) {
    const std::string wanted = "${" + round.variable + "}";
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        if (text.compare(at, 3, "$${") == 0) {
            out += "$${", at += 3;
        } else if (text.compare(at, wanted.size(), wanted) == 0) {
            out += std::to_string(round.value), at += wanted.size();
        } else {
            out += text[at++];
        }
    }
    return out;
}

void substitute(Value& value, const Round& round) {
    if (value.is_scalar()) {
        value.set_text(replaced(value.text(), round));
        return;
    }
    for (Value& item : value.items()) substitute(item, round);
    for (auto& entry : value.entries()) {
        entry.key = replaced(entry.key, round);
        substitute(entry.value, round);
    }
}

std::size_t nodes(const Value& value) {
    std::size_t count = 1;
    for (const Value& item : value.items()) count += nodes(item);
    for (const auto& entry : value.entries()) count += nodes(entry.value);
    return count;
}

// The section of the board, made if it is not there.
Value& section_of(Value& board, const std::string& key, const Position& position) {
    Value* there = board.find(key);
    return there && there->is_map() ? *there : board.set(key, position, Value::map(position));
}

void add_devices(Value& board, const Value& devices, const Round& round) {
    Value& all = section_of(board, "devices", devices.position());
    for (const auto& entry : to_map(devices, "`devices`").entries()) {
        const auto there = std::find_if(all.entries().begin(), all.entries().end(),
                                        [&](const Value::Entry& e) { return e.key == entry.key; });
        if (there != all.entries().end())
            throw Error(entry.position, "repeat: with " + round.variable + " = " + std::to_string(round.value) +
                                            " there is a device " + in_ticks(entry.key) + " already (" +
                                            there->position.text() + "); put ${" + round.variable + "} into its name");
        all.set(entry.key, entry.position, entry.value);
    }
}

void add_lines(Value& board, const Value& lines) {
    Value& all = section_of(board, "lines", lines.position());
    for (const auto& entry : to_map(lines, "`lines`").entries()) {
        Value* there = all.find(entry.key);
        if (!there) {
            all.set(entry.key, entry.position, entry.value);
            continue;
        }
        Value ends = Value::list(there->position());
        for (const Value* sink : there->as_list()) ends.items().push_back(*sink);
        for (const Value* sink : entry.value.as_list()) ends.items().push_back(*sink);
        *there = std::move(ends);
    }
}

void carry_out(Value& board, const Value::Entry& section, const Round& round) {
    Value::Entry copy = section;
    substitute(copy.value, round);
    if (copy.value.is_null()) return;
    if (copy.key == "devices")
        add_devices(board, copy.value, round);
    else if (copy.key == "lines")
        add_lines(board, copy.value);
    else
        merge_section(board, copy);
}

u64 bound(const Value* value, const ParameterSet& parameters, const char* name, u64 otherwise) {
    if (!value) return otherwise;
    Value number = *value;
    if (!parameters.substitute(number)) return otherwise;
    return to_number(number, std::string("repeat: `") + name + "`", 0, kMostRounds);
}

void expand(Value& board, const Value& item, const ParameterSet& parameters, std::size_t& left) {
    static const std::vector<std::string> keys = {"for", "from", "below", "devices", "lines", "publish"};
    const Value* variable = to_map(item, "an entry of `repeat`").find("for");
    for (const auto& entry : item.entries())
        if (std::find(keys.begin(), keys.end(), entry.key) == keys.end())
            throw Error(entry.position,
                        in_ticks(entry.key) + " cannot stand in `repeat`" + did_you_mean(entry.key, keys));
    const Value* below = item.find("below");
    if (!variable || !below)
        throw Error(item.position(), "an entry of `repeat` needs `for` (a name) and `below` (a number)");
    const std::string& name = to_text(*variable, "repeat: `for`");
    if (name.empty() || !std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c); }))
        throw Error(variable->position(), "repeat: `for` is a name of letters and digits, not " + in_ticks(name));
    if (parameters.find(name) || parameters.is_group(name))
        throw Error(variable->position(), "repeat: " + in_ticks(name) + " is a parameter of the board already");

    const u64 first = bound(item.find("from"), parameters, "from", 0);
    const u64 end = bound(below, parameters, "below", 0);
    for (u64 n = first; n < end; ++n) {
        for (const auto& entry : item.entries()) {
            if (entry.key == "for" || entry.key == "from" || entry.key == "below") continue;
            const std::size_t size = nodes(entry.value);
            if (size > left)
                throw Error(item.position(),
                            "repeat: more than " + std::to_string(kMostValues) + " values come out of it");
            left -= size;
            carry_out(board, entry, {name, n});
        }
    }
}

}  // namespace

void expand_repeats(Value& board, const ParameterSet& parameters) {
    const Value* section = board.find("repeat");
    if (!section) return;
    const Value repeat = *section;
    board.erase("repeat");
    std::size_t left = kMostValues;
    for (const Value* item : repeat.as_list()) expand(board, *item, parameters, left);
}

}  // namespace backplane::kernel
