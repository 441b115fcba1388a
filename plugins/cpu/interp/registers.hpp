// Architectural registers, their bits, and what a fault carries (Intel 64 and IA-32 Architectures SDM, volume 3,
// chapter 2; AMD64 manual 2 for EFER).
#pragma once

#include <array>
#include <cstdint>

#include "cpumodel/cpumodel.hpp"

namespace backplane::interp {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using i8 = std::int8_t;
using i16 = std::int16_t;
using i32 = std::int32_t;
using i64 = std::int64_t;

using Linear = u64;  // a linear address; 32 bits of it outside 64-bit mode
using Physical = u64;

enum Reg : u8 { kEax, kEcx, kEdx, kEbx, kEsp, kEbp, kEsi, kEdi, kR8, kR9, kR10, kR11 };
enum Seg : u8 { kEs, kCs, kSs, kDs, kFs, kGs, kSegCount };

// EFLAGS
inline constexpr u32 kCf = 1u << 0, kFixed1 = 1u << 1, kPf = 1u << 2, kAf = 1u << 4, kZf = 1u << 6, kSf = 1u << 7;
inline constexpr u32 kTf = 1u << 8, kIf = 1u << 9, kDf = 1u << 10, kOf = 1u << 11, kIopl = 3u << 12, kNt = 1u << 14;
inline constexpr u32 kRf = 1u << 16, kVm = 1u << 17, kAc = 1u << 18, kVif = 1u << 19, kVip = 1u << 20, kId = 1u << 21;
inline constexpr u32 kArith = kCf | kPf | kAf | kZf | kSf | kOf;  // the lazy ones
inline constexpr unsigned kIoplShift = 12;

// CR0, CR4
inline constexpr u32 kCr0Pe = 1u << 0, kCr0Mp = 1u << 1, kCr0Em = 1u << 2, kCr0Ts = 1u << 3, kCr0Et = 1u << 4,
                     kCr0Ne = 1u << 5, kCr0Wp = 1u << 16, kCr0Am = 1u << 18, kCr0Nw = 1u << 29, kCr0Cd = 1u << 30,
                     kCr0Pg = 1u << 31;
inline constexpr u32 kCr4Vme = 1u << 0, kCr4Pvi = 1u << 1, kCr4Tsd = 1u << 2, kCr4De = 1u << 3, kCr4Pse = 1u << 4,
                     kCr4Pae = 1u << 5, kCr4Mce = 1u << 6, kCr4Pge = 1u << 7, kCr4Pce = 1u << 8, kCr4Osfxsr = 1u << 9,
                     kCr4Osxmmexcpt = 1u << 10, kCr4Umip = 1u << 11, kCr4Fsgsbase = 1u << 16, kCr4Osxsave = 1u << 18,
                     kCr4Smep = 1u << 20;

// Vectors
enum Vector : u8 {
    kDe = 0,
    kDb = 1,
    kNmi = 2,
    kBp = 3,
    kOfTrap = 4,
    kBr = 5,
    kUd = 6,
    kNm = 7,
    kDfault = 8,
    kTs = 10,
    kNp = 11,
    kSsFault = 12,
    kGp = 13,
    kPage = 14,
    kMf = 16,
    kAcFault = 17,
    kMc = 18,
    kXm = 19
};

// A segment register or LDTR/TR with its descriptor cache.
struct Segment {
    u16 selector = 0;
    u16 attr = 0;   // descriptor bits 40-47 in bits 0-7 and 52-55 in bits 12-15, see kAttr*
    u32 limit = 0;  // in bytes, granularity applied
    u64 base = 0;
    // Derived by Cpu::set_segment(): first offset that the fast check refuses, 0 if every access takes the slow check.
    u64 read_end = 0;
    u64 write_end = 0;

