// Far transfers of control: JMP, CALL, RET, IRET (SDM 2, operation sections; SDM 3, 5.8 and 7.3).
#include "system.hpp"

namespace backplane::interp {

namespace {

u64 truncated(u64 value, u32 bytes) { return bytes == 2 ? value & 0xffffu : bytes == 4 ? value & 0xffffffffu : value; }

// Item `n` bytes above the stack pointer.
u64 peek(Cpu& c, u32 n, u32 bytes) {
    const u64 offset = (c.sp() + n) & c.stack_mask();
    if (bytes == 8) return c.read<u64>(kSs, offset);
    return bytes == 4 ? c.read<u32>(kSs, offset) : c.read<u16>(kSs, offset);
}

void need_offset(Cpu& c, u64 offset, u32 limit) {
    if (offset > limit) c.raise(kGp, c.ext);
}
// The same for a target in a code segment that may be one of 64-bit mode.
void need_target(Cpu& c, u16 selector, const Descriptor& d, u64 offset) {
    if (c.long_mode() && is_long_code(d)) {
        if (!canonical(offset)) c.raise(kGp, c.ext);
        return;
    }
    if (c.long_mode() && has_reserved_size(d)) refuse(c, kGp, selector);
    need_offset(c, offset, d.limit());
}

// Code segment reached directly by JMP or CALL.
void check_direct(Cpu& c, u16 selector, const Descriptor& d) {
    if (is_conforming(d)) {
        if (dpl_of(d) > c.cpl) refuse(c, kGp, selector);
    } else if (rpl_of(selector) > c.cpl || dpl_of(d) != c.cpl) {
        refuse(c, kGp, selector);
    }
    if (!is_present(d)) refuse(c, kNp, selector);
}

u16 with_rpl(u16 selector, unsigned rpl) { return static_cast<u16>((selector & 0xfffcu) | rpl); }

void enter_code(Cpu& c, u16 selector, const Descriptor& d, u64 offset) {
    put_segment(c, kCs, with_rpl(selector, c.cpl), d);
    c.eip = offset;
}

void check_gate(Cpu& c, u16 selector, const Descriptor& gate) {
    if (dpl_of(gate) < c.cpl || dpl_of(gate) < rpl_of(selector)) refuse(c, kGp, selector);
    if (!is_present(gate)) refuse(c, kNp, selector);
}

// The code segment that a call gate names; privilege rules differ for JMP and CALL.
Descriptor gate_target(Cpu& c, u16 selector, bool jump) {
    if (is_null(selector)) c.raise(kGp, 0);
    const Descriptor d = need_descriptor(c, selector, kGp);
    if (!is_code(d) || dpl_of(d) > c.cpl || (jump && !is_conforming(d) && dpl_of(d) != c.cpl)) refuse(c, kGp, selector);
    if (!is_present(d)) refuse(c, kNp, selector);
    return d;
}

// TSS descriptors and task gates: the switch itself checks the TSS.
void transfer_to_task(Cpu& c, u16 selector, const Descriptor& d, Cpu::TaskSwitch how) {
    if (type_of(d) == kTypeTaskGate) {
        check_gate(c, selector, d);
        switch_task(c, gate_selector(d), how, nullptr);
    } else {
        if (dpl_of(d) < c.cpl || dpl_of(d) < rpl_of(selector)) refuse(c, kGp, selector);
        switch_task(c, selector, how, nullptr);
    }
}

bool leads_to_task(const Descriptor& d) {
    switch (type_of(d)) {
        case kTypeTss16:
        case kTypeTss16Busy:
        case kTypeTss32:
        case kTypeTss32Busy:
        case kTypeTaskGate: return true;
        default: return false;
    }
}

bool is_call_gate(const Descriptor& d) { return type_of(d) == kTypeCallGate16 || type_of(d) == kTypeCallGate32; }

void push_return(Cpu& c, Frame& f, u64 return_eip) {
    push(c, f, c.seg[kCs].selector);
    push(c, f, static_cast<u32>(return_eip));
}

// A stack item of 64-bit mode, nothing committed.
void push_item(Cpu& c, u64& rsp, u64 value, u32 bytes) {
    rsp -= bytes;
    if (bytes == 8)
        c.write<u64>(kSs, rsp, value);
    else if (bytes == 4)
        c.write<u32>(kSs, rsp, static_cast<u32>(value));
    else
        c.write<u16>(kSs, rsp, static_cast<u16>(value));
}

// CALL to a segment of the same privilege, direct or through a gate.
void call_same_level(Cpu& c, u16 selector, Descriptor& d, u64 offset, u32 bytes) {
    if (c.mode64) {
        u64 rsp = c.gpr[kEsp];
        need_target(c, selector, d, offset);
        mark_accessed(c, selector, d);
        push_item(c, rsp, c.seg[kCs].selector, bytes);
        push_item(c, rsp, c.eip, bytes);
        c.gpr[kEsp] = rsp;
        enter_code(c, selector, d, offset);
        return;
    }
    Frame f = current_stack(c, bytes);
    need_room(c, f, 2);
    need_target(c, selector, d, offset);
    mark_accessed(c, selector, d);
    push_return(c, f, c.eip);
    c.set_sp(f.sp);
    enter_code(c, selector, d, offset);
}

// CALL through a gate to an inner level: new stack, parameters copied (SDM 3, 5.8.5).
void call_inner_level(Cpu& c, u16 selector, Descriptor& d, u32 offset, u32 bytes, unsigned parameters) {
    const unsigned level = dpl_of(d);
    InnerStack inner = inner_stack(c, level);
    Frame f = new_stack(c, inner.selector, inner.d, inner.esp, level, bytes);
    need_room(c, f, 4 + parameters);
    need_offset(c, offset, d.limit());
    mark_accessed(c, selector, d);
    push(c, f, c.seg[kSs].selector);
    push(c, f, c.r32(kEsp));
    for (unsigned i = parameters; i > 0; --i) push(c, f, static_cast<u32>(peek(c, (i - 1) * bytes, bytes)));
    push_return(c, f, c.eip);
    c.set_cpl(level);
    put_segment(c, kSs, with_rpl(inner.selector, level), inner.d);
    c.set_sp(f.sp);
    enter_code(c, selector, d, offset);
}

// Code segment that RET or IRET goes back to.
Descriptor return_target(Cpu& c, u16 selector) {
    if (is_null(selector)) c.raise(kGp, 0);
    const Descriptor d = need_descriptor(c, selector, kGp);
    const unsigned rpl = rpl_of(selector);
    if (!is_code(d) || rpl < c.cpl) refuse(c, kGp, selector);
    if (is_conforming(d) ? dpl_of(d) > rpl : dpl_of(d) != rpl) refuse(c, kGp, selector);
    if (!is_present(d)) refuse(c, kNp, selector);
    return d;
}

// Gates of long mode: 16 bytes, to 64-bit code only (SDM 3, 5.8.3.1).
u64 long_gate_offset(Cpu& c, u16 selector, const Descriptor& gate) {
    return gate_offset(gate) | need_upper_half(c, selector, kGp);
}
Descriptor long_gate_target(Cpu& c, u16 selector, bool jump) {
    const Descriptor d = gate_target(c, selector, jump);
    if (!is_long_code(d)) refuse(c, kGp, selector);
    return d;
}
void long_call_gate(Cpu& c, u16 selector, const Descriptor& gate) {
    check_gate(c, selector, gate);
    const u64 offset = long_gate_offset(c, selector, gate);
    const u16 code = gate_selector(gate);
    Descriptor target = long_gate_target(c, code, false);
    const bool inner = !is_conforming(target) && dpl_of(target) < c.cpl;
    const unsigned level = inner ? dpl_of(target) : c.cpl;
    u64 rsp = inner ? long_inner_stack(c, level, 0) : c.sp();
    need_target(c, code, target, offset);
    mark_accessed(c, code, target);
    if (inner) {
        long_push(c, rsp, c.seg[kSs].selector, level);
        long_push(c, rsp, c.gpr[kEsp], level);
    }
    long_push(c, rsp, c.seg[kCs].selector, level);
    long_push(c, rsp, c.eip, level);
    c.set_cpl(level);
    if (inner) put_null_stack(c, level);
    c.gpr[kEsp] = rsp;
    enter_code(c, code, target, offset);
}

// Return to protected-mode code; `popped` counts the bytes of EIP, CS (and EFLAGS), `release` those of RET imm16.
// `stack_too`: SS and RSP are popped without a change of privilege as well (IRET in 64-bit mode).
void return_protected(Cpu& c, u16 selector, u64 offset, u32 bytes, u32 popped, u32 release, bool stack_too) {
    Descriptor d = return_target(c, selector);
    const unsigned level = rpl_of(selector);
    const bool outer = level != c.cpl;
    if (!outer && !stack_too) {
        need_target(c, selector, d, offset);
        mark_accessed(c, selector, d);
        c.set_sp(c.sp() + popped + release);
        enter_code(c, selector, d, offset);
        return;
    }
    const u64 new_esp = peek(c, popped + release, bytes);
    const u16 new_ss = static_cast<u16>(peek(c, popped + release + bytes, bytes));
    const bool to64 = c.long_mode() && is_long_code(d);
    const bool null_stack = is_null(new_ss);
    Descriptor stack;
    if (null_stack) {
        if (!to64 || level == 3 || rpl_of(new_ss) != level) c.raise(kGp, 0);
    } else {
        stack = need_stack_segment(c, new_ss, level, kGp);
    }
    need_target(c, selector, d, offset);
    mark_accessed(c, selector, d);
    if (!null_stack) mark_accessed(c, new_ss, stack);
    c.set_cpl(level);
    if (null_stack)
        put_null_stack(c, level);
    else
        put_segment(c, kSs, new_ss, stack);
    enter_code(c, selector, d, offset);
    if (bytes == 8)
        c.gpr[kEsp] = new_esp + release;
    else
        c.set_sp(new_esp + release);  // a 16-bit stack keeps the upper half of ESP
    if (outer) drop_inner_segments(c);
}

void return_real(Cpu& c, u16 selector, u64 offset, u32 sp_change) {
    need_offset(c, offset, c.v86() ? 0xffffu : c.seg[kCs].limit);
    c.set_sp(c.sp() + sp_change);
    c.set_segment_real(kCs, selector);
    c.eip = offset;
}

constexpr u32 kIretCommon = kArith | kTf | kDf | kNt;
constexpr u32 kIretWide = kRf | kAc | kId;

// IRET in virtual-8086 mode (SDM 3, 20.2.5 and 20.3.3).
void iret_v86(Cpu& c, u32 bytes) {
    const bool vme = c.iopl() < 3;
    if (vme && ((c.cr4 & kCr4Vme) == 0 || bytes != 2)) c.raise(kGp, 0);
    const u64 offset = peek(c, 0, bytes);
    const u16 selector = static_cast<u16>(peek(c, bytes, bytes));
    const u32 image = static_cast<u32>(peek(c, 2 * bytes, bytes));
    if (vme) {
        if ((image & kTf) != 0 || ((image & kIf) != 0 && c.flag(kVip))) c.raise(kGp, 0);
        return_real(c, selector, offset, 3 * bytes);
        c.set_flags((image & kIretCommon) | ((image & kIf) != 0 ? kVif : 0), kIretCommon | kVif);
        return;
    }
    return_real(c, selector, offset, 3 * bytes);
    c.set_flags(image, kIretCommon | kIf | (bytes == 4 ? kIretWide : 0));
}

// IRET at CPL 0 with VM set in the image: nine doublewords (SDM 3, 20.2.4).
void iret_to_v86(Cpu& c, u16 selector, u64 offset, u32 image) {
    const u32 esp = static_cast<u32>(peek(c, 12, 4));
    u16 selectors[kSegCount] = {};
    selectors[kCs] = selector;
    selectors[kSs] = static_cast<u16>(peek(c, 16, 4));
    selectors[kEs] = static_cast<u16>(peek(c, 20, 4));
    selectors[kDs] = static_cast<u16>(peek(c, 24, 4));
    selectors[kFs] = static_cast<u16>(peek(c, 28, 4));
    selectors[kGs] = static_cast<u16>(peek(c, 32, 4));
    need_offset(c, offset, 0xffff);
    c.set_flags(image);
    c.set_cpl(3);
    for (const Seg s : {kCs, kSs, kEs, kDs, kFs, kGs}) c.set_segment_real(s, selectors[s]);
    c.r32(kEsp) = esp;
    c.eip = offset;
}

}  // namespace

void Cpu::far_jump(u16 selector, u64 offset, u32 bytes) {
    offset = truncated(offset, bytes);
    if (real_or_v86()) {
        return_real(*this, selector, offset, 0);
        return;
    }
    if (is_null(selector)) raise(kGp, 0);
    Descriptor d = need_descriptor(*this, selector, kGp);
    if (is_code(d)) {
        check_direct(*this, selector, d);
        need_target(*this, selector, d, offset);
        mark_accessed(*this, selector, d);
        enter_code(*this, selector, d, offset);
    } else if (!is_system(d)) {
        refuse(*this, kGp, selector);
    } else if (long_mode()) {
        if (type_of(d) != kTypeCallGate32) refuse(*this, kGp, selector);
        check_gate(*this, selector, d);
        const u64 to = long_gate_offset(*this, selector, d);
        const u16 code = gate_selector(d);
        Descriptor target = long_gate_target(*this, code, true);
        need_target(*this, code, target, to);
        mark_accessed(*this, code, target);
        enter_code(*this, code, target, to);
    } else if (is_call_gate(d)) {
        check_gate(*this, selector, d);
        const u16 code = gate_selector(d);
        Descriptor target = gate_target(*this, code, true);
        need_offset(*this, gate_offset(d), target.limit());
        mark_accessed(*this, code, target);
        enter_code(*this, code, target, gate_offset(d));
    } else if (leads_to_task(d)) {
        transfer_to_task(*this, selector, d, TaskSwitch::kJump);
    } else {
        refuse(*this, kGp, selector);
    }
}

void Cpu::far_call(u16 selector, u64 offset, u32 bytes) {
    offset = truncated(offset, bytes);
    if (real_or_v86()) {
        Frame f = current_stack(*this, bytes);
        need_room(*this, f, 2);
        need_offset(*this, offset, v86() ? 0xffffu : seg[kCs].limit);
        push_return(*this, f, eip);
        set_sp(f.sp);
        set_segment_real(kCs, selector);
        eip = offset;
        return;
    }
    if (is_null(selector)) raise(kGp, 0);
    Descriptor d = need_descriptor(*this, selector, kGp);
    if (is_code(d)) {
        check_direct(*this, selector, d);
        call_same_level(*this, selector, d, offset, bytes);
    } else if (!is_system(d)) {
        refuse(*this, kGp, selector);
    } else if (long_mode()) {
        if (type_of(d) != kTypeCallGate32) refuse(*this, kGp, selector);
        long_call_gate(*this, selector, d);
    } else if (is_call_gate(d)) {
        check_gate(*this, selector, d);
        const u16 code = gate_selector(d);
        const u32 item = is_32bit_gate(d) ? 4 : 2;
        Descriptor target = gate_target(*this, code, false);
        if (!is_conforming(target) && dpl_of(target) < cpl) {
            call_inner_level(*this, code, target, gate_offset(d), item, d.high & 31u);
        } else {
            call_same_level(*this, code, target, gate_offset(d), item);
        }
    } else if (leads_to_task(d)) {
        transfer_to_task(*this, selector, d, TaskSwitch::kCall);
    } else {
        refuse(*this, kGp, selector);
    }
}

void Cpu::far_return(u32 bytes, u32 release) {
    const u64 offset = peek(*this, 0, bytes);
    const u16 selector = static_cast<u16>(peek(*this, bytes, bytes));
    if (real_or_v86()) {
        return_real(*this, selector, offset, 2 * bytes + release);
    } else {
        return_protected(*this, selector, offset, bytes, 2 * bytes, release, false);
    }
}

void Cpu::interrupt_return(u32 bytes) {
    serialize();
    nmi_blocked = false;  // also if this IRET faults (SDM 3, 6.7.1)
    if (protected_mode() && v86()) {
        iret_v86(*this, bytes);
        return;
    }
    if (protected_mode() && flag(kNt)) {
        if (long_mode()) raise(kGp, 0);
        const u16 link = sys_read<u16>(tr.base);
        switch_task(*this, link, TaskSwitch::kIret, nullptr);
        return;
    }
    const u64 offset = peek(*this, 0, bytes);
    const u16 selector = static_cast<u16>(peek(*this, bytes, bytes));
    const u32 image = static_cast<u32>(peek(*this, 2 * bytes, bytes));
    if (!protected_mode()) {
        return_real(*this, selector, offset, 3 * bytes);
        set_flags(image, kIretCommon | kIf | kIopl | (bytes == 4 ? kIretWide : 0));
        return;
    }
    if (bytes == 4 && (image & kVm) != 0 && cpl == 0 && !long_mode()) {
        iret_to_v86(*this, selector, offset, image);
        return;
    }
    // The privilege that counts for the flags is that of the code that executes IRET.
    u32 mask = kIretCommon;
    if (bytes != 2) mask |= kIretWide;
    if (cpl <= iopl()) mask |= kIf;
    if (cpl == 0) mask |= bytes != 2 ? kIopl | kVif | kVip : kIopl;
    return_protected(*this, selector, offset, bytes, 3 * bytes, 0, mode64);
    set_flags(image, mask);
}

}  // namespace backplane::interp
