// From a board description to devices in slots that are powered on.
#include "kernel/machine/builder.hpp"

#include <algorithm>
#include <cstdio>

#include "kernel/config/convert.hpp"
#include "kernel/machine/services.hpp"

namespace backplane::kernel {

bool Builder::kept(const Instance& d) const { return std::find(kept_.begin(), kept_.end(), d.name()) != kept_.end(); }

// A back end answers for nothing that a guest could see if it has no registers, wires, timers, memory or place on a
// bus.
std::vector<std::string> Builder::keepable(const Assembly& assembly) {
    std::vector<std::string> names;
    const auto known = [&](const std::string& name) {
        return std::find(names.begin(), names.end(), name) != names.end();
    };
    // Whoever it is joined to has to stay as well.
    const auto leads_to_kept = [&](const Instance& d) {
        for (std::size_t i = 0; i < d.links.size(); ++i) {
            if (!d.links[i].table) continue;
            const Value* to = d.spec->find(d.type->links[i].name);
            if (!to || !to->is_scalar() || !known(to->text().substr(0, to->text().find('.')))) return false;
        }
        return true;
    };
    for (std::size_t before = ~std::size_t{0}; before != names.size();) {
        before = names.size();
        for (const Instance& d : assembly.all()) {
            const TypeInfo& t = *d.type;
            if (t.backend && !known(d.name()) && d.regions.empty() && t.input_count == 0 && t.output_count == 0 &&
                t.timers.empty() && t.buses.empty() && t.plugs.empty() && t.facts.empty() && d.blocks.empty() &&
                leads_to_kept(d))
                names.push_back(d.name());
        }
    }
    return names;
}

void Builder::make_spaces() {
    // These outlive the builder.
    Machine& m = m_;
    Assembly& a = a_;
    // Firmware and systems look for what may be there on every start: nothing that a user has to be told unasked.
    const auto unclaimed = [&m](const std::string& text) { m.logger_.log(m.log_, BP_LOG_DEBUG, text); };
    const auto traced = [&m](const Region& r, bool write, u64 offset, u32 bytes, u64 value) {
        char text[64];
        std::snprintf(text, sizeof text, "%s%u +%llx %s %llx", write ? "write" : "read", 8 * bytes,
                      static_cast<unsigned long long>(offset), write ? "<-" : "->",
                      static_cast<unsigned long long>(value));
        m.tracer_.emit(m.now(), r.label(), text);
    };
    for (const SpaceSpec& s : m_.board_.spaces) {
        if (s.kind == SpaceSpec::Kind::kPorts) {
            if (a_.ports) throw Error(s.position, "a second port space; a board has one");
            a_.ports = std::make_unique<PortSpace>(PortEvents{unclaimed, traced});
        } else {
            if (a_.memory) throw Error(s.position, "a second memory space; a board has one");
            MemoryEvents events;
            events.view_changed = [&a] { a.set_attention(BP_ATTENTION_VIEW); };
            events.code_written = [&a](u64 address, u64 size) {
                for (Vcpu& c : a.vcpus) c.table->invalidate(c.engine, address, size);
            };
            events.unclaimed = unclaimed;
            events.traced = traced;
            a_.memory = std::make_unique<MemorySpace>(m_.ram_, s.bits, std::move(events));
        }
    }
}

void Builder::build() {
    make_spaces();
    create_devices();
    join_buses();
    join_links();
    join_lines();
    check_routes();
    if (m_.options_.verify_only) {
        place_regions();
        return;
    }
    start_devices();
    place_regions();
    publish_facts();
    attach_engines();
    for (Instance* d : a_.order)
        if (!kept(*d)) d->type->abi->reset(d->object, BP_RESET_POWER_ON);
}

void Builder::connect() {
    for (Instance* d : a_.order)
        if (!kept(*d)) d->type->abi->connect(d->object);
}

void Builder::check_routes() {
    // Board-wide rules that need no running device come first, so that nothing is started in vain.
    for (const PublishSpec& p : m_.board_.publish) {
        Instance* from = a_.device(p.from.text());
        Instance* into = a_.device(p.into.text());
        std::vector<std::string> names;
        for (const Instance& d : a_.all()) names.push_back(d.name());
        if (!from)
            throw Error(p.from.position(),
                        "publish: no device `" + p.from.text() + "`" + did_you_mean(p.from.text(), names));
        if (!into)
            throw Error(p.into.position(),
                        "publish: no device `" + p.into.text() + "`" + did_you_mean(p.into.text(), names));
        const auto uses = [&](const Instance& d, bool publishes) {
            return std::any_of(d.type->facts.begin(), d.type->facts.end(), [&](const FactUseInfo& f) {
                return f.what == p.what.text() && f.publishes == publishes;
            });
        };
        if (!uses(*from, true))
            throw Error(p.what.position(), "publish: " + from->name() + " (" + from->type->name +
                                               ") does not publish `" + p.what.text() + "`");
        if (!uses(*into, false))
            throw Error(p.what.position(), "publish: " + into->name() + " (" + into->type->name +
                                               ") does not consume `" + p.what.text() + "`");
        a_.routes.push_back({p.what.text(), from, into});
    }
    for (const Instance& d : a_.all())
        for (const FactUseInfo& f : d.type->facts)
            if (f.publishes && f.must_consume &&
                std::none_of(a_.routes.begin(), a_.routes.end(),
                             [&](const Assembly::Route& r) { return r.from == &d && r.what == f.what; }))
                throw Error(d.spec->position, d.name() + ": nobody consumes its `" + f.what + "`, which its type " +
                                                  d.type->name +
                                                  " requires; the board needs an entry `publish: - {what: " + f.what +
                                                  ", from: " + d.name() + ", into: ...}`");
}

void Builder::create_devices() {
    for (const DeviceSpec& spec : m_.board_.devices) {
        if (std::find(kept_.begin(), kept_.end(), spec.name) == kept_.end()) {
            create_device(spec);
            continue;
        }
        for (const std::shared_ptr<Instance>& d : former_->devices)
            if (d->name() == spec.name) a_.devices.push_back(d);
    }
}

void Builder::create_device(const DeviceSpec& spec) {
    Instance& d = *a_.devices.emplace_back(std::make_shared<Instance>());
    d.machine = &m_;
    d.assembly = &a_;
    d.spec = &spec;
    d.index = static_cast<u32>(a_.devices.size() - 1);
    // `plugin: ID` or `plugin: ./file.so` takes another implementation of the same type.
    std::string plugin;
    Position place = spec.type_position;
    if (const Value* p = spec.find("plugin"); p && !p->is_null()) {
        plugin = to_text(*p, spec.name + ": `plugin`");
        if (plugin.find('/') != std::string::npos && plugin.ends_with(".so"))
            plugin = to_path(*p, spec.name + ": `plugin`");
        place = p->position();
    }
    d.type = &m_.registry_.type(spec.type, place, plugin);
    d.log = m_.logger_.device(spec.name);
    d.slot = {&d, slot_service};
    d.files = std::count(d.type->needs.begin(), d.type->needs.end(), "files") > 0;

    const std::vector<std::string> keys = device_keys(*d.type);
    for (const Value::Entry& e : spec.entries)
        if (std::find(keys.begin(), keys.end(), e.key) == keys.end())
            throw Error(e.position, spec.name + ": " + d.type->name + " has no property, line or link `" + e.key + "`" +
                                        did_you_mean(e.key, keys));
    for (const PropertyInfo& p : d.type->properties)
        d.properties.push_back(property_value(p, spec.find(p.name), spec.name, spec.position));
    for (const RegionInfo& r : d.type->regions) {
        Region& region = d.regions.emplace_back();
        region.device = spec.name, region.name = r.name, region.kind = r.kind, region.length = r.length,
        region.widths = r.widths;
        region.read = r.read, region.write = r.write;
        m_.tracer_.add(region.label(), &region.traced);
    }
    d.claims.resize(d.regions.size(), 0);
    d.timers.resize(d.type->timers.size());
    d.links.resize(d.type->links.size(), bp_interface{nullptr, nullptr});
    d.outputs.resize(d.type->output_count);
    d.levels.resize(d.type->output_count, false);
    for (const TraceInfo& t : d.type->traces) m_.tracer_.add(spec.name + "." + t.name, &d.traces.emplace_back(0));

    check_failure(d, d.type->abi->create(&d.slot, &d.object), spec.position, "cannot be made");
    for (Region& r : d.regions) r.instance = d.object;
}

void Builder::tear_down(Machine& machine, Assembly& assembly, const std::vector<std::string>& kept) {
    const auto stays = [&](const Instance& d) { return std::find(kept.begin(), kept.end(), d.name()) != kept.end(); };
    // Without the lock: back ends join their threads here, and those may still want to post or to look at the machine.
    for (auto it = assembly.order.rbegin(); it != assembly.order.rend(); ++it) {
        Instance& d = **it;
        if (stays(d)) continue;
        if (d.started) d.type->abi->stop(d.object);
        d.started = false;
    }
    machine.lock_.lock();
    machine.run_posted();  // completions that back ends posted while they stopped
    for (auto it = assembly.devices.rbegin(); it != assembly.devices.rend(); ++it) {
        Instance& d = **it;
        if (stays(d)) continue;
        if (d.object) d.type->abi->destroy(d.object);
        d.object = nullptr;
        for (const Region& r : d.regions) machine.tracer_.remove(&r.traced);
        for (const u32& flag : d.traces) machine.tracer_.remove(&flag);
    }
    machine.lock_.unlock();
}

// `at: 0x1000` (a device with one region), `at: {command: 0x1000, control: 0x1206}`, and lists of bases for aliases.
void Builder::place_regions() {
    for (Instance& d : a_.all()) {
        const Value* at = d.spec->find("at");
        if (!at || at->is_null()) continue;
        const auto place = [&](Region& region, const Value& base) {
            Claim claim;
            claim.base = to_number(base, d.name() + ": `at`");
            claim.size = region.length, claim.region = &region, claim.fixed = true;
            claim.priority = BP_PRIORITY_FIXED * 1024 - static_cast<i32>(d.index & 1023);
            claim.place = base.position().text();
            const bool ports = region.kind == BP_REGION_PORTS;
            if (ports ? !a_.ports : !a_.memory)
                throw Error(base.position(), d.name() + ": the board has no " + (ports ? "port" : "memory") +
                                                 " space for " + region.label());
            const u64 limit = ports ? kPorts - 1 : a_.memory->limit();
            if (claim.base > limit || claim.last() > limit || claim.last() < claim.base)
                throw Error(base.position(), d.name() + ": " + region.label() + " does not fit into the " +
                                                 (ports ? "port" : "memory") + " space at this address");
            const Claim* other = ports ? a_.ports->conflict(claim) : a_.memory->conflict(claim);
            if (other) {
                char range[80];
                std::snprintf(range, sizeof range, "%s 0x%llx-0x%llx", ports ? "ports" : "memory",
                              static_cast<unsigned long long>(claim.base),
                              static_cast<unsigned long long>(claim.last()));
                throw Error(base.position(), d.name() + ": " + range + " (" + region.name +
                                                 ") are already claimed by " + other->region->label() + " (" +
                                                 other->place + ")");
            }
            if (ports)
                a_.ports->add(std::move(claim));
            else
                a_.memory->add(std::move(claim));
        };
        if (at->is_map()) {
            for (const Value::Entry& e : at->entries()) {
                const auto index = d.type->region(e.key);
                std::vector<std::string> names;
                for (const RegionInfo& r : d.type->regions) names.push_back(r.name);
                if (!index)
                    throw Error(e.position, d.name() + ": " + d.type->name + " has no region `" + e.key + "`" +
                                                did_you_mean(e.key, names));
                for (const Value* base : e.value.as_list()) place(d.regions[*index], *base);
            }
        } else {
            if (d.regions.size() != 1)
                throw Error(at->position(), d.name() + ": " + d.type->name + " has " +
                                                std::to_string(d.regions.size()) +
                                                " regions; write `at: {name: address, ...}`");
            for (const Value* base : at->as_list()) place(d.regions[0], *base);
        }
    }
}

void Builder::check_failure(Instance& d, bp_status status, const Position& position, const char* doing) {
    if (status == BP_OK) return;
    static const char* const names[] = {"",
                                        "invalid",
                                        "not found",
                                        "conflict",
                                        "input/output error",
                                        "unsupported",
                                        "wrong state",
                                        "out of memory",
                                        "read-only",
                                        "re-entrant"};
    const std::string why = !d.failure.empty()          ? d.failure
                            : status > 0 && status < 10 ? names[status]
                                                        : "error " + std::to_string(status);
    throw Error(position, d.name() + ": " + (d.failure.empty() ? std::string(doing) + ": " + why : why),
                // An engine that this computer cannot run.
                status == BP_ERR_UNSUPPORTED && d.type->offers_interface(BP_CPU_ID) ? kExitHost : kExitConfig);
}

// What fails to start is most often a host file: where the user named it says more than where the board puts the
// device.
static const Position& place_of_file(const Instance& d) {
    for (const PropertyInfo& p : d.type->properties)
        if (const Value* v = d.spec->find(p.name); p.kind == BP_PROPERTY_PATH && v && !v->is_null())
            return v->position();
    return d.spec->position;
}

void Builder::start_devices() {
    // A bus starts before what sits on it; otherwise the order of the board.
    std::vector<bool> done(a_.devices.size(), false);
    const std::function<void(Instance&)> visit = [&](Instance& d) {
        if (done[d.index]) return;
        done[d.index] = true;
        if (d.parent) visit(*d.parent);
        a_.order.push_back(&d);
    };
    for (Instance& d : a_.all()) visit(d);
    if (a_.memory) a_.memory->begin();
    for (Instance* d : a_.order) {
        if (kept(*d)) continue;
        d->started = true;  // stop() is called even for a start() that failed half-way
        check_failure(*d, d->type->abi->start(d->object), place_of_file(*d), "cannot start");
    }
    if (a_.memory) a_.memory->end();
}

bool Builder::publish(Machine& machine, Instance& d, const bp_fact& fact) {
    if (machine.publishing_ != &d) {
        d.failure = "publish() outside of its time";
        return false;
    }
    FactState record;
    record.from = d.name(), record.what = std::string(to_view(fact.what)), record.key = std::string(to_view(fact.key));
    for (std::size_t i = 0; i < fact.field_count; ++i) {
        const bp_fact_field& f = fact.fields[i];
        record.fields.emplace_back(to_view(f.name),
                                   f.text.data ? std::string(to_view(f.text)) : std::to_string(f.number));
    }
    const std::string what = record.what;
    d.assembly->facts.push_back(std::move(record));
    for (const Assembly::Route& r : d.assembly->routes) {
        if (r.from != &d || r.what != what) continue;
        const bp_status status = r.into->type->abi->consume(r.into->object, &fact);
        if (status != BP_OK) {
            machine.publish_failure_ = r.into->name() + " refuses the " + r.what + " of " + d.name() +
                                       (r.into->failure.empty() ? "" : ": " + r.into->failure);
            d.failure = machine.publish_failure_;
            return false;
        }
    }
    return true;
}

// Publishers before their consumers: a consumer may derive facts of its own.
void Builder::publish_facts() {
    std::vector<int> state(a_.devices.size(), 0);
    std::vector<Instance*> order;
    const std::function<void(Instance&)> visit = [&](Instance& d) {
        if (state[d.index] == 2) return;
        if (state[d.index] == 1)
            throw Error(d.spec->position,
                        "publish: " + d.name() + " consumes, by way of others, what it publishes itself");
        state[d.index] = 1;
        for (const Assembly::Route& r : a_.routes)
            if (r.into == &d) visit(*r.from);
        state[d.index] = 2;
        order.push_back(&d);
    };
    for (Instance& d : a_.all()) visit(d);
    struct Done {
        Machine& m;
        ~Done() { m.publishing_ = nullptr, m.publish_failure_.clear(); }
    } done{m_};
    for (Instance* d : order) {
        if (kept(*d)) continue;
        m_.publishing_ = d;
        check_failure(*d, d->type->abi->publish(d->object), d->spec->position, "cannot publish");
        if (!m_.publish_failure_.empty()) throw Error(d->spec->position, m_.publish_failure_);
    }
}

}  // namespace backplane::kernel
