// What a device type declares in describe(), copied, and as text to compare. Used by the bench and by the conformance
// check; it believes nothing: what is wrong with the structures themselves is collected in `faults`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "backplane/abi/device.h"
#include "backplane/types.hpp"

namespace backplane::testkit {

struct Declaration {
    struct Property {
        u32 kind = 0;
        std::string name, doc, default_text;
        bool required = false;
        std::vector<std::string> choices;
        u64 minimum = 0, maximum = 0;
    };
    struct Line {
        std::string name, doc;
        u32 count = 1;
        void (*changed)(void* instance, u32 line, int level) = nullptr;
        std::string line_name(u32 line) const { return count == 1 ? name : name + std::to_string(line); }
    };
    struct Region {
        u32 kind = 0;
        std::string name, doc;
        u64 length = 0;
        u32 widths = 0;
        u64 (*read)(void* instance, u64 offset, u32 bytes) = nullptr;
        void (*write)(void* instance, u64 offset, u32 bytes, u64 value) = nullptr;
    };
    struct Timer {
        std::string name;
        void (*expired)(void* instance, i64 due) = nullptr;
    };
    struct Link {
        std::string name, doc, id;
        bool optional = false;
    };
    struct Bus {
        std::string name, doc, child_id, host_id;
        bp_status (*attach)(void* instance, bp_str address, bp_str child_name, bp_interface child,
                            bp_interface* host) = nullptr;
    };
    struct Plug {
        std::string child_id, host_id;
    };
    struct Offer {
        std::string id, name;
    };
    struct Fact {
        std::string what, doc;
        bool publishes = false, must_consume = false;
    };
    struct Trace {
        std::string name, doc;
    };

    std::string type, doc;
    u32 state_version = 1;
    std::vector<Property> properties;
    std::vector<Line> inputs, outputs;
    std::vector<Region> regions;
    std::vector<Timer> timers;
    std::vector<Link> links;
    std::vector<Bus> buses;
    std::vector<Plug> plugs;
    std::vector<Offer> offers;
    std::vector<Fact> facts;
    std::vector<Trace> traces;
    std::vector<std::string> faults;

    // One item a line; two calls of describe() must give the same text.
    std::string text() const;
};

namespace detail {

class Describer {
  public:
    explicit Describer(Declaration& out) : out_(out) {}

    bp_describer table() {
        bp_describer d{};
        d.size = sizeof d, d.self = this;
        d.doc = [](void* s, bp_str text) { at(s).out_.doc = std::string(to_view(text)); };
        d.property = [](void* s, const bp_property* p) { return at(s).property(p); };
        d.line = [](void* s, const bp_line* l) { return at(s).line(l); };
        d.region = [](void* s, const bp_region* r) { return at(s).region(r); };
        d.timer = [](void* s, const bp_timer* t) {
            return at(s).add(at(s).out_.timers, t, "timer", [&] {
                return Declaration::Timer{str(t->name), t->expired};
            });
        };
        d.link = [](void* s, const bp_link* l) {
            return at(s).add(at(s).out_.links, l, "link", [&] {
                return Declaration::Link{str(l->name), str(l->doc), str(l->interface_id), l->optional != 0};
            });
        };
        d.bus = [](void* s, const bp_bus* b) {
            return at(s).add(at(s).out_.buses, b, "bus", [&] {
                return Declaration::Bus{str(b->name), str(b->doc), str(b->child_interface_id),
                                        str(b->host_interface_id), b->attach};
            });
        };
        d.plug = [](void* s, const bp_plug* p) {
            at(s).add(at(s).out_.plugs, p, "plug", [&] {
                return Declaration::Plug{str(p->child_interface_id), str(p->host_interface_id)};
            });
        };
        d.offer = [](void* s, const bp_offer* o) {
            at(s).add(at(s).out_.offers, o, "offer", [&] {
                return Declaration::Offer{str(o->interface_id), str(o->name)};
            });
        };
        d.fact = [](void* s, const bp_fact_use* f) {
            at(s).add(at(s).out_.facts, f, "fact", [&] {
                return Declaration::Fact{str(f->what), str(f->doc), f->publishes != 0, f->must_consume != 0};
            });
        };
        d.trace = [](void* s, const bp_trace_point* t) {
            return at(s).add(at(s).out_.traces, t, "trace point", [&] {
                return Declaration::Trace{str(t->name), str(t->doc)};
            });
        };
        return d;
    }

