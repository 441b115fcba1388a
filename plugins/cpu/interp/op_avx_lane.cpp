// What AVX and AVX2 added to moves and shuffles: broadcasts, permutations, halves, shifts with counts of their own.
#include <cstring>
#include <span>

#include "vex_ops.hpp"

namespace backplane::interp {
namespace {

// --- broadcasts ----------------------------------------------------------------------------------------------------

#define BP_SPLAT(NAME, MEM, EXPRESSION)                                          \
    struct NAME {                                                                \
        static constexpr Mem kMemory = Mem::MEM;                                 \
        static constexpr Fp kFloat = Fp::kNone;                                  \
        [[gnu::always_inline]] static Vec run(Vec, Vec b) { return EXPRESSION; } \
    }
[[gnu::always_inline]] inline Vec words(Vec b) { return _mm_shuffle_epi32(_mm_shufflelo_epi16(b, 0), 0); }
BP_SPLAT(SplatBytes, k1, words(_mm_unpacklo_epi8(b, b)));
BP_SPLAT(SplatWords, k2, words(b));
BP_SPLAT(SplatDwords, k4, _mm_shuffle_epi32(b, 0));
BP_SPLAT(SplatQwords, k8, _mm_unpacklo_epi64(b, b));
BP_SPLAT(SplatHalf, k16, b);
template <class Op>
Handler pick_splat(const SseChoice& s) {
    return pick_vex<Op, VexKind::kSplat>(s);
}

// --- halves --------------------------------------------------------------------------------------------------------

// VINSERTF128, VINSERTI128.
struct InsertHalf {
    static constexpr u32 kBytes = 16;
    static void run(u8* out, const u8* a, const u8* b, u32 imm) {
        std::memcpy(out, a, 32);
        std::memcpy(out + 16 * (imm & 1u), b, 16);
    }
};
// VEXTRACTF128, VEXTRACTI128.
[[gnu::noinline]] void run_extract_half(Cpu* c, const Insn* i) {
    vex_require(c);
    const Vec v = half(c, i->src, i->imm & 1u);
    if ((i->bits & kVecMemory) == 0) return put_vex(c, i, v, _mm_setzero_si128());
    vex_store(c, i, reinterpret_cast<const u8*>(&v), 16, false);
}
// VPERM2F128, VPERM2I128: four bits for each half.
struct PermuteHalves {
    static constexpr u32 kBytes = 32;
    static void run(u8* out, const u8* a, const u8* b, u32 imm) {
        for (unsigned n = 0; n < 2; ++n) {
            const u32 control = imm >> 4 * n;
            const u8* from = (control & 2u) != 0 ? b : a;
            if ((control & 8u) == 0) std::memcpy(out + 16 * n, from + 16 * (control & 1u), 16);
        }
    }
};

// --- elements by an index ------------------------------------------------------------------------------------------

template <typename T>
T element(const u8* p, unsigned n) {
    T v;
    std::memcpy(&v, p + sizeof(T) * n, sizeof v);
    return v;
}
template <typename T>
void put_element(u8* p, unsigned n, T v) {
    std::memcpy(p + sizeof(T) * n, &v, sizeof v);
}
// VPERMD, VPERMPS: the indices are the first source.
struct PermuteDwords {
    static constexpr u32 kBytes = 32;
    static void run(u8* out, const u8* a, const u8* b, u32) {
        for (unsigned n = 0; n < 8; ++n) put_element(out, n, element<u32>(b, element<u32>(a, n) & 7u));
    }
};
// VPERMQ, VPERMPD.
struct PermuteQwords {
    static constexpr u32 kBytes = 32;
    static void run(u8* out, const u8*, const u8* b, u32 imm) {
        for (unsigned n = 0; n < 4; ++n) put_element(out, n, element<u64>(b, imm >> 2 * n & 3u));
    }
};
// VPERMILPS, VPERMILPD by a register: inside each half.
template <typename T, bool kWide>
struct PermuteInHalves {
    static constexpr u32 kBytes = kWide ? 32 : 16;
    static void run(u8* out, const u8* a, const u8* b, u32) {
        constexpr unsigned kPerHalf = 16 / sizeof(T);
        for (unsigned n = 0; n < kBytes / sizeof(T); ++n) {
            const unsigned index = sizeof(T) == 4 ? element<T>(b, n) & 3u : element<T>(b, n) >> 1 & 1u;
            put_element(out, n, element<T>(a, n / kPerHalf * kPerHalf + index));
        }
    }
};

// --- shifts, each element by a count of its own --------------------------------------------------------------------

enum class Shift : u8 { kLeft, kRight, kArithmetic };
template <Shift kShift, typename T, bool kWide>
struct ShiftEach {
    static constexpr u32 kBytes = kWide ? 32 : 16;
    static void run(u8* out, const u8* a, const u8* b, u32) {
        constexpr T kCount = 8 * sizeof(T);
        for (unsigned n = 0; n < kBytes / sizeof(T); ++n) {
            const T v = element<T>(a, n);
            const T count = element<T>(b, n);
            T r = 0;
            if constexpr (kShift == Shift::kArithmetic)
                r = static_cast<T>(static_cast<std::make_signed_t<T>>(v) >> (count < kCount ? count : kCount - 1));
            else if (count < kCount)
                r = kShift == Shift::kLeft ? v << count : v >> count;
            put_element(out, n, r);
        }
    }
};
template <Shift kShift, typename T>
Handler shift_each(const SseChoice& s) {
    return s.vex_l ? vex_bytes_op<ShiftEach<kShift, T, true>> : vex_bytes_op<ShiftEach<kShift, T, false>>;
}
template <Shift kShift>
Handler pick_shift_each(const SseChoice& s) {
    return s.wide ? shift_each<kShift, u64>(s) : shift_each<kShift, u32>(s);
}

template <typename T>
Handler pick_permute_in_halves(const SseChoice& s) {
    return s.vex_l ? vex_bytes_op<PermuteInHalves<T, true>> : vex_bytes_op<PermuteInHalves<T, false>>;
}
template <class Op>
Handler pick_bytes(const SseChoice&) {
    return vex_bytes_op<Op>;
}
Handler pick_extract_half(const SseChoice&) { return vex_body<run_extract_half>; }

// --- blends --------------------------------------------------------------------------------------------------------

[[gnu::always_inline]] inline Vec blend(Vec a, Vec b, Vec mask) {
    return _mm_or_si128(_mm_and_si128(mask, b), _mm_andnot_si128(mask, a));
}
// VPBLENDD.
struct BlendDwords {
    static constexpr Mem kMemory = Mem::k16;
    static constexpr Fp kFloat = Fp::kNone;
    static constexpr u32 kHighImmediate = 4;
    [[gnu::always_inline]] static Vec run(Vec a, Vec b, u32 imm) {
        const Vec bits = _mm_set_epi32(8, 4, 2, 1);
        return blend(a, b, _mm_cmpeq_epi32(_mm_and_si128(_mm_set1_epi32(static_cast<i32>(imm)), bits), bits));
    }
};
// VBLENDVPS, VBLENDVPD, VPBLENDVB: by the top bits of a fourth register, whose offset is the immediate.
template <unsigned kSize>
[[gnu::always_inline]] inline Vec top_bits(Vec m) {
    if constexpr (kSize == 1) return _mm_cmpgt_epi8(_mm_setzero_si128(), m);
    if constexpr (kSize == 8) m = _mm_shuffle_epi32(m, 0xf5);
    return _mm_srai_epi32(m, 31);
}
template <unsigned kSize, bool kWide>
[[gnu::always_inline]] inline void blend_by(Cpu* c, const Insn* i, const u8* p) {
    const Vec low = blend(half(c, i->extra, 0), load_vec<16>(p), top_bits<kSize>(half(c, i->imm, 0)));
    Vec high = _mm_setzero_si128();
    if constexpr (kWide) high = blend(half(c, i->extra, 1), load_vec<16>(p + 16), top_bits<kSize>(half(c, i->imm, 1)));
    put_vex(c, i, low, high);
}
template <unsigned kSize, bool kWide>
[[gnu::noinline]] void blend_by_general(Cpu* c, const Insn* i) {
    vex_require(c);
    u8 buffer[32];
    blend_by<kSize, kWide>(c, i, vex_operand(c, i, kWide ? 32 : 16, buffer));
}
template <unsigned kSize, bool kWide>
void blend_by_register(Cpu* c, Insn* i) {
    const u8* p = vex_place < kWide ? 32 : 16 > (c, i);
    if (c->sse.vex_slow != 0 || p == nullptr) [[unlikely]]
        return vex_body<blend_by_general<kSize, kWide>>(c, i);
    blend_by<kSize, kWide>(c, i, p);
    return next(c, i);
}
template <unsigned kSize>
Handler pick_blend_by_register(const SseChoice& s) {
    return s.vex_l ? blend_by_register<kSize, true> : blend_by_register<kSize, false>;
}

#define BP_AVX(MAP, OPCODE) sse_key(MAP, k66, OPCODE), Feature::kAvx
#define BP_AVX2(MAP, OPCODE) sse_key(MAP, k66, OPCODE), Feature::kAvx2
constexpr u16 kSecondW0 = kVexSecond | kVexW0, kOnly256 = kVexL1 | kVexW0;
constexpr VexEntry kEntries[] = {
    {BP_AVX(kMap38, 0x18), 0, kVexW0 | kVexReg2, pick_splat<SplatDwords>},
    {BP_AVX(kMap38, 0x19), 0, kOnly256 | kVexReg2, pick_splat<SplatQwords>},
    {BP_AVX(kMap38, 0x1a), kMemoryOnly, kOnly256, pick_splat<SplatHalf>},
    {BP_AVX2(kMap38, 0x58), 0, kVexW0, pick_splat<SplatDwords>},
    {BP_AVX2(kMap38, 0x59), 0, kVexW0, pick_splat<SplatQwords>},
    {BP_AVX2(kMap38, 0x5a), kMemoryOnly, kOnly256, pick_splat<SplatHalf>},
    {BP_AVX2(kMap38, 0x78), 0, kVexW0, pick_splat<SplatBytes>},
    {BP_AVX2(kMap38, 0x79), 0, kVexW0, pick_splat<SplatWords>},
    {BP_AVX(kMap3a, 0x18), kImmediate, kOnly256 | kVexSecond, pick_bytes<InsertHalf>},
    {BP_AVX2(kMap3a, 0x38), kImmediate, kOnly256 | kVexSecond, pick_bytes<InsertHalf>},
    {BP_AVX(kMap3a, 0x19), kImmediate | kToRm, kOnly256, pick_extract_half},
    {BP_AVX2(kMap3a, 0x39), kImmediate | kToRm, kOnly256, pick_extract_half},
    {BP_AVX(kMap3a, 0x06), kImmediate, kOnly256 | kVexSecond, pick_bytes<PermuteHalves>},
    {BP_AVX2(kMap3a, 0x46), kImmediate, kOnly256 | kVexSecond, pick_bytes<PermuteHalves>},
    {BP_AVX2(kMap38, 0x36), 0, kOnly256 | kVexSecond, pick_bytes<PermuteDwords>},
    {BP_AVX2(kMap38, 0x16), 0, kOnly256 | kVexSecond, pick_bytes<PermuteDwords>},
    {BP_AVX2(kMap3a, 0x00), kImmediate, kVexL1 | kVexW1, pick_bytes<PermuteQwords>},
    {BP_AVX2(kMap3a, 0x01), kImmediate, kVexL1 | kVexW1, pick_bytes<PermuteQwords>},
    {BP_AVX(kMap38, 0x0c), 0, kSecondW0, pick_permute_in_halves<u32>},
    {BP_AVX(kMap38, 0x0d), 0, kSecondW0, pick_permute_in_halves<u64>},
    {BP_AVX2(kMap38, 0x45), 0, kVexSecond, pick_shift_each<Shift::kRight>},
    {BP_AVX2(kMap38, 0x46), 0, kSecondW0, shift_each<Shift::kArithmetic, u32>},
    {BP_AVX2(kMap38, 0x47), 0, kVexSecond, pick_shift_each<Shift::kLeft>},
    {BP_AVX2(kMap3a, 0x02), kImmediate, kSecondW0, pick_vex<BlendDwords>},
    {BP_AVX(kMap3a, 0x4a), 0, kSecondW0 | kVexFourth, pick_blend_by_register<4>},
    {BP_AVX(kMap3a, 0x4b), 0, kSecondW0 | kVexFourth, pick_blend_by_register<8>},
    {BP_AVX(kMap3a, 0x4c), 0, kSecondW0 | kVexFourth | kVexWide2, pick_blend_by_register<1>},
};

}  // namespace

std::span<const VexEntry> vex_lane_entries() { return kEntries; }

}  // namespace backplane::interp
