// Descriptors and loads of segment registers, LDTR and TR (SDM 3, chapters 3 and 5; SDM 2, MOV, LLDT, LTR, LAR, LSL,
// VERR). Every check stands in the order of the manual's pseudo-code.
#include "system.hpp"

namespace backplane::interp {

bool read_descriptor(Cpu& c, u16 selector, Descriptor& d) {
    const u32 limit = is_local(selector) ? c.ldtr.limit : c.gdtr.limit;
    if ((selector | 7u) > limit) return false;
    const u64 raw = c.sys_read<u64>(descriptor_address(c, selector));
    d.low = static_cast<u32>(raw);
    d.high = static_cast<u32>(raw >> 32);
    return true;
}

Descriptor need_descriptor(Cpu& c, u16 selector, u8 vector) {
    Descriptor d;
    if (!read_descriptor(c, selector, d)) refuse(c, vector, selector);
    return d;
}

void mark_accessed(Cpu& c, u16 selector, Descriptor& d) {
    constexpr u32 accessed = u32{kAttrAccessed} << 8;
    if (is_system(d) || (d.high & accessed) != 0) return;
    d.high |= accessed;
    c.sys_locked_or(descriptor_address(c, selector) + 5, static_cast<u8>(kAttrAccessed));
}

u64 need_upper_half(Cpu& c, u16 selector, u8 vector) {
    const u32 limit = is_local(selector) ? c.ldtr.limit : c.gdtr.limit;
    if ((selector | 7u) + 8u > limit) refuse(c, vector, selector);
    const u64 upper = c.sys_read<u64>(descriptor_address(c, selector) + 8);
    if ((upper >> 40 & 31u) != 0) refuse(c, vector, selector);
    return upper << 32;
}

void put_segment(Cpu& c, Seg s, u16 selector, const Descriptor& d) {
    c.set_segment(s, selector, d.base(), d.limit(), d.attr());
}

void put_system_segment(Segment& s, u16 selector, const Descriptor& d) {
    s.selector = selector;
    s.base = d.base();
    s.limit = d.limit();
    s.attr = d.attr();
}

Descriptor need_stack_segment(Cpu& c, u16 selector, unsigned level, u8 vector) {
    const Descriptor d = need_descriptor(c, selector, vector);
    if (rpl_of(selector) != level || !is_writable_data(d) || dpl_of(d) != level) refuse(c, vector, selector);
    if (!is_present(d)) refuse(c, kSsFault, selector);
    return d;
}

void drop_inner_segments(Cpu& c) {
    for (const Seg s : {kEs, kDs, kFs, kGs}) {
        const Segment& seg = c.seg[s];
        const bool conforming = (seg.attr & (kAttrCode | kAttrConforming)) == (kAttrCode | kAttrConforming);
        if (seg.attr == 0) continue;  // null already
        if (is_null(seg.selector) || (!conforming && seg.dpl() < c.cpl)) put_null(c, s, 0);
    }
}

bool inside_segment(u16 attr, u32 limit, u32 offset, u32 bytes) {
    if ((attr & kAttrP) == 0) return false;
    const u64 last = u64{offset} + bytes - 1;
    if ((attr & (kAttrCode | kAttrExpandDown)) == kAttrExpandDown) {
        const u64 top = (attr & kAttrBig) != 0 ? 0xffffffffu : 0xffffu;
        return offset > limit && last <= top;
    }
    return last <= limit;
}

Frame current_stack(const Cpu& c, u32 bytes) {
    const Segment& ss = c.seg[kSs];
    Frame f;
    f.base = ss.base;
    f.limit = ss.limit;
    f.attr = ss.attr;
    f.mask = ss.big() ? 0xffffffffu : 0xffffu;
    f.sp = static_cast<u32>(c.sp());
    f.error = c.ext;
    f.bytes = bytes;
    f.user = c.user();
    return f;
}

Frame new_stack(const Cpu& c, u16 selector, const Descriptor& d, u32 esp, unsigned level, u32 bytes) {
    Frame f;
    f.base = d.base();
    f.limit = d.limit();
    f.attr = d.attr();
    f.mask = (f.attr & kAttrBig) != 0 ? 0xffffffffu : 0xffffu;
    f.sp = esp & f.mask;
    f.error = (selector & 0xfffcu) | c.ext;
    f.bytes = bytes;
    f.user = level == 3;
    return f;
}

void need_room(Cpu& c, const Frame& f, unsigned items) {
    u32 sp = f.sp;
    for (unsigned i = 0; i < items; ++i) {
        sp = (sp - f.bytes) & f.mask;
        if (!inside_segment(f.attr, f.limit, sp, f.bytes)) c.raise(kSsFault, f.error);
    }
}

void push(Cpu& c, Frame& f, u32 value) {
    f.sp = (f.sp - f.bytes) & f.mask;
    if (f.bytes == 4) {
        c.lin_write<u32>(static_cast<u32>(f.base + f.sp), value, f.user);
    } else {
        c.lin_write<u16>(static_cast<u32>(f.base + f.sp), static_cast<u16>(value), f.user);
    }
}

InnerStack inner_stack(Cpu& c, unsigned level) {
    InnerStack s;
    const bool wide = (c.tr.type() & kType32Bit) != 0;
    const u32 at = wide ? level * 8 + 4 : level * 4 + 2;
    const u32 last = wide ? at + 5 : at + 3;  // the manual counts ESP and the selector, not its padding
    if (!c.tr.present() || last > c.tr.limit) refuse(c, kTs, c.tr.selector);
    if (wide) {
        s.esp = c.sys_read<u32>(c.tr.base + at);
        s.selector = c.sys_read<u16>(c.tr.base + at + 4);
    } else {
        s.esp = c.sys_read<u16>(c.tr.base + at);
        s.selector = c.sys_read<u16>(c.tr.base + at + 2);
    }
    if (is_null(s.selector)) refuse(c, kTs, s.selector);
    s.d = need_stack_segment(c, s.selector, level, kTs);
    mark_accessed(c, s.selector, s.d);
    return s;
}

void Cpu::load_segment(Seg s, u16 selector) {
    if (real_or_v86()) {
        set_segment_real(s, selector);
        return;
    }
    if (s == kSs) {
        if (is_null(selector)) {
            if (!mode64 || cpl == 3 || rpl_of(selector) != cpl) raise(kGp, 0);
            put_null_stack(*this, cpl);
            return;
        }
        Descriptor d = need_stack_segment(*this, selector, cpl, kGp);
        mark_accessed(*this, selector, d);
        put_segment(*this, kSs, selector, d);
        return;
    }
    if (is_null(selector)) {
        put_null(*this, s, selector);
        return;
    }
    Descriptor d = need_descriptor(*this, selector, kGp);
    if (!is_readable(d)) refuse(*this, kGp, selector);
    if (!is_conforming(d) && (rpl_of(selector) > dpl_of(d) || cpl > dpl_of(d))) refuse(*this, kGp, selector);
    if (!is_present(d)) refuse(*this, kNp, selector);
    mark_accessed(*this, selector, d);
    put_segment(*this, s, selector, d);
}

void Cpu::load_ldtr(u16 selector) {
    if (real_or_v86()) raise(kUd);
    require_cpl0();
    if (is_null(selector)) {
        ldtr = Segment{};
        ldtr.selector = selector;
        return;
    }
    if (is_local(selector)) refuse(*this, kGp, selector);
    const Descriptor d = need_descriptor(*this, selector, kGp);
    if (!is_system(d) || type_of(d) != kTypeLdt) refuse(*this, kGp, selector);
    if (!is_present(d)) refuse(*this, kNp, selector);
    const u64 upper = long_mode() ? need_upper_half(*this, selector, kGp) : 0;
    put_system_segment(ldtr, selector, d);
    ldtr.base |= upper;
    serialize();
}

void Cpu::load_tr(u16 selector) {
    if (real_or_v86()) raise(kUd);
    require_cpl0();
    if (is_null(selector)) raise(kGp, 0);
    if (is_local(selector)) refuse(*this, kGp, selector);
    Descriptor d = need_descriptor(*this, selector, kGp);
    if (!is_system(d) || (type_of(d) != kTypeTss32 && (type_of(d) != kTypeTss16 || long_mode())))
        refuse(*this, kGp, selector);
    if (!is_present(d)) refuse(*this, kNp, selector);
    const u64 upper = long_mode() ? need_upper_half(*this, selector, kGp) : 0;
    d.high |= kTypeBusyBit << 8;
    // Of several processors that load the same TSS at once one gets it.
    const u8 before = sys_locked_or(descriptor_address(*this, selector) + 5, static_cast<u8>(kTypeBusyBit));
    if ((before & kTypeBusyBit) != 0) refuse(*this, kGp, selector);
    serialize();
    put_system_segment(tr, selector, d);
    tr.base |= upper;
}

namespace {

// What LAR, LSL, VERR and VERW have in common: the descriptor, if the selector leads to one.
bool visible(Cpu& c, u16 selector, Descriptor& d) {
    return !is_null(selector) && read_descriptor(c, selector, d) &&
           (is_conforming(d) || (c.cpl <= dpl_of(d) && rpl_of(selector) <= dpl_of(d)));
}

}  // namespace

bool Cpu::lar(u16 selector, u32& value) {
    constexpr u32 legacy = 1u << kTypeTss16 | 1u << kTypeLdt | 1u << kTypeTss16Busy | 1u << kTypeCallGate16 |
                           1u << kTypeTaskGate | 1u << kTypeTss32 | 1u << kTypeTss32Busy | 1u << kTypeCallGate32;
    constexpr u32 wide = 1u << kTypeLdt | 1u << kTypeTss32 | 1u << kTypeTss32Busy | 1u << kTypeCallGate32;
    const u32 valid = long_mode() ? wide : legacy;
    if (real_or_v86()) raise(kUd);
    Descriptor d;
    if (!visible(*this, selector, d) || (is_system(d) && (valid >> type_of(d) & 1u) == 0)) return false;
    value = d.high & 0x00f0ff00u;
    return true;
}

bool Cpu::lsl(u16 selector, u32& value) {
    constexpr u32 wide = 1u << kTypeLdt | 1u << kTypeTss32 | 1u << kTypeTss32Busy;
    const u32 valid = long_mode() ? wide : wide | 1u << kTypeTss16 | 1u << kTypeTss16Busy;
    if (real_or_v86()) raise(kUd);
    Descriptor d;
    if (!visible(*this, selector, d) || (is_system(d) && (valid >> type_of(d) & 1u) == 0)) return false;
    value = d.limit();
    return true;
}

bool Cpu::verr(u16 selector) {
    if (real_or_v86()) raise(kUd);
    Descriptor d;
    return visible(*this, selector, d) && is_readable(d);
}

bool Cpu::verw(u16 selector) {
    if (real_or_v86()) raise(kUd);
    Descriptor d;
    return visible(*this, selector, d) && is_writable_data(d);
}

}  // namespace backplane::interp
