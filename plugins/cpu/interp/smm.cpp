// System management mode (SDM 3, chapter 34): entry, the state save area, RSM.
//
// The area is that of processors without 64-bit mode, or, where the model has that mode, the one of AMD64 (APM 2, table
// 10-1), which firmware tells by the revision. Where the manual leaves a place of the former "reserved", that is, to
// the processor, this one keeps what a handler cannot know and RSM needs: CR4, descriptor tables and the hidden parts
// of segment registers, each at the place that is usual for emulated P6 processors. There is no restart of I/O
// instructions: an SMI is taken behind the instruction that caused it.
#include "block.hpp"
#include "memory.hpp"
#include "system.hpp"

namespace backplane::interp {

namespace {

// Offsets from SMBASE.
constexpr u32 kArea = 0x8000;
constexpr u32 kEntry = 0x8000;
enum At : u32 {
    kAtCr0 = 0x7ffc,
    kAtCr3 = 0x7ff8,
    kAtFlags = 0x7ff4,
    kAtEip = 0x7ff0,
    kAtEax = 0x7fd0,  // ECX and so on upwards to EDI
    kAtDr6 = 0x7fcc,
    kAtDr7 = 0x7fc8,
    kAtTr = 0x7fc4,
    kAtLdtr = 0x7fc0,
    kAtSelectors = 0x7fa8,  // ES CS SS DS FS GS upwards
    kAtLdtrHidden = 0x7f78,
    kAtGdtrLimit = 0x7f70,
    kAtGdtrBase = 0x7f74,
    kAtTrHidden = 0x7f5c,
    kAtIdtrBase = 0x7f58,
    kAtIdtrLimit = 0x7f54,
    kAtCr4 = 0x7f14,
    kAtHalt = 0x7f02,       // word: auto HALT restart
    kAtIoRestart = 0x7f00,  // word
    kAtRevision = 0x7efc,
    kAtSmbase = 0x7ef8
};
constexpr u32 kRevision = 0x00020000;  // bit 17: SMBASE can be moved; bit 16, restart of I/O instructions, is clear
constexpr u16 kSmmData = kAttrP | kAttrS | kAttrWritable | kAttrAccessed | kAttrGranular;

u32 hidden_at(unsigned s) { return s < kDs ? 0x7f84 + 12 * s : 0x7f2c + 12 * (s - kDs); }

// Of AMD64.
enum LongAt : u32 {
    kLongSegments = 0x7e00,  // ES CS SS DS FS GS, 16 bytes each
    kLongGdtr = 0x7e60,
    kLongLdtr = 0x7e70,
    kLongIdtr = 0x7e80,
    kLongTr = 0x7e90,
    kLongIoRestart = 0x7ec8,  // byte; auto HALT restart is the byte behind it
    kLongEfer = 0x7ed0,
    kLongRevision = 0x7efc,
    kLongSmbase = 0x7f00,
    kLongCr4 = 0x7f48,
    kLongCr3 = 0x7f50,
    kLongCr0 = 0x7f58,
    kLongDr7 = 0x7f60,
    kLongDr6 = 0x7f68,
    kLongFlags = 0x7f70,
    kLongRip = 0x7f78,
    kLongRax = 0x7ff8  // RCX and so on downwards to R15
};
constexpr u32 kLongRevisionValue = 0x00020064;
// In the order of encoding: RAX RCX RDX RBX RSP RBP RSI RDI R8 ...
constexpr u32 long_register_at(unsigned n) { return kLongRax - 8 * n; }

// What the area holds.
struct Saved {
    u64 gpr[16] = {};
    u64 rip = 0, cr0 = 0, cr3 = 0, cr4 = 0, efer = 0;
    u32 flags = 0, dr6 = 0, dr7 = 0, smbase = 0;
    Segment seg[kSegCount], ldtr, tr;
    TableRegister gdtr, idtr;
    bool halted = false;
};
Saved state_of(const Cpu& c) {
    Saved s;
    for (unsigned n = 0; n < 16; ++n) s.gpr[n] = c.gpr[n];
    s.rip = c.eip;
    s.cr0 = c.cr0;
    s.cr3 = c.cr3;
    s.cr4 = c.cr4;
    s.efer = c.msr.efer;
    s.flags = c.flags();
    s.dr6 = c.dr6;
    s.dr7 = c.dr7;
    s.smbase = c.smbase;
    for (unsigned n = 0; n < kSegCount; ++n) s.seg[n] = c.seg[n];
    s.ldtr = c.ldtr;
    s.tr = c.tr;
    s.gdtr = c.gdtr;
    s.idtr = c.idtr;
    s.halted = c.halted;
    return s;
}

// The save area at the SMBASE with which it was begun.
struct Area {
    Cpu& c;
    u32 base;
    [[nodiscard]] u32 read(u32 at) const { return static_cast<u32>(c.phys_read(base + kArea + at, 4)); }
    [[nodiscard]] u64 read64(u32 at) const { return c.phys_read(base + kArea + at, 8); }
    void write(u32 at, u64 value) const { c.phys_write(base + kArea + at, 4, value & 0xffffffffu); }
    void write64(u32 at, u64 value) const { c.phys_write(base + kArea + at, 8, value); }
    void write_segment(u32 selector_at, u32 at, const Segment& s) const {
        write(selector_at, s.selector);
        write(at, s.attr);
        write(at + 4, s.limit);
        write(at + 8, s.base);
    }
    [[nodiscard]] Segment read_segment(u32 selector_at, u32 at) const {
        Segment s;
        s.selector = static_cast<u16>(read(selector_at));
        s.attr = static_cast<u16>(read(at) & 0xf0ffu);
        s.limit = read(at + 4);
        s.base = read(at + 8);
        return s;
    }
    // AMD64: bits 8 to 11 of the attributes are bits 52 to 55 of the descriptor.
    void write_long_segment(u32 at, const Segment& s) const {
        const u32 attr = (s.attr & 0xffu) | (s.attr >> 4 & 0xf00u);
        write(at, s.selector | attr << 16);
        write(at + 4, s.limit);
        write64(at + 8, s.base);
    }
    [[nodiscard]] Segment read_long_segment(u32 at) const {
        Segment s;
        const u32 first = read(at);
        s.selector = static_cast<u16>(first);
        s.attr = static_cast<u16>((first >> 16 & 0xffu) | (first >> 12 & 0xf000u));
        s.limit = read(at + 4);
        s.base = read64(at + 8);
        return s;
    }
    [[nodiscard]] TableRegister read_table(u32 base_at, u32 limit_at) const {
        return {read(base_at), static_cast<u16>(read(limit_at))};
    }
    [[nodiscard]] TableRegister read_long_table(u32 at) const {
        return {read64(at + 8), static_cast<u16>(read(at + 4))};
    }
};

void save_legacy(const Saved& s, const Area& area) {
    area.write(kAtCr0, s.cr0);
    area.write(kAtCr3, s.cr3);
    area.write(kAtFlags, s.flags);
    area.write(kAtEip, s.rip);
    for (unsigned n = 0; n < 8; ++n) area.write(kAtEax + 4 * n, s.gpr[n]);
    area.write(kAtDr6, s.dr6);
    area.write(kAtDr7, s.dr7);
    area.write_segment(kAtTr, kAtTrHidden, s.tr);
    area.write_segment(kAtLdtr, kAtLdtrHidden, s.ldtr);
    for (unsigned n = 0; n < kSegCount; ++n) area.write_segment(kAtSelectors + 4 * n, hidden_at(n), s.seg[n]);
    area.write(kAtGdtrBase, s.gdtr.base);
    area.write(kAtGdtrLimit, s.gdtr.limit);
    area.write(kAtIdtrBase, s.idtr.base);
    area.write(kAtIdtrLimit, s.idtr.limit);
    area.write(kAtCr4, s.cr4);
    area.write(kAtIoRestart, s.halted ? 1u << 16 : 0);  // and the word of auto HALT restart above it
    area.write(kAtRevision, kRevision);
    area.write(kAtSmbase, s.smbase);
}
Saved read_legacy(const Area& area) {
    Saved s;
    s.cr0 = area.read(kAtCr0);
    s.cr3 = area.read(kAtCr3);
    s.cr4 = area.read(kAtCr4);
    s.flags = area.read(kAtFlags);
    s.rip = area.read(kAtEip);
    for (unsigned n = 0; n < 8; ++n) s.gpr[n] = area.read(kAtEax + 4 * n);
    s.dr6 = area.read(kAtDr6);
    s.dr7 = area.read(kAtDr7);
    s.tr = area.read_segment(kAtTr, kAtTrHidden);
    s.ldtr = area.read_segment(kAtLdtr, kAtLdtrHidden);
    for (unsigned n = 0; n < kSegCount; ++n) s.seg[n] = area.read_segment(kAtSelectors + 4 * n, hidden_at(n));
    s.gdtr = area.read_table(kAtGdtrBase, kAtGdtrLimit);
    s.idtr = area.read_table(kAtIdtrBase, kAtIdtrLimit);
    s.halted = (area.read(kAtIoRestart) >> 16 & 1u) != 0;
    s.smbase = area.read(kAtSmbase);
    return s;
}

void save_long(const Saved& s, const Area& area) {
    for (unsigned n = 0; n < kSegCount; ++n) area.write_long_segment(kLongSegments + 16 * n, s.seg[n]);
    area.write(kLongGdtr + 4, s.gdtr.limit);
    area.write64(kLongGdtr + 8, s.gdtr.base);
    area.write(kLongIdtr + 4, s.idtr.limit);
    area.write64(kLongIdtr + 8, s.idtr.base);
    area.write_long_segment(kLongLdtr, s.ldtr);
    area.write_long_segment(kLongTr, s.tr);
    area.write(kLongIoRestart, s.halted ? 1u << 8 : 0);
    area.write64(kLongEfer, s.efer);
    area.write(kLongRevision, kLongRevisionValue);
    area.write(kLongSmbase, s.smbase);
    area.write64(kLongCr4, s.cr4);
    area.write64(kLongCr3, s.cr3);
    area.write64(kLongCr0, s.cr0);
    area.write64(kLongDr7, s.dr7);
    area.write64(kLongDr6, s.dr6);
    area.write64(kLongFlags, s.flags);
    area.write64(kLongRip, s.rip);
    for (unsigned n = 0; n < 16; ++n) area.write64(long_register_at(n), s.gpr[n]);
}
Saved read_long(const Area& area) {
    Saved s;
    for (unsigned n = 0; n < kSegCount; ++n) s.seg[n] = area.read_long_segment(kLongSegments + 16 * n);
    s.gdtr = area.read_long_table(kLongGdtr);
    s.idtr = area.read_long_table(kLongIdtr);
    s.ldtr = area.read_long_segment(kLongLdtr);
    s.tr = area.read_long_segment(kLongTr);
    s.halted = (area.read(kLongIoRestart) >> 8 & 1u) != 0;
    s.efer = area.read64(kLongEfer);
    s.smbase = area.read(kLongSmbase);
    s.cr4 = area.read64(kLongCr4);
    s.cr3 = area.read64(kLongCr3);
    s.cr0 = area.read64(kLongCr0);
    s.dr7 = static_cast<u32>(area.read64(kLongDr7));
    s.dr6 = static_cast<u32>(area.read64(kLongDr6));
    s.flags = static_cast<u32>(area.read64(kLongFlags));
    s.rip = area.read64(kLongRip);
    for (unsigned n = 0; n < 16; ++n) s.gpr[n] = area.read64(long_register_at(n));
    return s;
}

// Control registers that no processor could have: RSM shuts down (SDM 3, 34.4.2).
bool impossible(const Cpu& c, const Saved& s) {
    if (s.cr0 >> 32 != 0 || !Cpu::cr0_consistent(s.cr0)) return true;
    if ((s.cr4 & ~u64{c.cr4_writable()}) != 0 || (s.efer & ~c.efer_bits()) != 0) return true;
    const bool active = (s.efer & kEferLme) != 0 && (s.cr0 & kCr0Pg) != 0;
    if (active && ((s.cr4 & kCr4Pae) == 0 || s.cr3 >> c.model->physical_bits != 0)) return true;
    return ((s.efer & kEferLma) != 0) != active;
}

// Another view of memory: nothing that was found in the old one holds.
void change_view(Cpu& c, bool smm) {
    c.smm = smm;
    c.update_a20_mask();
    c.cache->flush(&c);
    c.tlb_flush(true);
}

}  // namespace

void Cpu::enter_smm() {
    change_view(*this, true);
    const Saved before = state_of(*this);
    if (has_long_mode())
        save_long(before, {*this, smbase});
    else
        save_legacy(before, {*this, smbase});
    smm_debug_pending = debug_pending;
    smm_nmi_blocked = nmi_blocked;
    debug_pending = 0;
    halted = false;
    nmi_blocked = true;  // until RSM, or an IRET of the handler

    set_flags(kFixed1);
    dr7 = 0x400;
    cr0 &= ~(kCr0Pe | kCr0Em | kCr0Ts | kCr0Pg);
    cr4 = 0;
    msr.efer = 0;
    cpl = 0;
    set_segment(kCs, static_cast<u16>(smbase >> 4), smbase, 0xffffffffu, kSmmData);
    for (const Seg s : {kEs, kSs, kDs, kFs, kGs}) set_segment(s, 0, 0, 0xffffffffu, kSmmData);
    eip = prev_eip = kEntry;
    tlb_flush(true);
}

void Cpu::resume_from_smm() {
    if (!smm) raise(kUd);
    const Area area{*this, smbase};
    const Saved s = has_long_mode() ? read_long(area) : read_legacy(area);
    if (impossible(*this, s)) {
        shutdown = true;
        return;
    }
    for (unsigned n = 0; n < 16; ++n) gpr[n] = s.gpr[n];
    eip = s.rip;
    dr6 = 0xffff0ff0u | (s.dr6 & 0xe00fu);
    dr7 = (s.dr7 & 0xffff23ffu) | 0x400u;
    tr = s.tr;
    ldtr = s.ldtr;
    gdtr = s.gdtr;
    idtr = s.idtr;
    smbase = s.smbase;
    cr0 = cr0_stored(s.cr0);
    cr3 = s.cr3;
    cr4 = static_cast<u32>(s.cr4);
    msr.efer = s.efer;
    const bool virtual_8086 = protected_mode() && !long_mode() && (s.flags & kVm) != 0;
    set_flags(virtual_8086 ? s.flags : s.flags & ~kVm);
    cpl = virtual_8086 ? 3 : protected_mode() ? static_cast<u8>(s.seg[kSs].dpl()) : 0;
    for (unsigned n = 0; n < kSegCount; ++n) {
        const Segment& r = s.seg[n];
        set_segment(static_cast<Seg>(n), r.selector, r.base, r.limit, r.attr);
    }
    change_view(*this, false);
    // The page-directory pointers are in no save area: as if CR3 were loaded.
    if (paging() && !long_mode() && (cr4 & kCr4Pae) != 0 && !load_pdptes(cr3)) shutdown = true;
    debug_pending = smm_debug_pending;
    smm_debug_pending = 0;
    nmi_blocked = smm_nmi_blocked;
    smm_nmi_blocked = false;
    halted = s.halted;
    inhibit_interrupts = inhibit_all = false;
    update_ferr();
    serialize();
}

}  // namespace backplane::interp
