#include "kernel/plugin/property.hpp"

#include <algorithm>

#include "kernel/config/convert.hpp"

namespace backplane::kernel {

PropertyValue property_value(const PropertyInfo& p, const Value* written, const std::string& device,
                             const Position& position) {
    const std::string what = device + ": " + in_ticks(p.name);
    PropertyValue out;
    out.given = written && !written->is_null();
    if (!out.given && p.required())
        throw Error(position,
                    device + " needs the property " + in_ticks(p.name) + (p.doc.empty() ? "" : " (" + p.doc + ")"));
    const Value fallback = out.given ? Value{} : Value::scalar(*p.default_text, position);
    const Value& value = out.given ? *written : fallback;
    // An empty default of these kinds means: nothing, zero, off.
    const bool empty_default = !out.given && value.text().empty();
    switch (p.kind) {
        case BP_PROPERTY_BOOL: out.number = !empty_default && to_bool(value, what); break;
        case BP_PROPERTY_U64:
            out.number = empty_default ? p.minimum : to_number(value, what, p.minimum, p.maximum);
            break;
        case BP_PROPERTY_SIZE:
            out.number = empty_default ? p.minimum : to_size(value, what, p.minimum, p.maximum);
            break;
        case BP_PROPERTY_DURATION:
            out.number = empty_default ? p.minimum : to_duration(value, what, p.minimum, p.maximum);
            break;
        case BP_PROPERTY_STRING: out.text = to_text(value, what); break;
        case BP_PROPERTY_ENUM: {
            out.text = empty_default ? p.choices.front() : to_choice(value, what, p.choices);
            out.number = static_cast<u64>(std::find(p.choices.begin(), p.choices.end(), out.text) - p.choices.begin());
            break;
        }
        case BP_PROPERTY_PATH:
            // A default cannot know the folder it would be relative to.
            out.text = out.given ? to_path(value, what) : value.text();
            break;
        default: throw Error(position, what + " is of an unknown kind", kExitPlugin);
    }
    return out;
}

std::vector<std::string> device_keys(const TypeInfo& type) {
    std::vector<std::string> keys = {"type", "plugin"};
    if (!type.plugs.empty()) keys.push_back("on");
    if (!type.regions.empty()) keys.push_back("at");
    for (const PropertyInfo& p : type.properties) keys.push_back(p.name);
    for (const LinkInfo& l : type.links) keys.push_back(l.name);
    for (const LineInfo& o : type.outputs) {
        keys.push_back(o.name);
        for (u32 i = 0; o.count > 1 && i < o.count; ++i) keys.push_back(o.line_name(i));
    }
    return keys;
}

}  // namespace backplane::kernel
