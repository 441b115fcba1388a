// Joins devices: buses, links, lines.
#include <algorithm>

#include "kernel/config/convert.hpp"
#include "kernel/machine/builder.hpp"

namespace backplane::kernel {

namespace {

bp_str str(const std::string& s) { return {s.data(), s.size()}; }

std::vector<std::string> device_names(const Assembly& assembly) {
    std::vector<std::string> names;
    for (const Instance& d : assembly.all()) names.push_back(d.name());
    return names;
}

// "timer0.in3" -> {"timer0", "in3"}; a word without a dot leaves the second part empty.
std::pair<std::string, std::string> split(const std::string& text) {
    const auto dot = text.find('.');
    if (dot == std::string::npos) return {text, ""};
    return {text.substr(0, dot), text.substr(dot + 1)};
}

}  // namespace

// `on: DEVICE/ADDRESS`, `on: DEVICE.BUS/ADDRESS`, `on: DEVICE` (the bus chooses the address).
void Builder::join_buses() {
    for (Instance& d : a_.all()) {
        const Value* on = d.spec->find("on");
        if (!on || on->is_null()) {
            if (!d.type->plugs.empty() && d.type->offers.empty())
                throw Error(d.spec->position, d.name() + ": " + d.type->name + " sits on a bus (" +
                                                  d.type->plugs[0].host_interface_id + "); write `on: DEVICE/ADDRESS`");
            continue;
        }
        const std::string& text = to_text(*on, d.name() + ": `on`");
        const auto slash = text.find('/');
        const auto [host_name, bus_name] = split(text.substr(0, slash));
        const std::string address = slash == std::string::npos ? "" : text.substr(slash + 1);
        Instance* host = a_.device(host_name);
        if (!host)
            throw Error(on->position(), d.name() + ": no device `" + host_name + "` to sit on" +
                                            did_you_mean(host_name, device_names(a_)));
        if (host == &d) throw Error(on->position(), d.name() + ": a device cannot sit on itself");
        if (d.type->plugs.empty())
            throw Error(on->position(), d.name() + ": " + d.type->name + " does not plug into any bus");
        const BusInfo* bus = nullptr;
        std::vector<std::string> bus_names;
        for (const BusInfo& b : host->type->buses) {
            bus_names.push_back(b.name);
            if (bus_name.empty() ? host->type->buses.size() == 1 : b.name == bus_name) bus = &b;
        }
        if (!bus) {
            if (bus_names.empty())
                throw Error(on->position(), d.name() + ": " + host_name + " (" + host->type->name + ") has no bus");
            throw Error(on->position(),
                        d.name() + ": " + host_name +
                            (bus_name.empty() ? " has several buses" : " has no bus `" + bus_name + "`") + "; it has " +
                            list_of(bus_names));
        }
        const auto plug = std::find_if(d.type->plugs.begin(), d.type->plugs.end(), [&](const PlugInfo& p) {
            return p.child_interface_id == bus->child_interface_id && p.host_interface_id == bus->host_interface_id;
        });
        if (plug == d.type->plugs.end())
            throw Error(on->position(), d.name() + ": " + d.type->name + " does not fit " + text.substr(0, slash) +
                                            ", which takes " + bus->child_interface_id);
        for (Instance* up = host; up; up = up->parent)
            if (up == &d) throw Error(on->position(), d.name() + ": sits, by way of others, on itself");
        d.parent = host;
        const bp_interface child = d.type->abi->offer(d.object, str(bus->child_interface_id), {"", 0});
        if (!child.table)
            throw Error(on->position(), d.name() + ": " + d.type->name + " does not offer " + bus->child_interface_id,
                        kExitPlugin);
        bp_interface given{nullptr, nullptr};
        host->failure.clear();
        const bp_status status = bus->attach(host->object, str(address), str(d.name()), child, &given);
        if (status != BP_OK)
            throw Error(on->position(), d.name() + ": " + host_name + " refuses it at `" + text + "`" +
                                            (host->failure.empty() ? "" : ": " + host->failure));
        d.type->abi->plugged(d.object, given);
    }
}

// `image: disk0`, or `backend: mux.port1` for the interface that mux offers under the name port1.
void Builder::join_links() {
    for (Instance& d : a_.all()) {
        for (std::size_t i = 0; i < d.type->links.size(); ++i) {
            const LinkInfo& link = d.type->links[i];
            const Value* to = d.spec->find(link.name);
            if (!to || to->is_null()) {
                if (!link.optional)
                    throw Error(d.spec->position, d.name() + ": `" + link.name + "` is missing: " + link.doc +
                                                      " (a device that offers " + link.interface_id + ")");
                continue;
            }
            const std::string& text = to_text(*to, d.name() + ": `" + link.name + "`");
            if (text == "none" && link.optional && !a_.device("none")) continue;
            const auto [name, offer] = split(text);
            Instance* other = a_.device(name);
            if (!other)
                throw Error(to->position(), d.name() + ": `" + link.name + "`: no device `" + name + "`" +
                                                did_you_mean(name, device_names(a_)));
            d.links[i] = other->type->abi->offer(other->object, str(link.interface_id), str(offer));
            if (!d.links[i].table)
                throw Error(to->position(), d.name() + ": `" + link.name + "`: " + name + " (" + other->type->name +
                                                ") does not offer " + link.interface_id +
                                                (offer.empty() ? "" : " under the name `" + offer + "`"));
        }
    }
}

void Builder::connect_sink(u32 wire, const Value& sink) {
    const std::string& text = to_text(sink, "line");
    const auto [name, input] = split(text);
    Instance* d = a_.device(name);
    if (!d || input.empty())
        throw Error(sink.position(), "`" + text + "` is neither a wire of `lines` nor an input line DEVICE.LINE" +
                                         did_you_mean(name, device_names(a_)));
    const auto ref = d->type->input(input);
    if (!ref) {
        std::vector<std::string> names;
        for (const LineInfo& l : d->type->inputs)
            for (u32 n = 0; n < l.count; ++n) names.push_back(l.line_name(n));
        throw Error(sink.position(), "`" + text + "`: " + d->type->name + " has no input line `" + input + "`" +
                                         (names.empty() ? " (it has none)" : did_you_mean(input, names)));
    }
    a_.wires.connect(wire, {d->object, d->index, ref->index, ref->line, ref->info->changed});
}

// A wire of its own for an output that names an input directly.
u32 Builder::wire_for_output(Instance& from, u32 output) {
    return a_.wires.add(from.name() + ".out" + std::to_string(output));
}

void Builder::connect_output(Instance& from, u32 output, const Value& to, u32 named_wires) {
    for (const Value* one : to.as_list()) {
        const std::string& text = to_text(*one, from.name() + ": line");
        u32 wire = ~0u;
        for (u32 w = 0; w < named_wires; ++w)
            if (a_.wires.name(w) == text) wire = w;
        if (wire == ~0u) {
            if (text.find('.') == std::string::npos) {
                std::vector<std::string> names;
                for (u32 w = 0; w < named_wires; ++w) names.push_back(a_.wires.name(w));
                throw Error(one->position(),
                            from.name() + ": no wire `" + text + "` in `lines`" + did_you_mean(text, names));
            }
            wire = wire_for_output(from, output);
            connect_sink(wire, *one);
        }
        from.outputs[output].emplace_back(wire, a_.wires.add_driver(wire));
    }
}

void Builder::join_lines() {
    for (const WireSpec& spec : board_.lines) a_.wires.add(spec.name);
    const u32 named = static_cast<u32>(board_.lines.size());
    for (u32 w = 0; w < named; ++w)
        for (const Value& sink : board_.lines[w].sinks) connect_sink(w, sink);
    for (Instance& d : a_.all()) {
        for (const LineInfo& line : d.type->outputs) {
            for (u32 n = 0; n < line.count; ++n)
                if (const Value* to = d.spec->find(line.line_name(n)); to && !to->is_null())
                    connect_output(d, line.first + n, *to, named);
            if (line.count == 1) continue;
            // A bundle by its common name: one entry a line.
            const Value* all = d.spec->find(line.name);
            if (!all || all->is_null()) continue;
            if (!all->is_list() || all->items().size() > line.count)
                throw Error(all->position(), d.name() + ": `" + line.name +
                                                 "` is a bundle: expected a list of at most " +
                                                 std::to_string(line.count) + " wires");
            for (u32 n = 0; n < all->items().size(); ++n)
                if (!all->items()[n].is_null()) connect_output(d, line.first + n, all->items()[n], named);
        }
    }
}

}  // namespace backplane::kernel
