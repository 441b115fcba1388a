/// @file
/// The fields of the architectural state by name: what every engine's bp_cpu_state.visit() shows. The names stand in
/// snapshots; a new field is appended and may not change what another one is called.
#pragma once

#include <cstdio>

#include "backplane/abi/cpu_state.h"
#include "backplane/state.hpp"

namespace backplane {

namespace detail {
inline void visit_segment(StateVisitor& v, const char* name, bp_x86_segment& s) {
    v.group(name, [&] {
        v("selector", s.selector);
        v("base", s.base);
        v("limit", s.limit);
        v("attributes", s.attributes);
    });
}
inline void visit_table(StateVisitor& v, const char* name, bp_x86_table& t) {
    v.group(name, [&] {
        v("base", t.base);
        v("limit", t.limit);
    });
}
}  // namespace detail

/// Every field of the state, in the order of the struct. An engine's bp_cpu_state.visit() is this function.
inline void visit_cpu_state(bp_x86_state* state, const bp_state_visitor* visitor) {
    StateVisitor v(visitor);
    bp_x86_state& s = *state;
    char name[16];
    static constexpr const char* kRegisters[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                                 "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    static constexpr const char* kSegments[] = {"es", "cs", "ss", "ds", "fs", "gs"};
    v("events", s.events);
    for (unsigned n = 0; n < 16; ++n) v(kRegisters[n], s.gpr[n]);
    v("rip", s.rip);
    v("rflags", s.rflags);
    for (unsigned n = 0; n < 6; ++n) detail::visit_segment(v, kSegments[n], s.segment[n]);
    detail::visit_segment(v, "ldtr", s.ldtr);
    detail::visit_segment(v, "tr", s.tr);
    detail::visit_table(v, "gdtr", s.gdtr);
    detail::visit_table(v, "idtr", s.idtr);
    v("cr0", s.cr0);
    v("cr2", s.cr2);
    v("cr3", s.cr3);
    v("cr4", s.cr4);
    v("cr8", s.cr8);
    v("xcr0", s.xcr0);
    v("efer", s.efer);
    v("pdpte", s.pdpte);
    v("dr", s.dr);
    v("dr6", s.dr6);
    v("dr7", s.dr7);
    v("debug_pending", s.debug_pending);
    v("smm_debug_pending", s.smm_debug_pending);
    v("cpl", s.cpl);
    v("sipi_vector", s.sipi_vector);
    v("smbase", s.smbase);
    for (unsigned n = 0; n < 8; ++n) {
        std::snprintf(name, sizeof name, "st%u", n);
        v.group(name, [&] {
            v("mantissa", s.st[n].mantissa);
            v("sign_exponent", s.st[n].sign_exponent);
        });
    }
    v("fcw", s.fcw);
    v("fsw", s.fsw);
    v("ftw", s.ftw);
    v("fop", s.fop);
    v("fip", s.fip);
    v("fdp", s.fdp);
    v("fcs", s.fcs);
    v("fds", s.fds);
    v("mxcsr", s.mxcsr);
    for (unsigned n = 0; n < 16; ++n) {
        std::snprintf(name, sizeof name, "ymm%u", n);
        v.bytes(name, s.ymm[n], sizeof s.ymm[n]);
    }
    v("tsc", s.tsc);
    v("tsc_time", s.tsc_time);
    v("tsc_aux", s.tsc_aux);
    v("apic_base", s.apic_base);
    v("pat", s.pat);
    v("sysenter_cs", s.sysenter_cs);
    v("sysenter_esp", s.sysenter_esp);
    v("sysenter_eip", s.sysenter_eip);
    v("star", s.star);
    v("lstar", s.lstar);
    v("cstar", s.cstar);
    v("sfmask", s.sfmask);
    v("kernel_gs_base", s.kernel_gs_base);
    v("misc_enable", s.misc_enable);
    v("debug_ctl", s.debug_ctl);
    v("mtrr_def_type", s.mtrr_def_type);
    v("mtrr_fixed", s.mtrr_fixed);
    v("mtrr_variable", s.mtrr_variable);
    v("mcg_cap", s.mcg_cap);
    v("mcg_status", s.mcg_status);
    v("mcg_ctl", s.mcg_ctl);
    v("mc_bank", s.mc_bank);
    v("perf_event", s.perf_event);
    v("perf_counter", s.perf_counter);
    v("microcode", s.microcode);
    v("platform_id", s.platform_id);
    v("ebl_cr_poweron", s.ebl_cr_poweron);
    v("cpuid_features", s.cpuid_features);
    v("tsc_frequency", s.tsc_frequency);
}

}  // namespace backplane
