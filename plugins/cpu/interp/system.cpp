// System instructions: control and debug registers, descriptor table registers, interrupt flag, I/O permission
// (SDM 3, chapters 2, 17 and 20; SDM 2 for each instruction).
#include "system.hpp"

namespace backplane::interp {

namespace {

constexpr u32 kCr0Writable = kCr0Pe | kCr0Mp | kCr0Em | kCr0Ts | kCr0Ne | kCr0Wp | kCr0Am | kCr0Nw | kCr0Cd | kCr0Pg;

void set_cr0(Cpu& c, u64 requested) {
    if (c.has_long_mode() && requested >> 32 != 0) c.raise(kGp, 0);
    const u32 value = Cpu::cr0_stored(requested);
    const u32 changed = value ^ c.cr0;
    if (!Cpu::cr0_consistent(value)) c.raise(kGp, 0);
    const bool to_long = (c.msr.efer & kEferLme) != 0;
    if ((changed & value & kCr0Pg) != 0) {
        if (to_long) {
            if ((c.cr4 & kCr4Pae) == 0 || c.seg[kCs].long_code()) c.raise(kGp, 0);
            c.msr.efer |= kEferLma;
        } else if ((c.cr4 & kCr4Pae) != 0 && !c.load_pdptes(c.cr3)) {
            c.raise(kGp, 0);
        }
    } else if ((changed & kCr0Pg) != 0) {
        if (c.mode64) c.raise(kGp, 0);
        c.msr.efer &= ~kEferLma;
    }
    c.cr0 = value;
    if ((changed & (kCr0Pg | kCr0Pe | kCr0Wp)) != 0) c.tlb_flush(true);
    c.mode_changed();
    if ((changed & kCr0Ne) != 0) c.update_ferr();
}

void set_cr3(Cpu& c, u64 value) {
    if (c.long_mode()) {
        if (value >> c.model->physical_bits != 0) c.raise(kGp, 0);
    } else if (c.paging() && (c.cr4 & kCr4Pae) != 0 && !c.load_pdptes(value)) {
        c.raise(kGp, 0);
    }
    c.cr3 = value;
    c.tlb_flush(false);
}

void set_cr4(Cpu& c, u64 requested) {
    if ((requested & ~u64{c.cr4_writable()}) != 0) c.raise(kGp, 0);
    const u32 value = static_cast<u32>(requested);
    const u32 changed = value ^ c.cr4;
    if (c.long_mode() && (value & kCr4Pae) == 0) c.raise(kGp, 0);
    if (c.paging() && !c.long_mode() && (changed & value & kCr4Pae) != 0 && !c.load_pdptes(c.cr3)) c.raise(kGp, 0);
    c.cr4 = value;
    if ((changed & (kCr4Pse | kCr4Pae | kCr4Pge | kCr4Smep)) != 0) c.tlb_flush(true);
    c.mode_changed();
}

// MOV DRn: number after aliasing (SDM 3, 17.2.2), with the checks both directions share.
unsigned debug_register(Cpu& c, unsigned n) {
    c.require_cpl0();
    if (n == 4 || n == 5) {
        if ((c.cr4 & kCr4De) != 0) c.raise(kUd);
        n += 2;
    }
    if ((c.dr7 & kDr7Gd) != 0) {
        c.dr6 |= kDr6Bd;
        c.set_flags(kRf, kRf);  // pushed set: general detect is a fault, but no instruction breakpoint
        c.raise(kDb);
    }
    return n;
}

}  // namespace

bool Cpu::cr0_consistent(u64 value) {
    return ((value & kCr0Pg) == 0 || (value & kCr0Pe) != 0) && ((value & kCr0Nw) == 0 || (value & kCr0Cd) != 0);
}

u32 Cpu::cr0_stored(u64 value) { return static_cast<u32>(value & kCr0Writable) | kCr0Et; }

u32 Cpu::cr4_writable() const {
    struct Gate {
        u32 feature;
        u32 bits;
    };
    static constexpr Gate kGates[] = {{kFeatVme, kCr4Vme | kCr4Pvi}, {kFeatTsc, kCr4Tsd},    {kFeatDe, kCr4De},
                                      {kFeatPse, kCr4Pse},           {kFeatPae, kCr4Pae},    {kFeatMce, kCr4Mce},
                                      {kFeatPge, kCr4Pge},           {kFeatFxsr, kCr4Osfxsr}};
    u32 bits = (model->features_edx & kFeatSse) != 0 ? kCr4Osxmmexcpt : 0;
    for (const Gate& gate : kGates) {
        if ((model->features_edx & gate.feature) != 0) bits |= gate.bits;
    }
    if (has_feature(*model, Feature::kXsave)) bits |= kCr4Osxsave;
    if (has_feature(*model, Feature::kFsgsbase)) bits |= kCr4Fsgsbase;
    if (has_feature(*model, Feature::kSmep)) bits |= kCr4Smep;
    if (has_feature(*model, Feature::kUmip)) bits |= kCr4Umip;
    if ((model->version >> 8 & 15u) >= 6) bits |= kCr4Pce;  // performance counters are no CPUID flag: family 6 has them
    return bits;
}

void Cpu::require_table_access() {
    if ((cr4 & kCr4Umip) != 0 && cpl != 0) raise(kGp, 0);
}

void Cpu::lgdt(u64 base, u16 limit, u32 bytes) {
    require_cpl0();
    if (!canonical(base)) raise(kGp, 0);
    gdtr.base = bytes == 2 ? base & 0xffffffu : base;
    gdtr.limit = limit;
    serialize();
}

void Cpu::lidt(u64 base, u16 limit, u32 bytes) {
    require_cpl0();
    if (!canonical(base)) raise(kGp, 0);
    idtr.base = bytes == 2 ? base & 0xffffffu : base;
    idtr.limit = limit;
    serialize();
}

void Cpu::lmsw(u16 value) {
    require_cpl0();
    constexpr u32 reach = kCr0Pe | kCr0Mp | kCr0Em | kCr0Ts;
    set_cr0(*this, (cr0 & ~(reach & ~kCr0Pe)) | (value & reach));  // PE can be set, not cleared
}

void Cpu::clts() {
    require_cpl0();
    cr0 &= ~kCr0Ts;
    mode_changed();
}

u64 Cpu::mov_from_cr(unsigned n) {
    if (n == 1 || (n > 4 && n != 8)) raise(kUd);
    require_cpl0();
    switch (n) {
        case 0: return cr0;
        case 2: return cr2;
        case 3: return cr3;
        case 8: return host.tpr != nullptr ? host.tpr(host.self) & 15u : 0;
        default: return cr4;
    }
}

void Cpu::mov_to_cr(unsigned n, u64 value) {
    if (n == 1 || (n > 4 && n != 8)) raise(kUd);
    require_cpl0();
    switch (n) {
        case 0: set_cr0(*this, value); break;
        case 2: cr2 = value; break;
        case 3: set_cr3(*this, value); break;
        case 8:
            if ((value & ~15ull) != 0) raise(kGp, 0);
            if (host.set_tpr != nullptr) host.set_tpr(host.self, static_cast<u32>(value));
            break;
        default: set_cr4(*this, value); break;
    }
    if (n != 8) serialize();
}

u64 Cpu::mov_from_dr(unsigned n) {
    n = debug_register(*this, n);
    return n < 4 ? dr[n] : n == 6 ? dr6 : dr7;
}

void Cpu::mov_to_dr(unsigned n, u64 value) {
    n = debug_register(*this, n);
    if (n >= 6 && value >> 32 != 0) raise(kGp, 0);
    if (n == 6) {
        dr6 = 0xffff0ff0u | static_cast<u32>(value & 0xe00fu);
        return;
    }
    if (n == 7) {
        dr7 = static_cast<u32>(value & 0xffff23ffu) | 0x400u;
    } else {
        dr[n] = value;
    }
    tlb_flush(true);  // watched pages are marked in the TLB
    mode_changed();
    serialize();
}

void Cpu::invlpg(Linear address) {
    require_cpl0();
    if (canonical(address)) tlb_flush_page(address);
    serialize();
}

void Cpu::rdtsc() {
    if ((cr4 & kCr4Tsd) != 0 && cpl != 0) raise(kGp, 0);
    const u64 value = read_tsc();
    r32(kEax) = static_cast<u32>(value);
    r32(kEdx) = static_cast<u32>(value >> 32);
}

void Cpu::rdtscp() {
    rdtsc();
    r32(kEcx) = msr.tsc_aux;
}

void Cpu::rdpmc() {
    if ((cr4 & kCr4Pce) == 0 && cpl != 0) raise(kGp, 0);
    const u64* counter = performance_counter(r32(kEcx));
    if (counter == nullptr) raise(kGp, 0);
    r32(kEax) = static_cast<u32>(*counter);
    r32(kEdx) = static_cast<u32>(*counter >> 32);
}

void Cpu::wbinvd() {
    require_cpl0();
    serialize();
}

void Cpu::halt() {
    require_cpl0();
    halted = true;
    leave_after(kLeaveStop);
}

namespace {

// What CLI and STI may touch (SDM 2, tables of CLI and STI).
u32 interrupt_flag(Cpu& c) {
    if (!c.protected_mode() || c.cpl <= c.iopl()) return kIf;
    if (c.v86() ? (c.cr4 & kCr4Vme) != 0 : c.cpl == 3 && (c.cr4 & kCr4Pvi) != 0) return kVif;
    c.raise(kGp, 0);
}

}  // namespace

void Cpu::cli() { set_flags(0, interrupt_flag(*this)); }

void Cpu::sti() {
    const u32 which = interrupt_flag(*this);
    if (which == kVif) {
        if (flag(kVip)) raise(kGp, 0);
        set_flags(kVif, kVif);
        return;
    }
    if (flag(kIf)) return;
    set_flags(kIf, kIf);
    inhibit_interrupts = true;
}

void Cpu::push_flags_value(u32 bytes, u32& value) {
    value = flags() & ~(kRf | kVm);
    if (!v86() || iopl() == 3) return;
    if ((cr4 & kCr4Vme) == 0 || bytes != 2) raise(kGp, 0);
    value = (value & ~kIf) | kIopl | (flag(kVif) ? kIf : 0);
}

void Cpu::pop_flags_value(u32 bytes, u32 value) {
    constexpr u32 common = kArith | kTf | kDf | kNt;
    u32 mask = common | (bytes != 2 ? kAc | kId : 0);
    if (v86() && iopl() < 3) {
        if ((cr4 & kCr4Vme) == 0 || bytes != 2) raise(kGp, 0);
        if ((value & kTf) != 0 || ((value & kIf) != 0 && flag(kVip))) raise(kGp, 0);
        set_flags((value & common) | ((value & kIf) != 0 ? kVif : 0), common | kVif | kRf);
        return;
    }
    if (!protected_mode() || cpl <= iopl()) mask |= kIf;
    if (cpl == 0) mask |= kIopl;
    set_flags(value & mask, mask | kRf);
}

namespace {
// A word of the task state segment, which is nearly always in the TLB. `place`: where it is in host memory, or nullptr.
u32 tss_word(Cpu* c, Linear address, const Guest<u16>*& place) {
    const TlbEntry& e = tlb_entry(&c->tlbs[0], address);
    const auto hit = [&] { return ((address + 1) & ~kPageMask) == e.read; };
    const u32 value =
        hit() ? reinterpret_cast<const Guest<u16>*>(e.addend + address)->value : c->sys_read<u16>(address);
    place = hit() ? reinterpret_cast<const Guest<u16>*>(e.addend + address) : nullptr;
    return value;
}
bool permitted(u32 map, u32 port, u32 bytes) { return (map >> (port & 7u) & ((1u << bytes) - 1)) == 0; }
}  // namespace

void Cpu::check_io(u32 port, u32 bytes) {
    if (!protected_mode() || (!v86() && cpl <= iopl())) return;
    IoPermission& p = io_permission;
    // Programs that drive a device ask for the same few ports again and again.
    if (p.map != nullptr && p.port == port / 8 && p.tss == tr.base && p.limit == tr.limit && p.attr == tr.attr &&
        p.base->value == p.offset) [[likely]] {
        if (!permitted(p.map->value, port, bytes)) raise(kGp, 0);
        return;
    }
    constexpr u32 io_base_at = 0x66;
    if ((tr.type() & kType32Bit) == 0 || !tr.present() || tr.limit < io_base_at + 1) raise(kGp, 0);
    p.map = nullptr;
    p.offset = static_cast<u16>(tss_word(this, tr.base + io_base_at, p.base));
    // Two bytes are always read: a port range may straddle them (SDM 1, 19.5.2).
    const u32 at = p.offset + port / 8;
    if (at + 1 > tr.limit) raise(kGp, 0);
    const Guest<u16>* found = nullptr;
    const u32 map = tss_word(this, tr.base + at, found);
    if (p.base != nullptr && found != nullptr) {
        p.port = port / 8;
        p.tss = tr.base;
        p.limit = tr.limit;
        p.attr = tr.attr;
        p.map = found;
    }
    if (!permitted(map, port, bytes)) raise(kGp, 0);
}

}  // namespace backplane::interp
