#include "kernel/plugin/type_info.hpp"

#include <algorithm>

#include "kernel/config/convert.hpp"
#include "kernel/config/error.hpp"
#include "kernel/plugin/property.hpp"

namespace backplane::kernel {

namespace {

inline constexpr std::size_t kMaxItems = 1024;  // of one kind
inline constexpr u32 kMaxLines = 4096;          // of one bundle
inline constexpr std::size_t kMaxText = 64u << 10;

// Collects what describe() says. It is called from the plugin, so nothing may be thrown through: the first fault is
// kept and reported when describe() has returned.
struct Listener {
    TypeInfo info;
    std::string fault;

    static Listener& of(void* self) { return *static_cast<Listener*>(self); }

    void blame(const std::string& text) {
        if (fault.empty()) fault = text;
    }
    std::string text(bp_str s, const char* what) {
        if (!s.data) return {};
        if (s.size > kMaxText) {
            blame(std::string("a text of ") + what + " is too long");
            return {};
        }
        return std::string(s.data, s.size);
    }
    // Whether an item of this kind may be taken.
    template <class Item>
    bool fits(const Item* d, const char* what, std::size_t present) {
        if (!d || d->size != sizeof(Item)) {
            blame(std::string("its declaration of a ") + what + " has another size than this program's ABI");
            return false;
        }
        if (present >= kMaxItems) {
            blame(std::string("it declares too many items of the kind ") + what);
            return false;
        }
        return true;
    }
    template <class List>
    void check_name(const List& list, const std::string& name, const char* what) {
        const bool good =
            !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](unsigned char c) {
                return std::isalnum(c) || c == '-' || c == '_' || c == '.';
            });
        if (!good) blame(std::string("it names a ") + what + " " + in_ticks(name.substr(0, 64)));
        for (const auto& item : list)
            if (item.name == name) blame(std::string("it declares the ") + what + " " + in_ticks(name) + " twice");
    }
};

std::vector<std::string> split(const std::string& text, char separator) {
    std::vector<std::string> out;
    for (std::size_t begin = 0; begin <= text.size();) {
        const std::size_t end = std::min(text.find(separator, begin), text.size());
        if (end > begin) out.push_back(text.substr(begin, end - begin));
        begin = end + 1;
    }
    return out;
}

template <class List>
std::optional<u32> index_of(const List& list, std::string_view name) {
    for (std::size_t i = 0; i < list.size(); ++i)
        if (list[i].name == name) return static_cast<u32>(i);
    return std::nullopt;
}

std::optional<LineRef> line_of(const std::vector<LineInfo>& lines, std::string_view name) {
    for (const LineInfo& info : lines) {
        if (info.count == 1) {
            if (info.name == name) return LineRef{&info, info.first, 0};
            continue;
        }
        if (!name.starts_with(info.name)) continue;
        const auto number = parse_number(name.substr(info.name.size()));
        // Digits only, as line_name() writes them.
        if (number && *number < info.count && info.line_name(static_cast<u32>(*number)) == name)
            return LineRef{&info, info.first + static_cast<u32>(*number), static_cast<u32>(*number)};
    }
    return std::nullopt;
}

u32 on_property(void* self, const bp_property* d) {
    Listener& l = Listener::of(self);
    const u32 index = static_cast<u32>(l.info.properties.size());
    if (!l.fits(d, "property", index)) return index;
    PropertyInfo p;
    p.kind = d->kind, p.name = l.text(d->name, "a property"), p.doc = l.text(d->doc, "a property");
    if (d->default_text.data) p.default_text = l.text(d->default_text, "a property");
    p.choices = split(l.text(d->choices, "a property"), '|');
    p.minimum = d->minimum, p.maximum = d->maximum;
    l.check_name(l.info.properties, p.name, "property");
    for (const char* taken : {"type", "plugin", "on", "at"})
        if (p.name == taken)
            l.blame("a property cannot be called " + in_ticks(p.name) + ": boards use that word otherwise");
    if (p.kind < BP_PROPERTY_BOOL || p.kind > BP_PROPERTY_PATH)
        l.blame("the property " + in_ticks(p.name) + " has an unknown kind");
    if (p.kind == BP_PROPERTY_ENUM && p.choices.empty())
        l.blame("the property " + in_ticks(p.name) + " has no choices");
    l.info.properties.push_back(std::move(p));
    return index;
}