    [[nodiscard]] unsigned type() const { return attr & 15u; }
    [[nodiscard]] unsigned dpl() const { return attr >> 5 & 3u; }
    [[nodiscard]] bool present() const { return (attr & 0x80u) != 0; }
    [[nodiscard]] bool big() const { return (attr & 0x4000u) != 0; }
    [[nodiscard]] bool long_code() const { return (attr & 0x2000u) != 0; }
};
inline constexpr u16 kAttrAccessed = 1, kAttrWritable = 2, kAttrReadable = 2, kAttrExpandDown = 4, kAttrConforming = 4,
                     kAttrCode = 8, kAttrS = 0x10, kAttrP = 0x80, kAttrAvl = 0x1000, kAttrLong = 0x2000,
                     kAttrBig = 0x4000, kAttrGranular = 0x8000;

struct TableRegister {
    u64 base = 0;
    u16 limit = 0;
};

// EFER
inline constexpr u64 kEferSce = 1, kEferLme = 1u << 8, kEferLma = 1u << 10, kEferNxe = 1u << 11, kEferFfxsr = 1u << 14;

// Linear addresses of all models with long mode have 48 bits.
[[nodiscard]] inline bool canonical(u64 address) {
    return static_cast<u64>(static_cast<i64>(address << 16) >> 16) == address;
}

using cpumodel::CpuModel;
// Leaf 1 EDX bits that gate instructions.
inline constexpr u32 kFeatFpu = 1u << 0, kFeatVme = 1u << 1, kFeatDe = 1u << 2, kFeatPse = 1u << 3, kFeatTsc = 1u << 4,
                     kFeatMsr = 1u << 5, kFeatPae = 1u << 6, kFeatMce = 1u << 7, kFeatCx8 = 1u << 8,
                     kFeatApic = 1u << 9, kFeatSep = 1u << 11, kFeatMtrr = 1u << 12, kFeatPge = 1u << 13,
                     kFeatMca = 1u << 14, kFeatCmov = 1u << 15, kFeatPat = 1u << 16, kFeatPse36 = 1u << 17,
                     kFeatClflush = 1u << 19, kFeatMmx = 1u << 23, kFeatFxsr = 1u << 24, kFeatSse = 1u << 25,
                     kFeatSse2 = 1u << 26;
// Leaf 1 ECX and leaf 80000001 EDX.
inline constexpr u32 kFeatCx16 = 1u << 13;
inline constexpr u32 kFeatSyscall = 1u << 11, kFeatNx = 1u << 20, kFeatPage1G = 1u << 26, kFeatRdtscp = 1u << 27,
                     kFeatLm = 1u << 29, kFeat3dNow = 1u << 31;
inline constexpr u32 kFeatLahf = 1u << 0;  // leaf 80000001 ECX
using cpumodel::find_model;

// An exception on its way to the run loop.
struct Fault {
    u8 vector = 0;
    bool has_error = false;
    u32 error = 0;
};

struct Msrs {  // owned by system.cpp
    u32 sysenter_cs = 0;
    u64 sysenter_esp = 0, sysenter_eip = 0;
    u64 efer = 0, star = 0, lstar = 0, cstar = 0, sfmask = 0, kernel_gs_base = 0;
    u32 tsc_aux = 0;
    u64 pat = 0x0007040600070406ull;
    u64 apic_base = 0;  // only where the interrupt controller does not keep it
    u64 mtrr_def_type = 0;
    std::array<u64, 11> mtrr_fixed{};
    std::array<u64, 16> mtrr_variable{};  // base, mask pairs
    u64 mcg_status = 0, mcg_ctl = 0;
    std::array<u64, 5 * 4> mc_bank{};
    std::array<u64, 2> perf_event{}, perf_counter{};
    std::array<u64, 4> amd_event{}, amd_counter{};  // of processors of AMD
    u64 debug_ctl = 0;
    u64 bios_sign = 1ull << 32, bios_update = 0;
    u64 platform_id = 0, ebl_cr_poweron = 0;
};

// A 32-bit register: writing it clears the upper half of the 64-bit one.
struct Reg32 {
    u64* slot;
    operator u32() const { return static_cast<u32>(*slot); }  // NOLINT: stands for the register
    const Reg32& operator=(u32 v) const {
        *slot = v;
        return *this;
    }
    Reg32(u64* s) : slot(s) {}
    Reg32(const Reg32&) = default;
    const Reg32& operator+=(u32 v) const { return *this = *this + v; }
    const Reg32& operator-=(u32 v) const { return *this = *this - v; }
    const Reg32& operator=(const Reg32& other) const { return *this = static_cast<u32>(other); }
};

}  // namespace backplane::interp
