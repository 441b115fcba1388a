// The whole architectural state in the form that all engines share (bp.cpu.state/1), and back.
//
// Everything goes by the names of the fields, with conversions, and whatever this processor does not have reads as
// after a reset. A register that is new in Cpu has two places here: export_state() and import_state().
#include <algorithm>
#include <cstring>
#include <type_traits>

#include "block.hpp"
#include "breakpoints.hpp"

namespace backplane::interp {
namespace {

template <typename T>
void put(T& field, u64 value) {
    field = static_cast<T>(value);
}

// Virtual time and the counter that it makes, without what Cpu::read_tsc() does besides.
i64 time_of(const Cpu& c) { return c.bus.now != nullptr ? c.bus.now(c.bus.self) : 0; }
u64 ticks(const Cpu& c, i64 time) {
    __extension__ using Wide = unsigned __int128;
    return static_cast<u64>(static_cast<Wide>(static_cast<u64>(time)) * c.tsc_hz / 1000000000u);
}

bp_x86_segment exported(const Segment& s) { return {s.base, s.limit, s.selector, s.attr}; }
void import(Segment& s, const bp_x86_segment& from) {
    s.selector = from.selector;
    s.attr = from.attributes;
    s.limit = from.limit;
    put(s.base, from.base);
}
bp_x86_table exported(const TableRegister& t) { return {t.base, t.limit, 0}; }
void import(TableRegister& t, const bp_x86_table& from) {
    put(t.base, from.base);
    put(t.limit, from.limit);
}

struct Event {
    u32 bit;
    bool Cpu::*field;
};
constexpr Event kEvents[] = {
    {BP_X86_HALTED, &Cpu::halted},
    {BP_X86_WAIT_FOR_SIPI, &Cpu::wait_for_sipi},
    {BP_X86_SHUTDOWN, &Cpu::shutdown},
    {BP_X86_NMI_BLOCKED, &Cpu::nmi_blocked},
    {BP_X86_SHADOW_STI, &Cpu::inhibit_interrupts},
    {BP_X86_SHADOW_SS, &Cpu::inhibit_all},
    {BP_X86_IN_SMM, &Cpu::smm},
    {BP_X86_SMM_NMI_BLOCKED, &Cpu::smm_nmi_blocked},
};
struct Edge {
    u32 bit;
    u32 line;
};
constexpr Edge kEdges[] = {{BP_X86_NMI_PENDING, kLineNmi},
                           {BP_X86_INIT_PENDING, kLineInit},
                           {BP_X86_SMI_PENDING, kLineSmi},
                           {BP_X86_SIPI_PENDING, kLineSipi}};

// Arrays of registers, of which this processor has some.
template <class From, class To>
void copy_some(const From& from, To& to) {
    const std::size_t n = std::min(std::size(from), std::size(to));
    for (std::size_t i = 0; i < n; ++i) put(to[i], from[i]);
}

void export_fpu(const Cpu& c, bp_x86_state& s) {
    for (unsigned i = 0; i < 8; ++i) {
        const Float80& f = c.fpu.regs[(c.fpu.top + i) & 7u];
        s.st[i] = {f.mantissa, f.sign_exponent, {}};
    }
    s.fcw = c.fpu.cw;
    s.fsw = c.fpu.status_word();
    s.ftw = c.fpu.in_use;
    s.fop = c.fpu.fop;
    s.fip = c.fpu.fip;
    s.fcs = c.fpu.fcs;
    s.fdp = c.fpu.fdp;
    s.fds = c.fpu.fds;
    s.mxcsr = mxcsr_value(&c);
    for (unsigned n = 0; n < 16; ++n) std::memcpy(s.ymm[n], c.sse.ymm[n].bytes, sizeof s.ymm[n]);
}
void import_fpu(Cpu& c, const bp_x86_state& s) {
    put(c.fpu.top, s.fsw >> kFpuTopShift & 7u);
    for (unsigned i = 0; i < 8; ++i) {
        Float80& f = c.fpu.regs[(c.fpu.top + i) & 7u];
        f.mantissa = s.st[i].mantissa;
        f.sign_exponent = s.st[i].sign_exponent;
    }
    put(c.fpu.cw, s.fcw);
    put(c.fpu.sw, s.fsw & ~unsigned{kFpuTopMask});
    c.fpu.in_use = s.ftw;
    put(c.fpu.fop, s.fop & 0x7ffu);
    put(c.fpu.fip, s.fip);
    c.fpu.fcs = s.fcs;
    put(c.fpu.fdp, s.fdp);
    c.fpu.fds = s.fds;
    set_mxcsr(&c, s.mxcsr);
    for (unsigned n = 0; n < 16; ++n) std::memcpy(c.sse.ymm[n].bytes, s.ymm[n], sizeof s.ymm[n]);
}

void export_msrs(const Cpu& c, bp_x86_state& s) {
    const Msrs& m = c.msr;
    s.tsc_time = time_of(c);
    s.tsc = ticks(c, s.tsc_time) + c.tsc_offset;
    const i64 base = c.host.apic_base != nullptr ? c.host.apic_base(c.host.self) : -1;
    s.apic_base = base >= 0 ? static_cast<u64>(base) : m.apic_base;
    s.pat = m.pat;
    s.sysenter_cs = m.sysenter_cs;
    s.sysenter_esp = m.sysenter_esp;
    s.sysenter_eip = m.sysenter_eip;
    s.star = m.star;
    s.lstar = m.lstar;
    s.cstar = m.cstar;
    s.sfmask = m.sfmask;
    s.kernel_gs_base = m.kernel_gs_base;
    s.tsc_aux = m.tsc_aux;
    s.debug_ctl = m.debug_ctl;
    s.mtrr_def_type = m.mtrr_def_type;
    copy_some(m.mtrr_fixed, s.mtrr_fixed);
    copy_some(m.mtrr_variable, s.mtrr_variable);
    s.mcg_status = m.mcg_status;
    s.mcg_ctl = m.mcg_ctl;
    copy_some(m.mc_bank, s.mc_bank);
    const bool amd = c.performance_counter(2) != nullptr;  // four instead of two
    amd ? copy_some(m.amd_event, s.perf_event) : copy_some(m.perf_event, s.perf_event);
    amd ? copy_some(m.amd_counter, s.perf_counter) : copy_some(m.perf_counter, s.perf_counter);
    s.microcode = m.bios_sign;
    s.platform_id = m.platform_id;
    s.ebl_cr_poweron = m.ebl_cr_poweron;
}
void import_msrs(Cpu& c, const bp_x86_state& s) {
    Msrs& m = c.msr;
    c.tsc_offset = s.tsc - ticks(c, s.tsc_time);
    const i64 base = c.host.apic_base != nullptr ? c.host.apic_base(c.host.self) : -1;
    if (base < 0)
        m.apic_base = s.apic_base;
    else if (static_cast<u64>(base) != s.apic_base && c.host.set_apic_base != nullptr)
        c.host.set_apic_base(c.host.self, s.apic_base);
    m.pat = s.pat;
    put(m.sysenter_cs, s.sysenter_cs);
    put(m.sysenter_esp, s.sysenter_esp);
    put(m.sysenter_eip, s.sysenter_eip);
    m.star = s.star;
    m.lstar = s.lstar;
    m.cstar = s.cstar;
    m.sfmask = s.sfmask;
    m.kernel_gs_base = s.kernel_gs_base;
    put(m.tsc_aux, s.tsc_aux);
    m.debug_ctl = s.debug_ctl;
    m.mtrr_def_type = s.mtrr_def_type;
    copy_some(s.mtrr_fixed, m.mtrr_fixed);
    copy_some(s.mtrr_variable, m.mtrr_variable);
    m.mcg_status = s.mcg_status;
    m.mcg_ctl = s.mcg_ctl;
    copy_some(s.mc_bank, m.mc_bank);
    const bool amd = c.performance_counter(2) != nullptr;
    amd ? copy_some(s.perf_event, m.amd_event) : copy_some(s.perf_event, m.perf_event);
    amd ? copy_some(s.perf_counter, m.amd_counter) : copy_some(s.perf_counter, m.perf_counter);
    m.bios_sign = s.microcode;
    m.platform_id = s.platform_id;
    m.ebl_cr_poweron = s.ebl_cr_poweron;
}

// What the run loop and the decoder rely on.
const char* refusal(const Cpu& c, const bp_x86_state& s) {
    constexpr u64 kHigh = 0xffffffff00000000ull;
    if ((s.cr0 & kHigh) != 0 || !Cpu::cr0_consistent(static_cast<u32>(s.cr0))) return "CR0 is impossible";
    if ((s.cr4 & kHigh) != 0 || (static_cast<u32>(s.cr4) & ~c.cr4_writable()) != 0)
        return "CR4 has bits that this processor model has not";
    if (s.cpl > 3) return "there is no such privilege level";
    if ((s.rflags & kVm) != 0 && s.cpl != 3) return "virtual-8086 mode has privilege level 3";
    if ((s.efer & ~c.efer_bits()) != 0) return "EFER has bits that this processor model has not";
    const bool active = (s.efer & kEferLme) != 0 && (s.cr0 & kCr0Pg) != 0;
    if (((s.efer & kEferLma) != 0) != active || (active && (s.cr4 & kCr4Pae) == 0))
        return "EFER does not go with CR0 and CR4";
    if ((s.mxcsr & ~mxcsr_writable(*c.model)) != 0) return "MXCSR has bits that this processor model has not";
    if (s.xcr0 != 0 && !xcr0_valid(*c.model, s.xcr0)) return "XCR0 has bits that this processor model has not";
    for (const bp_x86_segment* g :
         {&s.segment[0], &s.segment[1], &s.segment[2], &s.segment[3], &s.segment[4], &s.segment[5], &s.ldtr, &s.tr})
        if ((g->attributes & 0x0f00u) != 0) return "a segment's attributes have undefined bits";
    return nullptr;
}

}  // namespace

u32 debug_features(const CpuModel& model) {
    u32 has = 0;
    if ((model.features_edx & kFeatFpu) != 0) has |= BP_CPU_HAS_X87;
    if ((model.features_edx & 1u << 25) != 0) has |= BP_CPU_HAS_SSE;
    if ((model.features_ecx & 1u << 28) != 0) has |= BP_CPU_HAS_AVX;
    if (model.extended_level > 0x80000000u && (model.extended_edx & 1u << 29) != 0) has |= BP_CPU_HAS_LONG_MODE;
    return has;
}

void export_state(const Cpu& c, bp_x86_state& s) {
    s = {};
    s.size = sizeof s;
    for (const Event& e : kEvents)
        if (c.*e.field) s.events |= e.bit;
    const u32 lines = c.lines.load();
    for (const Edge& e : kEdges)
        if ((lines & e.line) != 0) s.events |= e.bit;
    s.sipi_vector = static_cast<u8>((lines & kSipiVector) >> kSipiVectorShift);
    for (unsigned n = 0; n < 16; ++n) s.gpr[n] = c.gpr[n];
    s.rip = c.eip;
    s.rflags = c.flags();
    for (unsigned n = 0; n < kSegCount; ++n) s.segment[n] = exported(c.seg[n]);
    s.ldtr = exported(c.ldtr);
    s.tr = exported(c.tr);
    s.gdtr = exported(c.gdtr);
    s.idtr = exported(c.idtr);
    s.cr0 = c.cr0;
    s.cr2 = c.cr2;
    s.cr3 = c.cr3;
    s.cr4 = c.cr4;
    s.cr8 = c.host.tpr != nullptr ? c.host.tpr(c.host.self) & 15u : 0;
    s.xcr0 = c.sse.xcr0;
    s.efer = c.msr.efer;
    copy_some(c.pdpte, s.pdpte);
    copy_some(c.dr, s.dr);
    s.dr6 = c.dr6;
    s.dr7 = c.dr7;
    s.debug_pending = c.debug_pending;
    s.smm_debug_pending = c.smm_debug_pending;
    s.cpl = c.cpl;
    s.smbase = c.smbase;
    export_fpu(c, s);
    export_msrs(c, s);
}

const char* import_state(Cpu& c, const bp_x86_state& s) {
    if (const char* why = refusal(c, s); why != nullptr) return why;
    for (const Event& e : kEvents) c.*e.field = (s.events & e.bit) != 0;
    for (const Edge& e : kEdges) {
        if ((s.events & e.bit) != 0)
            c.lines.fetch_or(e.line);
        else
            c.lines.fetch_and(~e.line);
    }
    c.lines.fetch_and(~kSipiVector);
    if ((s.events & BP_X86_SIPI_PENDING) != 0) c.lines.fetch_or(u32{s.sipi_vector} << kSipiVectorShift);
    const bool wide = (debug_features(*c.model) & BP_CPU_HAS_LONG_MODE) != 0;
    for (unsigned n = 0; n < 16; ++n) c.gpr[n] = wide ? s.gpr[n] : n < 8 ? s.gpr[n] & 0xffffffffu : 0;
    put(c.eip, s.rip);
    c.prev_eip = c.eip;
    put(c.cr0, s.cr0 | kCr0Et);
    put(c.cr2, s.cr2);
    put(c.cr3, s.cr3);
    put(c.cr4, s.cr4);
    c.msr.efer = s.efer;
    if (c.host.tpr != nullptr && c.host.set_tpr != nullptr && (c.host.tpr(c.host.self) & 15u) != s.cr8)
        c.host.set_tpr(c.host.self, static_cast<u32>(s.cr8 & 15u));
    copy_some(s.pdpte, c.pdpte);
    c.cpl = s.cpl;
    for (unsigned n = 0; n < kSegCount; ++n) import(c.seg[n], s.segment[n]);
    import(c.ldtr, s.ldtr);
    import(c.tr, s.tr);
    import(c.gdtr, s.gdtr);
    import(c.idtr, s.idtr);
    c.set_flags(static_cast<u32>(s.rflags));
    copy_some(s.dr, c.dr);
    put(c.dr6, s.dr6);
    put(c.dr7, s.dr7);
    c.debug_pending = s.debug_pending;
    c.smm_debug_pending = s.smm_debug_pending;
    c.smbase = s.smbase;
    c.sse.xcr0 = s.xcr0 != 0 ? s.xcr0 : kXcr0X87;
    import_fpu(c, s);
    import_msrs(c, s);
    c.step_suppressed = c.esp_guard = false;
    c.state_replaced();
    c.update_ferr();
    return nullptr;
}

}  // namespace backplane::interp
