// System management mode (SDM 3, chapter 34): entry, the state save area, RSM.
//
// The area is that of processors without 64-bit mode. Where the manual leaves a place "reserved", that is, to the
// processor, this one keeps what a handler cannot know and RSM needs: CR4, descriptor tables and the hidden parts of
// segment registers, each at the place that is usual for emulated P6 processors. There is no restart of I/O
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

// The save area at the SMBASE with which it was begun.
struct Area {
    Cpu& c;
    u32 base;
    [[nodiscard]] u32 read(u32 at) const { return static_cast<u32>(c.phys_read(base + kArea + at, 4)); }
    void write(u32 at, u32 value) const { c.phys_write(base + kArea + at, 4, value); }
    void write_segment(u32 selector_at, u32 at, const Segment& s) const {
        write(selector_at, s.selector);
        write(at, s.attr);
        write(at + 4, s.limit);
        write(at + 8, static_cast<u32>(s.base));
    }
    [[nodiscard]] Segment read_segment(u32 selector_at, u32 at) const {
        Segment s;
        s.selector = static_cast<u16>(read(selector_at));
        s.attr = static_cast<u16>(read(at) & 0xf0ffu);
        s.limit = read(at + 4);
        s.base = read(at + 8);
        return s;
    }
};

void save(const Cpu& c, const Area& area) {
    area.write(kAtCr0, c.cr0);
    area.write(kAtCr3, static_cast<u32>(c.cr3));
    area.write(kAtFlags, c.flags());
    area.write(kAtEip, static_cast<u32>(c.eip));
    for (unsigned n = 0; n < 8; ++n) area.write(kAtEax + 4 * n, c.r32(n));
    area.write(kAtDr6, c.dr6);
    area.write(kAtDr7, c.dr7);
    area.write_segment(kAtTr, kAtTrHidden, c.tr);
    area.write_segment(kAtLdtr, kAtLdtrHidden, c.ldtr);
    for (unsigned s = 0; s < kSegCount; ++s) area.write_segment(kAtSelectors + 4 * s, hidden_at(s), c.seg[s]);
    area.write(kAtGdtrBase, static_cast<u32>(c.gdtr.base));
    area.write(kAtGdtrLimit, c.gdtr.limit);
    area.write(kAtIdtrBase, static_cast<u32>(c.idtr.base));
    area.write(kAtIdtrLimit, c.idtr.limit);
    area.write(kAtCr4, c.cr4);
    area.write(kAtIoRestart, c.halted ? 1u << 16 : 0);  // and the word of auto HALT restart above it
    area.write(kAtRevision, kRevision);
    area.write(kAtSmbase, c.smbase);
}

// Another view of memory: nothing that was found in the old one holds.
void change_view(Cpu& c, bool smm) {
    c.smm = smm;
    c.update_a20_mask();
    c.cache->flush(&c);
    c.tlb_flush(true);
}

TableRegister table(const Area& area, u32 base, u32 limit) {
    return {area.read(base), static_cast<u16>(area.read(limit))};
}

}  // namespace

void Cpu::enter_smm() {
    change_view(*this, true);
    save(*this, {*this, smbase});
    smm_debug_pending = debug_pending;
    smm_nmi_blocked = nmi_blocked;
    debug_pending = 0;
    halted = false;
    nmi_blocked = true;  // until RSM, or an IRET of the handler

    set_flags(kFixed1);
    dr7 = 0x400;
    cr0 &= ~(kCr0Pe | kCr0Em | kCr0Ts | kCr0Pg);
    cr4 = 0;
    msr.efer &= ~(kEferLma | kEferLme);
    cpl = 0;
    set_segment(kCs, static_cast<u16>(smbase >> 4), smbase, 0xffffffffu, kSmmData);
    for (const Seg s : {kEs, kSs, kDs, kFs, kGs}) set_segment(s, 0, 0, 0xffffffffu, kSmmData);
    eip = prev_eip = kEntry;
    tlb_flush(true);
}

void Cpu::resume_from_smm() {
    if (!smm) raise(kUd);
    const Area area{*this, smbase};
    const u32 new_cr0 = area.read(kAtCr0);
    const u32 new_cr4 = area.read(kAtCr4);
    if (!cr0_consistent(new_cr0) || (new_cr4 & ~cr4_writable()) != 0) {
        shutdown = true;
        return;
    }
    const u32 new_flags = area.read(kAtFlags);
    for (unsigned n = 0; n < 8; ++n) r32(n) = area.read(kAtEax + 4 * n);
    const u32 new_cr3 = area.read(kAtCr3);
    eip = area.read(kAtEip);
    dr6 = 0xffff0ff0u | (area.read(kAtDr6) & 0xe00fu);
    dr7 = (area.read(kAtDr7) & 0xffff23ffu) | 0x400u;
    tr = area.read_segment(kAtTr, kAtTrHidden);
    ldtr = area.read_segment(kAtLdtr, kAtLdtrHidden);
    Segment restored[kSegCount];
    for (unsigned s = 0; s < kSegCount; ++s) restored[s] = area.read_segment(kAtSelectors + 4 * s, hidden_at(s));
    gdtr = table(area, kAtGdtrBase, kAtGdtrLimit);
    idtr = table(area, kAtIdtrBase, kAtIdtrLimit);
    const bool restart_halt = (area.read(kAtIoRestart) >> 16 & 1u) != 0;
    smbase = area.read(kAtSmbase);

    cr0 = cr0_stored(new_cr0);
    cr3 = new_cr3;
    cr4 = new_cr4;
    const bool virtual_8086 = protected_mode() && (new_flags & kVm) != 0;
    set_flags(virtual_8086 ? new_flags : new_flags & ~kVm);
    cpl = virtual_8086 ? 3 : protected_mode() ? static_cast<u8>(restored[kSs].dpl()) : 0;
    for (unsigned s = 0; s < kSegCount; ++s) {
        const Segment& r = restored[s];
        set_segment(static_cast<Seg>(s), r.selector, r.base, r.limit, r.attr);
    }
    change_view(*this, false);
    // The page-directory pointers are in no save area: as if CR3 were loaded.
    if (paging() && (cr4 & kCr4Pae) != 0 && !load_pdptes(cr3)) shutdown = true;
    debug_pending = smm_debug_pending;
    smm_debug_pending = 0;
    nmi_blocked = smm_nmi_blocked;
    smm_nmi_blocked = false;
    halted = restart_halt;
    inhibit_interrupts = inhibit_all = false;
    update_ferr();
}

}  // namespace backplane::interp
