#include "model.hpp"

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>

namespace backplane {
namespace {

using interp::Cpu;

InterpCpu* of(void* instance) { return static_cast<InterpCpu*>(instance); }

const bp_cpu kTable{
    sizeof(bp_cpu),
    [](void* i, bp_vcpu* vcpu, const bp_cpu_bus* bus) -> bp_status { return of(i)->attach(vcpu, bus); },
    [](void* i) -> uint32_t { return of(i)->cpu->run(); },
    [](void* i, uint64_t address, uint64_t size) { of(i)->cpu->invalidate(address, size); },
    [](void* i, char* text, size_t capacity) -> size_t { return of(i)->where(text, capacity); },
    [](void* i, bp_str path) -> bp_status { return of(i)->trace_instructions(to_view(path)); },
};

const bp_cpu_code kCode{sizeof(bp_cpu_code),
                        [](void* i, uint64_t address) { of(i)->cpu->code_cached_by_other(address & ~0xfffull); }};
const bp_cpu_startup kStartup{sizeof(bp_cpu_startup),
                              [](void* i, uint32_t vector) { of(i)->cpu->startup(vector & 0xffu); }};

// A call into a linked interface or a line needs the machine's lock.
struct Locked {
    explicit Locked(Cpu& c) : bus(c.bus), outside(&c) {
        if (bus.lock != nullptr) bus.lock(bus.self);
    }
    Locked(const Locked&) = delete;
    Locked& operator=(const Locked&) = delete;
    ~Locked() {
        if (bus.unlock != nullptr) bus.unlock(bus.self);
    }
    const bp_cpu_bus& bus;
    const interp::HostFloat outside;
};

int acknowledge(void* self) {
    InterpCpu* d = of(self);
    if (!d->intr) return -1;
    const Locked locked(*d->cpu);
    return d->intr.call(&bp_intr::acknowledge);
}
void set_ferr(void* self, int level) {
    InterpCpu* d = of(self);
    const Locked locked(*d->cpu);
    d->ferr.set(level != 0);
}
i64 apic_base(void* self) {
    InterpCpu* d = of(self);
    if (!d->intr || d->intr->apic_base == nullptr) return -1;
    const Locked locked(*d->cpu);
    return d->intr.call(&bp_intr::apic_base);
}
bool set_apic_base(void* self, u64 value) {
    InterpCpu* d = of(self);
    if (!d->intr || d->intr->set_apic_base == nullptr) return false;
    const Locked locked(*d->cpu);
    return d->intr.call(&bp_intr::set_apic_base, value) == BP_OK;
}
u32 task_priority(void* self) {
    InterpCpu* d = of(self);
    if (!d->intr || d->intr->tpr == nullptr) return 0;
    const Locked locked(*d->cpu);
    return d->intr.call(&bp_intr::tpr);
}
void set_task_priority(void* self, u32 value) {
    InterpCpu* d = of(self);
    if (!d->intr || d->intr->set_tpr == nullptr) return;
    const Locked locked(*d->cpu);
    d->intr.call(&bp_intr::set_tpr, value);
}
u64 random_number(void* self) {
    InterpCpu* d = of(self);
    const Locked locked(*d->cpu);
    u64 value = 0;
    d->slot().machine().random(d->slot().self(), &value, sizeof value);
    return value;
}
void log_text(void* self, u32 kind, std::string_view text) {
    const Slot& slot = of(self)->slot();
    slot.log().log(slot.self(), kind, to_bp(text));
}

void segment_state(StateVisitor& v, interp::Segment& s) {
    v("selector", s.selector);
    v("attributes", s.attr);
    v("limit", s.limit);
    v("base", s.base);
}

}  // namespace

InterpCpu::InterpCpu(const Slot& slot) : Device(slot), cpu(std::make_unique<Cpu>()) {
    cpu->host = {this,          acknowledge,       set_ferr, apic_base,    set_apic_base,
                 task_priority, set_task_priority, log_text, random_number};
}

void InterpCpu::describe(Schema<InterpCpu>& s) {
    s.doc("IA-32 processor, interpreted from a cache of decoded code");
    describe_processor(s);
    s.offer(BP_CPU_ID, &kTable);
    s.offer(BP_CPU_CODE_ID, &kCode);
    s.offer(BP_CPU_STARTUP_ID, &kStartup);
    s.offer(BP_CPU_STATE_ID, &kInterpState);
    s.offer(BP_CPU_DEBUG_ID, &kInterpDebug);
}

bp_status InterpCpu::start() {
    cpumodel::Selection chosen = cpumodel::select(features.empty() ? model : model + "," + features);
    if (!chosen.error.empty()) return fail(BP_ERR_INVALID, "%s", chosen.error.c_str());
    const std::string missing = interp::sse_host_missing(chosen.model);
    if (!missing.empty()) {
        return fail(BP_ERR_INVALID, "CPU model '%s' has %s, which this computer's processor cannot compute",
                    model.c_str(), missing.c_str());
    }
    selected = chosen.model;
    cpu->model = &selected;
    cpu->tsc_hz = tsc_frequency;
    cpu->apic_id = static_cast<u32>(apic_id);
    cpu->processors = static_cast<u32>(processors);
    return BP_OK;
}

void InterpCpu::reset(Reset kind) { cpu->reset(kind == Reset::kPowerOn); }

bp_status InterpCpu::attach(bp_vcpu* vcpu, const bp_cpu_bus* bus) {
    cpu->attach(vcpu, bus);
    return BP_OK;
}

std::size_t InterpCpu::where(char* text, std::size_t capacity) {
    const std::string s = interp::describe_state(*cpu);
    const std::size_t n = s.size() < capacity ? s.size() : capacity;
    std::memcpy(text, s.data(), n);
    return n;
}

bp_status InterpCpu::trace_instructions(std::string_view path) {
    cpu->tracer = nullptr;
    tracer.reset();
    if (path.empty()) return BP_OK;
    const std::string name(path);
    std::FILE* file = std::fopen(name.c_str(), "ae");
    if (file == nullptr) return fail(BP_ERR_IO, "instruction trace: %s: %s", name.c_str(), std::strerror(errno));
    tracer = std::make_unique<interp::Tracer>(file);
    cpu->tracer = tracer.get();
    // Out of the running chain of blocks: traced instructions go one by one.
    if (cpu->vcpu != nullptr) __atomic_fetch_or(&cpu->vcpu->attention, BP_ATTENTION_ENGINE, __ATOMIC_RELEASE);
    return BP_OK;
}

void InterpCpu::state(StateVisitor& v) {
    Cpu& c = *cpu;
    c.decide_startup();
    shown_ = cpumodel::words_of(selected);
    measured_ = c.tsc_hz;
    static constexpr const char* kRegisters[] = {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};
    static constexpr const char* kMore[] = {"r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"};
    for (unsigned n = 0; n < 8; ++n) v(kRegisters[n], c.gpr[n]);
    for (unsigned n = 0; n < 8; ++n) v(kMore[n], c.gpr[8 + n], {.since = 3});
    v("eip", c.eip);
    v("flag_result", c.flag_result);
    v("flag_aux", c.flag_aux);
    v("eflags", c.eflags_rest);
    static constexpr const char* kSegments[] = {"es", "cs", "ss", "ds", "fs", "gs"};
    for (unsigned n = 0; n < interp::kSegCount; ++n) v.group(kSegments[n], [&] { segment_state(v, c.seg[n]); });
    v.group("ldtr", [&] { segment_state(v, c.ldtr); });
    v.group("tr", [&] { segment_state(v, c.tr); });
    v("gdtr.base", c.gdtr.base);
    v("gdtr.limit", c.gdtr.limit);
    v("idtr.base", c.idtr.base);
    v("idtr.limit", c.idtr.limit);
    v("cr0", c.cr0);
    v("cr2", c.cr2);
    v("cr3", c.cr3);
    v("cr4", c.cr4);
    v("pdpte", c.pdpte);
    v("dr", c.dr);
    v("dr6", c.dr6);
    v("dr7", c.dr7);
    v("cpl", c.cpl, {.max = 3});
    v("lines", reinterpret_cast<u32&>(c.lines));
    v("halted", c.halted);
    v("wait_for_sipi", c.wait_for_sipi);
    v("shutdown", c.shutdown);
    v("nmi_blocked", c.nmi_blocked);
    v("inhibit_interrupts", c.inhibit_interrupts);
    v("inhibit_all", c.inhibit_all);
    v("events_in_a_row", c.events_in_a_row, {.max = Cpu::kMaxEventsInARow});
    v("debug_pending", c.debug_pending);
    v("ferr", c.ferr);
    v("tsc_offset", c.tsc_offset);
    v.group("smm", [&] {
        v("active", c.smm, {.since = 2});
        v("base", c.smbase, {.since = 2});
        v("nmi_blocked", c.smm_nmi_blocked, {.since = 2});
        v("debug_pending", c.smm_debug_pending, {.since = 2});
    });
    v.each("fpu.register", c.fpu.regs, [](StateVisitor& w, interp::Float80& f) {
        w("mantissa", f.mantissa);
        w("sign_exponent", f.sign_exponent);
    });
    v.group("fpu", [&] {
        v("control", c.fpu.cw);
        v("status", c.fpu.sw);
        v("top", c.fpu.top, {.max = 7});
        v("in_use", c.fpu.in_use);
        v("opcode", c.fpu.fop);
        v("instruction_offset", c.fpu.fip);
        v("instruction_selector", c.fpu.fcs);
        v("data_offset", c.fpu.fdp);
        v("data_selector", c.fpu.fds);
    });
    v.each("sse.register", c.sse.ymm, [](StateVisitor& w, interp::VectorRegister& r) {
        u64* words = reinterpret_cast<u64*>(r.bytes);
        w("0", words[0], {.since = 3});
        w("1", words[1], {.since = 3});
        w("2", words[2], {.since = 3});
        w("3", words[3], {.since = 3});
    });
    v.group("sse", [&] {
        v("mxcsr", c.sse.mxcsr, {.since = 3});
        v("xcr0", c.sse.xcr0, {.since = 4});
    });
    v.group("msr", [&] {
        interp::Msrs& m = c.msr;
        v("sysenter_cs", m.sysenter_cs);
        v("sysenter_esp", m.sysenter_esp);
        v("sysenter_eip", m.sysenter_eip);
        v("efer", m.efer, {.since = 3});
        v("star", m.star, {.since = 3});
        v("lstar", m.lstar, {.since = 3});
        v("cstar", m.cstar, {.since = 3});
        v("sfmask", m.sfmask, {.since = 3});
        v("kernel_gs_base", m.kernel_gs_base, {.since = 3});
        v("tsc_aux", m.tsc_aux, {.since = 3});
        v("pat", m.pat);
        v("apic_base", m.apic_base);
        v("mtrr_def_type", m.mtrr_def_type);
        v("mtrr_fixed", m.mtrr_fixed);
        v("mtrr_variable", m.mtrr_variable);
        v("mcg_status", m.mcg_status);
        v("mc_bank", m.mc_bank);
        v("perf_event", m.perf_event);
        v("perf_counter", m.perf_counter);
        v("amd_event", m.amd_event, {.since = 4});
        v("amd_counter", m.amd_counter, {.since = 4});
        v("debug_ctl", m.debug_ctl);
        v("bios_sign", m.bios_sign);
        v("bios_update", m.bios_update);
        v("platform_id", m.platform_id);
        v("ebl_cr_poweron", m.ebl_cr_poweron);
    });
    v("cpuid_features", shown_, {.since = 5});
    v("tsc_frequency", measured_, {.since = 5});
}

bp_status InterpCpu::adopt_features(const cpumodel::Words& shown) {
    if (shown == cpumodel::Words{}) return BP_OK;
    if (!adopted_) complete_ = selected;
    const cpumodel::Words mine = cpumodel::words_of(complete_);
    std::string lacking;
    bool all = true;
    for (unsigned n = 0; n < shown.size(); ++n) all = all && (shown[n] & ~mine[n]) == 0;
    for (const cpumodel::FeatureInfo& f : cpumodel::features())
        if (f.bit < 32 &&
            (shown[static_cast<unsigned>(f.word)] & ~mine[static_cast<unsigned>(f.word)] & 1u << f.bit) != 0)
            lacking += (lacking.empty() ? "" : ", ") + std::string(f.name);
    if (!all)
        return fail(BP_ERR_INVALID, "this processor lacks %s, which the guest has been shown",
                    lacking.empty() ? "features" : lacking.c_str());
    if (shown == cpumodel::words_of(selected)) return BP_OK;
    adopted_ = true;
    selected = complete_;
    cpumodel::set_words(selected, shown);
    return BP_OK;
}

void InterpCpu::adopt_frequency(u64 hz) {
    if (hz < kLowestTsc || hz > kHighestTsc || hz == cpu->tsc_hz) return;
    if (!tsc_fixed) {
        cpu->tsc_hz = hz;
        return;
    }
    const u64 far = cpu->tsc_hz > hz ? cpu->tsc_hz - hz : hz - cpu->tsc_hz;
    if (far > hz / 1000)
        log_warn(
            "the time-stamp counter ran at %llu Hz for this guest and runs at %llu Hz now, as this host cannot "
            "scale it: if the guest tells time by it, its clock is wrong",
            static_cast<unsigned long long>(hz), static_cast<unsigned long long>(cpu->tsc_hz));
}

bp_status InterpCpu::restored() {
    Cpu& c = *cpu;
    if (const bp_status status = adopt_features(shown_); status != BP_OK) return status;
    adopt_frequency(measured_);
    c.eflags_rest = (c.eflags_rest & ~interp::kArith) | interp::kFixed1;
    c.sse.mxcsr &= interp::mxcsr_writable(*c.model);
    if (!interp::xcr0_valid(*c.model, c.sse.xcr0)) c.sse.xcr0 = interp::kXcr0X87;
    c.state_replaced();
    return BP_OK;
}

}  // namespace backplane
