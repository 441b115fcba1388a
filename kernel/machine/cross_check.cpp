#include "kernel/machine/cross_check.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include "kernel/config/convert.hpp"
#include "kernel/machine/cross_report.hpp"
#include "kernel/machine/device_state.hpp"
#include "kernel/machine/follower.hpp"

namespace backplane::kernel {

// A link to a CPU's bp.cpu.startup/1 that leads here first.
struct StartupLink {
    CrossCheck::Impl* check = nullptr;
    bp_interface real{nullptr, nullptr};
    bp_cpu_startup table{};
};

struct CrossCheck::Impl {
    Machine& m;
    CrossCheckOptions options;
    Ram memory, base;  // as the other engine has left it, and as it was before the block
    std::unique_ptr<Follower> follower, fresh;
    Follower* building = nullptr;
    u64 swaps = ~u64{0};
    std::map<const Assembly*, std::set<std::pair<u32, u32>>> heard;  // device and line: have changed since it was made
    bool synced = false;
    Vcpu* running = nullptr;
    std::vector<BusEvent> log;
    std::vector<CpuPoint> before;  // by CPU: as the block began
    MemorySpace::Views views;      // likewise
    std::vector<bool> page_seen;
    std::vector<u64> pages;              // that the machine's engines may write to
    std::vector<KnownDifference> known;  // between these two engines
    u64 blocks = 0, skipped = 0;

    Impl(Machine& machine, CrossCheckOptions o) : m(machine), options(std::move(o)) {}

