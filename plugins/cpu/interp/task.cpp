// Hardware task switches (SDM 3, chapter 7).
#include "system.hpp"

namespace backplane::interp {

namespace {

// Offsets in a 32-bit TSS (figure 7-2) and a 16-bit TSS (figure 7-10).
constexpr u32 kLink = 0, kCr3At = 0x1c, kEip32 = 0x20, kFlags32 = 0x24, kGpr32 = 0x28, kSeg32 = 0x48, kLdt32 = 0x60,
              kTrap32 = 0x64, kSize32 = 0x68;
constexpr u32 kIp16 = 0x0e, kFlags16 = 0x10, kGpr16 = 0x12, kSeg16 = 0x22, kLdt16 = 0x2a, kSize16 = 0x2c;
constexpr Seg kSegs32[] = {kEs, kCs, kSs, kDs, kFs, kGs};  // 16-bit TSSs hold the first four
constexpr Seg kSegs16[] = {kEs, kCs, kSs, kDs};

struct NewState {
    u32 cr3 = 0, eip = 0, flags = 0;
    u32 gpr[8] = {};
    u16 seg[kSegCount] = {};
    u16 ldt = 0;
    bool trap = false;
};

bool is_wide(unsigned type) { return (type & kType32Bit) != 0; }

// Descriptor checks; a returning IRET wants a busy TSS, everything else an available one.
Descriptor need_tss(Cpu& c, u16 selector, Cpu::TaskSwitch how) {
    const bool back = how == Cpu::TaskSwitch::kIret;
    const u8 vector = back ? kTs : kGp;
    if (is_local(selector) || (!back && is_null(selector))) refuse(c, vector, selector);
    const Descriptor d = need_descriptor(c, selector, vector);
    const unsigned type = type_of(d);
    const bool right =
        back ? type == kTypeTss16Busy || type == kTypeTss32Busy : type == kTypeTss16 || type == kTypeTss32;
    if (!is_system(d) || !right) refuse(c, vector, selector);
    if (!is_present(d)) refuse(c, kNp, selector);
    if (d.limit() < (is_wide(type) ? kSize32 : kSize16) - 1) refuse(c, kTs, selector);
    return d;
}

NewState read_tss(Cpu& c, Linear base, bool wide) {
    NewState n;
    if (wide) {
        n.cr3 = c.sys_read<u32>(base + kCr3At);
        n.eip = c.sys_read<u32>(base + kEip32);
        n.flags = c.sys_read<u32>(base + kFlags32);
        for (u32 i = 0; i < 8; ++i) n.gpr[i] = c.sys_read<u32>(base + kGpr32 + 4 * i);
        for (u32 i = 0; i < 6; ++i) n.seg[kSegs32[i]] = c.sys_read<u16>(base + kSeg32 + 4 * i);
        n.ldt = c.sys_read<u16>(base + kLdt32);
        n.trap = (c.sys_read<u16>(base + kTrap32) & 1u) != 0;
    } else {
        n.eip = c.sys_read<u16>(base + kIp16);
        n.flags = c.sys_read<u16>(base + kFlags16);
        // The manual leaves the upper halves undefined; all ones is what 386 and later show.
        for (u32 i = 0; i < 8; ++i) n.gpr[i] = 0xffff0000u | c.sys_read<u16>(base + kGpr16 + 2 * i);
        for (u32 i = 0; i < 4; ++i) n.seg[kSegs16[i]] = c.sys_read<u16>(base + kSeg16 + 2 * i);
        n.ldt = c.sys_read<u16>(base + kLdt16);
    }
    return n;
}

void save_tss(Cpu& c, u32 flags) {
    const Linear base = c.tr.base;
    if (is_wide(c.tr.type())) {
        c.sys_write<u32>(base + kEip32, static_cast<u32>(c.eip));
        c.sys_write<u32>(base + kFlags32, flags);
        for (u32 i = 0; i < 8; ++i) c.sys_write<u32>(base + kGpr32 + 4 * i, c.r32(i));
        for (u32 i = 0; i < 6; ++i) c.sys_write<u16>(base + kSeg32 + 4 * i, c.seg[kSegs32[i]].selector);
    } else {
        c.sys_write<u16>(base + kIp16, static_cast<u16>(c.eip));
        c.sys_write<u16>(base + kFlags16, static_cast<u16>(flags));
        for (u32 i = 0; i < 8; ++i) c.sys_write<u16>(base + kGpr16 + 2 * i, c.r16(i));
        for (u32 i = 0; i < 4; ++i) c.sys_write<u16>(base + kSeg16 + 2 * i, c.seg[kSegs16[i]].selector);
    }
}

// So that no page fault can come between the writes of a switch.
void probe_old_tss(Cpu& c) {
    const bool wide = is_wide(c.tr.type());
    const Linear first = c.tr.base + (wide ? kEip32 : kIp16);
    const Linear last = c.tr.base + (wide ? kLdt32 : kLdt16) - 1;
    c.lin_probe_write(first, 1, false);
    c.lin_probe_write(last, 1, false);
}

Linear type_byte(const Cpu& c, u16 selector) { return descriptor_address(c, selector) + 5; }

void set_busy(Cpu& c, u16 selector, bool busy) {
    if (busy)
        c.sys_locked_or(type_byte(c, selector), static_cast<u8>(kTypeBusyBit));
    else
        c.sys_locked_and(type_byte(c, selector), static_cast<u8>(~kTypeBusyBit));
}

// --- the new task: faults from here on belong to it ----------------------------------------------------------------

void load_task_ldt(Cpu& c, u16 selector) {
    c.ldtr = Segment{};
    c.ldtr.selector = selector;
    if (is_null(selector)) return;
    if (is_local(selector)) refuse(c, kTs, selector);
    const Descriptor d = need_descriptor(c, selector, kTs);
    if (!is_system(d) || type_of(d) != kTypeLdt || !is_present(d)) refuse(c, kTs, selector);
    put_system_segment(c.ldtr, selector, d);
}

void load_task_code(Cpu& c, u16 selector) {
    if (is_null(selector)) refuse(c, kTs, selector);
    Descriptor d = need_descriptor(c, selector, kTs);
    if (!is_code(d)) refuse(c, kTs, selector);
    if (is_conforming(d) ? dpl_of(d) > rpl_of(selector) : dpl_of(d) != rpl_of(selector)) refuse(c, kTs, selector);
    if (!is_present(d)) refuse(c, kNp, selector);
    mark_accessed(c, selector, d);
    put_segment(c, kCs, selector, d);
}

void load_task_stack(Cpu& c, u16 selector) {
    if (is_null(selector)) refuse(c, kTs, selector);
    Descriptor d = need_stack_segment(c, selector, c.cpl, kTs);
    mark_accessed(c, selector, d);
    put_segment(c, kSs, selector, d);
}

void load_task_data(Cpu& c, Seg s, u16 selector) {
    if (is_null(selector)) return;
    Descriptor d = need_descriptor(c, selector, kTs);
    if (!is_readable(d)) refuse(c, kTs, selector);
    if (!is_conforming(d) && (rpl_of(selector) > dpl_of(d) || c.cpl > dpl_of(d))) refuse(c, kTs, selector);
    if (!is_present(d)) refuse(c, kNp, selector);
    mark_accessed(c, selector, d);
    put_segment(c, s, selector, d);
}

void load_segments(Cpu& c, const NewState& n) {
    if (c.v86()) {
        c.set_cpl(3);
        for (const Seg s : kSegs32) c.set_segment_real(s, n.seg[s]);
        load_task_ldt(c, n.ldt);
        return;
    }
    // All selectors are in place, but unusable, when the first check fails.
    for (const Seg s : kSegs32) put_null(c, s, n.seg[s]);
    c.set_cpl(rpl_of(n.seg[kCs]));
    load_task_ldt(c, n.ldt);
    load_task_code(c, n.seg[kCs]);
    load_task_stack(c, n.seg[kSs]);
    for (const Seg s : {kEs, kDs, kFs, kGs}) load_task_data(c, s, n.seg[s]);
}

}  // namespace

void switch_task(Cpu& c, u16 selector, Cpu::TaskSwitch how, const Event* event) {
    using How = Cpu::TaskSwitch;
    const bool nested = how == How::kCall || how == How::kInterrupt;
    const Descriptor d = need_tss(c, selector, how);
    const bool wide = is_wide(type_of(d));
    const u16 old_selector = c.tr.selector;
    u32 old_flags = event != nullptr ? event->flags : c.flags();
    if (how == How::kIret) old_flags &= ~kNt;

    // Last chance for a fault in the old task: everything that will be written must be writable.
    probe_old_tss(c);
    c.lin_probe_write(type_byte(c, old_selector), 1, false);
    c.lin_probe_write(type_byte(c, selector), 1, false);
    if (nested) c.lin_probe_write(d.base() + kLink, 2, false);
    NewState n = read_tss(c, d.base(), wide);

    if (!nested) set_busy(c, old_selector, false);
    save_tss(c, old_flags);
    if (nested) {
        c.sys_write<u16>(d.base() + kLink, old_selector);
        n.flags |= kNt;
    }
    if (how != How::kIret) set_busy(c, selector, true);
    put_system_segment(c.tr, selector, d);
    c.tr.attr |= kTypeBusyBit;
    c.cr0 |= kCr0Ts;
    c.dr7 &= ~kDr7Locals;

    c.eip = n.eip;
    c.prev_eip = n.eip;
    c.insn = nullptr;  // a fault from here on is not the old task's instruction
    c.esp_guard = false;
    for (unsigned i = 0; i < 8; ++i) c.r32(i) = n.gpr[i];
    if (wide && c.paging()) {
        c.cr3 = n.cr3;
        c.tlb_flush(false);
    }
    c.set_flags(n.flags);
    c.mode_changed();
    if (wide && c.paging() && (c.cr4 & kCr4Pae) != 0 && !c.load_pdptes(n.cr3)) {
        for (const Seg s : kSegs32) put_null(c, s, n.seg[s]);
        c.raise(kGp, c.ext);
    }
    load_segments(c, n);
    if (event != nullptr && event->has_error) {
        Frame f = current_stack(c, wide ? 4 : 2);
        need_room(c, f, 1);
        push(c, f, event->error);
        c.set_sp(f.sp);
    }
    if (n.eip > c.seg[kCs].limit) c.raise(kGp, c.ext);
    if (n.trap) {
        c.debug_pending |= kDr6Bt;
        c.leave_after(kLeaveDebug);
    }
}

void Cpu::task_switch(u16 selector, TaskSwitch how, bool push_error, u32 error) {
    Event e;
    e.has_error = push_error;
    e.error = error;
    e.flags = flags();
    switch_task(*this, selector, how, &e);
}

}  // namespace backplane::interp
