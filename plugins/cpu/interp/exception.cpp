// Delivery of exceptions and interrupts (SDM 3, chapter 6 and 20.3; SDM 2, INT n).
#include "system.hpp"

namespace backplane::interp {

namespace {

// Error code that names an entry of the IDT.
u32 idt_error(const Cpu& c, u8 vector) { return vector * 8u | 2u | c.ext; }

// Real-address mode: four-byte entries at IDTR (SDM 3, 20.1.4). No error codes.
void deliver_real(Cpu& c, const Event& e) {
    const u32 at = e.vector * 4u;
    if (at + 3 > c.idtr.limit) c.raise(kGp, idt_error(c, e.vector));
    Frame f = current_stack(c, 2);
    need_room(c, f, 3);
    const u32 target = c.sys_read<u32>(c.idtr.base + at);
    push(c, f, e.flags);
    push(c, f, c.seg[kCs].selector);
    push(c, f, static_cast<u32>(c.eip));
    c.set_sp(f.sp);
    c.set_flags(0, kIf | kTf | kAc | kRf);
    c.set_segment_real(kCs, static_cast<u16>(target >> 16));
    c.eip = target & 0xffffu;
}

void push_interrupt(Cpu& c, Frame& f, const Event& e) {
    push(c, f, e.flags);
    push(c, f, c.seg[kCs].selector);
    push(c, f, static_cast<u32>(c.eip));
    if (e.has_error) push(c, f, e.error);
}

void enter_handler(Cpu& c, u16 selector, const Descriptor& code, const Descriptor& gate) {
    const bool trap = (type_of(gate) & 1u) != 0;
    c.set_flags(0, kTf | kNt | kRf | kVm | (trap ? 0 : kIf));
    put_segment(c, kCs, static_cast<u16>((selector & 0xfffcu) | c.cpl), code);
    c.eip = gate_offset(gate);
}

void deliver_inner_level(Cpu& c, const Event& e, const Descriptor& gate, Descriptor& code) {
    const u16 selector = gate_selector(gate);
    const unsigned level = dpl_of(code);
    const bool from_v86 = c.v86();
    const InnerStack inner = inner_stack(c, level);
    Frame f = new_stack(c, inner.selector, inner.d, inner.esp, level, is_32bit_gate(gate) ? 4 : 2);
    need_room(c, f, 5u + (e.has_error ? 1u : 0u) + (from_v86 ? 4u : 0u));
    if (gate_offset(gate) > code.limit()) c.raise(kGp, c.ext);
    mark_accessed(c, selector, code);
    if (from_v86) {
        for (const Seg s : {kGs, kFs, kDs, kEs}) push(c, f, c.seg[s].selector);
    }
    push(c, f, c.seg[kSs].selector);
    push(c, f, c.r32(kEsp));
    push_interrupt(c, f, e);
    // Nothing can fault from here on.
    c.set_flags(0, kVm);
    c.set_cpl(level);
    put_segment(c, kSs, static_cast<u16>((inner.selector & 0xfffcu) | level), inner.d);
    c.set_sp(f.sp);
    enter_handler(c, selector, code, gate);
    if (from_v86) {
        for (const Seg s : {kGs, kFs, kDs, kEs}) put_null(c, s, 0);
    }
}

void deliver_same_level(Cpu& c, const Event& e, const Descriptor& gate, Descriptor& code) {
    Frame f = current_stack(c, is_32bit_gate(gate) ? 4 : 2);
    need_room(c, f, 3u + (e.has_error ? 1u : 0u));
    if (gate_offset(gate) > code.limit()) c.raise(kGp, c.ext);
    mark_accessed(c, gate_selector(gate), code);
    push_interrupt(c, f, e);
    c.set_sp(f.sp);
    enter_handler(c, gate_selector(gate), code, gate);
}

bool is_event_gate(const Descriptor& d) {
    switch (type_of(d)) {
        case kTypeTaskGate:
        case kTypeIntGate16:
        case kTypeTrapGate16:
        case kTypeIntGate32:
        case kTypeTrapGate32: return is_system(d);
        default: return false;
    }
}

void deliver_protected(Cpu& c, const Event& e) {
    const u32 at = e.vector * 8u;
    if (at + 7 > c.idtr.limit) c.raise(kGp, idt_error(c, e.vector));
    const u64 raw = c.sys_read<u64>(c.idtr.base + at);
    Descriptor gate;
    gate.low = static_cast<u32>(raw);
    gate.high = static_cast<u32>(raw >> 32);
    if (!is_event_gate(gate)) c.raise(kGp, idt_error(c, e.vector));
    if (e.software && dpl_of(gate) < c.cpl) c.raise(kGp, idt_error(c, e.vector));
    if (!is_present(gate)) c.raise(kNp, idt_error(c, e.vector));
    const u16 selector = gate_selector(gate);
    if (type_of(gate) == kTypeTaskGate) {
        switch_task(c, selector, Cpu::TaskSwitch::kInterrupt, &e);
        return;
    }
    if (is_null(selector)) c.raise(kGp, c.ext);
    Descriptor code = need_descriptor(c, selector, kGp);
    if (!is_code(code) || dpl_of(code) > c.cpl) refuse(c, kGp, selector);
    if (!is_present(code)) refuse(c, kNp, selector);
    const bool inner = !is_conforming(code) && dpl_of(code) < c.cpl;
    if (c.v86() && (!inner || dpl_of(code) != 0)) refuse(c, kGp, selector);
    if (inner) {
        deliver_inner_level(c, e, gate, code);
    } else {
        deliver_same_level(c, e, gate, code);
    }
}

void deliver(Cpu& c, const Event& e) {
    sse_sleep(&c);
    if (c.long_mode()) {
        deliver_long(c, e);
    } else if (c.protected_mode()) {
        deliver_protected(c, e);
    } else {
        deliver_real(c, e);
    }
    c.ext = 0;
    c.halted = false;
}

// An event that happens between instructions: a fault in its delivery resumes at the next instruction.
void deliver_between(Cpu& c, u8 vector) {
    c.ext = 1;
    c.prev_eip = c.eip;
    c.esp_guard = false;
    Event e;
    e.vector = vector;
    e.flags = c.flags();
    deliver(c, e);
}

// Classes of SDM 3, table 6-4.
bool is_contributory(int vector) { return vector == kDe || (vector >= kTs && vector <= kGp); }

bool makes_double_fault(int first, int second) {
    if (first == kPage) return second == kPage || is_contributory(second);
    return is_contributory(first) && is_contributory(second);
}

// Exceptions whose saved EFLAGS has RF set, so that an instruction breakpoint does not hit again (SDM 3, 17.3.1.1).
bool sets_rf(u8 vector) {
    switch (vector) {
        case kDe:
        case kBr:
        case kUd:
        case kNm:
        case kTs:
        case kNp:
        case kSsFault:
        case kGp:
        case kPage:
        case kMf:
        case kAcFault: return true;
        default: return false;
    }
}

// Virtual-8086 mode extensions, SDM 3, 20.3.3: INT n through the 8086 program's own vector table.
// True if the redirection bitmap in the TSS has a 0 for this vector.
bool vme_redirects(Cpu& c, u8 vector) {
    constexpr u32 io_base_at = 0x66;
    if ((c.cr4 & kCr4Vme) == 0) return false;
    // The bitmap is the 32 bytes below the I/O permission bitmap.
    if ((c.tr.type() & kType32Bit) == 0 || c.tr.limit < io_base_at + 1) return false;
    const u32 at = c.sys_read<u16>(c.tr.base + io_base_at) - 32u + vector / 8u;
    if (at > c.tr.limit) return false;
    return (c.sys_read<u8>(c.tr.base + at) >> (vector & 7u) & 1u) == 0;
}

void deliver_redirected(Cpu& c, u8 vector) {
    const bool virtual_if = c.iopl() < 3;
    u32 image = c.flags();
    if (virtual_if) image = (image & ~kIf) | kIopl | ((image & kVif) != 0 ? kIf : 0);
    Frame f = current_stack(c, 2);
    need_room(c, f, 3);
    const u32 target = c.lin_read<u32>(vector * 4u, true);
    push(c, f, image);
    push(c, f, c.seg[kCs].selector);
    push(c, f, static_cast<u32>(c.eip));
    c.set_sp(f.sp);
    c.set_flags(0, kTf | kNt | kRf | kAc | (virtual_if ? kVif : kIf));
    c.set_segment_real(kCs, static_cast<u16>(target >> 16));
    c.eip = target & 0xffffu;
}

}  // namespace

void Cpu::deliver_fault(const Fault& f) {
    Event e;
    e.vector = f.vector;
    e.has_error = f.has_error;
    e.error = f.error;
    if (delivering == kDfault) {  // whatever comes during the delivery of #DF
        delivering = -1;
        ext = 0;
        shutdown = true;
        return;
    }
    if (delivering >= 0 && makes_double_fault(delivering, f.vector)) {
        e.vector = kDfault;
        e.has_error = true;
        e.error = 0;
    }
    delivering = e.vector;
    ext = 1;
    esp_guard = false;
    prev_eip = eip;
    if (e.vector == kDb) dr7 &= ~kDr7Gd;  // so that the handler can use the debug registers
    e.flags = flags() | (sets_rf(e.vector) ? kRf : 0);
    deliver(*this, e);
    delivering = -1;
}

void Cpu::software_interrupt(u8 vector, SoftInt kind) {
    if (v86() && kind == SoftInt::kIntN) {
        if (vme_redirects(*this, vector)) {
            deliver_redirected(*this, vector);
            return;
        }
        if (iopl() < 3) raise(kGp, 0);
    }
    ext = kind == SoftInt::kIcebp ? 1 : 0;
    Event e;
    e.vector = vector;
    e.software = kind != SoftInt::kIcebp;
    e.flags = flags();
    deliver(*this, e);
}

void Cpu::external_interrupt(u8 vector) { deliver_between(*this, vector); }

void Cpu::deliver_nmi() {
    nmi_blocked = true;
    deliver_between(*this, kNmi);
}

void Cpu::deliver_debug_trap() {
    dr6 |= debug_pending;
    debug_pending = 0;
    dr7 &= ~kDr7Gd;
    delivering = kDb;
    deliver_between(*this, kDb);
    delivering = -1;
}

}  // namespace backplane::interp