    bool live(const Assembly& a) const { return !building && &a == m.live_.get(); }
    BusEvent& push(BusEvent::Kind kind, u32 cpu) {
        BusEvent& e = log.emplace_back();
        e.kind = kind, e.cpu = cpu;
        e.count = running ? running->shared.instructions : 0;
        return e;
    }
    u64 made(std::size_t index, u64 answer, bool write) {
        if (!write) log[index].value = answer;
        return answer;
    }
    void written(u64 offset) {
        const u64 page = offset / kPageSize;
        if (page >= page_seen.size()) page_seen.resize(page + 1024);
        if (page_seen[page]) return;
        page_seen[page] = true;
        pages.push_back(page * kPageSize);
    }
    void forget_pages() {
        for (const u64 page : pages) page_seen[page / kPageSize] = false;
        pages.clear();
        m.live_->set_attention(BP_ATTENTION_VIEW);
    }
    i64 controller_call(u32 cpu, const IntrProxy::Call& call);
    std::vector<LineLevel> levels_of(const Vcpu& v) const;
    BoardSpec cpus_only(const std::string& engine) const;
    std::unique_ptr<Follower> make(const std::string& engine);
    bp_interface real_controller(const std::string& cpu) const;
    void copy_memory();
    void sync();
    CpuPoint point_of(const Vcpu& v) const { return {cpu_state(v), levels_of(v), v.own}; }
    bool singly() const { return follower->vcpus()[0].device->type == m.live_->vcpus[0].device->type; }
    bool check(Vcpu& cpu, u64 begin, i64 time, u32 exit);
    void next_block(std::size_t executed);
    CrossAttempt attempt(Follower& f, const Follower::Part& part);
    std::string narrow(Vcpu& cpu, u64 begin, i64 time, u32 exit, CrossAttempt first, CrossAttempt second);
    std::vector<u64> touched;  // pages that attempts have changed
};

i64 CrossCheck::Impl::controller_call(u32 cpu, const IntrProxy::Call& call) {
    if (!synced || !running || running->shared.index != cpu) return call.make();
    const bool acknowledge = call.number == IntrProxy::kAcknowledge, write = !acknowledge && !call.asks;
    BusEvent& e = push(acknowledge ? BusEvent::Kind::kAcknowledge : BusEvent::Kind::kController, cpu);
    e.address = call.number, e.write = write, e.value = call.argument;
    const std::size_t index = log.size() - 1;
    return static_cast<i64>(made(index, static_cast<u64>(call.make()), write));
}

// What the link of a live CPU leads to.
bp_interface CrossCheck::Impl::real_controller(const std::string& cpu) const {
    const Instance* d = m.live_->device(cpu);
    for (std::size_t i = 0; d && i < d->links.size(); ++i)
        if (d->type->links[i].interface_id == BP_INTR_ID && d->links[i].table)
            return static_cast<const IntrProxy*>(d->links[i].instance)->real();
    return {nullptr, nullptr};
}

// The tables lead on to what the link led to, for what that offers.
void CrossCheck::join(Assembly& a) {
    Impl& c = *impl_;
    u32 cpu = 0;
    for (Instance& d : a.all()) {
        const bool is_cpu = d.type->offers_interface(BP_CPU_ID);
        for (std::size_t i = 0; i < d.links.size(); ++i) {
            const std::string& id = d.type->links[i].interface_id;
            if (is_cpu && id == BP_INTR_ID) {
                const bp_interface real = c.building ? c.real_controller(d.name()) : d.links[i];
                if (!real.table) continue;
                Follower* follower = c.building;
                auto link = std::make_shared<IntrProxy>(real, [&c, follower, cpu](const IntrProxy::Call& call) {
                    return follower ? follower->controller_call(cpu, call) : c.controller_call(cpu, call);
                });
                d.links[i] = link->interface();
                a.owned.push_back(std::move(link));
            } else if (id == BP_CPU_STARTUP_ID && d.links[i].table) {
                auto link = std::make_shared<StartupLink>();
                link->check = &c, link->real = d.links[i];
                link->table = {sizeof(bp_cpu_startup), [](void* self, u32 vector) {
                                   StartupLink& l = *static_cast<StartupLink*>(self);
                                   Impl& check = *l.check;
                                   // Whose it is: the CPUs are known by now.
                                   for (const Vcpu& v : check.m.live_->vcpus)
                                       if (check.synced && v.engine == l.real.instance)
                                           check.push(BusEvent::Kind::kStartup, v.shared.index).value = vector;
                                   static_cast<const bp_cpu_startup*>(l.real.table)->startup(l.real.instance, vector);
                               }};
                d.links[i] = {&link->table, link.get()};
                a.owned.push_back(std::move(link));
            }
        }
        if (is_cpu) ++cpu;
    }
}

void CrossCheck::hook(Assembly& a, MemoryEvents& events) {
    if (impl_->building) return impl_->building->hook(events);
    Impl& c = *impl_;
    events.view_changed = [&c, &a, before = events.view_changed] {
        before();
        if (c.synced && c.live(a)) c.push(BusEvent::Kind::kViews, 0).views = a.memory->views();
    };
    events.access = [&c](const Region* region, u64 offset, u32 bytes, bool write, u64 value,
                         const std::function<u64()>& go) -> u64 {
        if (!c.synced || !c.running) return go();
        BusEvent& e = c.push(BusEvent::Kind::kRegister, c.running->shared.index);
        e.region = region, e.address = offset, e.bytes = bytes, e.write = write, e.value = value;
        const std::size_t index = c.log.size() - 1;
        return c.made(index, go(), write);
    };
    events.writable = [&c, &a](u64 offset) {
        if (c.live(a)) c.written(offset);
    };
    events.stored = [&c, &a](u64 offset, u64 size) {
        if (!c.synced || !c.live(a) || size == 0) return;
        BusEvent& e = c.push(BusEvent::Kind::kStore, 0);
        e.address = offset;
        e.data.assign(reinterpret_cast<const char*>(c.m.ram_.at(offset)), size);
    };
}

void CrossCheck::hook(Assembly&, PortEvents& events) {
    if (impl_->building) return impl_->building->hook(events);
    Impl& c = *impl_;
    events.access = [&c](u32 port, u32 bytes, bool write, u64 value, const std::function<u64()>& go) -> u64 {
        if (!c.synced || !c.running) return go();
        BusEvent& e = c.push(BusEvent::Kind::kPort, c.running->shared.index);
        e.address = port, e.bytes = bytes, e.write = write, e.value = value;
        const std::size_t index = c.log.size() - 1;
        return c.made(index, go(), write);
    };
}

void CrossCheck::input(const Assembly& a, u32 device, u32 line, bool level) {
    Impl& c = *impl_;
    if (a.devices[device]->type->offers_interface(BP_CPU_ID)) c.heard[&a].insert({device, line});
    if (!c.synced || !c.live(a)) return;
    for (const Vcpu& v : c.m.live_->vcpus) {
        if (v.device->index != device) continue;
        BusEvent& e = c.push(BusEvent::Kind::kInput, v.shared.index);
        e.address = line, e.value = level ? 1 : 0;
    }
}

void CrossCheck::output(const Instance& device, u32 line, bool level) {
    Impl& c = *impl_;
    if (!c.synced || !c.running || c.running->device != &device) return;
    BusEvent& e = c.push(BusEvent::Kind::kOutput, c.running->shared.index);
    e.address = line, e.write = true, e.value = level ? 1 : 0;
}

void CrossCheck::own_moved(const Vcpu& cpu) {
    Impl& c = *impl_;
    if (c.synced && c.live(*cpu.assembly)) c.push(BusEvent::Kind::kOwn, cpu.shared.index).own = cpu.own;
}

void CrossCheck::replaced() { impl_->synced = false; }

std::vector<LineLevel> CrossCheck::Impl::levels_of(const Vcpu& v) const {
    std::vector<LineLevel> list;
    const auto changed = heard.find(m.live_.get());
    for (u32 line = 0; line < v.device->type->input_count; ++line) {
        const bool known = changed != heard.end() && changed->second.contains({v.device->index, line});
        list.push_back(m.live_->wires.input(v.device->index, line) ? LineLevel::kHigh
                       : known                                     ? LineLevel::kLow
                                                                   : LineLevel::kNever);
    }
    return list;
}

// The board's CPUs alone, with their properties.
BoardSpec CrossCheck::Impl::cpus_only(const std::string& engine) const {
    const BoardSpec whole = engine.empty()
                                ? m.board_
                                : with_parameter(m.board_, "engine", engine,
                                                 "--cross-check " + std::to_string(options.block) + "," + engine);
    BoardSpec board;
    board.name = whole.name;
    board.spaces = whole.spaces;
    board.clock = whole.clock;
    for (const Vcpu& v : m.live_->vcpus) {
        const DeviceSpec* spec = whole.device(v.device->name());
        if (!spec) throw Error("the board has no " + v.device->name() + " with the engine " + in_ticks(engine));
        std::string plugin;
        if (const Value* p = spec->find("plugin"); p && p->is_scalar()) plugin = p->text();
        const TypeInfo& type = m.registry_.type(spec->type, spec->type_position, plugin);
        DeviceSpec& cpu = board.devices.emplace_back(*spec);
        std::erase_if(cpu.entries, [&](const Value::Entry& e) {
            return e.key != "plugin" && std::none_of(type.properties.begin(), type.properties.end(),
                                                     [&](const PropertyInfo& p) { return p.name == e.key; });
        });
    }
    return board;
}

std::unique_ptr<Follower> CrossCheck::Impl::make(const std::string& engine) {
    auto made_one = std::make_unique<Follower>(m, cpus_only(engine), memory);
    struct Building {
        Follower*& who;
        ~Building() { who = nullptr; }
    } done{building = made_one.get()};
    made_one->build();
    for (const Vcpu& v : made_one->vcpus())
        if (!gives_state(v)) throw Error("--cross-check: " + v.device->type->name + " does not give its state away");
    return made_one;
}

void CrossCheck::Impl::copy_memory() {
    for (Ram* copy : {&memory, &base}) {
        for (std::size_t i = copy->count(); i < m.ram_.count(); ++i) {
            const Ram::Block& b = m.ram_.block(i);
            if (copy->create(b.owner, b.name, b.size) < 0)
                throw Error("--cross-check: no memory for a copy of the guest's");
        }
        for (std::size_t i = 0; i < m.ram_.count(); ++i) {
            if (m.ram_.block(i).device) copy->set_device(i);
            copy->clear(i);
            u8* to = copy->at(copy->block(i).offset);
            m.ram_.visit_pages(i, [&](u64 offset, const u8* page) { std::memcpy(to + offset, page, kPageSize); });
        }
    }
}

// Everything as the machine has it now.
void CrossCheck::Impl::sync() {
    copy_memory();
    if (!follower || swaps != m.swaps_) {
        fresh.reset(), follower.reset();
        follower = make(options.engine);
        swaps = m.swaps_;
        std::erase_if(heard, [&](const auto& of) { return of.first != m.live_.get(); });
        known.clear();
        for (const KnownDifference& k : options.known)
            if ((k.engine == m.live_->vcpus[0].device->type->name) !=
                (k.engine == follower->vcpus()[0].device->type->name))
                known.push_back(k);
    }
    forget_pages();
    follower->forget();
    log.clear();
    const std::size_t cpus = m.live_->vcpus.size();
    before.resize(cpus);
    views = m.live_->memory->views();
    for (std::size_t i = 0; i < cpus; ++i) {
        before[i] = point_of(m.live_->vcpus[i]);
        follower->set(i, before[i], views);
    }
    synced = true;
}

u32 CrossCheck::run(Vcpu& cpu) {
    Impl& c = *impl_;
    cpu.device->failure.clear();
    try {
        if (!c.synced) c.m.locked([&] { c.sync(); });
    } catch (const Error& e) {
        cpu.device->failure = e.what();
        return BP_EXIT_ERROR;
    }
    const u64 begin = cpu.shared.instructions, deadline = cpu.shared.deadline;
    const i64 time = c.m.now();
    cpu.shared.deadline = std::min(deadline, begin + c.options.block);
    c.running = &cpu;
    const u32 exit = cpu.table->run(cpu.engine);
    c.running = nullptr;
    bool good = true;
    c.m.locked([&] { good = c.check(cpu, begin, time, exit); });
    return good ? exit : u32{BP_EXIT_ERROR};
}

// The CPUs and the memory map as the next block finds them; what comes from now on is the next block's. Those that have
// not executed anything may have got something that they have not taken yet.
void CrossCheck::Impl::next_block(std::size_t executed) {
    for (const u64 page : follower->written()) std::memcpy(base.at(page), memory.at(page), kPageSize);
    follower->forget();
    std::set<u32> got;
    for (const BusEvent& e : log)
        if (e.of_cpu() && e.cpu != executed) got.insert(e.cpu);
    for (const u32 i : got) before[i] = point_of(m.live_->vcpus[i]);
    log.clear();
    views = m.live_->memory->views();
    // All of them are compared after each block, and several CPUs have short ones.
    const u64 longest = before.size() > 1 ? std::min(options.block, Machine::kTurn) : options.block;
    if (pages.size() > 512 + longest / 8) forget_pages();
    ++blocks;
}

bool CrossCheck::Impl::check(Vcpu& cpu, u64 begin, i64 time, u32 exit) {
    const std::size_t i = cpu.shared.index;
    CrossAttempt first, second;
    second.diverged = follower->follow({&log, i, begin, cpu.shared.instructions, time, m.clock_->ns_per_instruction(),
                                        singly(), false, exit == BP_EXIT_HALT});
    first.fields = cpu_fields(cpu, first.state = cpu_state(cpu));
    Vcpu& other = follower->vcpus()[i];
    second.fields = cpu_fields(other, second.state = cpu_state(other));
    std::vector<u64> all = pages;
    all.insert(all.end(), follower->written().begin(), follower->written().end());
    for (const u64 page : all)
        if (std::memcmp(m.ram_.at(page), memory.at(page), kPageSize) != 0) {
            first.pages[page].assign(reinterpret_cast<const char*>(m.ram_.at(page)), kPageSize);
            second.pages[page].assign(reinterpret_cast<const char*>(memory.at(page)), kPageSize);
        }
    if (equal(first, second, known)) {
        before[i] = {first.state, levels_of(cpu), cpu.own};
        next_block(i);
        return true;
    }
    try {
        cpu.device->failure = narrow(cpu, begin, time, exit, std::move(first), std::move(second));
    } catch (const Error& e) {
        cpu.device->failure = std::string("the engines differ, and narrowing it down failed: ") + e.what();
    }
    if (!cpu.device->failure.empty()) return false;
    ++skipped;
    synced = false;
    return true;
}

// Executes the block's first instructions anew on an engine that has nothing of the past.
CrossAttempt CrossCheck::Impl::attempt(Follower& f, const Follower::Part& part) {
    for (Follower* each : {follower.get(), fresh.get()})
        if (each) touched.insert(touched.end(), each->written().begin(), each->written().end());
    for (const u64 page : touched) std::memcpy(memory.at(page), base.at(page), kPageSize);
    f.set(part.cpu, before[part.cpu], views);
    f.forget();
    CrossAttempt result;
    result.diverged = f.follow(part);
    Vcpu& v = f.vcpus()[part.cpu];
    result.fields = cpu_fields(v, result.state = cpu_state(v));
    for (const u64 page : f.written())
        result.pages[page].assign(reinterpret_cast<const char*>(memory.at(page)), kPageSize);
    return result;
}

std::string CrossCheck::Impl::narrow(Vcpu& cpu, u64 begin, i64 time, u32 exit, CrossAttempt first,
                                     CrossAttempt second) {
    // It may have been stopped behind an event that it has taken, of which nothing tells the other one. Then a new
    // engine of its type that stops at the count is where the other one is.
    const bool stopped = exit == BP_EXIT_STOP || exit == BP_EXIT_BREAK;
    const std::size_t i = cpu.shared.index;
    const u64 end = cpu.shared.instructions;
    CrossReport report;
    for (const Vcpu& v : m.live_->vcpus)
        if (&v != &cpu) report.cpu = cpu.device->name(), report.others += v.shared.instructions;
    report.first_engine = cpu.device->type->name, report.second_engine = follower->vcpus()[i].device->type->name;
    report.block_begin = begin, report.block_end = end, report.block = blocks;
    const auto label = [&](u64 offset) { return m.memory_label(offset); };
    if (!fresh) fresh = make("");
    const auto part = [&](u64 to, bool alone) {
        return Follower::Part{
            &log, i, begin, to, time, m.clock_->ns_per_instruction(), alone, true, exit == BP_EXIT_HALT && to == end};
    };
    const auto differ = [&](u64 to) {
        CrossAttempt a = attempt(*fresh, part(to, false)), b = attempt(*follower, part(to, singly()));
        // What only one of them has written to is as it was for the other.
        for (auto* pair : {&a, &b})
            for (const auto& [page, bytes] : (pair == &a ? b : a).pages)
                if (!pair->pages.contains(page))
                    pair->pages[page].assign(reinterpret_cast<const char*>(base.at(page)), kPageSize);
        const bool same = equal(a, b, known);
        if (!same) first = std::move(a), second = std::move(b);
        return !same;
    };
    if (!differ(end)) {
        report.reproduced = false;
        if (stopped) return "";
        return report.text(first, second, known, label);
    }
    u64 good = begin, bad = end;
    while (bad - good > 1) {
        const u64 middle = good + (bad - good) / 2;
        (differ(middle) ? bad : good) = middle;
    }
    differ(bad);
    report.found_at = bad;
    const TraceFile trace;
    Vcpu& tracing = fresh->vcpus()[i];
    if (tracing.table->trace_instructions(tracing.engine, {trace.path().data(), trace.path().size()}) == BP_OK) {
        attempt(*fresh, part(bad, false));
        tracing.table->trace_instructions(tracing.engine, {"", 0});
        report.last_instructions = trace.last_lines(10);
    }
    return report.text(first, second, known, label);
}

CrossCheck::CrossCheck(Machine& machine, CrossCheckOptions options)
    : impl_(std::make_unique<Impl>(machine, std::move(options))) {}
CrossCheck::~CrossCheck() {
    impl_->m.logger_.log(impl_->m.log_, BP_LOG_INFO,
                         "cross-check: " + std::to_string(impl_->blocks) + " blocks compared, " +
                             std::to_string(impl_->skipped) + " left out");
}

}  // namespace backplane::kernel
