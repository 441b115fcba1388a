// CPU models and CPUID (SDM 2, CPUID; board specification, "CPU models").
#include <iterator>

#include "cpu.hpp"

namespace backplane::interp {

namespace {

// What QEMU 7.2 shows as `-cpu pentium2` without hardware virtualization: a Deschutes, family 6 model 5 stepping 2; but
// without the bit that tells a guest it runs on an emulator, which the machines of the 0.12 era did not have.
constexpr CpuModel kModels[] = {
    {"pentium2",
     "GenuineIntel",
     2,
     0x652,
     kFeatFpu | kFeatDe | kFeatPse | kFeatTsc | kFeatMsr | kFeatPae | kFeatMce | kFeatCx8 | kFeatApic | kFeatSep |
         kFeatMtrr | kFeatPge | kFeatMca | kFeatCmov | kFeatPat | kFeatPse36 | kFeatMmx | kFeatFxsr,
     0,
     0,
     0,
     0,
     {},
     {1, 0, 0, 0x002c307d}},
    {"qemu64",
     "AuthenticAMD",
     4,
     0x623,
     0x078bfbfd,
     0x00802001,
     0x8000000a,
     0x2191abfd,
     0x65 & ~4u,
     "QEMU Virtual CPU version 0.12.5",
     {1, 0, 0, 0x002c307d}},
    {"kvm64",
     "GenuineIntel",
     5,
     0xf61,
     0x078bfbfd,
     0x00002001,
     0x80000008,
     0x2191abfd,
     0,
     "Common KVM processor",
     {1, 0, 0, 0x002c307d}},
    {"qemu32",
     "GenuineIntel",
     4,
     0x633,
     0x0781abfd,
     0x00800001,
     0,
     0,
     0,
     "QEMU Virtual CPU version 0.12.5",
     {1, 0, 0, 0x002c307d}}};

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

Leaf leaf_1(Cpu& c) {
    const CpuModel& m = *c.model;
    constexpr u32 cache_line = 8u << 8;  // in units of 8 bytes, shown even without CLFLUSH
    Leaf l{m.version, (c.vcpu != nullptr ? c.vcpu->index << 24 : 0) | cache_line, m.features_ecx, m.features_edx};
    // A local APIC that is absent or switched off in IA32_APIC_BASE does not show.
    constexpr i64 global_enable = 1 << 11;
    const i64 base = c.host.apic_base != nullptr ? c.host.apic_base(c.host.self) : -1;
    if (base < 0 || (base & global_enable) == 0) l.edx &= ~kFeatApic;
    c.msr.bios_sign = 1ull << 32;  // the revision of the microcode appears in BIOS_SIGN (SDM 3, 9.11.7)
    return l;
}

Leaf leaf_of(Cpu& c, u32 number) {
    const CpuModel& m = *c.model;
    const bool extended = (number & 0x80000000u) != 0;
    const u32 top = extended ? m.extended_level : m.level;
    if (number > top) number = m.level;  // beyond either half: the highest basic leaf
    switch (number) {
        case 0: return highest_leaf(m, m.level);
        case 1: return leaf_1(c);
        case 2: return {m.leaf2[0], m.leaf2[1], m.leaf2[2], m.leaf2[3]};
        case 0x80000000u: return highest_leaf(m, m.extended_level);
        case 0x80000001u: return {m.version, 0, m.extended_ecx, m.extended_edx};
        case 0x80000002u:
        case 0x80000003u:
        case 0x80000004u: {
            const std::size_t at = (number - 0x80000002u) * 16;
            return {four_letters(m.brand, at), four_letters(m.brand, at + 4), four_letters(m.brand, at + 8),
                    four_letters(m.brand, at + 12)};
        }
        case 4: {  // deterministic cache parameters: L1 data, L1 code, L2
            static constexpr Leaf kCaches[] = {
                {0x121, 0x1c0003f, 0x3f, 1}, {0x122, 0x1c0003f, 0x3f, 1}, {0x143, 0x3c0003f, 0xfff, 1}};
            const u32 index = c.r32(kEcx);
            return index < std::size(kCaches) ? kCaches[index] : Leaf{};
        }
        case 5: return {0, 0, 3, 0};
        case 0x80000005u: return {0x01ff01ff, 0x01ff01ff, 0x40020140, 0x40020140};
        case 0x80000006u: return {0, 0x42004200, 0x02008140, 0};
        case 0x80000008u: return {0x3000u | kPhysicalBits, 0, 0, 0};
        default: return {};
    }
}

}  // namespace

std::span<const CpuModel> cpu_models() { return kModels; }

const CpuModel* find_cpu_model(std::string_view name) {
    for (const CpuModel& m : kModels) {
        if (m.name == name) return &m;
    }
    return nullptr;
}

void Cpu::cpuid() {
    const Leaf l = leaf_of(*this, r32(kEax));
    r32(kEax) = l.eax;
    r32(kEbx) = l.ebx;
    r32(kEcx) = l.ecx;
    r32(kEdx) = l.edx;
}

}  // namespace backplane::interp
