// Declared state of a live device by path: "DEVICE", "DEVICE.field", "DEVICE.group[1].field" or one element of an
// array, "DEVICE.field[3]".
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "backplane/abi/device.h"
#include "kernel/control/arguments.hpp"

namespace backplane::kernel {

class Machine;
struct Instance;

// The device, or CommandError of class DeviceNotFound.
Instance& find_device(Machine& machine, const std::string& name);

// The value of a field, or of one of its elements: a number, a bool, a list of them, or for raw bytes a text of
// hexadecimal digits.
Json field_json(const bp_state_field& field, std::optional<u64> element = {});
// What the field is: kind, size, range.
Json field_info(const std::string& path, const bp_state_field& field);

// The values below a path, as {path: value}. Throws CommandError if there are none.
Json get_state(Machine& machine, const std::string& path);
// Everything below a path ("" is the whole machine), described.
Json list_state(Machine& machine, const std::string& path);
// Sets one field or element while the machine stands still. If the device refuses, the former value comes back and
// CommandError says why.
void set_state(Machine& machine, const std::string& path, const Json& value);

}  // namespace backplane::kernel
