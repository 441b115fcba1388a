#include "kernel/machine/follower.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "kernel/machine/builder.hpp"
#include "kernel/machine/device_state.hpp"

namespace backplane::kernel {

namespace {
void show_own(Vcpu& v, const std::vector<Vcpu::Own>& own) {
    v.own = own;
    v.tell(BP_ATTENTION_VIEW);
}
}  // namespace

i64 interrupt_line(const TypeInfo& type) {
    for (const LinkInfo& l : type.links)
        if (l.interface_id == BP_INTR_ID)
            if (const auto line = type.input(l.name)) return line->index;
    return -1;
}

bool BusEvent::same_call(const BusEvent& o) const {
    // An engine need not bring its count up to date for the calls of all instructions.
    const bool exact = kind == Kind::kRegister || kind == Kind::kPort || kind == Kind::kAcknowledge;
    return kind == o.kind && cpu == o.cpu && (!exact || count == o.count) && region == o.region &&
           address == o.address && bytes == o.bytes && write == o.write && (!write || value == o.value);
}

std::string BusEvent::text() const {
    char line[200];
    const auto number = [](u64 n) { return static_cast<unsigned long long>(n); };
    switch (kind) {
        case Kind::kRegister:
        case Kind::kPort: {
            const std::string where = kind == Kind::kPort ? "port" : region ? region->label() : "memory of a device at";
            std::snprintf(line, sizeof line, write ? "write%u %.80s %llx <- %llx" : "read%u %.80s %llx", 8 * bytes,
                          where.c_str(), number(address), number(value));
            break;
        }
        case Kind::kAcknowledge: std::snprintf(line, sizeof line, "interrupt %llx", number(value & 0xff)); break;
        case Kind::kController:
            std::snprintf(line, sizeof line, "call %llu of the interrupt controller", number(address));
            break;
        case Kind::kOutput:
            std::snprintf(line, sizeof line, "output line %llu <- %llu", number(address), number(value));
            break;
        default: std::snprintf(line, sizeof line, "nothing of its own"); break;
    }
    return std::string(line) + " at instruction " + std::to_string(count);
}

Follower::Follower(Machine& machine, const BoardSpec& cpus, Ram& ram)
    : machine_(machine),
      board_(cpus),
      ram_(ram),
      assembly_(std::make_unique<Assembly>([](const std::string&, const std::string&) {})),
      page_seen_(ram.used() / kPageSize + 1) {}

void Follower::build() {
    Builder builder(machine_, *assembly_, nullptr, {}, &board_, &ram_);
    assembly_->now = [this](const Vcpu& v) -> i64 {
        if (!part_) return machine_.now();
        const u64 done = v.shared.instructions - part_->begin;
        return part_->time + static_cast<i64>(done) * part_->pace;
    };
    builder.build();
    told_.resize(assembly_->vcpus.size());
    for (Vcpu& v : assembly_->vcpus) {
        Instance& d = *v.device;
        for (u32 line = 0; line < d.type->output_count; ++line) {
            const u32 wire = assembly_->wires.add(d.name() + ".out" + std::to_string(line));
            d.outputs[line].emplace_back(wire, assembly_->wires.add_driver(wire));
            Pin& pin = pins_.emplace_back(Pin{this, v.shared.index});
            assembly_->wires.connect(wire, {&pin, d.index, line, line, [](void* p, u32 n, int level) {
                                                auto& [follower, cpu] = *static_cast<Pin*>(p);
                                                if (!follower->part_ || follower->part_->cpu != cpu) return;
                                                BusEvent e;
                                                e.kind = BusEvent::Kind::kOutput, e.cpu = cpu, e.address = n;
                                                e.write = true, e.value = level != 0;
                                                follower->call(std::move(e));
                                            }});
        }
    }
}

Follower::~Follower() { Builder::tear_down(machine_, *assembly_); }

void Follower::hook(MemoryEvents& events) {
    events.unclaimed = {};
    events.traced = [](const Region&, bool, u64, u32, u64) {};
    events.access = [this](const Region* region, u64 offset, u32 bytes, bool write, u64 value,
                           const std::function<u64()>&) -> u64 {
        BusEvent e;
        e.kind = BusEvent::Kind::kRegister, e.region = region, e.address = offset;
        e.bytes = bytes, e.write = write, e.value = value;
        return call(std::move(e));
    };
    events.writable = [this](u64 offset) {
        const u64 page = offset / kPageSize;
        if (page >= page_seen_.size() || page_seen_[page]) return;
        page_seen_[page] = true;
        written_.push_back(page * kPageSize);
    };
}

void Follower::hook(PortEvents& events) {
    events.unclaimed = {};
    events.access = [this](u32 port, u32 bytes, bool write, u64 value, const std::function<u64()>&) -> u64 {
        BusEvent e;
        e.kind = BusEvent::Kind::kPort, e.address = port, e.bytes = bytes, e.write = write, e.value = value;
        return call(std::move(e));
    };
}

i64 Follower::controller_call(u32 cpu, const IntrProxy::Call& call_made) {
    const bool acknowledge = call_made.number == IntrProxy::kAcknowledge;
    if (!part_ || part_->cpu != cpu) return call_made.asks ? call_made.make() : acknowledge ? -1 : 0;
    BusEvent e;
    e.kind = acknowledge ? BusEvent::Kind::kAcknowledge : BusEvent::Kind::kController;
    e.address = call_made.number, e.write = !call_made.asks && !acknowledge, e.value = call_made.argument;
    return static_cast<i64>(call(std::move(e)));
}

void Follower::diverge(std::string text) {
    if (diverged_.empty()) diverged_ = std::move(text);
    assembly_->set_attention(BP_ATTENTION_STOP);
}

// The CPU does something: the first engine did the same, and got the answer.
u64 Follower::call(BusEvent event) {
    if (!part_ || !diverged_.empty()) return ~u64{0};
    event.cpu = static_cast<u32>(part_->cpu);
    event.count = executed();
    const std::vector<BusEvent>& log = *part_->log;
    if (at_ >= log.size() || !log[at_].same_call(event)) {
        diverge("it does `" + event.text() + "`, the first " +
                (at_ < log.size() ? "`" + log[at_].text() + "`" : "nothing any more"));
        return ~u64{0};
    }
    // The answer to a write is nothing; to a call it is what the first one was told.
    const BusEvent& done = log[at_];
    const u64 answer = done.kind == BusEvent::Kind::kController && done.write ? 0 : done.value;
    ++at_;
    take_happenings();
    if (done.kind == BusEvent::Kind::kAcknowledge) {
        const BusEvent* next = next_acknowledge(at_);
        if (!next || next->count != done.count) set_interrupt(false);
        if (end_at_acknowledge_ && (!next || next->count != done.count))
            __atomic_fetch_or(&assembly_->vcpus[part_->cpu].shared.attention, BP_ATTENTION_STOP, __ATOMIC_RELEASE);
    }
    return answer;
}

void Follower::take_happenings() {
    const std::vector<BusEvent>& log = *part_->log;
    while (at_ < log.size() && log[at_].happens()) happen(log[at_++]);
}

void Follower::happen(const BusEvent& e) {
    switch (e.kind) {
        case BusEvent::Kind::kInput: {
            Vcpu& v = assembly_->vcpus[e.cpu];
            // Interrupts come when the first engine took them: it need not look for them behind every instruction.
            if (static_cast<i64>(e.address) == interrupt_line(*v.device->type)) break;
            std::vector<LineLevel>& told = told_[e.cpu];
            told.resize(v.device->type->input_count);
            told[e.address] = e.value != 0 ? LineLevel::kHigh : LineLevel::kLow;
            for (const LineInfo& l : v.device->type->inputs)
                if (e.address >= l.first && e.address < l.first + l.count && l.changed)
                    l.changed(v.device->object, static_cast<u32>(e.address - l.first), e.value != 0 ? 1 : 0);
            break;
        }
        case BusEvent::Kind::kStartup: {
            const bp_interface startup = assembly_->vcpus[e.cpu].device->type->abi->offer(
                assembly_->vcpus[e.cpu].device->object, {BP_CPU_STARTUP_ID, std::strlen(BP_CPU_STARTUP_ID)}, {"", 0});
            if (startup.table)
                static_cast<const bp_cpu_startup*>(startup.table)->startup(startup.instance, static_cast<u32>(e.value));
            break;
        }
        case BusEvent::Kind::kOwn: show_own(assembly_->vcpus[e.cpu], e.own); break;
        case BusEvent::Kind::kStore:
            std::memcpy(ram_.at(e.address), e.data.data(), e.data.size());
            assembly_->memory->touched(e.address, e.data.size());
            for (u64 page = e.address / kPageSize; page <= (e.address + e.data.size() - 1) / kPageSize; ++page) {
                if (page_seen_[page]) continue;
                page_seen_[page] = true;
                written_.push_back(page * kPageSize);
            }
            break;
        case BusEvent::Kind::kViews: assembly_->memory->show(e.views); break;
        default: break;
    }
}

void Follower::set(std::size_t cpu, const CpuPoint& point, const MemorySpace::Views& views) {
    Vcpu& v = assembly_->vcpus[cpu];
    const std::vector<LineLevel>& levels = point.levels;
    assembly_->memory->show(views);
    show_own(v, point.own);
    std::vector<LineLevel>& told = told_[cpu];
    told.resize(v.device->type->input_count);
    // An edge that was taken already is none: the state says it.
    for (const LineInfo& l : v.device->type->inputs)
        for (u32 n = 0; n < l.count; ++n) {
            const u32 line = l.first + n;
            if (line >= levels.size() || levels[line] == told[line] || levels[line] == LineLevel::kNever ||
                static_cast<i64>(line) == interrupt_line(*v.device->type))
                continue;
            told[line] = levels[line];
            if (l.changed) l.changed(v.device->object, n, levels[line] == LineLevel::kHigh ? 1 : 0);
        }
    set_cpu_state(v, point.state);
}

const BusEvent* Follower::next_acknowledge(std::size_t from) const {
    const std::vector<BusEvent>& log = *part_->log;
    for (; from < log.size(); ++from)
        if (log[from].kind == BusEvent::Kind::kAcknowledge && log[from].cpu == part_->cpu) return &log[from];
    return nullptr;
}

void Follower::set_interrupt(bool level) {
    const Instance& d = *assembly_->vcpus[part_->cpu].device;
    const i64 line = interrupt_line(*d.type);
    for (const LineInfo& l : d.type->inputs)
        if (static_cast<i64>(l.first) == line && l.changed) l.changed(d.object, 0, level ? 1 : 0);
}

void Follower::run_to(u64 count, bool singly) {
    Vcpu& v = assembly_->vcpus[part_->cpu];
    while (diverged_.empty() && v.shared.instructions < count) {
        const u64 before = v.shared.instructions;
        v.shared.deadline = singly ? before + 1 : count;
        __atomic_fetch_and(&v.shared.attention, ~u32{BP_ATTENTION_STOP}, __ATOMIC_ACQUIRE);
        const u32 exit = v.table->run(v.engine);
        if (exit == BP_EXIT_ERROR) diverge("it gives up: " + v.device->failure);
        const bool goes_on = exit == BP_EXIT_DEADLINE || exit == BP_EXIT_STOP || v.shared.instructions > before;
        if (!goes_on)
            diverge((exit == BP_EXIT_HALT ? "it halts" : "it stops") + std::string(" at instruction ") +
                    std::to_string(v.shared.instructions) + ", the first goes on");
    }
    if (diverged_.empty() && v.shared.instructions != count)
        diverge("it cannot stop at instruction " + std::to_string(count) + " but at " +
                std::to_string(v.shared.instructions));
}

// The first one has halted, and so has looked for events behind its last instruction. Some are taken without executing
// any: INIT, and a STARTUP that comes too early.
void Follower::halt() {
    Vcpu& v = assembly_->vcpus[part_->cpu];
    v.shared.deadline = part_->end + 1;
    __atomic_fetch_and(&v.shared.attention, ~u32{BP_ATTENTION_STOP}, __ATOMIC_ACQUIRE);
    const u32 exit = v.table->run(v.engine);
    if (exit == BP_EXIT_ERROR) diverge("it gives up: " + v.device->failure);
    if (exit != BP_EXIT_HALT)
        diverge("it goes on at instruction " + std::to_string(part_->end) + ", where the first has halted");
}

std::string Follower::follow(const Part& part) {
    struct Done {
        Follower& f;
        ~Done() { f.part_ = nullptr; }
    } done{*this};
    part_ = &part;
    at_ = 0;
    diverged_.clear();
    Vcpu& v = assembly_->vcpus[part.cpu];
    v.shared.instructions = part.begin;
    take_happenings();
    for (;;) {
        const BusEvent* interrupt = next_acknowledge(at_);
        if (interrupt && interrupt->count > part.end) interrupt = nullptr;
        if (interrupt && part.open && interrupt->count == part.end) interrupt = nullptr;
        run_to(interrupt ? interrupt->count : part.end, part.singly);
        if (!diverged_.empty() || !interrupt) break;
        // The first one may have been stopped behind the taking.
        end_at_acknowledge_ = interrupt->count >= part.end;
        set_interrupt(true);
        v.shared.deadline = interrupt->count + 1;
        __atomic_fetch_and(&v.shared.attention, ~u32{BP_ATTENTION_STOP}, __ATOMIC_ACQUIRE);
        v.table->run(v.engine);
        set_interrupt(false);
        end_at_acknowledge_ = false;
        if (diverged_.empty() && next_acknowledge(at_) == interrupt)
            diverge("it does not take the " + interrupt->text());
        if (!diverged_.empty()) break;
    }
    if (diverged_.empty() && part.halts) halt();
    const std::vector<BusEvent>& log = *part.log;
    if (diverged_.empty() && !part.open && at_ < log.size()) diverge("it does not do `" + log[at_].text() + "`");
    return diverged_;
}

void Follower::forget() {
    for (const u64 page : written_) page_seen_[page / kPageSize] = false;
    written_.clear();
    assembly_->set_attention(BP_ATTENTION_VIEW);
}

}  // namespace backplane::kernel
