// What the board consists of, as it stands now.
#include "kernel/config/convert.hpp"
#include "kernel/control/commands.hpp"
#include "kernel/control/state_field.hpp"
#include "kernel/machine/machine.hpp"

namespace backplane::kernel {

namespace {

Json property_json(const PropertyInfo& p, const PropertyValue& v) {
    Json value;
    switch (p.kind) {
        case BP_PROPERTY_BOOL: value = v.number != 0; break;
        case BP_PROPERTY_U64:
        case BP_PROPERTY_SIZE:
        case BP_PROPERTY_DURATION: value = v.number; break;
        default: value = v.text; break;
    }
    return {{"name", p.name}, {"kind", p.kind_name()}, {"value", value}, {"given", v.given}, {"help", p.doc}};
}

Json lines_json(const Machine& m, const Instance& d, bool outputs) {
    Json list = Json::array();
    for (const LineInfo& l : outputs ? d.type->outputs : d.type->inputs)
        for (u32 n = 0; n < l.count; ++n) {
            const u32 index = l.first + n;
            Json line = {{"name", l.line_name(n)}, {"help", l.doc}};
            if (outputs) {
                line["level"] = static_cast<bool>(d.levels[index]);
                line["wires"] = Json::array();
                for (const auto& [wire, driver] : d.outputs[index])
                    line["wires"].push_back(m.assembly().wires.name(wire));
            } else {
                line["level"] = m.assembly().wires.input(d.index, index);
            }
            list.push_back(std::move(line));
        }
    return list;
}

template <class Space>
void append_bases(Json& bases, const Space* space, const Region& region) {
    if (!space) return;
    for (const Claim& c : space->claims().all())
        if (c.region == &region) bases.push_back(c.base);
}

Json regions_json(const Machine& m, const Instance& d) {
    Json list = Json::array();
    for (std::size_t i = 0; i < d.regions.size(); ++i) {
        const Region& r = d.regions[i];
        const bool ports = r.kind == BP_REGION_PORTS;
        Json bases = Json::array();
        if (ports)
            append_bases(bases, m.assembly().ports.get(), r);
        else
            append_bases(bases, m.assembly().memory.get(), r);
        list.push_back({{"name", r.name},
                        {"kind", ports ? "ports" : "memory"},
                        {"length", r.length},
                        {"at", bases},
                        {"help", d.type->regions[i].doc}});
    }
    return list;
}

// The text of an entry of the board file, or null.
Json entry_json(const Instance& d, const std::string& key) {
    const Value* v = d.spec->find(key);
    return v && v->is_scalar() ? Json(v->text()) : Json();
}

Json links_json(const Instance& d) {
    Json list = Json::array();
    for (std::size_t i = 0; i < d.type->links.size(); ++i) {
        const LinkInfo& l = d.type->links[i];
        list.push_back({{"name", l.name},
                        {"interface", l.interface_id},
                        {"to", d.links[i].table ? entry_json(d, l.name) : Json()},
                        {"help", l.doc}});
    }
    return list;
}

Json device_json(const Machine& m, const Instance& d) {
    Json properties = Json::array(), timers = Json::array(), buses = Json::array(), offers = Json::array();
    for (std::size_t i = 0; i < d.properties.size(); ++i)
        properties.push_back(property_json(d.type->properties[i], d.properties[i]));
    for (std::size_t i = 0; i < d.timers.size(); ++i)
        timers.push_back(
            {{"name", d.type->timers[i].name}, {"due-ns", d.timers[i].due < 0 ? Json() : Json(d.timers[i].due)}});
    for (const BusInfo& b : d.type->buses)
        buses.push_back({{"name", b.name}, {"interface", b.child_interface_id}, {"help", b.doc}});
    for (const OfferInfo& o : d.type->offers) offers.push_back({{"interface", o.interface_id}, {"name", o.name}});
    return {{"name", d.name()},
            {"type", d.type->name},
            {"help", d.type->doc},
            {"plugin", d.type->plugin_id},
            {"file", d.type->plugin_file},
            {"parent", d.parent ? Json(d.parent->name()) : Json()},
            {"on", entry_json(d, "on")},
            {"properties", properties},
            {"outputs", lines_json(m, d, true)},
            {"inputs", lines_json(m, d, false)},
            {"regions", regions_json(m, d)},
            {"links", links_json(d)},
            {"buses", buses},
            {"offers", offers},
            {"timers", timers}};
}

// With who hears it.
Json fact_json(const Machine& m, const FactState& f) {
    Json fields = Json::object(), into = Json::array();
    for (const auto& [name, value] : f.fields) fields[name] = value;
    for (const Assembly::Route& r : m.assembly().routes)
        if (r.what == f.what && r.from->name() == f.from) into.push_back(r.into->name());
    return {{"what", f.what}, {"from", f.from}, {"key", f.key}, {"fields", fields}, {"into", into}};
}

}  // namespace

void add_device_commands(const CommandContext& context) {
    Machine& m = context.machine;
    m.control().add({.name = "device-list",
                     .help = "the devices with properties, lines, regions, links, timers, and what each sits on",
                     .arguments = {{"device", ArgumentSpec::Type::kText, true, "only this one"}},
                     .run = [&m](const Arguments& a) {
                         Json list = Json::array();
                         if (a.has("device")) {
                             list.push_back(device_json(m, find_device(m, a.text("device"))));
                         } else {
                             for (const Instance& d : m.devices()) list.push_back(device_json(m, d));
                         }
                         return list;
                     }});
    m.control().add({.name = "facts",
                     .help = "the facts that were published when the machine was switched on, and who hears them",
                     .run = [&m](const Arguments&) {
                         Json list = Json::array();
                         for (const FactState& f : m.facts()) list.push_back(fact_json(m, f));
                         return list;
                     }});
}

}  // namespace backplane::kernel
