// CPUID (SDM 2, CPUID; board specification, "CPU models"). The models are in libs/cpumodel.
#include <bit>
#include <cstddef>

#include "cpu.hpp"

namespace backplane::interp {

namespace {

constexpr u32 kHyperThreading = 1u << 28;  // leaf 1 EDX: the number of processors in leaf 1 EBX holds

u32 four_letters(std::string_view text, std::size_t at) {
    u32 value = 0;
    for (std::size_t i = 0; i < 4; ++i) {
        if (at + i < text.size()) value |= static_cast<u32>(static_cast<u8>(text[at + i])) << (8 * i);
    }
    return value;
}

struct Leaf {
    u32 eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Leaf highest_leaf(const CpuModel& m, u32 level) {
    const std::string_view vendor(m.vendor, 12);
    return {level, four_letters(vendor, 0), four_letters(vendor, 8), four_letters(vendor, 4)};
}

// A local APIC that is absent or switched off in IA32_APIC_BASE does not show.
bool apic_shows(const Cpu& c) {
    constexpr i64 global_enable = 1 << 11;
    const i64 base = c.host.apic_base != nullptr ? c.host.apic_base(c.host.self) : -1;
    return base >= 0 && (base & global_enable) != 0;
}

Leaf leaf_1(Cpu& c) {
    const CpuModel& m = *c.model;
    constexpr u32 cache_line = 8u << 8;  // in units of 8 bytes, shown even without CLFLUSH
    Leaf l{m.version, c.apic_id << 24 | cache_line, m.features_ecx, m.features_edx};
    if (c.processors > 1) {
        l.ebx |= c.processors << 16;
        l.edx |= kHyperThreading;
    }
    if (!apic_shows(c)) l.edx &= ~kFeatApic;
    constexpr u32 osxsave = 1u << 27;
    if ((c.cr4 & kCr4Osxsave) != 0) l.ecx |= osxsave;
    c.msr.bios_sign = 1ull << 32;  // the revision of the microcode appears in BIOS_SIGN (SDM 3, 9.11.7)
    return l;
}

Leaf leaf_80000001(const Cpu& c) {
    const CpuModel& m = *c.model;
    constexpr u32 legacy_cores = 1u << 1;  // leaf 1 counts cores, not threads
    const bool says_so = c.processors > 1 && std::string_view(m.vendor, 12) != "GenuineIntel";
    // The APIC's bit goes with the one of leaf 1, in the models that repeat it.
    return {m.version, 0, m.extended_ecx | (says_so ? legacy_cores : 0),
            apic_shows(c) ? m.extended_edx : m.extended_edx & ~kFeatApic};
}

Leaf leaf_80000008(const Cpu& c) {
    constexpr u32 linear_bits = 48;
    const CpuModel& m = *c.model;
    const u32 last = c.processors - 1;
    return {m.physical_bits | (c.has_long_mode() ? linear_bits << 8 : 0), 0,
            last == 0 ? 0 : static_cast<u32>(std::bit_width(last)) << 12 | last, 0};
}

// XSAVE: the components of the state, the area's size for those that are enabled and for all.
Leaf leaf_d(const Cpu& c, u32 index) {
    const CpuModel& m = *c.model;
    if (!has_feature(m, Feature::kXsave)) return {};
    const u64 components = xcr0_components(m);
    const auto size = [](u64 of) { return (of & kXcr0Avx) != 0 ? kXsaveSize : kXsaveAvxAt; };
    constexpr u32 avx = 2;  // the number of its bit
    if (index == 0) return {static_cast<u32>(components), size(c.sse.xcr0), size(components), 0};
    if (index == 1) return {m.xsave_eax, 0, 0, 0};
    if (index == avx && (components & kXcr0Avx) != 0) return {kXsaveSize - kXsaveAvxAt, kXsaveAvxAt, 0, 0};
    return {};
}

Leaf leaf_of(Cpu& c, u32 number, u32 index) {
    const CpuModel& m = *c.model;
    const bool extended = (number & 0x80000000u) != 0;
    if (number > (extended ? m.extended_level : m.level))
        number = m.level;  // beyond either half: the highest basic leaf
    switch (number) {
        case 0: return highest_leaf(m, m.level);
        case 1: return leaf_1(c);
        case 7: return index == 0 ? Leaf{0, m.structured_ebx, m.structured_ecx, 0} : Leaf{};
        case 0xd: return leaf_d(c, index);
        case 0x80000000u: return highest_leaf(m, m.extended_level);
        case 0x80000001u: return leaf_80000001(c);
        case 0x80000002u:
        case 0x80000003u:
        case 0x80000004u: {
            const std::size_t at = (number - 0x80000002u) * 16;
            return {four_letters(m.brand, at), four_letters(m.brand, at + 4), four_letters(m.brand, at + 8),
                    four_letters(m.brand, at + 12)};
        }
        case 0x80000007u: return {0, 0, 0, m.power_edx};
        case 0x80000008u: return leaf_80000008(c);
        default: break;
    }
    for (const cpumodel::LeafData& l : m.leaves) {
        // Only leaf 4 has parts.
        if (l.number != number || (number == 4 && l.index != index)) continue;
        const u32 cores = number == 4 && l.registers[0] != 0 ? c.processors - 1 : 0;
        return {l.registers[0] | cores << 26, l.registers[1], l.registers[2], l.registers[3]};
    }
    return {};
}

}  // namespace

void Cpu::cpuid_leaf(u32 leaf, u32 part, u32 (&registers)[4]) {
    const Leaf l = leaf_of(*this, leaf, part);
    registers[0] = l.eax;
    registers[1] = l.ebx;
    registers[2] = l.ecx;
    registers[3] = l.edx;
}

void Cpu::cpuid() {
    const Leaf l = leaf_of(*this, r32(kEax), r32(kEcx));
    r32(kEax) = l.eax;
    r32(kEbx) = l.ebx;
    r32(kEcx) = l.ecx;
    r32(kEdx) = l.edx;
    serialize();
}

}  // namespace backplane::interp
