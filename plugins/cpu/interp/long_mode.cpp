// Events and fast system calls of long mode (SDM 3, 5.8.7, 5.8.8 and 6.14; SDM 2, SYSCALL, SYSRET, SWAPGS).
#include "system.hpp"

namespace backplane::interp {

namespace {

constexpr u16 kFlatData = kAttrGranular | kAttrBig | kAttrP | kAttrS | kAttrWritable | kAttrAccessed;
constexpr u16 kFlatCode = kAttrGranular | kAttrP | kAttrS | kAttrCode | kAttrReadable | kAttrAccessed;
constexpr u16 kCode32 = kFlatCode | kAttrBig, kCode64 = kFlatCode | kAttrLong;

void set_flat(Cpu& c, Seg s, u32 selector, u16 attr, unsigned level) {
    c.set_segment(s, static_cast<u16>(selector), 0, 0xffffffff, static_cast<u16>(attr | level << 5));
}

// Entry `at` of the 64-bit TSS, a stack pointer.
u64 tss_pointer(Cpu& c, u32 at) {
    if (!c.tr.present() || at + 7 > c.tr.limit) refuse(c, kTs, c.tr.selector);
    return c.sys_read<u64>(c.tr.base + at);
}

}  // namespace

u64 long_inner_stack(Cpu& c, unsigned level, unsigned ist) {
    const u64 rsp = ist != 0 ? tss_pointer(c, 0x24 + 8 * (ist - 1)) : tss_pointer(c, 4 + 8 * level);
    if (!canonical(rsp)) c.raise(kSsFault, c.ext);
    return rsp;
}

void long_push(Cpu& c, u64& rsp, u64 value, unsigned level) {
    rsp -= 8;
    if (!canonical(rsp)) c.raise(kSsFault, c.ext);
    c.lin_write<u64>(rsp, value, level == 3);
}

void put_null_stack(Cpu& c, unsigned level) { set_flat(c, kSs, level, kFlatData, level); }

void deliver_long(Cpu& c, const Event& e) {
    const u32 at = e.vector * 16u;
    const u32 idt_error = e.vector * 8u | 2u | c.ext;
    if (at + 15 > c.idtr.limit) c.raise(kGp, idt_error);
    const u64 low = c.sys_read<u64>(c.idtr.base + at);
    const u64 high = c.sys_read<u64>(c.idtr.base + at + 8);
    const Descriptor gate{static_cast<u32>(low), static_cast<u32>(low >> 32)};
    if (!is_system(gate) || (type_of(gate) != kTypeIntGate32 && type_of(gate) != kTypeTrapGate32))
        c.raise(kGp, idt_error);
    if (e.software && dpl_of(gate) < c.cpl) c.raise(kGp, idt_error);
    if (!is_present(gate)) c.raise(kNp, idt_error);
    const u16 selector = gate_selector(gate);
    if (is_null(selector)) c.raise(kGp, c.ext);
    Descriptor code = need_descriptor(c, selector, kGp);
    if (!is_code(code) || dpl_of(code) > c.cpl || !is_long_code(code)) refuse(c, kGp, selector);
    if (!is_present(code)) refuse(c, kNp, selector);
    const bool inner = !is_conforming(code) && dpl_of(code) < c.cpl;
    const unsigned level = inner ? dpl_of(code) : c.cpl;
    const unsigned ist = gate.high & 7u;
    u64 rsp = inner || ist != 0 ? long_inner_stack(c, level, ist) : c.mode64 ? c.gpr[kEsp] : c.sp();
    rsp &= ~15ull;
    const u64 target = gate_offset(gate) | high << 32;
    if (!canonical(target)) c.raise(kGp, c.ext);
    mark_accessed(c, selector, code);
    long_push(c, rsp, c.seg[kSs].selector, level);
    long_push(c, rsp, c.gpr[kEsp], level);
    long_push(c, rsp, e.flags, level);
    long_push(c, rsp, c.seg[kCs].selector, level);
    long_push(c, rsp, c.eip, level);
    if (e.has_error) long_push(c, rsp, e.error, level);
    // Nothing can fault from here on.
    c.set_cpl(level);
    if (inner) put_null_stack(c, level);
    c.set_flags(0, kTf | kNt | kRf | kVm | (type_of(gate) == kTypeTrapGate32 ? 0 : kIf));
    put_segment(c, kCs, static_cast<u16>((selector & 0xfffcu) | level), code);
    c.gpr[kEsp] = rsp;
    c.eip = target;
}

void Cpu::syscall() {
    if ((msr.efer & kEferSce) == 0) raise(kUd);
    const u16 selector = static_cast<u16>(msr.star >> 32 & 0xfffcu);
    if (!long_mode()) {
        if (!protected_mode()) raise(kUd);
        r32(kEcx) = static_cast<u32>(eip);
        set_flags(0, kIf | kVm | kRf);
        set_cpl(0);
        set_flat(*this, kCs, selector, kCode32, 0);
        set_flat(*this, kSs, selector + 8u, kFlatData, 0);
        eip = static_cast<u32>(msr.star);
        return;
    }
    const u64 target = mode64 ? msr.lstar : msr.cstar;
    gpr[kEcx] = eip;
    gpr[kR11] = flags() & ~kRf;
    set_flags(flags() & ~static_cast<u32>(msr.sfmask) & ~kRf);
    set_cpl(0);
    set_flat(*this, kCs, selector, kCode64, 0);
    set_flat(*this, kSs, selector + 8u, kFlatData, 0);
    eip = target;
}

void Cpu::sysret(u32 bytes) {
    if ((msr.efer & kEferSce) == 0) raise(kUd);
    if (!protected_mode() || cpl != 0) raise(kGp, 0);
    const u32 base = static_cast<u32>(msr.star >> 48) | 3u;
    if (!long_mode()) {
        set_flags(kIf, kIf);
        set_cpl(3);
        set_flat(*this, kCs, base, kCode32, 3);
        set_flat(*this, kSs, base + 8, kFlatData, 3);
        eip = r32(kEcx);
        return;
    }
    if (!mode64) raise(kUd);
    const bool to64 = bytes == 8;
    const u64 target = to64 ? gpr[kEcx] : static_cast<u32>(gpr[kEcx]);
    if (!canonical(target)) raise(kGp, 0);
    set_flags(static_cast<u32>(gpr[kR11]) & ~(kRf | kVm));
    set_cpl(3);
    set_flat(*this, kCs, to64 ? base + 16 : base, to64 ? kCode64 : kCode32, 3);
    set_flat(*this, kSs, base + 8, kFlatData, 3);
    eip = target;
}

void Cpu::swapgs() {
    require_cpl0();
    const u64 old = seg[kGs].base;
    set_segment_base(kGs, msr.kernel_gs_base);
    msr.kernel_gs_base = old;
}

namespace {

// Processors of AMD have no SYSENTER in long mode.
void sysenter_checks(Cpu& c) {
    if (c.long_mode() && c.model->vendor[0] == 'A') c.raise(kUd);
    if (!c.protected_mode() || is_null(static_cast<u16>(c.msr.sysenter_cs))) c.raise(kGp, 0);
}

}  // namespace

void Cpu::sysenter() {
    sysenter_checks(*this);
    const u32 base = msr.sysenter_cs & 0xfffcu;
    const bool wide = long_mode();
    set_flags(0, kVm | kIf | kRf);
    set_cpl(0);
    set_flat(*this, kCs, base, wide ? kCode64 : kCode32, 0);
    set_flat(*this, kSs, base + 8, kFlatData, 0);
    gpr[kEsp] = wide ? msr.sysenter_esp : static_cast<u32>(msr.sysenter_esp);
    eip = wide ? msr.sysenter_eip : static_cast<u32>(msr.sysenter_eip);
}

void Cpu::sysexit(u32 bytes) {
    sysenter_checks(*this);
    if (cpl != 0) raise(kGp, 0);
    const u32 base = msr.sysenter_cs & 0xfffcu;
    const bool to64 = bytes == 8;
    const u64 target = to64 ? gpr[kEdx] : static_cast<u32>(gpr[kEdx]);
    const u64 stack = to64 ? gpr[kEcx] : static_cast<u32>(gpr[kEcx]);
    if (to64 && (!canonical(target) || !canonical(stack))) raise(kGp, 0);
    set_cpl(3);
    set_flat(*this, kCs, (base + (to64 ? 32 : 16)) | 3, to64 ? kCode64 : kCode32, 3);
    set_flat(*this, kSs, (base + (to64 ? 40 : 24)) | 3, kFlatData, 3);
    gpr[kEsp] = stack;
    eip = target;
}

}  // namespace backplane::interp
