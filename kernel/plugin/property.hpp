// From what the YAML says about a property to the value that the device gets.
#pragma once

#include <string>
#include <vector>

#include "kernel/config/value.hpp"
#include "kernel/plugin/type_info.hpp"

namespace backplane::kernel {

struct PropertyValue {
    u64 number = 0;    // bool, number, size, duration (ns); enum: index of the choice
    std::string text;  // string, path (absolute), enum
    bool given = false;
};

// The checked value; `written` is null if the board does not mention the property. `device` begins error texts. Throws
// Error.
PropertyValue property_value(const PropertyInfo& property, const Value* written, const std::string& device,
                             const Position& position);

// Every name that may stand as a key in a device of this type: properties, links, output lines (bundles as well by
// their common name), `type`, `on`, `at`.
std::vector<std::string> device_keys(const TypeInfo& type);

}  // namespace backplane::kernel
