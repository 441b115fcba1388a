// What differs between two boards.
#include <algorithm>

#include "kernel/config/board_spec.hpp"
#include "kernel/config/convert.hpp"

namespace backplane::kernel {

namespace {

bool same(const Value& a, const Value& b);

bool same_entries(const std::vector<Value::Entry>& a, const std::vector<Value::Entry>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Value::Entry& x, const Value::Entry& y) {
        return x.key == y.key && same(x.value, y.value);
    });
}

bool same(const Value& a, const Value& b) {
    if (a.kind() != b.kind() || a.text() != b.text()) return false;
    return std::equal(a.items().begin(), a.items().end(), b.items().begin(), b.items().end(), same) &&
           same_entries(a.entries(), b.entries());
}

std::string device_difference(const DeviceSpec& a, const DeviceSpec& b) {
    if (a.type != b.type) return a.name + " would be a " + b.type + " instead of a " + a.type;
    for (const Value::Entry& e : a.entries) {
        const Value* other = b.find(e.key);
        if (!other || !same(e.value, *other)) return in_ticks(e.key) + " of " + a.name + " would be another";
    }
    for (const Value::Entry& e : b.entries)
        if (!a.find(e.key)) return a.name + " would get a " + in_ticks(e.key);
    return "";
}

}  // namespace

std::string board_difference(const BoardSpec& a, const BoardSpec& b, const std::vector<std::string>& free) {
    for (const DeviceSpec& d : a.devices)
        if (!b.device(d.name)) return d.name + " would not be there";
    for (const DeviceSpec& d : b.devices)
        if (!a.device(d.name)) return "there would be another device, " + d.name;
    for (std::size_t i = 0; i < a.devices.size(); ++i) {
        if (a.devices[i].name != b.devices[i].name) return "the devices would stand in another order";
        if (std::find(free.begin(), free.end(), a.devices[i].name) != free.end()) continue;
        const std::string text = device_difference(a.devices[i], b.devices[i]);
        if (!text.empty()) return text;
    }
    if (!same(a.clock, b.clock)) return "the clock would be another";
    const bool spaces =
        std::equal(a.spaces.begin(), a.spaces.end(), b.spaces.begin(), b.spaces.end(),
                   [](const SpaceSpec& x, const SpaceSpec& y) { return x.kind == y.kind && x.bits == y.bits; });
    if (!spaces) return "the spaces would be others";
    const bool lines = std::equal(
        a.lines.begin(), a.lines.end(), b.lines.begin(), b.lines.end(), [](const WireSpec& x, const WireSpec& y) {
            return x.name == y.name && std::equal(x.sinks.begin(), x.sinks.end(), y.sinks.begin(), y.sinks.end(), same);
        });
    if (!lines) return "the lines would be others";
    const bool publish = std::equal(a.publish.begin(), a.publish.end(), b.publish.begin(), b.publish.end(),
                                    [](const PublishSpec& x, const PublishSpec& y) {
                                        return same(x.what, y.what) && same(x.from, y.from) && same(x.into, y.into);
                                    });
    return publish ? "" : "other facts would be published";
}

}  // namespace backplane::kernel