u32 on_line(void* self, const bp_line* d) {
    Listener& l = Listener::of(self);
    const bool in = d && d->direction == BP_LINE_IN;
    std::vector<LineInfo>& list = in ? l.info.inputs : l.info.outputs;
    u32& count = in ? l.info.input_count : l.info.output_count;
    const u32 index = count;
    if (!l.fits(d, "line", list.size())) return index;
    LineInfo line{l.text(d->name, "a line"), l.text(d->doc, "a line"), index, d->count, d->changed};
    l.check_name(list, line.name, "line");
    if (d->direction != BP_LINE_IN && d->direction != BP_LINE_OUT)
        l.blame("the line " + in_ticks(line.name) + " has no direction");
    if (line.count == 0 || line.count > kMaxLines) {
        l.blame("the line " + in_ticks(line.name) + " has an impossible count");
        return index;
    }
    if (in && !line.changed) l.blame("the input " + in_ticks(line.name) + " has no handler");
    count += line.count;
    list.push_back(std::move(line));
    return index;
}

u32 on_region(void* self, const bp_region* d) {
    Listener& l = Listener::of(self);
    const u32 index = static_cast<u32>(l.info.regions.size());
    if (!l.fits(d, "region", index)) return index;
    RegionInfo r{d->kind, l.text(d->name, "a region"), l.text(d->doc, "a region"), d->length, d->widths, d->read,
                 d->write};
    l.check_name(l.info.regions, r.name, "region");
    if (r.kind != BP_REGION_PORTS && r.kind != BP_REGION_MEMORY)
        l.blame("the region " + in_ticks(r.name) + " has an unknown kind");
    if (r.widths == 0 || (r.widths & ~15u)) l.blame("the region " + in_ticks(r.name) + " decodes no access size");
    if (r.kind == BP_REGION_PORTS && r.length > 0x10000)
        l.blame("the region " + in_ticks(r.name) + " has more ports than there are");
    l.info.regions.push_back(std::move(r));
    return index;
}

u32 on_timer(void* self, const bp_timer* d) {
    Listener& l = Listener::of(self);
    const u32 index = static_cast<u32>(l.info.timers.size());
    if (!l.fits(d, "timer", index)) return index;
    TimerInfo t{l.text(d->name, "a timer"), d->expired};
    l.check_name(l.info.timers, t.name, "timer");
    if (!t.expired) l.blame("the timer " + in_ticks(t.name) + " has no handler");
    l.info.timers.push_back(std::move(t));
    return index;
}

u32 on_link(void* self, const bp_link* d) {
    Listener& l = Listener::of(self);
    const u32 index = static_cast<u32>(l.info.links.size());
    if (!l.fits(d, "link", index)) return index;
    LinkInfo k{l.text(d->name, "a link"), l.text(d->doc, "a link"), l.text(d->interface_id, "a link"),
               d->optional != 0};
    l.check_name(l.info.links, k.name, "link");
    l.info.links.push_back(std::move(k));
    return index;
}

u32 on_bus(void* self, const bp_bus* d) {
    Listener& l = Listener::of(self);
    const u32 index = static_cast<u32>(l.info.buses.size());
    if (!l.fits(d, "bus", index)) return index;
    BusInfo b{l.text(d->name, "a bus"), l.text(d->doc, "a bus"), l.text(d->child_interface_id, "a bus"),
              l.text(d->host_interface_id, "a bus"), d->attach};
    if (!b.name.empty()) l.check_name(l.info.buses, b.name, "bus");
    if (!b.attach) l.blame("the bus " + in_ticks(b.name) + " cannot be attached to");
    l.info.buses.push_back(std::move(b));
    return index;
}

void on_plug(void* self, const bp_plug* d) {
    Listener& l = Listener::of(self);
    if (!l.fits(d, "plug", l.info.plugs.size())) return;
    l.info.plugs.push_back({l.text(d->child_interface_id, "a plug"), l.text(d->host_interface_id, "a plug")});
}

