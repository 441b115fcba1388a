#include "kernel/control/arguments.hpp"

#include <algorithm>

#include "kernel/config/convert.hpp"

namespace backplane::kernel {

namespace {

using Type = ArgumentSpec::Type;

bool fits(Type type, const Json& value) {
    switch (type) {
        case Type::kText: return value.is_string();
        // Whole numbers of 64 bits with sign; a larger one would change on its way into an i64.
        case Type::kNumber:
            return value.is_number_integer() &&
                   (!value.is_number_unsigned() || value.get<u64>() <= u64{0x7fff'ffff'ffff'ffff});
        case Type::kBool: return value.is_boolean();
        case Type::kList: return value.is_array();
        case Type::kAny: return true;
    }
    return false;
}

const char* expected(Type type) {
    switch (type) {
        case Type::kText: return "a text";
        case Type::kNumber: return "a whole number";
        case Type::kBool: return "true or false";
        case Type::kList: return "a list";
        case Type::kAny: break;
    }
    return "a value";
}

}  // namespace

Json CommandError::json() const { return {{"class", error_class_}, {"desc", what()}}; }

std::string quoted_name(std::string_view name, const std::vector<std::string>& known) {
    constexpr std::size_t kShown = 80;
    if (name.size() > kShown) return in_ticks(std::string(name.substr(0, kShown)) + "...");
    return in_ticks(name) + did_you_mean(name, known);
}

const char* ArgumentSpec::type_name() const {
    switch (type) {
        case Type::kText: return "text";
        case Type::kNumber: return "number";
        case Type::kBool: return "bool";
        case Type::kList: return "list";
        case Type::kAny: break;
    }
    return "any";
}

Arguments::Arguments(const std::vector<ArgumentSpec>& specs, std::string_view given) {
    if (!given.empty()) values_ = Json::parse(given, nullptr, false);
    if (!values_.is_object()) throw CommandError("the arguments must be an object");
    for (const auto& [name, value] : values_.items()) {
        const auto spec =
            std::find_if(specs.begin(), specs.end(), [&](const ArgumentSpec& s) { return s.name == name; });
        if (spec == specs.end()) {
            std::vector<std::string> names;
            for (const ArgumentSpec& s : specs) names.push_back(s.name);
            throw CommandError("unknown argument " + quoted_name(name, names));
        }
        if (!fits(spec->type, value))
            throw CommandError("argument " + in_ticks(name) + ": expected " + expected(spec->type));
    }
    for (const ArgumentSpec& s : specs)
        if (!s.optional && !values_.contains(s.name))
            throw CommandError("argument " + in_ticks(s.name) + " is missing");
}

const Json& Arguments::value(const char* name) const {
    static const Json kNull;
    const auto found = values_.find(name);
    return found == values_.end() ? kNull : *found;
}

}  // namespace backplane::kernel