  private:
    static Describer& at(void* self) { return *static_cast<Describer*>(self); }
    static std::string str(bp_str s) { return std::string(to_view(s)); }

    // The item's index among its kind.
    template <class List, class Item, class Make>
    u32 add(List& list, const Item* item, const char* what, Make make) {
        const u32 index = static_cast<u32>(list.size());
        if (!item || item->size != sizeof(Item))
            out_.faults.push_back(std::string("the declaration of a ") + what + " has another size than the ABI's");
        else
            list.push_back(make());
        return index;
    }
    u32 property(const bp_property* p) {
        return add(out_.properties, p, "property", [&] {
            Declaration::Property out;
            out.kind = p->kind, out.name = str(p->name), out.doc = str(p->doc);
            out.required = p->default_text.data == nullptr, out.default_text = str(p->default_text);
            out.minimum = p->minimum, out.maximum = p->maximum;
            for (std::string_view rest = to_view(p->choices); !rest.empty();) {
                const auto bar = rest.find('|');
                out.choices.emplace_back(rest.substr(0, bar));
                rest.remove_prefix(bar == std::string_view::npos ? rest.size() : bar + 1);
            }
            return out;
        });
    }
    u32 line(const bp_line* l) {
        const bool input = l && l->direction == BP_LINE_IN;
        if (l && !input && l->direction != BP_LINE_OUT)
            out_.faults.push_back("the line " + str(l->name) + " has no direction");
        std::vector<Declaration::Line>& list = input ? out_.inputs : out_.outputs;
        u32 index = 0;  // lines are numbered one by one, bundles in full
        for (const Declaration::Line& before : list) index += before.count;
        add(list, l, "line", [&] { return Declaration::Line{str(l->name), str(l->doc), l->count, l->changed}; });
        return index;
    }
    u32 region(const bp_region* r) {
        return add(out_.regions, r, "region", [&] {
            return Declaration::Region{r->kind, str(r->name), str(r->doc), r->length, r->widths, r->read, r->write};
        });
    }

    Declaration& out_;
};

}  // namespace detail

inline Declaration declare(const bp_device_type* type) {
    Declaration out;
    out.type = std::string(to_view(type->type));
    out.state_version = type->state_version;
    detail::Describer describer(out);
    const bp_describer table = describer.table();
    type->describe(&table);
    return out;
}

inline std::string Declaration::text() const {
    std::string out;
    const auto add = [&out](const char* what, std::initializer_list<std::string_view> words,
                            std::initializer_list<u64> numbers) {
        out += what;
        for (const std::string_view word : words) out.append(" \"").append(word).append("\"");
        for (const u64 number : numbers) out.append(" ").append(std::to_string(number));
        out += '\n';
    };
    const auto address = [](auto function) { return reinterpret_cast<u64>(function); };
    add("type", {type, doc}, {state_version});
    for (const Property& p : properties) {
        add("property", {p.name, p.doc, p.default_text}, {p.kind, p.required, p.minimum, p.maximum});
        for (const std::string& choice : p.choices) add(" choice", {choice}, {});
    }
    for (const Line& l : inputs) add("input", {l.name, l.doc}, {l.count, address(l.changed)});
    for (const Line& l : outputs) add("output", {l.name, l.doc}, {l.count});
    for (const Region& r : regions)
        add("region", {r.name, r.doc}, {r.kind, r.length, r.widths, address(r.read), address(r.write)});
    for (const Timer& t : timers) add("timer", {t.name}, {address(t.expired)});
    for (const Link& l : links) add("link", {l.name, l.doc, l.id}, {l.optional});
    for (const Bus& b : buses) add("bus", {b.name, b.doc, b.child_id, b.host_id}, {address(b.attach)});
    for (const Plug& p : plugs) add("plug", {p.child_id, p.host_id}, {});
    for (const Offer& o : offers) add("offer", {o.id, o.name}, {});
    for (const Fact& f : facts) add("fact", {f.what, f.doc}, {f.publishes, f.must_consume});
    for (const Trace& t : traces) add("trace", {t.name, t.doc}, {});
    for (const std::string& fault : faults) add("fault", {fault}, {});
    return out;
}

}  // namespace backplane::testkit
