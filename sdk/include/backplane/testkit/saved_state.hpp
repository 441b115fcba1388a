// The declared state of a device as a snapshot holds it, and the checks that a snapshot must pass before a field is
// written: names, kinds, counts, ranges, versions. The kernel makes the same ones.
#pragma once

#include <cstring>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "backplane/abi/device.h"
#include "backplane/types.hpp"

namespace backplane::testkit {

struct SavedField {
    u32 kind = 0;
    u32 element_size = 0;
    std::string bytes;
    bool operator==(const SavedField&) const = default;
};

// Equal values mean equal states. Fields are reached by name: saved.at("index")[0] = 7.
struct SavedState {
    u32 version = 1;  // of the type's state
    std::map<std::string, SavedField, std::less<>> fields;
    std::map<std::string, i64> timers;                         // when due, or -1
    std::map<std::string, bool> lines;                         // levels of the outputs
    std::map<std::string, std::map<u64, std::string>> memory;  // guest memory by block: pages that are not zero

    bool operator==(const SavedState&) const = default;
    std::string& at(std::string_view name) {
        const auto found = fields.find(name);
        if (found == fields.end()) throw std::out_of_range("no field " + std::string(name));
        return found->second.bytes;
    }
    std::string& operator[](std::string_view name) { return at(name); }
};

// A field as the device described it, with a copy of its value: the field itself may be gone after the visit.
struct VisitedField {
    bp_state_field info;  // name and data are not valid any more
    std::string name, value;
    u64 size() const { return info.element_size * info.count; }
    bool dropped() const { return info.flags & BP_STATE_DROPPED; }
    bool identity() const { return info.flags & BP_STATE_IDENTITY; }
};

// Calls function(const bp_state_field&) for every field while it may be read and written.
template <class Function>
void for_each_state(const bp_device_type* type, void* instance, Function function) {
    const bp_state_visitor visitor{sizeof visitor, &function,
                                   [](void* self, const bp_state_field* f) { (*static_cast<Function*>(self))(*f); }};
    type->visit_state(instance, &visitor);
}

inline std::vector<VisitedField> visited_state(const bp_device_type* type, void* instance) {
    std::vector<VisitedField> out;
    for_each_state(type, instance, [&out](const bp_state_field& f) {
        VisitedField field{f, std::string(to_view(f.name)), {}};
        if (f.data) field.value.assign(static_cast<const char*>(f.data), field.size());
        out.push_back(std::move(field));
    });
    return out;
}

// The element as 64 bits, sign-extended if the field is signed.
inline u64 state_element(const bp_state_field& f, const void* data, u64 index) {
    u64 value = 0;
    std::memcpy(&value, static_cast<const u8*>(data) + index * f.element_size, f.element_size);
    if (f.kind == BP_STATE_SIGNED && f.element_size < 8 && (value >> (8 * f.element_size - 1) & 1))
        value |= ~u64{0} << (8 * f.element_size);
    return value;
}

inline bool state_in_range(const bp_state_field& f, u64 value) {
    if (f.kind == BP_STATE_SIGNED)
        return static_cast<i64>(value) >= static_cast<i64>(f.minimum) &&
               static_cast<i64>(value) <= static_cast<i64>(f.maximum);
    return value >= f.minimum && value <= f.maximum;
}

inline bool state_has_range(const bp_state_field& f) {
    return f.kind == BP_STATE_UNSIGNED || f.kind == BP_STATE_SIGNED || f.kind == BP_STATE_BOOL;
}

inline std::string state_value_text(const bp_state_field& f, u64 value) {
    return f.kind == BP_STATE_SIGNED ? std::to_string(static_cast<i64>(value)) : std::to_string(value);
}

// The first element outside of the declared range, or "".
inline std::string state_range_fault(const VisitedField& f, const void* data) {
    if (!state_has_range(f.info)) return {};
    for (u64 i = 0; i < f.info.count; ++i)
        if (const u64 value = state_element(f.info, data, i); !state_in_range(f.info, value))
            return "state field " + f.name + (f.info.count > 1 ? " (element " + std::to_string(i) + ")" : "") + " is " +
                   state_value_text(f.info, value) + ", outside of its declared range " +
                   state_value_text(f.info, f.info.minimum) + " ... " + state_value_text(f.info, f.info.maximum);
    return {};
}

// Why the saved fields do not fit the device, or "". Nothing is written.
inline std::string state_fault(const std::vector<VisitedField>& fields, const SavedState& saved, u32 own_version) {
    if (saved.version > own_version) return "the snapshot is of a later version of the type";
    std::set<std::string_view> known;
    for (const VisitedField& f : fields) {
        known.insert(f.name);
        if (f.dropped()) continue;
        const auto found = saved.fields.find(f.name);
        if (found == saved.fields.end()) {
            if (f.info.since <= saved.version) return "the snapshot has no field " + f.name;
            continue;
        }
        const SavedField& s = found->second;
        if (s.kind != f.info.kind || s.element_size != f.info.element_size)
            return "field " + f.name + " is of another kind in the snapshot";
        if (s.bytes.size() != f.size()) return "field " + f.name + " has another count in the snapshot";
        if (f.identity() && s.bytes != f.value) return f.name + " is not what it was when the snapshot was made";
        if (std::string fault = state_range_fault(f, s.bytes.data()); !fault.empty()) return fault;
    }
    for (const auto& [name, unused] : saved.fields)
        if (!known.count(name)) return "the device has no field " + name;
    return {};
}

}  // namespace backplane::testkit
