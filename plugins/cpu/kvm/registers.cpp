// bp_x86_state to KVM's structures and back. Layout of the XSAVE area: SDM 1, 13.4.
#include "registers.hpp"

#include <array>
#include <cstring>

namespace backplane::kvm {
namespace {

constexpr u64 kCr0Pe = 1, kCr0Pg = 1u << 31, kCr4Pae = 1u << 5, kEferLma = 1u << 10, kRflagsVm = 1u << 17;
constexpr u16 kPresent = 0x80;
constexpr u64 kXcr0Avx = 4;

// Offsets in the area of XSAVE.
constexpr std::size_t kFcw = 0, kFsw = 2, kFtw = 4, kFop = 6, kFip = 8, kFdp = 16, kMxcsr = 24, kSt = 32, kXmm = 160,
                      kXstateBv = 512, kYmmHigh = 576;

kvm_segment segment_to(const bp_x86_segment& s) {
    kvm_segment k{};
    k.base = s.base;
    k.limit = s.limit;
    k.selector = s.selector;
    k.type = s.attributes & 15u;
    k.s = s.attributes >> 4 & 1u;
    k.dpl = s.attributes >> 5 & 3u;
    k.present = s.attributes >> 7 & 1u;
    k.avl = s.attributes >> 12 & 1u;
    k.l = s.attributes >> 13 & 1u;
    k.db = s.attributes >> 14 & 1u;
    k.g = s.attributes >> 15 & 1u;
    k.unusable = !k.present;
    // Intel's processors compare granularity and limit on entry (SDM 3, 26.3.1.2).
    if (s.limit > 0xfffffu) k.g = 1;
    return k;
}

bp_x86_segment segment_from(const kvm_segment& k) {
    bp_x86_segment s{};
    s.base = k.base;
    s.limit = k.limit;
    s.selector = k.selector;
    s.attributes = static_cast<u16>((k.type & 15u) | (k.s & 1u) << 4 | (k.dpl & 3u) << 5 | (k.present & 1u) << 7 |
                                    (k.avl & 1u) << 12 | (k.l & 1u) << 13 | (k.db & 1u) << 14 | (k.g & 1u) << 15);
    if (k.unusable != 0) s.attributes = static_cast<u16>(s.attributes & ~kPresent);
    return s;
}

void table_to(const bp_x86_table& t, kvm_dtable& k) {
    k.base = t.base;
    k.limit = static_cast<u16>(t.limit);
}
bp_x86_table table_from(const kvm_dtable& k) { return {k.base, k.limit, 0}; }

template <class T>
void put(XsaveArea& x, std::size_t at, const T& value) {
    std::memcpy(x.data() + at, &value, sizeof value);
}
template <class T>
void get(const XsaveArea& x, std::size_t at, T& value) {
    std::memcpy(&value, x.data() + at, sizeof value);
}

void fpu_to(const bp_x86_state& s, XsaveArea& x) {
    x = {};
    put(x, kFcw, s.fcw);
    put(x, kFsw, s.fsw);
    put(x, kFtw, s.ftw);
    put(x, kFop, s.fop);
    put(x, kFip, s.fip);
    put(x, kFdp, s.fdp);
    put(x, kMxcsr, s.mxcsr);
    for (std::size_t i = 0; i < 8; ++i) {
        put(x, kSt + 16 * i, s.st[i].mantissa);
        put(x, kSt + 16 * i + 8, s.st[i].sign_exponent);
    }
    for (std::size_t i = 0; i < 16; ++i) {
        std::memcpy(x.data() + kXmm + 16 * i, s.ymm[i], 16);
        if ((s.xcr0 & kXcr0Avx) != 0) std::memcpy(x.data() + kYmmHigh + 16 * i, s.ymm[i] + 16, 16);
    }
    put(x, kXstateBv, u64{3} | (s.xcr0 & kXcr0Avx));
}

void fpu_from(const XsaveArea& x, bp_x86_state& s) {
    get(x, kFcw, s.fcw);
    get(x, kFsw, s.fsw);
    get(x, kFtw, s.ftw);
    get(x, kFop, s.fop);
    // The form of 64-bit mode: there is no room for selectors in it, and they stay what they were.
    get(x, kFip, s.fip);
    get(x, kFdp, s.fdp);
    get(x, kMxcsr, s.mxcsr);
    for (std::size_t i = 0; i < 8; ++i) {
        get(x, kSt + 16 * i, s.st[i].mantissa);
        get(x, kSt + 16 * i + 8, s.st[i].sign_exponent);
    }
    for (std::size_t i = 0; i < 16; ++i) {
        std::memcpy(s.ymm[i], x.data() + kXmm + 16 * i, 16);
        if ((s.xcr0 & kXcr0Avx) != 0) std::memcpy(s.ymm[i] + 16, x.data() + kYmmHigh + 16 * i, 16);
    }
}

enum Msr : u32 {
    kSysenterCs = 0x174,
    kSysenterEsp = 0x175,
    kSysenterEip = 0x176,
    kMtrrVariable = 0x200,
    kMtrrFix64K = 0x250,
    kMtrrFix16K = 0x258,
    kMtrrFix4K = 0x268,
    kPat = 0x277,
    kMtrrDefType = 0x2ff,
    kMcgStatus = 0x17a,
    kMcgCtl = 0x17b,
    kMcBank = 0x400,
    kStar = 0xc0000081,
    kLstar = 0xc0000082,
    kCstar = 0xc0000083,
    kSfmask = 0xc0000084,
    kKernelGsBase = 0xc0000102,
    kTscAux = 0xc0000103
};
constexpr std::size_t kVariable = 16, kBanks = 5 * 4;

constexpr auto make_msrs() {
    std::array<u32, 11 + 11 + kVariable + 2 + kBanks> list{};
    std::size_t n = 0;
    for (const u32 m :
         {kSysenterCs, kSysenterEsp, kSysenterEip, kPat, kStar, kLstar, kCstar, kSfmask, kKernelGsBase, kTscAux})
        list[n++] = m;
    list[n++] = kMtrrFix64K;
    list[n++] = kMtrrFix16K;
    list[n++] = kMtrrFix16K + 1;
    for (u32 i = 0; i < 8; ++i) list[n++] = kMtrrFix4K + i;
    for (u32 i = 0; i < kVariable; ++i) list[n++] = kMtrrVariable + i;
    list[n++] = kMtrrDefType;
    list[n++] = kMcgStatus;
    list[n++] = kMcgCtl;
    for (u32 i = 0; i < kBanks; ++i) list[n++] = kMcBank + i;
    return list;
}
constexpr auto kMsrs = make_msrs();

}  // namespace

bool uses_pdptes(u64 cr0, u64 cr4, u64 efer) {
    return (cr0 & kCr0Pg) != 0 && (cr4 & kCr4Pae) != 0 && (efer & kEferLma) == 0;
}

void to_kvm(const bp_x86_state& s, Registers& r) {
    r = {};
    kvm_regs& g = r.regs;
    g.rax = s.gpr[BP_X86_RAX], g.rbx = s.gpr[BP_X86_RBX], g.rcx = s.gpr[BP_X86_RCX], g.rdx = s.gpr[BP_X86_RDX];
    g.rsi = s.gpr[BP_X86_RSI], g.rdi = s.gpr[BP_X86_RDI], g.rsp = s.gpr[BP_X86_RSP], g.rbp = s.gpr[BP_X86_RBP];
    g.r8 = s.gpr[8], g.r9 = s.gpr[9], g.r10 = s.gpr[10], g.r11 = s.gpr[11];
    g.r12 = s.gpr[12], g.r13 = s.gpr[13], g.r14 = s.gpr[14], g.r15 = s.gpr[15];
    g.rip = s.rip;
    g.rflags = s.rflags | 2;

    kvm_sregs2& c = r.sregs;
    c.cs = segment_to(s.segment[BP_X86_CS]), c.ds = segment_to(s.segment[BP_X86_DS]);
    c.es = segment_to(s.segment[BP_X86_ES]), c.fs = segment_to(s.segment[BP_X86_FS]);
    c.gs = segment_to(s.segment[BP_X86_GS]), c.ss = segment_to(s.segment[BP_X86_SS]);
    c.ldt = segment_to(s.ldtr), c.tr = segment_to(s.tr);
    // KVM takes the privilege level from here, a null selector in 64-bit mode included.
    c.ss.dpl = s.cpl;
    // A task register that no program has loaded is no busy TSS; processors of Intel insist on one.
    c.tr.present = 1, c.tr.unusable = 0, c.tr.s = 0;
    if (c.tr.type != 3) c.tr.type = 11;
    table_to(s.gdtr, c.gdt), table_to(s.idtr, c.idt);
    c.cr0 = s.cr0, c.cr2 = s.cr2, c.cr3 = s.cr3, c.cr4 = s.cr4, c.cr8 = s.cr8;
    c.efer = s.efer;
    c.apic_base = s.apic_base;
    if (uses_pdptes(s.cr0, s.cr4, s.efer)) {
        c.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
        for (int i = 0; i < 4; ++i) c.pdptrs[i] = s.pdpte[i];
    }

    fpu_to(s, r.xsave);
    r.xcrs.nr_xcrs = 1;
    r.xcrs.xcrs[0] = {0, 0, s.xcr0 | 1};
    for (int i = 0; i < 4; ++i) r.debug.db[i] = s.dr[i];
    r.debug.dr6 = s.dr6 & 0xffffffffu;
    r.debug.dr7 = s.dr7 & 0xffffffffu;

    r.events.nmi.masked = (s.events & BP_X86_NMI_BLOCKED) != 0;
    if ((s.events & BP_X86_SHADOW_STI) != 0) r.events.interrupt.shadow |= KVM_X86_SHADOW_INT_STI;
    if ((s.events & BP_X86_SHADOW_SS) != 0) r.events.interrupt.shadow |= KVM_X86_SHADOW_INT_MOV_SS;
    r.events.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
}

void from_kvm(const Registers& r, bp_x86_state& s) {
    const kvm_regs& g = r.regs;
    s.gpr[BP_X86_RAX] = g.rax, s.gpr[BP_X86_RBX] = g.rbx, s.gpr[BP_X86_RCX] = g.rcx, s.gpr[BP_X86_RDX] = g.rdx;
    s.gpr[BP_X86_RSI] = g.rsi, s.gpr[BP_X86_RDI] = g.rdi, s.gpr[BP_X86_RSP] = g.rsp, s.gpr[BP_X86_RBP] = g.rbp;
    s.gpr[8] = g.r8, s.gpr[9] = g.r9, s.gpr[10] = g.r10, s.gpr[11] = g.r11;
    s.gpr[12] = g.r12, s.gpr[13] = g.r13, s.gpr[14] = g.r14, s.gpr[15] = g.r15;
    s.rip = g.rip;
    s.rflags = g.rflags;

    const kvm_sregs2& c = r.sregs;
    s.segment[BP_X86_CS] = segment_from(c.cs), s.segment[BP_X86_DS] = segment_from(c.ds);
    s.segment[BP_X86_ES] = segment_from(c.es), s.segment[BP_X86_FS] = segment_from(c.fs);
    s.segment[BP_X86_GS] = segment_from(c.gs), s.segment[BP_X86_SS] = segment_from(c.ss);
    s.ldtr = segment_from(c.ldt), s.tr = segment_from(c.tr);
    s.cpl = (c.cr0 & kCr0Pe) == 0 ? 0 : (g.rflags & kRflagsVm) != 0 ? 3 : c.ss.dpl & 3u;
    s.gdtr = table_from(c.gdt), s.idtr = table_from(c.idt);
    s.cr0 = c.cr0, s.cr2 = c.cr2, s.cr3 = c.cr3, s.cr4 = c.cr4, s.cr8 = c.cr8;
    s.efer = c.efer;
    s.apic_base = c.apic_base;
    if ((c.flags & KVM_SREGS2_FLAGS_PDPTRS_VALID) != 0)
        for (int i = 0; i < 4; ++i) s.pdpte[i] = c.pdptrs[i];

    if (r.xcrs.nr_xcrs > 0) s.xcr0 = r.xcrs.xcrs[0].value;
    fpu_from(r.xsave, s);
    for (int i = 0; i < 4; ++i) s.dr[i] = r.debug.db[i];
    s.dr6 = r.debug.dr6;
    s.dr7 = r.debug.dr7;
    s.debug_pending = 0;

    s.events &= ~u32{BP_X86_NMI_BLOCKED | BP_X86_SHADOW_STI | BP_X86_SHADOW_SS | BP_X86_WAIT_FOR_SIPI |
                     BP_X86_SHUTDOWN | BP_X86_IN_SMM};
    if (r.events.nmi.masked != 0) s.events |= BP_X86_NMI_BLOCKED;
    if (r.events.nmi.pending != 0) s.events |= BP_X86_NMI_PENDING;
    if ((r.events.interrupt.shadow & KVM_X86_SHADOW_INT_STI) != 0) s.events |= BP_X86_SHADOW_STI;
    if ((r.events.interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS) != 0) s.events |= BP_X86_SHADOW_SS;
}

std::span<const u32> state_msrs() { return kMsrs; }

u64* msr_field(bp_x86_state& s, u32 index) {
    switch (index) {
        case kSysenterCs: return &s.sysenter_cs;
        case kSysenterEsp: return &s.sysenter_esp;
        case kSysenterEip: return &s.sysenter_eip;
        case kPat: return &s.pat;
        case kMtrrDefType: return &s.mtrr_def_type;
        case kMtrrFix64K: return &s.mtrr_fixed[0];
        case kMtrrFix16K:
        case kMtrrFix16K + 1: return &s.mtrr_fixed[1 + (index - kMtrrFix16K)];
        case kMcgStatus: return &s.mcg_status;
        case kMcgCtl: return &s.mcg_ctl;
        case kStar: return &s.star;
        case kLstar: return &s.lstar;
        case kCstar: return &s.cstar;
        case kSfmask: return &s.sfmask;
        case kKernelGsBase: return &s.kernel_gs_base;
        case kTscAux: return &s.tsc_aux;
        default: break;
    }
    if (index >= kMtrrFix4K && index < kMtrrFix4K + 8) return &s.mtrr_fixed[3 + (index - kMtrrFix4K)];
    if (index >= kMtrrVariable && index < kMtrrVariable + kVariable) return &s.mtrr_variable[index - kMtrrVariable];
    if (index >= kMcBank && index < kMcBank + kBanks) return &s.mc_bank[index - kMcBank];
    return nullptr;
}

Unfinished unfinished(const kvm_vcpu_events& e) {
    // INT3, INTO and INT n are executed once more: the instruction pointer still stands there.
    constexpr u8 int3 = 3, into = 4;
    if (e.exception.injected != 0 && e.exception.nr != int3 && e.exception.nr != into)
        return {Unfinished::Kind::kException, e.exception.nr, e.exception.has_error_code != 0, e.exception.error_code};
    if (e.interrupt.injected != 0 && e.interrupt.soft == 0)
        return {Unfinished::Kind::kInterrupt, e.interrupt.nr, false, 0};
    if (e.nmi.injected != 0) return {Unfinished::Kind::kNmi, 2, false, 0};
    return {};
}

kvm_sregs narrow(const kvm_sregs2& s) {
    kvm_sregs o{};
    o.cs = s.cs, o.ds = s.ds, o.es = s.es, o.fs = s.fs, o.gs = s.gs, o.ss = s.ss, o.tr = s.tr, o.ldt = s.ldt;
    o.gdt = s.gdt, o.idt = s.idt;
    o.cr0 = s.cr0, o.cr2 = s.cr2, o.cr3 = s.cr3, o.cr4 = s.cr4, o.cr8 = s.cr8;
    o.efer = s.efer, o.apic_base = s.apic_base;
    return o;
}
void widen(const kvm_sregs& s, kvm_sregs2& o) {
    o = {};
    o.cs = s.cs, o.ds = s.ds, o.es = s.es, o.fs = s.fs, o.gs = s.gs, o.ss = s.ss, o.tr = s.tr, o.ldt = s.ldt;
    o.gdt = s.gdt, o.idt = s.idt;
    o.cr0 = s.cr0, o.cr2 = s.cr2, o.cr3 = s.cr3, o.cr4 = s.cr4, o.cr8 = s.cr8;
    o.efer = s.efer, o.apic_base = s.apic_base;
}

}  // namespace backplane::kvm
