// From a board description to devices in slots that are powered on.
#include <time.h>

#include <algorithm>
#include <cstdio>

#include "kernel/config/convert.hpp"
#include "kernel/machine/machine.hpp"
#include "kernel/machine/services.hpp"

namespace backplane::kernel {

namespace {

// Seconds since 1970 of "2010-01-01T00:00:00" (UTC) or "2010-01-01"; "host" is the host's clock.
std::int64_t start_time(const Value& value) {
    const std::string& text = to_text(value, "clock: `start`");
    if (text == "host") return ::time(nullptr);
    int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, used = 0;
    const char* c = text.c_str();
    int n = std::sscanf(c, "%4d-%2d-%2d%n", &year, &month, &day, &used);
    bool good = n == 3;
    if (good && c[used] != '\0') {
        int more = 0;
        n = std::sscanf(c + used, "%*1[T ]%2d:%2d:%2d%n", &hour, &minute, &second, &more);
        used += more;
        if (n == 3 && c[used] == 'Z') ++used;
        good = n == 3 && c[used] == '\0';
    }
    good = good && year >= 1970 && month >= 1 && month <= 12 && day >= 1 && day <= 31 && hour <= 23 && minute <= 59 &&
           second <= 59;
    if (!good)
        throw Error(value.position(),
                    "clock: `start`: expected host or a UTC date such as 2010-01-01T00:00:00, not " + text);
    std::tm t{};
    t.tm_year = year - 1900, t.tm_mon = month - 1, t.tm_mday = day, t.tm_hour = hour, t.tm_min = minute,
    t.tm_sec = second;
    return ::timegm(&t);
}

}  // namespace

Machine::Machine(const BoardSpec& board, PluginRegistry& registry, Logger& logger, Tracer& tracer,
                 MachineOptions options)
    : board_(board),
      registry_(registry),
      logger_(logger),
      tracer_(tracer),
      options_(std::move(options)),
      log_(logger.device("machine")),
      wires_([this](const std::string& wire, const std::string& text) {
          logger_.log(log_, BP_LOG_WARN, wire + ": " + text);
      }) {
    try {
        build();
    } catch (...) {
        tear_down();
        throw;
    }
}

Machine::~Machine() { tear_down(); }

void Machine::tear_down() {
    end_vcpus_ = true;
    stop_vcpus();
    for (Vcpu& cpu : vcpus_)
        if (cpu.thread.joinable()) cpu.thread.join();
    // Without the lock: back ends join their threads here, and those may still want to post or to look at the machine.
    for (auto it = order_.rbegin(); it != order_.rend(); ++it) {
        if ((*it)->started) (*it)->type->abi->stop((*it)->object);
        (*it)->started = false;
    }
    lock_.lock();
    run_posted();  // completions that back ends posted while they stopped
    for (auto it = devices_.rbegin(); it != devices_.rend(); ++it) {
        if (it->object) it->type->abi->destroy(it->object);
        it->object = nullptr;
    }
    lock_.unlock();
}

void Machine::build() {
    auto mode = Clock::Mode::kRealtime;
    u64 ns_per_instruction = 10;
    random_state_ = 0x9E3779B97F4A7C15ull;
    const Value* start = nullptr;
    if (board_.clock.is_map()) {
        for (const Value::Entry& e : board_.clock.entries()) {
            if (e.key == "mode") {
                if (to_choice(e.value, "clock: `mode`", {"realtime", "deterministic"}) == "deterministic")
                    mode = Clock::Mode::kDeterministic;
            } else if (e.key == "ns_per_instruction") {
                ns_per_instruction = to_number(e.value, "clock: `ns_per_instruction`", 1, 1'000'000);
            } else if (e.key == "seed") {
                random_state_ = to_number(e.value, "clock: `seed`", 1);
            } else if (e.key == "start") {
                start = &e.value;
            } else {
                throw Error(e.position, "clock: unknown key `" + e.key + "`" +
                                            did_you_mean(e.key, {"mode", "ns_per_instruction", "seed", "start"}));
            }
        }
    }
    clock_ = std::make_unique<Clock>(mode, static_cast<std::int64_t>(ns_per_instruction));
    constexpr std::int64_t kDefaultStart = 1262304000;  // 2010-01-01: a deterministic run takes nothing from the host
    start_time_ = mode == Clock::Mode::kDeterministic ? kDefaultStart : ::time(nullptr);
    if (start) {
        if (mode == Clock::Mode::kDeterministic && start->is_scalar() && start->text() == "host")
            start_time_ = kDefaultStart;
        else
            start_time_ = start_time(*start);
    }

    const auto unclaimed = [this](const std::string& text) { logger_.log(log_, BP_LOG_UNIMPLEMENTED, text); };
    const auto traced = [this](const Region& r, bool write, u64 offset, u32 bytes, u64 value) {
        char text[64];
        std::snprintf(text, sizeof text, "%s%u +%llx %s %llx", write ? "write" : "read", 8 * bytes,
                      static_cast<unsigned long long>(offset), write ? "<-" : "->",
                      static_cast<unsigned long long>(value));
        tracer_.emit(now(), r.label(), text);
    };
    for (const SpaceSpec& s : board_.spaces) {
        if (s.kind == SpaceSpec::Kind::kPorts) {
            if (ports_) throw Error(s.position, "a second port space; a board has one");
            ports_ = std::make_unique<PortSpace>(PortEvents{unclaimed, traced});
        } else {
            if (memory_) throw Error(s.position, "a second memory space; a board has one");
            MemoryEvents events;
            events.view_changed = [this] { set_attention(BP_ATTENTION_VIEW); };
            events.code_written = [this](u64 address, u64 size) {
                for (Vcpu& c : vcpus_) c.table->invalidate(c.engine, address, size);
            };
            events.unclaimed = unclaimed;
            events.traced = traced;
            memory_ = std::make_unique<MemorySpace>(ram_, s.bits, std::move(events));
        }
    }

    lock_.lock();
    struct Unlock {
        MachineLock& lock;
        ~Unlock() { lock.unlock(); }
    } unlock{lock_};
    create_devices();
    join_buses();
    join_links();
    join_lines();
    // Board-wide rules that need no running device come first, so that nothing is started in vain.
    for (const PublishSpec& p : board_.publish) {
        Instance* from = device(p.from.text());
        Instance* into = device(p.into.text());
        std::vector<std::string> names;
        for (const Instance& d : devices_) names.push_back(d.name());
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
        routes_.push_back({p.what.text(), from, into});
    }
    for (const Instance& d : devices_)
        for (const FactUseInfo& f : d.type->facts)
            if (f.publishes && f.must_consume && std::none_of(routes_.begin(), routes_.end(), [&](const Route& r) {
                    return r.from == &d && r.what == f.what;
                }))
                throw Error(d.spec->position, d.name() + ": nobody consumes its `" + f.what + "`, which its type " +
                                                  d.type->name +
                                                  " requires; the board needs an entry `publish: - {what: " + f.what +
                                                  ", from: " + d.name() + ", into: ...}`");
    if (options_.verify_only) {
        place_regions();
        return;
    }
    start_devices();
    place_regions();
    publish_facts();
    attach_engines();
    for (Instance* d : order_) d->type->abi->reset(d->object, BP_RESET_POWER_ON);
    for (Instance* d : order_) d->type->abi->connect(d->object);
}

void Machine::create_devices() {
    for (const DeviceSpec& spec : board_.devices) {
        Instance& d = devices_.emplace_back();
        d.machine = this;
        d.index = static_cast<u32>(devices_.size() - 1);
        // `plugin: ID` or `plugin: ./file.so` takes another implementation of the same type.
        std::string plugin;
        Position place = spec.type_position;
        if (const Value* p = spec.find("plugin"); p && !p->is_null()) {
            plugin = to_text(*p, spec.name + ": `plugin`");
            if (plugin.find('/') != std::string::npos && plugin.ends_with(".so"))
                plugin = to_path(*p, spec.name + ": `plugin`");
            place = p->position();
        }
        d.type = &registry_.type(spec.type, place, plugin);
        for (const DeviceSpec& s : board_.devices)
            if (&s == &spec) d.spec = &s;
        d.log = logger_.device(spec.name);
        d.slot = {&d, slot_service};
        for (const PluginFile& f : registry_.files())
            if (f.path == d.type->plugin_file)
                d.files = std::count(f.manifest.needs.begin(), f.manifest.needs.end(), "files") > 0;

        const std::vector<std::string> keys = device_keys(*d.type);
        for (const Value::Entry& e : spec.entries)
            if (std::find(keys.begin(), keys.end(), e.key) == keys.end())
                throw Error(e.position, spec.name + ": " + d.type->name + " has no property, line or link `" + e.key +
                                            "`" + did_you_mean(e.key, keys));
        for (const PropertyInfo& p : d.type->properties)
            d.properties.push_back(property_value(p, spec.find(p.name), spec.name, spec.position));
        for (const RegionInfo& r : d.type->regions) {
            Region& region = d.regions.emplace_back();
            region.device = spec.name, region.name = r.name, region.kind = r.kind, region.length = r.length,
            region.widths = r.widths;
            region.read = r.read, region.write = r.write;
            tracer_.add(region.label(), &region.traced);
        }
        d.claims.resize(d.regions.size(), 0);
        d.timers.resize(d.type->timers.size());
        d.links.resize(d.type->links.size(), bp_interface{nullptr, nullptr});
        d.outputs.resize(d.type->output_count);
        d.levels.resize(d.type->output_count, false);
        for (const TraceInfo& t : d.type->traces) tracer_.add(spec.name + "." + t.name, &d.traces.emplace_back(0));

        check_failure(d, d.type->abi->create(&d.slot, &d.object), spec.position, "cannot be made");
        for (Region& r : d.regions) r.instance = d.object;
    }
}

// `at: 0x1000` (a device with one region), `at: {command: 0x1000, control: 0x1206}`, and lists of bases for aliases.
void Machine::place_regions() {
    for (Instance& d : devices_) {
        const Value* at = d.spec->find("at");
        if (!at || at->is_null()) continue;
        const auto place = [&](Region& region, const Value& base) {
            Claim claim;
            claim.base = to_number(base, d.name() + ": `at`");
            claim.size = region.length, claim.region = &region, claim.fixed = true;
            claim.priority = BP_PRIORITY_FIXED * 1024 - static_cast<i32>(d.index & 1023);
            claim.place = base.position().text();
            const bool ports = region.kind == BP_REGION_PORTS;
            if (ports ? !ports_ : !memory_)
                throw Error(base.position(), d.name() + ": the board has no " + (ports ? "port" : "memory") +
                                                 " space for " + region.label());
            const u64 limit = ports ? kPorts - 1 : memory_->limit();
            if (claim.base > limit || claim.last() > limit || claim.last() < claim.base)
                throw Error(base.position(), d.name() + ": " + region.label() + " does not fit into the " +
                                                 (ports ? "port" : "memory") + " space at this address");
            const Claim* other = ports ? ports_->conflict(claim) : memory_->conflict(claim);
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
                ports_->add(std::move(claim));
            else
                memory_->add(std::move(claim));
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

void Machine::check_failure(Instance& d, bp_status status, const Position& position, const char* doing) {
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
    throw Error(position, d.name() + ": " + (d.failure.empty() ? std::string(doing) + ": " + why : why));
}

// What fails to start is most often a host file: where the user named it says more than where the board puts the
// device.
static const Position& place_of_file(const Instance& d) {
    for (const PropertyInfo& p : d.type->properties)
        if (const Value* v = d.spec->find(p.name); p.kind == BP_PROPERTY_PATH && v && !v->is_null())
            return v->position();
    return d.spec->position;
}

void Machine::start_devices() {
    // A bus starts before what sits on it; otherwise the order of the board.
    std::vector<bool> done(devices_.size(), false);
    const std::function<void(Instance&)> visit = [&](Instance& d) {
        if (done[d.index]) return;
        done[d.index] = true;
        if (d.parent) visit(*d.parent);
        order_.push_back(&d);
    };
    for (Instance& d : devices_) visit(d);
    if (memory_) memory_->begin();
    for (Instance* d : order_) {
        d->started = true;  // stop() is called even for a start() that failed half-way
        check_failure(*d, d->type->abi->start(d->object), place_of_file(*d), "cannot start");
    }
    if (memory_) memory_->end();
}

bool Machine::publish(Instance& d, const bp_fact& fact) {
    if (publishing_ != &d) {
        d.failure = "publish() outside of its time";
        return false;
    }
    const std::string_view what(fact.what.data, fact.what.size);
    for (const Route& r : routes_) {
        if (r.from != &d || r.what != what) continue;
        const bp_status status = r.into->type->abi->consume(r.into->object, &fact);
        if (status != BP_OK) {
            publish_failure_ = r.into->name() + " refuses the " + r.what + " of " + d.name() +
                               (r.into->failure.empty() ? "" : ": " + r.into->failure);
            d.failure = publish_failure_;
            return false;
        }
    }
    return true;
}

// Publishers before their consumers: a consumer may derive facts of its own.
void Machine::publish_facts() {
    std::vector<int> state(devices_.size(), 0);
    std::vector<Instance*> order;
    const std::function<void(Instance&)> visit = [&](Instance& d) {
        if (state[d.index] == 2) return;
        if (state[d.index] == 1)
            throw Error(d.spec->position,
                        "publish: " + d.name() + " consumes, by way of others, what it publishes itself");
        state[d.index] = 1;
        for (const Route& r : routes_)
            if (r.into == &d) visit(*r.from);
        state[d.index] = 2;
        order.push_back(&d);
    };
    for (Instance& d : devices_) visit(d);
    for (Instance* d : order) {
        publishing_ = d;
        check_failure(*d, d->type->abi->publish(d->object), d->spec->position, "cannot publish");
        if (!publish_failure_.empty()) throw Error(d->spec->position, publish_failure_);
    }
    publishing_ = nullptr;
}

}  // namespace backplane::kernel
