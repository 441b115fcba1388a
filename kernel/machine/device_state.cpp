#include "kernel/machine/device_state.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <functional>
#include <map>
#include <string_view>

#include "kernel/config/convert.hpp"
#include "kernel/config/error.hpp"

namespace backplane::kernel {

namespace {

std::string property_text(const PropertyInfo& info, const PropertyValue& value) {
    switch (info.kind) {
        case BP_PROPERTY_STRING:
        case BP_PROPERTY_ENUM:
        case BP_PROPERTY_PATH: return value.text;
        default: return std::to_string(value.number);
    }
}

// Calls `see` for every field that `show` shows. No exception may pass through a plugin.
void visit_fields(const std::function<void(const bp_state_visitor*)>& show,
                  const std::function<void(const bp_state_field&)>& see) {
    struct Context {
        const std::function<void(const bp_state_field&)>& see;
        std::exception_ptr error;
    } context{see, nullptr};
    const bp_state_visitor visitor{sizeof(bp_state_visitor), &context, [](void* self, const bp_state_field* f) {
                                       auto& c = *static_cast<Context*>(self);
                                       if (c.error) return;
                                       try {
                                           c.see(*f);
                                       } catch (...) {
                                           c.error = std::current_exception();
                                       }
                                   }};
    show(&visitor);
    if (context.error) std::rethrow_exception(context.error);
}
void visit(const Instance& d, const std::function<void(const bp_state_field&)>& see) {
    visit_fields([&d](const bp_state_visitor* visitor) { d.type->abi->visit_state(d.object, visitor); }, see);
}

StateValue value_of(const bp_state_field& f) {
    StateValue v;
    v.name = std::string(to_view(f.name));
    v.kind = f.kind, v.element_size = f.element_size, v.since = f.since, v.flags = f.flags, v.count = f.count;
    v.bytes.assign(static_cast<const char*>(f.data), f.element_size * f.count);
    return v;
}

bool numeric(u32 kind) { return kind == BP_STATE_UNSIGNED || kind == BP_STATE_SIGNED || kind == BP_STATE_BOOL; }

u64 element(const char* bytes, u64 index, u32 size) {
    u64 value = 0;
    std::memcpy(&value, bytes + index * size, std::min<u32>(size, 8));
    return value;
}

i64 extend(u64 value, u32 size) {
    const int shift = 64 - 8 * static_cast<int>(size);
    return static_cast<i64>(value << shift) >> shift;
}

void check_range(const bp_state_field& f, const std::string& bytes, const std::string& label) {
    if (!numeric(f.kind) || f.element_size > 8) return;
    const bool is_signed = f.kind == BP_STATE_SIGNED;
    for (u64 i = 0; i < f.count; ++i) {
        const u64 value = element(bytes.data(), i, f.element_size);
        const i64 number = extend(value, f.element_size);
        const bool good = is_signed ? number >= static_cast<i64>(f.minimum) && number <= static_cast<i64>(f.maximum)
                                    : value >= f.minimum && value <= f.maximum;
        if (good) continue;
        const auto text = [&](u64 v) { return is_signed ? std::to_string(static_cast<i64>(v)) : std::to_string(v); };
        throw Error(label + (f.count > 1 ? "[" + std::to_string(i) + "]" : "") + " cannot be " +
                    text(is_signed ? static_cast<u64>(number) : value) + "; it lies between " + text(f.minimum) +
                    " and " + text(f.maximum));
    }
}

std::string shape(u32 kind, u32 size, u64 count) {
    static const char* const kinds[] = {"?", "unsigned", "signed", "bool", "bytes", "float"};
    return std::to_string(count) + " x " + (kind < 6 ? kinds[kind] : "?") + std::to_string(8 * u64{size});
}

}  // namespace

DeviceState save_device(const Instance& d) {
    DeviceState s;
    s.name = d.name(), s.type = d.type->name;
    s.plugin = d.type->plugin_id, s.plugin_version = d.type->plugin_version;
    s.plugin_kind = d.type->backend ? "backend" : "device";
    s.state_version = d.type->abi->state_version;
    for (std::size_t i = 0; i < d.properties.size(); ++i)
        if (d.type->properties[i].kind != BP_PROPERTY_PATH)
            s.properties.emplace_back(d.type->properties[i].name,
                                      property_text(d.type->properties[i], d.properties[i]));
    visit(d, [&](const bp_state_field& f) {
        if (f.flags & BP_STATE_DROPPED) return;
        s.fields.push_back(value_of(f));
    });
    for (const LineInfo& l : d.type->outputs)
        for (u32 n = 0; n < l.count; ++n) s.lines.emplace_back(l.line_name(n), d.levels[l.first + n]);
    for (std::size_t i = 0; i < d.timers.size(); ++i)
        if (d.timers[i].due >= 0) s.timers.push_back({d.type->timers[i].name, d.timers[i].due, d.timers[i].sequence});
    return s;
}

// A whole number that has become wider since an older version of the device: takes its value.
void widen(StateValue& v, const bp_state_field& f) {
    const bool whole = f.kind == BP_STATE_UNSIGNED || f.kind == BP_STATE_SIGNED;
    if (!whole || v.kind != f.kind || v.count != f.count || v.element_size >= f.element_size || f.element_size > 8 ||
        v.bytes.size() != v.element_size * v.count)
        return;
    std::string bytes;
    for (std::uint64_t i = 0; i < v.count; ++i) {
        u64 value = element(v.bytes.data(), i, v.element_size);
        if (f.kind == BP_STATE_SIGNED) value = static_cast<u64>(extend(value, v.element_size));
        bytes.append(reinterpret_cast<const char*>(&value), f.element_size);
    }
    v.bytes = std::move(bytes);
    v.element_size = f.element_size;
}

void load_device(Instance& d, const DeviceState& saved, std::int64_t now) {
    const u32 version = d.type->abi->state_version;
    if (saved.state_version > version)
        throw Error(d.name() + ": its state was written by a newer " + d.type->name + " (state version " +
                    std::to_string(saved.state_version) + "; this one knows " + std::to_string(version) + ")");
    std::map<std::string_view, const StateValue*> fields;
    for (const StateValue& v : saved.fields) fields.emplace(v.name, &v);

    visit(d, [&](const bp_state_field& f) {
        const std::string name(to_view(f.name));
        const std::string label = d.name() + "." + name;
        const auto found = fields.find(name);
        if (f.flags & BP_STATE_DROPPED) {
            if (found != fields.end()) fields.erase(found);
            return;
        }
        if (found == fields.end()) {
            // At its value after power-on: the version that wrote the snapshot did not have it.
            if (f.since > saved.state_version) return;
            throw Error(label + " is missing in the saved state");
        }
        StateValue v = *found->second;
        fields.erase(found);
        if (f.flags & BP_STATE_IDENTITY) return;
        if (saved.state_version < version) widen(v, f);
        if (v.kind != f.kind || v.element_size != f.element_size || v.count != f.count)
            throw Error(label + " is " + shape(v.kind, v.element_size, v.count) + " in the saved state and " +
                        shape(f.kind, f.element_size, f.count) + " here");
        if (v.bytes.size() != f.element_size * f.count) throw Error(label + " is damaged: its size is wrong");
        check_range(f, v.bytes, label);
        if (!v.bytes.empty()) std::memcpy(f.data, v.bytes.data(), v.bytes.size());
    });
    if (!fields.empty())
        throw Error(d.name() + "." + std::string(fields.begin()->first) + " stands in the saved state, but " +
                    d.type->name + " has no such field");

    for (const auto& [name, level] : saved.lines) {
        const auto line = d.type->output(name);
        if (!line) {
            if (saved.state_version < version) continue;
            throw Error(d.name() + "." + name + " stands in the saved state, but " + d.type->name +
                        " has no such output line");
        }
        d.levels[line->index] = level;
        for (const auto& [wire, driver] : d.outputs[line->index]) d.assembly->wires.restore(wire, driver, level);
    }
    for (std::size_t i = 0; i < d.timers.size(); ++i)
        d.assembly->timers.cancel(d.index, static_cast<u32>(i), d.timers[i]);
    for (const DeviceState::Timer& t : saved.timers) {
        const auto& timers = d.type->timers;
        const auto found =
            std::find_if(timers.begin(), timers.end(), [&](const TimerInfo& i) { return i.name == t.name; });
        if (found == timers.end()) {
            if (saved.state_version < version) continue;
            throw Error(d.name() + "." + t.name + " stands in the saved state, but " + d.type->name +
                        " has no such timer");
        }
        const auto index = static_cast<u32>(found - timers.begin());
        // Long overdue timers are damage: a device may catch up period by period.
        constexpr std::int64_t kLate = 1'000'000'000;
        const std::int64_t due = std::max({t.due, now - kLate, std::int64_t{0}});
        d.assembly->timers.restore(d.index, index, d.timers[index], {due, t.sequence});
    }
}

void check_identity(const Instance& d, const DeviceState& saved) {
    visit(d, [&](const bp_state_field& f) {
        if (!(f.flags & BP_STATE_IDENTITY)) return;
        const std::string_view name = to_view(f.name);
        for (const StateValue& v : saved.fields) {
            if (v.name != name) continue;
            const std::string_view here(static_cast<const char*>(f.data), f.element_size * f.count);
            if (v.bytes == here) return;
            const auto text = [&](std::string_view bytes) {
                if (f.count != 1 || bytes.size() != f.element_size) return std::string("something else");
                return std::to_string(element(bytes.data(), 0, f.element_size));
            };
            throw Error(d.name() + " is not as it was when the snapshot was taken: " + std::string(name) + " was " +
                        text(v.bytes) + " and is " + text(here) +
                        "; what the guest remembers of it may be wrong now (to restore all the same, force it)");
        }
    });
}

bool gives_state(const Vcpu& v) {
    return v.state && v.state->size >= offsetof(bp_cpu_state, visit) + sizeof v.state->visit && v.state->visit;
}

bp_x86_state cpu_state(const Vcpu& v) {
    bp_x86_state state{};
    state.size = sizeof state;
    if (!gives_state(v) || v.state->get(v.engine, &state) != BP_OK)
        throw Error(v.device->name() + ": " + v.device->type->name + " does not give its processor's state away");
    return state;
}

void set_cpu_state(Vcpu& v, const bp_x86_state& state) {
    v.device->failure.clear();
    if (!gives_state(v))
        throw Error(v.device->name() + ": " + v.device->type->name + " does not take another processor's state");
    if (v.state->set(v.engine, &state) != BP_OK)
        throw Error(v.device->name() + ": " + v.device->type->name + ": " +
                    (v.device->failure.empty() ? "it does not accept the processor's state" : v.device->failure));
}

std::vector<StateValue> cpu_fields(const Vcpu& v, const bp_x86_state& state) {
    std::vector<StateValue> fields;
    bp_x86_state copy = state;
    visit_fields([&](const bp_state_visitor* visitor) { v.state->visit(&copy, visitor); },
                 [&](const bp_state_field& f) { fields.push_back(value_of(f)); });
    return fields;
}

bp_x86_state cpu_state_of(const Vcpu& v, const std::vector<StateValue>& saved) {
    bp_x86_state state = cpu_state(v);
    std::map<std::string_view, const StateValue*> fields;
    for (const StateValue& f : saved) fields.emplace(f.name, &f);
    const std::string label = "the processor state of " + v.device->name();
    visit_fields([&](const bp_state_visitor* visitor) { v.state->visit(&state, visitor); },
                 [&](const bp_state_field& f) {
                     const auto found = fields.find(to_view(f.name));
                     if (found == fields.end()) return;  // the engine that saved it did not know the field
                     StateValue value = *found->second;
                     fields.erase(found);
                     widen(value, f);
                     if (value.kind != f.kind || value.element_size != f.element_size || value.count != f.count)
                         throw Error(label + ": " + value.name + " is " +
                                     shape(value.kind, value.element_size, value.count) + " in the saved state and " +
                                     shape(f.kind, f.element_size, f.count) + " here");
                     std::memcpy(f.data, value.bytes.data(), value.bytes.size());
                 });
    // What later versions add is 0 where a program does not use it.
    for (const auto& [name, value] : fields)
        if (value->bytes.find_first_not_of('\0') != std::string::npos)
            throw Error(label + ": " + std::string(name) + " is in use, and " + v.device->type->name +
                        " does not know it");
    return state;
}

void load_outputs(Instance& d, const DeviceState& saved) {
    for (const auto& [name, level] : saved.lines) {
        const auto line = d.type->output(name);
        if (!line) continue;
        d.levels[line->index] = level;
        for (const auto& [wire, driver] : d.outputs[line->index]) d.assembly->wires.restore(wire, driver, level);
    }
}

}  // namespace backplane::kernel
