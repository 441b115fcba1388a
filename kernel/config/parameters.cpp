#include "kernel/config/parameters.hpp"

#include <algorithm>

#include "kernel/config/convert.hpp"

namespace backplane::kernel {

namespace {

const std::vector<std::string>& type_names() {
    static const std::vector<std::string> names = {"string", "number", "size", "duration", "bool", "enum", "path"};
    return names;
}

bool is_declaration(const Value& value) {
    const Value* type = value.find("type");
    return type && type->is_scalar();
}

// The value as it goes to the devices; checks kind and range.
std::string checked(const Parameter& p, const Value& value) {
    const std::string what = in_ticks(p.path);
    // A spelling that stands for something else is not held against the choices: it is one of them.
    for (const auto& [from, to] : p.map)
        if (value.is_scalar() && value.text() == from) return to;
    switch (p.type) {
        case Parameter::Type::kString: return to_text(value, what);
        case Parameter::Type::kNumber: to_number(value, what, p.minimum, p.maximum); break;
        case Parameter::Type::kSize: to_size(value, what, p.minimum, p.maximum); break;
        case Parameter::Type::kDuration: to_duration(value, what, p.minimum, p.maximum); break;
        case Parameter::Type::kBool: return to_bool(value, what) ? "true" : "false";
        case Parameter::Type::kEnum: {
            std::vector<std::string> choices = p.choices;
            for (const auto& entry : p.map)
                if (std::find(choices.begin(), choices.end(), entry.first) == choices.end())
                    choices.push_back(entry.first);
            return to_choice(value, what, choices);
        }
        case Parameter::Type::kPath: return to_path(value, what);
    }
    return value.text();
}

u64 limit(const Parameter& p, const Value& value, const std::string& what) {
    if (p.type == Parameter::Type::kSize) return to_size(value, what);
    if (p.type == Parameter::Type::kDuration) return to_duration(value, what);
    if (p.type == Parameter::Type::kNumber) return to_number(value, what);
    throw Error(value.position(), what + " has no meaning for the type " + p.type_name());
}

}  // namespace

const char* Parameter::type_name() const { return type_names()[static_cast<std::size_t>(type)].c_str(); }

ParameterSet::ParameterSet(const Value* declarations, const Value* aliases) {
    if (declarations && !declarations->is_null()) declare_group(to_map(*declarations, "`parameters`"), "");
    if (!aliases || aliases->is_null()) return;
    for (const auto& entry : to_map(*aliases, "`aliases`").entries()) {
        const std::string& target = to_text(entry.value, "the alias " + in_ticks(entry.key));
        std::vector<std::string> paths = paths_in("");
        if (std::find(paths.begin(), paths.end(), target) == paths.end())
            throw Error(entry.value.position(), "alias " + in_ticks(entry.key) + ": there is no parameter " +
                                                    in_ticks(target) + did_you_mean(target, paths));
        aliases_.push_back({entry.key, target});
    }
}

void ParameterSet::declare_group(const Value& group, const std::string& prefix) {
    for (const auto& entry : group.entries()) {
        const std::string path = prefix + entry.key;
        if (entry.key.empty() || entry.key.find_first_of(". ${}") != std::string::npos)
            throw Error(entry.position, in_ticks(entry.key) + " cannot be the name of a parameter");
        const Value& value = to_map(entry.value, "the parameter " + in_ticks(path));
        if (is_declaration(value))
            declare(value, path, entry.position);
        else
            declare_group(value, path + ".");
    }
}

void ParameterSet::declare(const Value& declaration, const std::string& path, const Position& position) {
    Parameter p;
    p.path = path, p.position = position, p.value_position = position;
    const std::string what = "parameter " + in_ticks(path);
    const std::string& type = to_choice(*declaration.find("type"), what + ": `type`", type_names());
    p.type =
        static_cast<Parameter::Type>(std::find(type_names().begin(), type_names().end(), type) - type_names().begin());
    const Value* fallback = nullptr;
    for (const auto& entry : declaration.entries()) {
        const std::string name = what + ": " + in_ticks(entry.key);
        if (entry.key == "type") continue;
        if (entry.key == "default")
            fallback = &entry.value;
        else if (entry.key == "doc")
            p.doc = to_text(entry.value, name);
        else if (entry.key == "optional")
            p.optional = to_bool(entry.value, name);
        else if (entry.key == "min")
            p.minimum = limit(p, entry.value, name);
        else if (entry.key == "max")
            p.maximum = limit(p, entry.value, name);
        else if (entry.key == "choices") {
            if (p.type != Parameter::Type::kEnum)
                throw Error(entry.position, name + " has a meaning for the type enum only");
            for (const Value* choice : entry.value.as_list()) p.choices.push_back(to_text(*choice, name));
        } else if (entry.key == "map") {
            for (const auto& pair : to_map(entry.value, name).entries())
                p.map.emplace_back(pair.key, to_text(pair.value, name));
        } else {
            throw Error(entry.position, what + ": " + in_ticks(entry.key) + " is not known here" +
                                            did_you_mean(entry.key, {"type", "default", "doc", "optional", "min", "max",
                                                                     "choices", "map"}));
        }
    }
    if (p.type == Parameter::Type::kEnum && p.choices.empty()) throw Error(position, what + " has no `choices`");
    if (p.minimum > p.maximum) throw Error(position, what + ": `min` is above `max`");
    if (fallback && !fallback->is_null()) {
        p.default_text = to_text(*fallback, what + ": `default`");
        p.value = checked(p, *fallback), p.has_value = true, p.value_position = fallback->position();
    }
    parameters_.push_back(std::move(p));
}

const Parameter* ParameterSet::find(std::string_view name) const {
    for (const Parameter& p : parameters_)
        if (p.path == name) return &p;
    for (const Alias& alias : aliases_)
        if (alias.name == name && alias.parameter != name) return find(alias.parameter);
    return nullptr;
}

Parameter* ParameterSet::find(std::string_view name) {
    return const_cast<Parameter*>(static_cast<const ParameterSet*>(this)->find(name));
}

bool ParameterSet::is_group(std::string_view path) const { return !paths_in(std::string(path) + ".").empty(); }

std::vector<std::string> ParameterSet::paths_in(std::string_view group) const {
    std::vector<std::string> out;
    for (const Parameter& p : parameters_)
        if (p.path.starts_with(group)) out.push_back(p.path);
    return out;
}

std::vector<std::string> ParameterSet::names() const {
    std::vector<std::string> out = paths_in("");
    for (const Alias& alias : aliases_) out.push_back(alias.name);
    return out;
}

void ParameterSet::give(Parameter& p, const Value& value) {
    if (value.is_null()) {
        p.given = false, p.has_value = p.default_text.has_value();
        if (p.default_text) p.value = checked(p, Value::scalar(*p.default_text, p.position));
        return;
    }
    p.value = checked(p, value);
    p.given = p.has_value = true, p.value_position = value.position();
}

void ParameterSet::give_tree(const std::string& name, const Position& name_position, const Value& value,
                             const std::vector<std::string>& other) {
    if (value.is_map() && is_group(name)) {
        for (const auto& entry : value.entries()) give_tree(name + "." + entry.key, entry.position, entry.value, {});
        return;
    }
    if (Parameter* p = find(name)) {
        give(*p, value);
        return;
    }
    if (is_group(name)) {
        if (value.is_null()) return;
        throw Error(value.position(), in_ticks(name) + " is a group of " + list_of(paths_in(name + ".")) +
                                          ": expected a map, not " + value.kind_name());
    }
    // Suggest among what may stand at this depth, and among the full paths.
    const auto dot = name.rfind('.');
    const std::string prefix = dot == std::string::npos ? "" : name.substr(0, dot + 1);
    std::vector<std::string> known = other;
    for (const std::string& path : names()) {
        if (!prefix.empty() && !path.starts_with(prefix)) continue;
        known.push_back(path);
        const auto next = path.find('.', prefix.size());
        if (next != std::string::npos) known.push_back(path.substr(0, next));
    }
    throw Error(name_position, "the board has no parameter " + in_ticks(name) + did_you_mean(name, known));
}

void ParameterSet::check_complete(const std::string& machine) const {
    for (const Parameter& p : parameters_)
        if (!p.has_value && !p.optional)
            throw Error(p.position, "machine " + in_ticks(machine) + " needs a value for " + in_ticks(p.path) +
                                        (p.doc.empty() ? "" : " (" + p.doc + ")") +
                                        ": give it in the VM file or with --set " + p.path + "=...");
}

const Parameter& ParameterSet::known(const std::string& name, const Position& position) const {
    if (const Parameter* p = find(name)) return *p;
    throw Error(position, "there is no parameter " + in_ticks(name) + did_you_mean(name, names()));
}

bool ParameterSet::equals(const Parameter& p, const Value& wanted) const {
    if (wanted.is_null()) return !p.has_value;
    if (wanted.is_list()) {
        for (const Value& one : wanted.items())
            if (equals(p, one)) return true;
        return false;
    }
    const std::string& text = to_text(wanted, "the value of " + in_ticks(p.path));
    if (!p.has_value) return false;
    switch (p.type) {
        case Parameter::Type::kBool: return (to_bool(wanted, in_ticks(p.path)) ? "true" : "false") == p.value;
        case Parameter::Type::kNumber: return to_number(wanted, in_ticks(p.path)) == parse_number(p.value);
        case Parameter::Type::kSize: return to_size(wanted, in_ticks(p.path)) == parse_size(p.value);
        case Parameter::Type::kDuration: return to_duration(wanted, in_ticks(p.path)) == parse_duration(p.value);
        case Parameter::Type::kEnum: return checked(p, wanted) == p.value;
        default: return text == p.value;
    }
}

bool ParameterSet::holds(const Value& condition) const {
    switch (condition.kind()) {
        case Value::Kind::kScalar: {
            const Parameter& p = known(condition.text(), condition.position());
            return p.has_value && !(p.type == Parameter::Type::kBool && p.value == "false");
        }
        case Value::Kind::kMap:
            for (const auto& entry : condition.entries())
                if (!equals(known(entry.key, entry.position), entry.value)) return false;
            return true;
        case Value::Kind::kList:
            for (const Value& item : condition.items())
                if (!holds(item)) return false;
            return true;
        case Value::Kind::kNull: break;
    }
    throw Error(condition.position(), "a condition is a parameter's name, or a map of parameters and values");
}

bool ParameterSet::substitute(Value& value) const {
    if (value.is_map()) {
        std::erase_if(value.entries(), [&](Value::Entry& entry) { return !substitute(entry.value); });
        return true;
    }
    if (value.is_list()) {
        // A place in a list keeps its number: what has no value becomes null.
        for (Value& item : value.items())
            if (!substitute(item)) item = Value{};
        return true;
    }
    if (!value.is_scalar() || value.text().find("${") == std::string::npos) return true;

    const std::string text = value.text();
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        // $${ stands for ${ itself.
        if (text.compare(at, 3, "$${") == 0) {
            out += "${", at += 3;
            continue;
        }
        if (text.compare(at, 2, "${") != 0) {
            out += text[at++];
            continue;
        }
        const std::size_t end = text.find('}', at);
        if (end == std::string::npos) throw Error(value.position(), "`${` without its `}`: `" + text + "`");
        const Parameter& p = known(text.substr(at + 2, end - at - 2), value.position());
        const bool whole = at == 0 && end + 1 == text.size();
        if (!p.has_value) {
            if (whole) return false;
            throw Error(value.position(),
                        "the parameter " + in_ticks(p.path) + " has no value to put into `" + text + "`");
        }
        // What the user gave is what an error about it should point to.
        if (whole && p.given) value.set_position(p.value_position);
        out += p.value, at = end + 1;
    }
    value.set_text(std::move(out));
    return true;
}

}  // namespace backplane::kernel
