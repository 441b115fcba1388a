// Model-specific registers of the P6 family (SDM 4, "MSRs in the P6 family processors"; SDM 3, chapters 11 and 15).
#include <cstddef>

#include "system.hpp"

namespace backplane::interp {

namespace {

enum MsrAddress : u32 {
    kP5McAddr = 0x00,
    kP5McType = 0x01,
    kTsc = 0x10,
    kPlatformId = 0x17,
    kApicBase = 0x1b,
    kEblCrPoweron = 0x2a,
    kTestCtl = 0x33,
    kBiosUpdateTrigger = 0x79,
    kBblFirst = 0x88,  // L2 cache controller: no such controller is modelled, its registers stay quiet
    kBblLast = 0x8a,
    kBiosSign = 0x8b,
    kPerfCounter0 = 0xc1,
    kMtrrCap = 0xfe,
    kBblCtlFirst = 0x116,
    kBblCtlLast = 0x11e,
    kSysenterCs = 0x174,
    kSysenterEsp = 0x175,
    kSysenterEip = 0x176,
    kMcgCap = 0x179,
    kMcgStatus = 0x17a,
    kMcgCtl = 0x17b,
    kEventSelect0 = 0x186,
    kMiscEnable = 0x1a0,
    kDebugCtl = 0x1d9,
    kLastBranchFirst = 0x1db,
    kLastBranchLast = 0x1de,
    kRobCr = 0x1e0,
    kMtrrVariableFirst = 0x200,
    kMtrrFix64K = 0x250,
    kMtrrFix16K = 0x258,
    kMtrrFix4K = 0x268,
    kPat = 0x277,
    kMtrrDefType = 0x2ff,
    kMcBankFirst = 0x400,
    kEfer = 0xc0000080,
    kStar = 0xc0000081,
    kLstar = 0xc0000082,
    kCstar = 0xc0000083,
    kSfmask = 0xc0000084,
    kFsBase = 0xc0000100,
    kGsBase = 0xc0000101,
    kKernelGsBase = 0xc0000102,
    kTscAux = 0xc0000103,
    // Of processors of AMD: configuration that firmware of theirs would set up, quiet here.
    kSyscfg = 0xc0010010,
    kHwcr = 0xc0010015,
    kTopMem = 0xc001001a,
    kTopMem2 = 0xc001001d,
    kAmdEvent0 = 0xc0010000,  // four of them, as far as the counters behind them
    kAmdCounter0 = 0xc0010004,
    kNbCfg = 0xc001001f,      // of family 10h, whose northbridge is in the processor
    kIntPending = 0xc0010055  // what interrupts it sends when it halts: none
};

constexpr u64 kMtrrCapValue = 0x508;           // 8 variable ranges, fixed ranges, write combining
constexpr u64 kMcgCapValue = 0x105;            // five banks, MCG_CTL present
constexpr u64 kCounterMask = 0xffffffffffull;  // counters have 40 bits
constexpr u64 kAmdCounterMask = 0xffffffffffffull;

// 0 UC, 1 WC, 4 WT, 5 WP, 6 WB; 7 (UC-) exists in PAT only.
bool memory_type(u64 type, bool pat) { return type <= 1 || (type >= 4 && type <= (pat ? 7u : 6u)); }

bool memory_types(u64 value, bool pat) {
    for (unsigned i = 0; i < 8; ++i) {
        if (!memory_type(value >> (8 * i) & 0xffu, pat)) return false;
    }
    return true;
}

// Index into mtrr_fixed, -1 if the address is none of them.
int fixed_index(u32 address) {
    if (address == kMtrrFix64K) return 0;
    if (address == kMtrrFix16K || address == kMtrrFix16K + 1) return static_cast<int>(address - kMtrrFix16K) + 1;
    if (address >= kMtrrFix4K && address < kMtrrFix4K + 8) return static_cast<int>(address - kMtrrFix4K) + 3;
    return -1;
}

bool is_quiet(const Cpu& c, u32 address) {
    const u32 family = (c.model->version >> 8 & 15u) + (c.model->version >> 20 & 0xffu);
    if (address == kNbCfg || address == kIntPending) return c.model->vendor[0] == 'A' && family >= 16;
    return address == kP5McAddr || address == kP5McType || address == kTestCtl || address == kRobCr ||
           address == kSyscfg || address == kHwcr || address == kTopMem || address == kTopMem2 ||
           (address >= kBblFirst && address <= kBblLast) || (address >= kBblCtlFirst && address <= kBblCtlLast) ||
           (address >= kLastBranchFirst && address <= kLastBranchLast);
}

// Performance counters: two of the P6 family on processors of Intel, four on those of AMD from the K7 on. They are no
// CPUID flag (leaf 0Ah says that there are no architectural ones), hold what is written to them, and never count.
bool has_amd_counters(const CpuModel& m) { return m.vendor[0] == 'A' && (m.version >> 8 & 15u) >= 6; }
bool is_counter_of(const CpuModel& m, u32 address) {
    if (address >= kAmdEvent0 && address < kAmdCounter0 + 4) return has_amd_counters(m);
    const bool p6 = (address & ~1u) == kEventSelect0 || address == kPerfCounter0 || address == kPerfCounter0 + 1;
    return !p6 || m.vendor[0] == 'G';
}

// A register that is plain storage, or nullptr. The feature bit in `feature` gates it; 0 means always there.
u64* storage(Msrs& m, const CpuModel& model, u32 address, u32& feature) {
    feature = 0;
    if (!is_counter_of(model, address)) return nullptr;
    if (address >= kAmdEvent0 && address < kAmdCounter0) return &m.amd_event[address - kAmdEvent0];
    if (address >= kAmdCounter0 && address < kAmdCounter0 + 4) return &m.amd_counter[address - kAmdCounter0];
    switch (address) {
        case kPlatformId: return &m.platform_id;
        case kEblCrPoweron: return &m.ebl_cr_poweron;
        case kDebugCtl: return &m.debug_ctl;
        case kBiosUpdateTrigger: return &m.bios_update;
        case kBiosSign: return &m.bios_sign;
        case kPerfCounter0:
        case kPerfCounter0 + 1: return &m.perf_counter[address - kPerfCounter0];
        case kEventSelect0:
        case kEventSelect0 + 1: return &m.perf_event[address - kEventSelect0];
        case kPat: feature = kFeatPat; return &m.pat;
        case kMtrrDefType: feature = kFeatMtrr; return &m.mtrr_def_type;
        case kMcgStatus: feature = kFeatMca; return &m.mcg_status;
        case kMcgCtl: feature = kFeatMca; return &m.mcg_ctl;
        default: break;
    }
    if (address >= kMtrrVariableFirst && address < kMtrrVariableFirst + m.mtrr_variable.size()) {
        feature = kFeatMtrr;
        return &m.mtrr_variable[address - kMtrrVariableFirst];
    }
    if (address >= kMcBankFirst && address < kMcBankFirst + m.mc_bank.size()) {
        feature = kFeatMca;
        return &m.mc_bank[address - kMcBankFirst];
    }
    if (const int i = fixed_index(address); i >= 0) {
        feature = kFeatMtrr;
        return &m.mtrr_fixed[static_cast<std::size_t>(i)];
    }
    return nullptr;
}

bool has_extended(const Cpu& c, u32 feature) { return (c.model->extended_edx & feature) == feature; }

u64 efer_writable(const Cpu& c) {
    return (has_extended(c, kFeatSyscall) ? kEferSce : 0) | (has_extended(c, kFeatLm) ? kEferLme : 0) |
           (has_extended(c, kFeatNx) ? kEferNxe : 0);
}

bool has(const Cpu& c, u32 feature) { return (c.model->features_edx & feature) == feature; }

// IA32_MISC_ENABLE came to Intel's processors with the Pentium 4 and the Pentium M (SDM 4, table 2-2). Systems look
// there for what firmware has switched off, before they have handlers of faults. Nothing can be switched: fast strings
// and MONITOR are as they are, branch trace and precise sampling are not available.
bool has_misc_enable(const Cpu& c) {
    constexpr u32 pentium_m = 0xd;
    const u32 family = c.model->version >> 8 & 15u;
    const u32 model = (c.model->version >> 4 & 15u) | (c.model->version >> 12 & 0xf0u);
    return c.model->vendor[0] == 'G' && (family == 15 || (family == 6 && model >= pentium_m));
}
u64 misc_enable(const Cpu& c) {
    constexpr u64 fast_strings = 1, no_branch_trace = 1u << 11, no_sampling = 1u << 12, monitor = 1u << 18;
    return fast_strings | no_branch_trace | no_sampling | (has_feature(*c.model, Feature::kMonitor) ? monitor : 0);
}

bool read_msr(Cpu& c, u32 address, u64& value) {
    switch (address) {
        case kTsc: value = c.read_tsc(); return has(c, kFeatTsc);
        case kApicBase: {
            const i64 base = c.host.apic_base != nullptr ? c.host.apic_base(c.host.self) : -1;
            value = static_cast<u64>(base);
            return has(c, kFeatApic) && base >= 0;
        }
        case kMtrrCap: value = kMtrrCapValue; return has(c, kFeatMtrr);
        case kMcgCap: value = kMcgCapValue; return has(c, kFeatMca);
        case kSysenterCs: value = c.msr.sysenter_cs; return has(c, kFeatSep);
        case kSysenterEsp: value = c.msr.sysenter_esp; return has(c, kFeatSep);
        case kSysenterEip: value = c.msr.sysenter_eip; return has(c, kFeatSep);
        case kBiosUpdateTrigger: return false;  // write-only
        case kMiscEnable: value = misc_enable(c); return has_misc_enable(c);
        case kEfer: value = c.msr.efer; return efer_writable(c) != 0;
        case kStar: value = c.msr.star; return has_extended(c, kFeatSyscall);
        case kLstar: value = c.msr.lstar; return has_extended(c, kFeatLm);
        case kCstar: value = c.msr.cstar; return has_extended(c, kFeatLm);
        case kSfmask: value = c.msr.sfmask; return has_extended(c, kFeatLm);
        case kFsBase: value = c.seg[kFs].base; return has_extended(c, kFeatLm);
        case kGsBase: value = c.seg[kGs].base; return has_extended(c, kFeatLm);
        case kKernelGsBase: value = c.msr.kernel_gs_base; return has_extended(c, kFeatLm);
        case kTscAux: value = c.msr.tsc_aux; return has_extended(c, kFeatRdtscp);
        default: break;
    }
    u32 feature = 0;
    if (const u64* place = storage(c.msr, *c.model, address, feature); place != nullptr) {
        value = *place;
        return has(c, feature);
    }
    value = 0;
    return is_quiet(c, address);
}

// Whether `value` may be stored; adjusts it to what the register holds.
bool acceptable(const Cpu& c, u32 address, u64& value) {
    const u64 physical_mask = (1ull << c.model->physical_bits) - 1;
    if (address == kPat) return memory_types(value, true);
    if (fixed_index(address) >= 0) return memory_types(value, false);
    if (address == kMtrrDefType) return (value & ~0xcffull) == 0 && memory_type(value & 0xffu, false);
    if (address >= kMtrrVariableFirst && address < kMtrrVariableFirst + 16) {
        const bool mask = (address & 1u) != 0;
        if ((value & ~physical_mask) != 0) return false;
        return mask ? (value & 0x7ffu) == 0 : (value & 0xf00u) == 0 && memory_type(value & 0xffu, false);
    }
    if (address == kMcgStatus) return (value & ~7ull) == 0;
    // Error status and address can only be cleared (SDM 3, 15.3.2.2).
    if (address >= kMcBankFirst && address < kMcBankFirst + 20) return (address & 3u) == 0 || value == 0;
    if (address == kPerfCounter0 || address == kPerfCounter0 + 1) {
        value = static_cast<u64>(static_cast<i64>(static_cast<i32>(value))) & kCounterMask;  // bit 31 is extended
        return true;
    }
    if (address == kEventSelect0 || address == kEventSelect0 + 1) value &= 0xffffffffu;
    if (address >= kAmdCounter0 && address < kAmdCounter0 + 4) value &= kAmdCounterMask;
    if (address == kDebugCtl) value &= 0x7f;
    return true;
}

// Registers that hold a linear address: 32 bits of it without long mode.
bool write_pointer(Cpu& c, u64& place, u64 value) {
    if (!c.has_long_mode()) value &= 0xffffffffu;
    if (!canonical(value)) return false;
    place = value;
    return true;
}
bool write_efer(Cpu& c, u64 value) {
    const u64 writable = efer_writable(c);
    if (writable == 0 || (value & ~(writable | kEferLma)) != 0) return false;
    const u64 next = (c.msr.efer & kEferLma) | (value & writable);
    if (((next ^ c.msr.efer) & kEferLme) != 0 && c.paging()) return false;
    const bool nx_changes = ((next ^ c.msr.efer) & kEferNxe) != 0;
    c.msr.efer = next;
    if (nx_changes) c.tlb_flush(true);
    c.mode_changed();
    return true;
}

bool write_msr(Cpu& c, u32 address, u64 value) {
    switch (address) {
        case kTsc: c.write_tsc(value); return has(c, kFeatTsc);
        case kApicBase:
            return has(c, kFeatApic) && c.host.set_apic_base != nullptr && c.host.set_apic_base(c.host.self, value);
        case kMiscEnable: return has_misc_enable(c);
        case kMtrrCap:
        case kMcgCap:
        case kPlatformId: return false;  // read-only
        case kSysenterCs: c.msr.sysenter_cs = static_cast<u32>(value); return has(c, kFeatSep);
        case kSysenterEsp: return write_pointer(c, c.msr.sysenter_esp, value) && has(c, kFeatSep);
        case kSysenterEip: return write_pointer(c, c.msr.sysenter_eip, value) && has(c, kFeatSep);
        case kEfer: return write_efer(c, value);
        case kStar: c.msr.star = value; return has_extended(c, kFeatSyscall);
        case kLstar: return has_extended(c, kFeatLm) && write_pointer(c, c.msr.lstar, value);
        case kCstar: return has_extended(c, kFeatLm) && write_pointer(c, c.msr.cstar, value);
        case kSfmask: c.msr.sfmask = value & 0xffffffffu; return has_extended(c, kFeatLm);
        case kFsBase:
        case kGsBase:
            if (!has_extended(c, kFeatLm) || !canonical(value)) return false;
            c.set_segment_base(address == kFsBase ? kFs : kGs, value);
            return true;
        case kKernelGsBase: return has_extended(c, kFeatLm) && write_pointer(c, c.msr.kernel_gs_base, value);
        case kTscAux: c.msr.tsc_aux = static_cast<u32>(value); return has_extended(c, kFeatRdtscp);
        default: break;
    }
    u32 feature = 0;
    if (u64* place = storage(c.msr, *c.model, address, feature); place != nullptr) {
        if (!has(c, feature) || !acceptable(c, address, value)) return false;
        *place = value;
        return true;
    }
    return is_quiet(c, address);
}

}  // namespace

const u64* Cpu::performance_counter(u32 index) const {
    if (has_amd_counters(*model)) return index < msr.amd_counter.size() ? &msr.amd_counter[index] : nullptr;
    return model->vendor[0] == 'G' && index < msr.perf_counter.size() ? &msr.perf_counter[index] : nullptr;
}

u64 Cpu::efer_bits() const { return efer_writable(*this) | (has_extended(*this, kFeatLm) ? kEferLma : 0); }

bool Cpu::get_msr(u32 address, u64& value) { return read_msr(*this, address, value); }
bool Cpu::put_msr(u32 address, u64 value) { return write_msr(*this, address, value); }

void Cpu::rdmsr() {
    if ((model->features_edx & kFeatMsr) == 0) raise(kUd);
    require_cpl0();
    u64 value = 0;
    if (!read_msr(*this, r32(kEcx), value)) raise(kGp, 0);
    r32(kEax) = static_cast<u32>(value);
    r32(kEdx) = static_cast<u32>(value >> 32);
}

void Cpu::wrmsr() {
    if ((model->features_edx & kFeatMsr) == 0) raise(kUd);
    require_cpl0();
    if (!write_msr(*this, r32(kEcx), static_cast<u64>(r32(kEdx)) << 32 | r32(kEax))) raise(kGp, 0);
    serialize();
}

}  // namespace backplane::interp
