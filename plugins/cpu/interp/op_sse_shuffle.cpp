// Shuffles by an immediate. The host's take it only as part of the instruction; here it chooses a PSHUFB control.
#include <array>
#include <cstddef>
#include <span>

#include "vex_ops.hpp"

namespace backplane::interp {
namespace {

struct alignas(16) Control {
    u8 byte[16];
};
using Controls = std::array<Control, 256>;
constexpr u8 kZero = 0x80;

[[gnu::always_inline]] inline Vec permuted(Vec v, const u8* control) {
    const Vec k = _mm_loadu_si128(reinterpret_cast<const Vec*>(control));
    asm("pshufb %1, %0" : "+x"(v) : "x"(k));
    return v;
}

constexpr Controls identity() {
    Controls all{};
    for (Control& c : all) {
        for (unsigned n = 0; n < 16; ++n) c.byte[n] = static_cast<u8>(n);
    }
    return all;
}
// Four words or dwords at byte `at` are chosen by two bits each.
constexpr Controls choose4(unsigned size, unsigned at) {
    Controls all = identity();
    for (unsigned imm = 0; imm < 256; ++imm) {
        for (unsigned n = 0; n < 4 * size; ++n) {
            all[imm].byte[at + n] = static_cast<u8>(at + (imm >> 2 * (n / size) & 3u) * size + n % size);
        }
    }
    return all;
}
// SHUFPS: dwords 0 and 1 of the result come from the destination, 2 and 3 from the source.
constexpr Controls shufps_half(bool high) {
    Controls all{};
    for (unsigned imm = 0; imm < 256; ++imm) {
        for (unsigned n = 0; n < 16; ++n) {
            const bool mine = (n >= 8) == high;
            all[imm].byte[n] = mine ? static_cast<u8>((imm >> 2 * (n / 4) & 3u) * 4 + n % 4) : kZero;
        }
    }
    return all;
}
constexpr Controls kPshufd = choose4(4, 0);
constexpr Controls kPshuflw = choose4(2, 0);
constexpr Controls kPshufhw = choose4(2, 8);
constexpr Controls kShufpsLow = shufps_half(false);
constexpr Controls kShufpsHigh = shufps_half(true);

template <const Controls& kTable>
struct Shuffle {
    static constexpr Mem kMemory = Mem::k16;
    static constexpr Fp kFloat = Fp::kNone;
    [[gnu::always_inline]] static Vec run(Vec, Vec b, u32 imm) { return permuted(b, kTable[imm].byte); }
};
struct Shufps {
    static constexpr Mem kMemory = Mem::k16;
    static constexpr Fp kFloat = Fp::kNone;
    [[gnu::always_inline]] static Vec run(Vec a, Vec b, u32 imm) {
        return _mm_or_si128(permuted(a, kShufpsLow[imm].byte), permuted(b, kShufpsHigh[imm].byte));
    }
};
template <std::size_t kImm>
struct Shufpd {
    static constexpr Mem kMemory = Mem::k16;
    static constexpr Fp kFloat = Fp::kNone;
    [[gnu::always_inline]] static Vec run(Vec a, Vec b) {
        asm("shufpd %2, %1, %0" : "+x"(a) : "x"(b), "i"(kImm));
        return a;
    }
};
Handler pick_shufpd(const SseChoice& s) {
    return by_number<4>(s.imm & 3u, [&]<std::size_t kImm>() -> Handler { return pick_op<Shufpd<kImm>>(s); });
}

// PALIGNR: 16 bytes of destination and source side by side, from byte imm on.
constexpr u8 kAlignWindow[64] = {
    kZero, kZero, kZero, kZero, kZero, kZero, kZero, kZero, kZero, kZero, kZero, kZero, kZero, kZero, kZero, kZero,
    0,     1,     2,     3,     4,     5,     6,     7,     8,     9,     10,    11,    12,    13,    14,    15,
    kZero, kZero, kZero, kZero, kZero, kZero, kZero, kZero, kZero, kZero, kZero, kZero, kZero, kZero, kZero, kZero,
    kZero, kZero, kZero, kZero, kZero, kZero, kZero, kZero, kZero, kZero, kZero, kZero, kZero, kZero, kZero, kZero};
struct Palignr {
    static constexpr Mem kMemory = Mem::k16;
    static constexpr Fp kFloat = Fp::kNone;
    [[gnu::always_inline]] static Vec run(Vec a, Vec b, u32 imm) {
        const u32 n = imm < 32 ? imm : 32;
        const u32 low = n < 16 ? n : 16;
        return _mm_or_si128(permuted(b, kAlignWindow + 16 + low), permuted(a, kAlignWindow + n));
    }
};

// Two bits of the immediate for each half.
struct ShufpdHalves : Numbered<Shufpd, 4> {
    static constexpr u32 kHighImmediate = 2;
};
struct PermilpdImmediate {
    static constexpr Mem kMemory = Mem::k16;
    static constexpr Fp kFloat = Fp::kNone;
    static constexpr u32 kHighImmediate = 2;
    [[gnu::always_inline]] static Vec run(Vec, Vec b, u32 imm) { return ShufpdHalves::run(b, b, imm); }
};
constexpr VexEntry kVexEntries[] = {
    {sse_key(kMap3a, k66, 0x04), Feature::kAvx, kImmediate, kVexW0, pick_vex<Shuffle<kPshufd>>},  // VPERMILPS
    {sse_key(kMap3a, k66, 0x05), Feature::kAvx, kImmediate, kVexW0, pick_vex<PermilpdImmediate>},
};

constexpr SseEntry kEntries[] = {
    {sse_key(kMap0f, k66, 0x70), Feature::kSse2, kImmediate, pick_op<Shuffle<kPshufd>>, pick_vex<Shuffle<kPshufd>>},
    {sse_key(kMap0f, kF2, 0x70), Feature::kSse2, kImmediate, pick_op<Shuffle<kPshuflw>>, pick_vex<Shuffle<kPshuflw>>},
    {sse_key(kMap0f, kF3, 0x70), Feature::kSse2, kImmediate, pick_op<Shuffle<kPshufhw>>, pick_vex<Shuffle<kPshufhw>>},
    {sse_key(kMap0f, k00, 0xc6), Feature::kSse, kImmediate, pick_op<Shufps>, pick_vex<Shufps>},
    {sse_key(kMap0f, k66, 0xc6), Feature::kSse2, kImmediate, pick_shufpd, pick_vex<ShufpdHalves>},
    {sse_key(kMap3a, k66, 0x0f), Feature::kSsse3, kImmediate, pick_op<Palignr>, pick_vex<Palignr>},
};

}  // namespace

std::span<const SseEntry> sse_shuffle_entries() { return kEntries; }
std::span<const VexEntry> vex_shuffle_entries() { return kVexEntries; }

}  // namespace backplane::interp