void on_offer(void* self, const bp_offer* d) {
    Listener& l = Listener::of(self);
    if (!l.fits(d, "offer", l.info.offers.size())) return;
    l.info.offers.push_back({l.text(d->interface_id, "an offer"), l.text(d->name, "an offer")});
}

void on_fact(void* self, const bp_fact_use* d) {
    Listener& l = Listener::of(self);
    if (!l.fits(d, "fact", l.info.facts.size())) return;
    l.info.facts.push_back(
        {l.text(d->what, "a fact"), l.text(d->doc, "a fact"), d->publishes != 0, d->must_consume != 0});
}

u32 on_trace(void* self, const bp_trace_point* d) {
    Listener& l = Listener::of(self);
    const u32 index = static_cast<u32>(l.info.traces.size());
    if (!l.fits(d, "trace point", index)) return index;
    TraceInfo t{l.text(d->name, "a trace point"), l.text(d->doc, "a trace point")};
    l.check_name(l.info.traces, t.name, "trace point");
    l.info.traces.push_back(std::move(t));
    return index;
}

// A default that its own declaration refuses would hit the first user instead of the plugin's author.
void check_defaults(Listener& l) {
    for (const PropertyInfo& p : l.info.properties) {
        if (!p.default_text) continue;
        try {
            property_value(p, nullptr, l.info.name, {});
        } catch (const Error& e) {
            l.blame(std::string("its default is not acceptable: ") + e.what());
        }
    }
}

}  // namespace

const char* PropertyInfo::kind_name() const {
    static constexpr const char* kNames[] = {"", "bool", "number", "size", "duration", "string", "enum", "path"};
    return kind <= BP_PROPERTY_PATH ? kNames[kind] : "";
}

std::optional<u32> TypeInfo::property(std::string_view wanted) const { return index_of(properties, wanted); }
std::optional<u32> TypeInfo::region(std::string_view wanted) const { return index_of(regions, wanted); }
std::optional<u32> TypeInfo::link(std::string_view wanted) const { return index_of(links, wanted); }
std::optional<u32> TypeInfo::bus(std::string_view wanted) const { return index_of(buses, wanted); }
std::optional<LineRef> TypeInfo::input(std::string_view wanted) const { return line_of(inputs, wanted); }
std::optional<LineRef> TypeInfo::output(std::string_view wanted) const { return line_of(outputs, wanted); }

bool TypeInfo::offers_interface(std::string_view id) const {
    for (const OfferInfo& o : offers)
        if (o.interface_id == id) return true;
    for (const PlugInfo& p : plugs)
        if (p.child_interface_id == id) return true;
    return false;
}

TypeInfo describe_type(const bp_device_type* type, const std::string& plugin_file) {
    const std::string place = plugin_file.empty() ? "" : plugin_file + ": ";
    if (!type || type->size != sizeof(bp_device_type))
        throw Error(place + "a device type has another size than this program's ABI", kExitPlugin);
    Listener listener;
    listener.info.abi = type, listener.info.plugin_file = plugin_file;
    listener.info.name = listener.text(type->type, "a type");
    const std::string name = listener.info.name;
    if (name.empty()) throw Error(place + "a device type without a name", kExitPlugin);
    if (!type->describe || !type->create || !type->destroy || !type->start || !type->stop || !type->publish ||
        !type->consume || !type->reset || !type->visit_state || !type->restored || !type->offer || !type->plugged)
        throw Error(place + "the type " + in_ticks(name) + " lacks a function", kExitPlugin);
    bp_describer describer{};
    describer.size = sizeof describer;
    describer.self = &listener;
    describer.doc = [](void* self, bp_str text) {
        Listener::of(self).info.doc = Listener::of(self).text(text, "a type");
    };
    describer.property = on_property, describer.line = on_line, describer.region = on_region,
    describer.timer = on_timer;
    describer.link = on_link, describer.bus = on_bus, describer.plug = on_plug, describer.offer = on_offer;
    describer.fact = on_fact, describer.trace = on_trace;
    try {
        type->describe(&describer);
    } catch (...) {
        listener.blame("describe() threw an exception");
    }
    check_defaults(listener);
    if (!listener.fault.empty()) throw Error(place + "the type " + in_ticks(name) + ": " + listener.fault, kExitPlugin);
    return std::move(listener.info);
}

}  // namespace backplane::kernel
