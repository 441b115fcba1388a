#include "kernel/control/state_field.hpp"

#include <cmath>
#include <cstring>
#include <exception>
#include <functional>
#include <vector>

#include "kernel/config/convert.hpp"
#include "kernel/machine/machine.hpp"

namespace backplane::kernel {

namespace {

using Visit = std::function<void(const std::string& name, const bp_state_field& field)>;

// No exception may cross the plugin's code: it waits until the visit is over.
void visit(const Instance& d, const Visit& each) {
    struct Context {
        const Visit& each;
        std::exception_ptr error;
    } context{each, {}};
    const bp_state_visitor visitor{sizeof(bp_state_visitor), &context, [](void* self, const bp_state_field* f) {
                                       auto& c = *static_cast<Context*>(self);
                                       // What is left of older versions of the type has no value.
                                       if (c.error || f->flags & BP_STATE_DROPPED) return;
                                       try {
                                           c.each({f->name.data, f->name.size}, *f);
                                       } catch (...) {
                                           c.error = std::current_exception();
                                       }
                                   }};
    d.type->abi->visit_state(d.object, &visitor);
    if (context.error) std::rethrow_exception(context.error);
}

const char* kind_name(u32 kind) {
    switch (kind) {
        case BP_STATE_UNSIGNED: return "unsigned";
        case BP_STATE_SIGNED: return "signed";
        case BP_STATE_BOOL: return "bool";
        case BP_STATE_BYTES: return "bytes";
        case BP_STATE_FLOAT: return "float";
        default: return "unknown";
    }
}

u64 raw(const bp_state_field& f, u64 element) {
    u64 value = 0;
    std::memcpy(&value, static_cast<const u8*>(f.data) + element * f.element_size,
                std::min<u32>(f.element_size, sizeof value));
    return value;
}

i64 sign_extended(u64 value, u32 bytes) {
    const int shift = 64 - 8 * static_cast<int>(std::min<u32>(bytes, 8));
    return static_cast<i64>(value << shift) >> shift;
}

Json element_json(const bp_state_field& f, u64 element) {
    const u64 value = raw(f, element);
    switch (f.kind) {
        case BP_STATE_BOOL: return value != 0;
        case BP_STATE_SIGNED: return sign_extended(value, f.element_size);
        case BP_STATE_FLOAT: {
            double number = 0;
            if (f.element_size == sizeof(float)) {
                float narrow = 0;
                std::memcpy(&narrow, &value, sizeof narrow);
                number = static_cast<double>(narrow);
            } else {
                std::memcpy(&number, &value, sizeof number);
            }
            return number;
        }
        default: return value;
    }
}

std::string hex(const u8* data, u64 size) {
    constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    for (u64 i = 0; i < size; ++i) text += kDigits[data[i] >> 4], text += kDigits[data[i] & 15];
    return text;
}

// "field[12]" -> {"field", 12}
std::optional<std::pair<std::string, u64>> split_element(const std::string& path) {
    const auto open = path.rfind('[');
    if (open == std::string::npos || !path.ends_with(']')) return std::nullopt;
    const auto index = parse_number(std::string_view(path).substr(open + 1, path.size() - open - 2));
    if (!index) return std::nullopt;
    return std::pair{path.substr(0, open), *index};
}

struct Path {
    std::string device, field;
    explicit Path(const std::string& text)
        : device(text.substr(0, text.find('.'))),
          field(device.size() == text.size() ? "" : text.substr(device.size() + 1)) {}
};

bool below(const std::string& name, const std::string& group) {
    return group.empty() || (name.starts_with(group) && (name[group.size()] == '.' || name[group.size()] == '['));
}

[[noreturn]] void no_field(const Instance& d, const std::string& field) {
    std::vector<std::string> names;
    visit(d, [&](const std::string& name, const bp_state_field&) { names.push_back(name); });
    throw CommandError(d.name() + " has no state " + quoted_name(field, names));
}

void check_element(const std::string& path, const bp_state_field& f, u64 element) {
    if (element >= f.count)
        throw CommandError(path + ": the field has " + std::to_string(f.count) +
                           (f.count == 1 ? " element" : " elements"));
}

// --- Values into bytes -----------------------------------------------------------------------------------------------

[[noreturn]] void refuse(const std::string& path, const std::string& expected) {
    throw CommandError(path + ": expected " + expected);
}

u64 unsigned_value(const std::string& path, const bp_state_field& f, const Json& value) {
    const u64 limit = f.element_size >= 8 ? ~u64{0} : (u64{1} << (8 * f.element_size)) - 1;
    const u64 maximum = std::min(f.maximum, limit);
    if (value.is_number_unsigned() || (value.is_number_integer() && value.get<i64>() >= 0))
        if (const u64 number = value.get<u64>(); number >= f.minimum && number <= maximum) return number;
    refuse(path, "a whole number from " + std::to_string(f.minimum) + " to " + std::to_string(maximum));
}

u64 signed_value(const std::string& path, const bp_state_field& f, const Json& value) {
    const int bits = 8 * static_cast<int>(std::min<u32>(f.element_size, 8));
    const i64 lowest = std::max(static_cast<i64>(f.minimum), static_cast<i64>(~u64{0} << (bits - 1)));
    const i64 highest = std::min(static_cast<i64>(f.maximum), static_cast<i64>(~(~u64{0} << (bits - 1))));
    const bool too_large = value.is_number_unsigned() && value.get<u64>() > u64{0x7fff'ffff'ffff'ffff};
    if (value.is_number_integer() && !too_large)
        if (const i64 number = value.get<i64>(); number >= lowest && number <= highest) return static_cast<u64>(number);
    refuse(path, "a whole number from " + std::to_string(lowest) + " to " + std::to_string(highest));
}

u64 float_value(const std::string& path, const bp_state_field& f, const Json& value) {
    if (!value.is_number()) refuse(path, "a number");
    const double number = value.get<double>();
    u64 bits = 0;
    if (f.element_size == sizeof(float)) {
        const auto narrow = static_cast<float>(number);
        if (!std::isfinite(narrow)) refuse(path, "a number of single precision");
        std::memcpy(&bits, &narrow, sizeof narrow);
    } else {
        std::memcpy(&bits, &number, sizeof number);
    }
    return bits;
}

void append_element(const std::string& path, const bp_state_field& f, const Json& value, std::string& bytes) {
    u64 number = 0;
    switch (f.kind) {
        case BP_STATE_BOOL:
            if (!value.is_boolean()) refuse(path, "true or false");
            number = value.get<bool>();
            break;
        case BP_STATE_SIGNED: number = signed_value(path, f, value); break;
        case BP_STATE_FLOAT: number = float_value(path, f, value); break;
        default: number = unsigned_value(path, f, value); break;
    }
    bytes.append(reinterpret_cast<const char*>(&number), f.element_size);
}

std::string bytes_of_hex(const std::string& path, const bp_state_field& f, const Json& value) {
    const auto digit = [](char c) {
        if (c >= '0' && c <= '9') return c - '0';
        if (c >= 'a' && c <= 'f') return c - 'a' + 10;
        if (c >= 'A' && c <= 'F') return c - 'A' + 10;
        return -1;
    };
    std::string bytes;
    bool good = value.is_string() && value.get_ref<const std::string&>().size() == 2 * f.count;
    if (good) {
        const auto& text = value.get_ref<const std::string&>();
        for (std::size_t i = 0; i < text.size() && good; i += 2) {
            const int high = digit(text[i]), low = digit(text[i + 1]);
            good = high >= 0 && low >= 0;
            bytes += static_cast<char>(high << 4 | low);
        }
    }
    if (!good) refuse(path, "a text of " + std::to_string(2 * f.count) + " hexadecimal digits");
    return bytes;
}

// What is to be written at the field's beginning, or at one of its elements.
std::string bytes_of(const std::string& path, const bp_state_field& f, const Json& value, std::optional<u64> element) {
    std::string bytes;
    if (element || (f.count == 1 && f.kind != BP_STATE_BYTES)) {
        append_element(path, f, value, bytes);
    } else if (f.kind == BP_STATE_BYTES) {
        bytes = bytes_of_hex(path, f, value);
    } else {
        if (!value.is_array() || value.size() != f.count)
            refuse(path, "a list of " + std::to_string(f.count) + " values, or one element as the path");
        for (std::size_t i = 0; i < value.size(); ++i)
            append_element(path + "[" + std::to_string(i) + "]", f, value[i], bytes);
    }
    return bytes;
}

}  // namespace

// ---------------------------------------------------------------------------------------------------------------------

Instance& find_device(Machine& machine, const std::string& name) {
    if (Instance* d = machine.device(name)) return *d;
    std::vector<std::string> names;
    for (const Instance& d : machine.devices()) names.push_back(d.name());
    throw CommandError("DeviceNotFound", "there is no device " + quoted_name(name, names));
}

Json field_json(const bp_state_field& f, std::optional<u64> element) {
    if (element) return element_json(f, *element);
    if (f.kind == BP_STATE_BYTES) return hex(static_cast<const u8*>(f.data), f.count);
    if (f.count == 1) return element_json(f, 0);
    Json list = Json::array();
    for (u64 i = 0; i < f.count; ++i) list.push_back(element_json(f, i));
    return list;
}

Json field_info(const std::string& path, const bp_state_field& f) {
    Json info = {{"path", path},
                 {"kind", kind_name(f.kind)},
                 {"bytes", f.element_size},
                 {"count", f.count},
                 {"writable", (f.flags & BP_STATE_WRITABLE) != 0}};
    if (f.kind == BP_STATE_UNSIGNED) {
        const u64 limit = f.element_size >= 8 ? ~u64{0} : (u64{1} << (8 * f.element_size)) - 1;
        info["minimum"] = f.minimum, info["maximum"] = std::min(f.maximum, limit);
    }
    return info;
}

Json get_state(Machine& machine, const std::string& text) {
    const Path path(text);
    const Instance& d = find_device(machine, path.device);
    const auto element = split_element(path.field);
    Json values = Json::object(), of_element;
    bool whole = false;
    visit(d, [&](const std::string& name, const bp_state_field& f) {
        if (name == path.field) whole = true;
        if (name == path.field || below(name, path.field)) values[d.name() + "." + name] = field_json(f);
        if (element && name == element->first) {
            check_element(text, f, element->second);
            of_element = {{text, field_json(f, element->second)}};
        }
    });
    if (whole || !values.empty()) return values;
    if (!of_element.is_null()) return of_element;
    if (path.field.empty()) return Json::object();
    no_field(d, path.field);
}

Json list_state(Machine& machine, const std::string& text) {
    const Path path(text);
    Json list = Json::array();
    const auto add = [&](const Instance& d) {
        visit(d, [&](const std::string& name, const bp_state_field& f) {
            if (name == path.field || below(name, path.field)) list.push_back(field_info(d.name() + "." + name, f));
        });
    };
    if (text.empty()) {
        for (const Instance& d : machine.devices()) add(d);
        return list;
    }
    const Instance& d = find_device(machine, path.device);
    add(d);
    if (list.empty() && !path.field.empty()) no_field(d, path.field);
    return list;
}

void set_state(Machine& machine, const std::string& text, const Json& value) {
    if (machine.in_session())
        throw CommandError(text +
                           " cannot be set: a session is recorded or replayed, and a recording holds input only");
    const Path path(text);
    Instance& d = find_device(machine, path.device);
    if (path.field.empty()) throw CommandError(text + ": expected DEVICE.field");
    const auto element = split_element(path.field);
    std::string target;
    std::optional<u64> index;
    // A field's own name goes before an element of another one.
    visit(d, [&](const std::string& name, const bp_state_field&) {
        if (name == path.field) target = name, index.reset();
        if (element && name == element->first && target.empty()) target = name, index = element->second;
    });
    if (target.empty()) no_field(d, path.field);

    const auto write = [&](const std::function<void(const bp_state_field&, u8*)>& change) {
        visit(d, [&](const std::string& name, const bp_state_field& f) {
            if (name == target) change(f, static_cast<u8*>(f.data) + index.value_or(0) * f.element_size);
        });
    };
    std::string former;
    write([&](const bp_state_field& f, u8* place) {
        if (!(f.flags & BP_STATE_WRITABLE)) throw CommandError(text + " cannot be set");
        if (index) check_element(text, f, *index);
        const std::string bytes = bytes_of(text, f, value, index);
        former.assign(reinterpret_cast<const char*>(place), bytes.size());
        std::memcpy(place, bytes.data(), bytes.size());
    });
    d.failure.clear();
    if (d.type->abi->restored(d.object) == BP_OK) return;
    const std::string why = d.failure.empty() ? "" : ": " + d.failure;
    write([&](const bp_state_field&, u8* place) { std::memcpy(place, former.data(), former.size()); });
    d.type->abi->restored(d.object);
    throw CommandError(d.name() + " refuses this value of " + text + why);
}

}  // namespace backplane::kernel
