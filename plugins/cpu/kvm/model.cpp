#include "model.hpp"

#include <backplane/abi/commands.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <type_traits>

#include "../interp/breakpoints.hpp"
#include "probe.hpp"

namespace backplane {
namespace {

KvmCpu* of(void* instance) { return static_cast<KvmCpu*>(instance); }
void* interpreter(void* instance) { return static_cast<InterpCpu*>(of(instance)); }

const bp_cpu kTable{
    sizeof(bp_cpu),
    [](void* i, bp_vcpu* vcpu, const bp_cpu_bus* bus) -> bp_status { return of(i)->attach(vcpu, bus); },
    [](void* i) -> uint32_t { return of(i)->run(); },
    [](void* i, uint64_t address, uint64_t size) {
        of(i)->cpu->invalidate(address, size);
        of(i)->attend();
    },
    [](void* i, char* text, size_t capacity) -> size_t { return of(i)->where(text, capacity); },
    [](void* i, bp_str path) -> bp_status {
        const bp_status status = of(i)->trace_instructions(to_view(path));
        of(i)->attend();
        return status;
    },
};

// The interpreter, while it has the guest, looks at no flag with its fast stores.
const bp_cpu_code kCode{
    sizeof(bp_cpu_code),
    [](void* i, uint64_t address) { of(i)->cpu->code_cached_by_other(address & ~0xfffull); },
};

const bp_cpu_startup kStartup{
    sizeof(bp_cpu_startup),
    [](void* i, uint32_t vector) {
        of(i)->cpu->startup(vector & 0xffu);
        of(i)->attend();
    },
};

const bp_cpu_hardware kHardware{
    sizeof(bp_cpu_hardware),
    [](void* i) { of(i)->attend(); },
    [](void* i) { of(i)->collect_dirty(); },
};

// State and debugging are the interpreter's business once it has the registers.
const bp_cpu_state kState{
    sizeof(bp_cpu_state),
    [](void* i, bp_x86_state* state) -> bp_status {
        of(i)->take_back();
        return kInterpState.get(interpreter(i), state);
    },
    [](void* i, const bp_x86_state* state) -> bp_status {
        of(i)->take_back();
        return kInterpState.set(interpreter(i), state);
    },
    [](bp_x86_state* state, const bp_state_visitor* visitor) { kInterpState.visit(state, visitor); },
};

const bp_cpu_debug kDebug{
    sizeof(bp_cpu_debug),
    [](void* i) -> uint32_t { return kInterpDebug.features(interpreter(i)); },
    [](void* i, uint64_t address) -> bp_status { return kInterpDebug.add_breakpoint(interpreter(i), address); },
    [](void* i, uint64_t address) -> bp_status { return kInterpDebug.remove_breakpoint(interpreter(i), address); },
    [](void* i, uint64_t address, uint32_t length, uint32_t access) -> bp_status {
        return kInterpDebug.add_watchpoint(interpreter(i), address, length, access);
    },
    [](void* i, uint64_t address, uint32_t length, uint32_t access) -> bp_status {
        return kInterpDebug.remove_watchpoint(interpreter(i), address, length, access);
    },
    [](void* i) { kInterpDebug.clear(interpreter(i)); },
    [](void* i, uint32_t mode) { kInterpDebug.step(interpreter(i), mode); },
    [](void* i, bp_cpu_stop* stop) { kInterpDebug.last_stop(interpreter(i), stop); },
    [](void* i, uint64_t address, uint32_t how) -> int64_t {
        of(i)->take_back();
        return kInterpDebug.translate(interpreter(i), address, how);
    },
    [](void* i, uint64_t address, void* data, uint64_t size, uint32_t how) -> uint64_t {
        of(i)->take_back();
        return kInterpDebug.read(interpreter(i), address, data, size, how);
    },
    [](void* i, uint64_t address, const void* data, uint64_t size, uint32_t how) -> uint64_t {
        of(i)->take_back();
        return kInterpDebug.write(interpreter(i), address, data, size, how);
    },
};

const bp_commands kCommands{
    sizeof(bp_commands),
    [](void* i) -> bp_str { return of(i)->list_commands(); },
    [](void* i, bp_str command, bp_str, void (*answer)(void*, bp_str), void* context) -> bp_status {
        return of(i)->execute(to_view(command), answer, context);
    },
};

std::string list_of(const std::vector<std::string_view>& names) {
    std::string text;
    for (const std::string_view name : names) text += (text.empty() ? "" : ", ") + std::string(name);
    return text;
}

}  // namespace

template <class T>
void KvmCpu::describe_engine(Schema<T>& s) {
    InterpCpu::describe_processor(s);
    s.property("enforce", &T::enforce,
               {.doc = "a feature that the host lacks is an error; otherwise a warning, and the guest does not see it",
                .def = "false"});
    constexpr bool optional = std::is_same_v<T, AutoCpu>;
    s.property("required", &T::required,
               {.doc = "without KVM the machine does not start; otherwise it is interpreted then",
                .def = optional ? "false" : "true"});
    s.property("device", &T::device, {.doc = "the host's device", .def = "/dev/kvm"});
    s.offer(BP_CPU_ID, &kTable);
    s.offer(BP_CPU_CODE_ID, &kCode);
    s.offer(BP_CPU_STARTUP_ID, &kStartup);
    s.offer(BP_CPU_STATE_ID, &kState);
    s.offer(BP_CPU_DEBUG_ID, &kDebug);
    s.offer(BP_CPU_HARDWARE_ID, &kHardware);
    s.offer(BP_COMMANDS_ID, &kCommands);
}

void KvmCpu::describe(Schema<KvmCpu>& s) {
    s.doc("x86 processor, executed by the host's own (Linux KVM)");
    describe_engine(s);
}
void AutoCpu::describe(Schema<AutoCpu>& s) {
    s.doc("x86 processor, executed by the fastest engine that works on this host");
    describe_engine(s);
}

bp_status KvmCpu::unusable(const std::string& why, const std::string& hint) {
    without = why;
    if (required)
        return fail(BP_ERR_UNSUPPORTED, "KVM cannot be used: %s%s%s", why.c_str(), hint.empty() ? "" : "; ",
                    hint.c_str());
    if (apic_id == 0) log_info("the interpreter runs this machine: %s", why.c_str());
    return BP_OK;
}

bp_status KvmCpu::start() {
    if (const bp_status status = InterpCpu::start(); status != BP_OK) return status;
    if (slot().machine().deterministic(slot().self()) != 0) {
        without = "the clock is deterministic, and KVM counts no instructions";
        if (required) return fail(BP_ERR_INVALID, "%s: use `--engine interp` or a real-time clock", without.c_str());
        log_info("the interpreter runs this machine: %s", without.c_str());
        return BP_OK;
    }
    const kvm::Host host = kvm::open_host(device.c_str());
    if (!host.missing.empty()) return unusable(host.missing, host.hint);
    const kvm::Probed& probed = kvm::probe(device.c_str());
    const bool speaks = apic_id == 0;  // what holds for all processors is said once
    if (!probed.failed.empty()) {
        const std::string why = "this host's KVM cannot run a tiny guest properly: " + probed.failed;
        if (!required) return unusable(why, "");
        if (speaks) log_warn("%s; the guest may fail where the interpreter is not asked", why.c_str());
    } else if (!probed.slow.empty()) {
        const std::string why = "this host's KVM runs guests without the processor's help, " + probed.slow;
        if (!required) return unusable(why + ": the interpreter is faster", "");
        if (speaks) log_warn("%s; `--engine interp` is faster", why.c_str());
    }
    const std::vector<std::string_view> missing = kvm::restrict_model(selected, kvm::supported_cpuid(host));
    if (missing.empty()) return BP_OK;
    if (enforce)
        return fail(BP_ERR_UNSUPPORTED, "CPU model '%s' has %s, which this host's KVM cannot run", model.c_str(),
                    list_of(missing).c_str());
    if (speaks)
        log_warn("CPU model '%s' without %s, which this host's KVM cannot run", model.c_str(),
                 list_of(missing).c_str());
    return BP_OK;
}

void KvmCpu::stop() { hardware.reset(); }

bp_status KvmCpu::attach(bp_vcpu* vcpu, const bp_cpu_bus* bus) {
    InterpCpu::attach(vcpu, bus);
    if (!without.empty()) return BP_OK;
    try {
        hardware = std::make_unique<kvm::Vcpu>(kvm::Vm::of(*bus, device.c_str()), vcpu->index);
        cpu->tsc_hz = hardware->set_tsc_frequency(tsc_frequency);
    } catch (const std::exception& e) {
        return unusable(e.what(), "");
    }
    if (cpu->tsc_hz == 0) {
        hardware.reset();
        return unusable("the host's KVM does not tell how fast the time-stamp counter runs", "");
    }
    tsc_fixed = true;
    const u64 far = cpu->tsc_hz > tsc_frequency ? cpu->tsc_hz - tsc_frequency : tsc_frequency - cpu->tsc_hz;
    if (far > tsc_frequency / 1000)
        log_info("the time-stamp counter runs at %llu Hz: this host cannot scale it",
                 static_cast<unsigned long long>(cpu->tsc_hz));
    return BP_OK;
}

void KvmCpu::reset(Reset kind) {
    lent_ = halted_ = unanswered_ = false;
    InterpCpu::reset(kind);
    held_for_ = Reason::kReset, hold_ = 1;
}

void KvmCpu::state(StateVisitor& v) {
    take_back();
    InterpCpu::state(v);
}

bp_status KvmCpu::restored() {
    held_for_ = Reason::kReset, hold_ = 1;
    return InterpCpu::restored();
}

void KvmCpu::collect_dirty() {
    if (hardware != nullptr) hardware->vm().collect_dirty(cpu->bus.now(cpu->bus.self));
}

std::size_t KvmCpu::where(char* text, std::size_t capacity) {
    std::string s;
    if (hardware != nullptr && lent_ && running_.load()) {
        const kvm_regs* r = hardware->registers();
        char line[96] = "in the guest";
        if (r != nullptr) std::snprintf(line, sizeof line, "in the guest, last seen at RIP %016llx", r->rip);
        s = std::string(line) + "\n";
    } else {
        if (!running_.load()) take_back();
        s = interp::describe_state(*cpu);
        if (!s.empty() && s.back() != '\n') s += '\n';
    }
    s += hardware != nullptr ? statistics.text() : "interpreted: " + without;
    const std::size_t n = std::min(s.size(), capacity);
    std::memcpy(text, s.data(), n);
    return n;
}

bp_str KvmCpu::list_commands() {
    commands_ =
        R"([{"name": "statistics", "help": "what KVM and the interpreter did for this processor", "query": true}])";
    return to_bp(commands_);
}

bp_status KvmCpu::execute(std::string_view command, void (*answer)(void*, bp_str), void* context) {
    if (command != "statistics") return fail(BP_ERR_NOT_FOUND, "there is no such command");
    std::string json = "{\"kvm\": ";
    json += hardware != nullptr ? "true" : "false";
    if (hardware == nullptr)
        json += "}";
    else
        json += ", \"tsc-frequency\": " + std::to_string(cpu->tsc_hz) +
                ", \"slot-changes\": " + std::to_string(hardware->vm().slot_changes) + ", " + statistics.json() + "}";
    answer(context, to_bp(json));
    return BP_OK;
}

}  // namespace backplane
