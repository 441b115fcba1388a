// Maps 0F 38 and 0F 3A: SSSE3, SSE4.1, SSE4.2, AES and carry-less multiplication.
#include <cstddef>
#include <span>

#include "vex_ops.hpp"

namespace backplane::interp {
namespace {

#define BP_38(X, OPCODE, NAME, TEXT, MEM, FEATURE) X(kMap38, k66, OPCODE, NAME, TEXT, MEM, kNone, FEATURE)
#define BP_38_LIST(X)                                     \
    BP_38(X, 0x00, Pshufb, "pshufb", k16, kSsse3)         \
    BP_38(X, 0x01, Phaddw, "phaddw", k16, kSsse3)         \
    BP_38(X, 0x02, Phaddd, "phaddd", k16, kSsse3)         \
    BP_38(X, 0x03, Phaddsw, "phaddsw", k16, kSsse3)       \
    BP_38(X, 0x04, Pmaddubsw, "pmaddubsw", k16, kSsse3)   \
    BP_38(X, 0x05, Phsubw, "phsubw", k16, kSsse3)         \
    BP_38(X, 0x06, Phsubd, "phsubd", k16, kSsse3)         \
    BP_38(X, 0x07, Phsubsw, "phsubsw", k16, kSsse3)       \
    BP_38(X, 0x08, Psignb, "psignb", k16, kSsse3)         \
    BP_38(X, 0x09, Psignw, "psignw", k16, kSsse3)         \
    BP_38(X, 0x0a, Psignd, "psignd", k16, kSsse3)         \
    BP_38(X, 0x0b, Pmulhrsw, "pmulhrsw", k16, kSsse3)     \
    BP_38(X, 0x1c, Pabsb, "pabsb", k16, kSsse3)           \
    BP_38(X, 0x1d, Pabsw, "pabsw", k16, kSsse3)           \
    BP_38(X, 0x1e, Pabsd, "pabsd", k16, kSsse3)           \
    BP_38(X, 0x20, Pmovsxbw, "pmovsxbw", k8, kSse41)      \
    BP_38(X, 0x21, Pmovsxbd, "pmovsxbd", k4, kSse41)      \
    BP_38(X, 0x22, Pmovsxbq, "pmovsxbq", k2, kSse41)      \
    BP_38(X, 0x23, Pmovsxwd, "pmovsxwd", k8, kSse41)      \
    BP_38(X, 0x24, Pmovsxwq, "pmovsxwq", k4, kSse41)      \
    BP_38(X, 0x25, Pmovsxdq, "pmovsxdq", k8, kSse41)      \
    BP_38(X, 0x28, Pmuldq, "pmuldq", k16, kSse41)         \
    BP_38(X, 0x29, Pcmpeqq, "pcmpeqq", k16, kSse41)       \
    BP_38(X, 0x2b, Packusdw, "packusdw", k16, kSse41)     \
    BP_38(X, 0x30, Pmovzxbw, "pmovzxbw", k8, kSse41)      \
    BP_38(X, 0x31, Pmovzxbd, "pmovzxbd", k4, kSse41)      \
    BP_38(X, 0x32, Pmovzxbq, "pmovzxbq", k2, kSse41)      \
    BP_38(X, 0x33, Pmovzxwd, "pmovzxwd", k8, kSse41)      \
    BP_38(X, 0x34, Pmovzxwq, "pmovzxwq", k4, kSse41)      \
    BP_38(X, 0x35, Pmovzxdq, "pmovzxdq", k8, kSse41)      \
    BP_38(X, 0x37, Pcmpgtq, "pcmpgtq", k16, kSse42)       \
    BP_38(X, 0x38, Pminsb, "pminsb", k16, kSse41)         \
    BP_38(X, 0x39, Pminsd, "pminsd", k16, kSse41)         \
    BP_38(X, 0x3a, Pminuw, "pminuw", k16, kSse41)         \
    BP_38(X, 0x3b, Pminud, "pminud", k16, kSse41)         \
    BP_38(X, 0x3c, Pmaxsb, "pmaxsb", k16, kSse41)         \
    BP_38(X, 0x3d, Pmaxsd, "pmaxsd", k16, kSse41)         \
    BP_38(X, 0x3e, Pmaxuw, "pmaxuw", k16, kSse41)         \
    BP_38(X, 0x3f, Pmaxud, "pmaxud", k16, kSse41)         \
    BP_38(X, 0x40, Pmulld, "pmulld", k16, kSse41)         \
    BP_38(X, 0x41, Phminposuw, "phminposuw", k16, kSse41) \
    BP_38(X, 0xdb, Aesimc, "aesimc", k16, kAes)           \
    BP_38(X, 0xdc, Aesenc, "aesenc", k16, kAes)           \
    BP_38(X, 0xdd, Aesenclast, "aesenclast", k16, kAes)   \
    BP_38(X, 0xde, Aesdec, "aesdec", k16, kAes)           \
    BP_38(X, 0xdf, Aesdeclast, "aesdeclast", k16, kAes)

BP_38_LIST(BP_SSE_STRUCT)

// By a mask in which each byte is all ones or zero.
[[gnu::always_inline]] inline Vec blend(Vec a, Vec b, Vec mask) {
    return _mm_or_si128(_mm_and_si128(mask, b), _mm_andnot_si128(mask, a));
}

// PBLENDVB, BLENDVPS, BLENDVPD: the mask is the top bits of XMM0, which only a handler knows.
enum class Top : u8 { kBytes, kSingles, kDoubles };
template <Top kTop>
[[gnu::always_inline]] inline Vec top_bits(Vec m) {
    if constexpr (kTop == Top::kBytes) return _mm_cmpgt_epi8(_mm_setzero_si128(), m);
    if constexpr (kTop == Top::kDoubles) m = _mm_shuffle_epi32(m, 0xf5);
    return _mm_srai_epi32(m, 31);
}
struct SourceOnly {
    static constexpr Mem kMemory = Mem::k16;
    static constexpr Fp kFloat = Fp::kNone;
    [[gnu::always_inline]] static Vec run(Vec, Vec b) { return b; }
};
template <Top kTop>
struct ByXmm0 {
    [[gnu::always_inline]] static void put(Cpu* c, Insn* i, Vec r) {
        xmm(c, i->dst) = blend(xmm(c, i->dst), r, top_bits<kTop>(xmm(c, 0)));
    }
};

// PTEST: ZF and CF, the others cleared.
struct Ptest {
    static constexpr Mem kMemory = Mem::k16;
    static constexpr Fp kFloat = Fp::kNone;
    [[gnu::always_inline]] static u64 run(Vec a, Vec b) {
        u64 zf, cf;
        asm("ptest %3, %2" : "=@ccz"(zf), "=@ccc"(cf) : "x"(a), "x"(b));
        return lazy_compare(zf, 0, cf);
    }
};
// Immediates that become part of the instruction.
#define BP_NUMBERED(NAME, TEXT, MEM, FLOAT)                        \
    template <std::size_t kImm>                                    \
    struct NAME {                                                  \
        [[maybe_unused]] static constexpr Mem kMemory = Mem::MEM;  \
        static constexpr Fp kFloat = Fp::FLOAT;                    \
        [[gnu::always_inline]] static Vec run(Vec a, Vec b) {      \
            asm(TEXT " %2, %1, %0" : "+x"(a) : "x"(b), "i"(kImm)); \
            return a;                                              \
        }                                                          \
    };
#define BP_PICK(NAME, COUNT, NUMBER)                                                                            \
    Handler pick_##NAME(const SseChoice& s) {                                                                   \
        return by_number<COUNT>(NUMBER, [&]<std::size_t kImm>() -> Handler { return pick_op<NAME<kImm>>(s); }); \
    }
BP_NUMBERED(Roundps, "roundps", k16, kExact)
BP_NUMBERED(Roundpd, "roundpd", k16, kExact)
BP_NUMBERED(Roundss, "roundss", k4, kExact)
BP_NUMBERED(Roundsd, "roundsd", k8, kExact)
BP_NUMBERED(Mpsadbw, "mpsadbw", k16, kNone)
BP_PICK(Roundps, 16, s.imm & 15u)
BP_PICK(Roundpd, 16, s.imm & 15u)
BP_PICK(Roundss, 16, s.imm & 15u)
BP_PICK(Roundsd, 16, s.imm & 15u)
BP_PICK(Mpsadbw, 8, s.imm & 7u)

BP_SSE_STRUCT(0, 0, 0, Mulps, "mulps", k16, kSingles, 0)
BP_SSE_STRUCT(0, 0, 0, Mulpd, "mulpd", k16, kDoubles, 0)
BP_SSE_STRUCT(0, 0, 0, Haddps, "haddps", k16, kSingles, 0)
BP_SSE_STRUCT(0, 0, 0, Haddpd, "haddpd", k16, kDoubles, 0)

// DPPS, DPPD: the high half of the immediate says which products there are, the low half where the sum goes. Elements
// that get no sum are zero.
template <std::size_t kProducts>
struct Dpps {
    static constexpr Mem kMemory = Mem::k16;
    static constexpr Fp kFloat = Fp::kSingles;
    [[gnu::always_inline]] static Vec run(Vec a, Vec b, u32 imm) {
        asm("dpps %2, %1, %0" : "+x"(a) : "x"(b), "i"(kProducts << 4 | 15));
        const i32 m = static_cast<i32>(imm);
        const Vec mask = _mm_set_epi32(-(m >> 3 & 1), -(m >> 2 & 1), -(m >> 1 & 1), -(m & 1));
        return _mm_and_si128(a, mask);
    }
    // Multiplication and both additions raise each by itself.
    static void check(Cpu* c, Vec a, Vec b) {
        constexpr i32 k = static_cast<i32>(kProducts);
        const Vec used = _mm_set_epi32(-(k >> 3 & 1), -(k >> 2 & 1), -(k >> 1 & 1), -(k & 1));
        const Vec products = run_exact<Mulps>(c, _mm_and_si128(a, used), _mm_and_si128(b, used), 0);
        const Vec sums = run_exact<Haddps>(c, products, products, 0);
        run_exact<Haddps>(c, sums, sums, 0);
    }
};
template <std::size_t kProducts>
struct Dppd {
    static constexpr Mem kMemory = Mem::k16;
    static constexpr Fp kFloat = Fp::kDoubles;
    [[gnu::always_inline]] static Vec run(Vec a, Vec b, u32 imm) {
        asm("dppd %2, %1, %0" : "+x"(a) : "x"(b), "i"(kProducts << 4 | 3));
        const i64 m = static_cast<i64>(imm);
        return _mm_and_si128(a, _mm_set_epi64x(-(m >> 1 & 1), -(m & 1)));
    }
    static void check(Cpu* c, Vec a, Vec b) {
        constexpr i64 k = static_cast<i64>(kProducts);
        const Vec used = _mm_set_epi64x(-(k >> 1 & 1), -(k & 1));
        const Vec products = run_exact<Mulpd>(c, _mm_and_si128(a, used), _mm_and_si128(b, used), 0);
        run_exact<Haddpd>(c, products, products, 0);
    }
};
BP_PICK(Dpps, 16, s.imm >> 4)
BP_PICK(Dppd, 4, s.imm >> 4 & 3u)

// BLENDPS, BLENDPD, PBLENDW: each element by a bit of the immediate.
struct Blendps {
    [[maybe_unused]] static constexpr u32 kHighImmediate = 4;
    static constexpr Mem kMemory = Mem::k16;
    static constexpr Fp kFloat = Fp::kNone;
    [[gnu::always_inline]] static Vec run(Vec a, Vec b, u32 imm) {
        const Vec bits = _mm_set_epi32(8, 4, 2, 1);
        return blend(a, b, _mm_cmpeq_epi32(_mm_and_si128(_mm_set1_epi32(static_cast<i32>(imm)), bits), bits));
    }
};
struct Blendpd {
    [[maybe_unused]] static constexpr u32 kHighImmediate = 2;
    static constexpr Mem kMemory = Mem::k16;
    static constexpr Fp kFloat = Fp::kNone;
    [[gnu::always_inline]] static Vec run(Vec a, Vec b, u32 imm) {
        const Vec bits = _mm_set_epi32(2, 2, 1, 1);
        return blend(a, b, _mm_cmpeq_epi32(_mm_and_si128(_mm_set1_epi32(static_cast<i32>(imm)), bits), bits));
    }
};
struct Pblendw {
    static constexpr Mem kMemory = Mem::k16;
    static constexpr Fp kFloat = Fp::kNone;
    [[gnu::always_inline]] static Vec run(Vec a, Vec b, u32 imm) {
        const Vec bits = _mm_set_epi16(128, 64, 32, 16, 8, 4, 2, 1);
        return blend(a, b, _mm_cmpeq_epi16(_mm_and_si128(_mm_set1_epi16(static_cast<i16>(imm)), bits), bits));
    }
};

// INSERTPS: an element of the source (of a register: chosen by bits 7-6) into element bits 5-4; bits 3-0 clear
// elements.
template <bool kMemoryForm>
struct Insertps {
    static constexpr Mem kMemory = Mem::k4;
    static constexpr Fp kFloat = Fp::kNone;
    [[gnu::always_inline]] static Vec run(Vec a, Vec b, u32 imm) {
        if constexpr (!kMemoryForm) {
            if ((imm & 0x80u) != 0) b = _mm_unpackhi_epi64(b, b);
            if ((imm & 0x40u) != 0) b = _mm_srli_epi64(b, 32);
        }
        const Vec element = _mm_shuffle_epi32(b, 0);
        const Vec at = _mm_cmpeq_epi32(_mm_set1_epi32(static_cast<i32>(imm >> 4 & 3u)), _mm_set_epi32(3, 2, 1, 0));
        const Vec bits = _mm_set_epi32(8, 4, 2, 1);
        const Vec cleared = _mm_cmpeq_epi32(_mm_and_si128(_mm_set1_epi32(static_cast<i32>(imm)), bits), bits);
        return _mm_andnot_si128(cleared, blend(a, element, at));
    }
};
Handler pick_insertps(const SseChoice& s) {
    return s.form == Form::kReg ? pick_register<Insertps<false>>(s) : pick_memory<Insertps<true>>(s);
}

// AESKEYGENASSIST: the round constant enters by exclusive or, at dwords 1 and 3.
struct Aeskeygenassist {
    static constexpr Mem kMemory = Mem::k16;
    static constexpr Fp kFloat = Fp::kNone;
    [[gnu::always_inline]] static Vec run(Vec, Vec b, u32 imm) {
        asm("aeskeygenassist $0, %0, %0" : "+x"(b));
        const i32 constant = static_cast<i32>(imm & 0xffu);
        return _mm_xor_si128(b, _mm_set_epi32(constant, 0, constant, 0));
    }
};
// PCLMULQDQ: bit 0 and bit 4 choose the halves.
struct Pclmulqdq {
    static constexpr Mem kMemory = Mem::k16;
    static constexpr Fp kFloat = Fp::kNone;
    [[gnu::always_inline]] static Vec run(Vec a, Vec b, u32 imm) {
        if ((imm & 1u) != 0) a = _mm_unpackhi_epi64(a, a);
        if ((imm & 16u) != 0) b = _mm_unpackhi_epi64(b, b);
        asm("pclmulqdq $0, %1, %0" : "+x"(a) : "x"(b));
        return a;
    }
};

// --- with a VEX prefix

struct MpsadbwHalves : Numbered<Mpsadbw, 8> {
    static constexpr u32 kHighImmediate = 3;
};
struct InsertpsRegister : Insertps<false> {
    static constexpr Mem kMemory = Mem::k16;
};
Handler pick_vinsertps(const SseChoice& s) {
    return s.form == Form::kReg ? pick_vex<InsertpsRegister, VexKind::kLow>(s)
                                : pick_vex<Insertps<true>, VexKind::kLow>(s);
}

template <class Op>
[[gnu::noinline]] Halves exact_halves(Cpu* c, Halves a, Halves b, bool wide) {
    sse_begin_exact(c);
    asm volatile("" : "+x"(a.low), "+x"(b.low), "+x"(a.high), "+x"(b.high));
    Halves r{Op::run(a.low, b.low), wide ? Op::run(a.high, b.high) : _mm_setzero_si128()};
    asm volatile("" : "+x"(r.low), "+x"(r.high));
    sse_end_exact<Op>(c, a, b, r, wide);
    return r;
}
// Elements that are not multiplied are zeros.
Vec dpps_products(u32 imm) {
    const i32 m = static_cast<i32>(imm);
    return _mm_set_epi32(-(m >> 7 & 1), -(m >> 6 & 1), -(m >> 5 & 1), -(m >> 4 & 1));
}
Vec dppd_products(u32 imm) {
    const i64 m = static_cast<i64>(imm);
    return _mm_set_epi64x(-(m >> 5 & 1), -(m >> 4 & 1));
}
template <Vec (*kProducts)(u32), class Mul, class Add>
void check_dot(Cpu* c, Halves a, Halves b, bool wide, u32 imm) {
    const Vec used = kProducts(imm);
    const Halves p = exact_halves<Mul>(c, {_mm_and_si128(a.low, used), _mm_and_si128(a.high, used)},
                                       {_mm_and_si128(b.low, used), _mm_and_si128(b.high, used)}, wide);
    const Halves sums = exact_halves<Add>(c, p, p, wide);
    if (Add::kFloat == Fp::kSingles) exact_halves<Add>(c, sums, sums, wide);
}
struct DotSingles {
    static constexpr Mem kMemory = Mem::k16;
    static constexpr Fp kFloat = Fp::kSingles;
    [[gnu::always_inline]] static Vec run(Vec a, Vec b, u32 imm) {
        const Vec used = dpps_products(imm);
        a = _mm_and_si128(a, used);
        asm("dpps $255, %1, %0" : "+x"(a) : "x"(_mm_and_si128(b, used)));
        return _mm_and_si128(a, dpps_products(imm << 4));
    }
    static void check(Cpu* c, Vec a, Vec b);  // it goes in steps
    static void check_all(Cpu* c, Halves a, Halves b, bool wide, u32 imm) {
        check_dot<dpps_products, Mulps, Haddps>(c, a, b, wide, imm);
    }
};
struct DotDoubles {
    static constexpr Mem kMemory = Mem::k16;
    static constexpr Fp kFloat = Fp::kDoubles;
    [[gnu::always_inline]] static Vec run(Vec a, Vec b, u32 imm) {
        const Vec used = dppd_products(imm);
        a = _mm_and_si128(a, used);
        asm("dppd $51, %1, %0" : "+x"(a) : "x"(_mm_and_si128(b, used)));
        return _mm_and_si128(a, dppd_products(imm << 4));
    }
    static void check(Cpu* c, Vec a, Vec b);
    static void check_all(Cpu* c, Halves a, Halves b, bool wide, u32 imm) {
        check_dot<dppd_products, Mulpd, Haddpd>(c, a, b, wide, imm);
    }
};

constexpr SseEntry kEntries[] = {
    // clang-format off
    BP_38_LIST(BP_SSE_ENTRY)
    // clang-format on
    {sse_key(kMap38, k66, 0x10), Feature::kSse41, 0, pick_op<SourceOnly, ByXmm0<Top::kBytes>>},
    {sse_key(kMap38, k66, 0x14), Feature::kSse41, 0, pick_op<SourceOnly, ByXmm0<Top::kSingles>>},
    {sse_key(kMap38, k66, 0x15), Feature::kSse41, 0, pick_op<SourceOnly, ByXmm0<Top::kDoubles>>},
    {sse_key(kMap38, k66, 0x17), Feature::kSse41, 0, pick_op<Ptest, ToFlags>},
    {sse_key(kMap3a, k66, 0x08), Feature::kSse41, kImmediate, pick_Roundps, pick_vex<Numbered<Roundps, 16>>},
    {sse_key(kMap3a, k66, 0x09), Feature::kSse41, kImmediate, pick_Roundpd, pick_vex<Numbered<Roundpd, 16>>},
    {sse_key(kMap3a, k66, 0x0a), Feature::kSse41, kImmediate, pick_Roundss,
     pick_vex<Numbered<Roundss, 16>, VexKind::kScalar>},
    {sse_key(kMap3a, k66, 0x0b), Feature::kSse41, kImmediate, pick_Roundsd,
     pick_vex<Numbered<Roundsd, 16>, VexKind::kScalar>},
    {sse_key(kMap3a, k66, 0x0c), Feature::kSse41, kImmediate, pick_op<Blendps>, pick_vex<Blendps>},
    {sse_key(kMap3a, k66, 0x0d), Feature::kSse41, kImmediate, pick_op<Blendpd>, pick_vex<Blendpd>},
    {sse_key(kMap3a, k66, 0x0e), Feature::kSse41, kImmediate, pick_op<Pblendw>, pick_vex<Pblendw>},
    {sse_key(kMap3a, k66, 0x21), Feature::kSse41, kImmediate, pick_insertps, pick_vinsertps},
    {sse_key(kMap3a, k66, 0x40), Feature::kSse41, kImmediate, pick_Dpps, pick_vex<DotSingles>},
    {sse_key(kMap3a, k66, 0x41), Feature::kSse41, kImmediate, pick_Dppd, pick_vex<DotDoubles, VexKind::kLow>},
    {sse_key(kMap3a, k66, 0x42), Feature::kSse41, kImmediate, pick_Mpsadbw, pick_vex<MpsadbwHalves>},
    {sse_key(kMap3a, k66, 0x44), Feature::kPclmul, kImmediate, pick_op<Pclmulqdq>, pick_vex<Pclmulqdq, VexKind::kLow>},
    {sse_key(kMap3a, k66, 0xdf), Feature::kAes, kImmediate, pick_op<Aeskeygenassist>,
     pick_vex<Aeskeygenassist, VexKind::kLow>},
};

}  // namespace

std::span<const SseEntry> sse4_entries() { return kEntries; }

}  // namespace backplane::interp
