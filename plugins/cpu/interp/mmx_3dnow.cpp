// 3DNow! and its extensions (AMD 21928 and 22466): two singles in an MMX register. No denormals, infinities or NaNs:
// tiny results are zero, large ones the largest number. Operands that are none of its numbers give results that AMD
// leaves undefined.
#include <emmintrin.h>

#include "fpu_internal.hpp"
#include "mmx_extensions.hpp"

namespace backplane::interp {
namespace {

using Vec = __m128i;
using u8 = std::uint8_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using i16 = std::int16_t;
using i32 = std::int32_t;

Vec vec(u64 v) { return _mm_cvtsi64_si128(static_cast<long long>(v)); }
u64 low64(Vec v) { return static_cast<u64>(_mm_cvtsi128_si64(v)); }
u64 pair(u64 low, u64 high) { return (low & 0xffffffffu) | high << 32; }
u64 swapped(u64 v) { return v << 32 | v >> 32; }

// The host's MXCSR for these: everything masked, denormals are zero, in and out. Whose flags gather there is restored.
constexpr u32 kNearest = 0x9fc0, kTruncate = 0xffc0;
#define BP_HOST(TEXT, CONTROL, A, B)       \
    const u32 saved = _mm_getcsr();        \
    _mm_setcsr(CONTROL);                   \
    Vec a = vec(A);                        \
    Vec b = vec(B);                        \
    asm volatile(TEXT : "+x"(a), "+x"(b)); \
    _mm_setcsr(saved);                     \
    return low64(a)

u32 saturated(u32 v) { return (v & 0x7f800000u) == 0x7f800000u ? (v & 0x80000000u) | 0x7f7fffffu : v; }
u64 saturated(u64 v) { return pair(saturated(static_cast<u32>(v)), saturated(static_cast<u32>(v >> 32))); }

u64 add(u64 x, u64 y) { BP_HOST("addps %1, %0", kNearest, x, y); }
u64 subtract(u64 x, u64 y) { BP_HOST("subps %1, %0", kNearest, x, y); }
u64 multiply(u64 x, u64 y) { BP_HOST("mulps %1, %0", kNearest, x, y); }
u64 divide(u64 x, u64 y) { BP_HOST("divps %1, %0", kNearest, x, y); }
u64 root(u64 x) { BP_HOST("sqrtps %0, %0", kNearest, x, 0); }
u64 from_integers(u64 x) { BP_HOST("cvtdq2ps %0, %0", kTruncate, x, 0); }
u64 to_integers(u64 x) { BP_HOST("cvttps2dq %0, %0", kTruncate, x, 0); }
u64 minimum(u64 x, u64 y) { BP_HOST("minps %1, %0", kNearest, x, y); }
u64 maximum(u64 x, u64 y) { BP_HOST("maxps %1, %0", kNearest, x, y); }
u64 equal(u64 x, u64 y) { BP_HOST("cmpeqps %1, %0", kNearest, x, y); }
u64 greater(u64 x, u64 y) { BP_HOST("cmpltps %0, %1\n\tmovaps %1, %0", kNearest, x, y); }
u64 not_less(u64 x, u64 y) { BP_HOST("cmpleps %0, %1\n\tmovaps %1, %0", kNearest, x, y); }

constexpr u64 kOnes = 0x3f8000003f800000ull;
constexpr u64 kMagnitude = 0x7fffffff7fffffffull;

#define BP_OP(NAME, EXPRESSION)                                                               \
    struct NAME {                                                                             \
        static u64 run([[maybe_unused]] u64 a, [[maybe_unused]] u64 b) { return EXPRESSION; } \
    }
BP_OP(Pfadd, saturated(add(a, b)));
BP_OP(Pfsub, saturated(subtract(a, b)));
BP_OP(Pfsubr, saturated(subtract(b, a)));
BP_OP(Pfmul, saturated(multiply(a, b)));
BP_OP(Pfmin, minimum(a, b));
BP_OP(Pfmax, maximum(a, b));
BP_OP(Pfcmpeq, equal(a, b));
BP_OP(Pfcmpgt, greater(a, b));
BP_OP(Pfcmpge, not_less(a, b));
// Neighbours: low result from the destination, high one from the source.
BP_OP(Pfacc, saturated(add(pair(a, b), pair(a >> 32, b >> 32))));
BP_OP(Pfnacc, saturated(subtract(pair(a, b), pair(a >> 32, b >> 32))));
BP_OP(Pfpnacc, pair(Pfnacc::run(a, b), Pfacc::run(a, b) >> 32));
BP_OP(Pi2fd, from_integers(b));
BP_OP(Pswapd, swapped(b));
// The approximations are already as good as the iterations would make them, which therefore only hand them on.
BP_OP(Pfrcpit2, b);

u32 to_integer(u32 v, u32 converted) {
    const bool large = (v & 0x7f800000u) >= 0x4f000000u;  // 2^31 and above
    return large ? ((v >> 31) != 0 ? 0x80000000u : 0x7fffffffu) : converted;
}
struct Pf2id {
    static u64 run(u64, u64 b) {
        const u64 r = to_integers(b);
        return pair(to_integer(static_cast<u32>(b), static_cast<u32>(r)),
                    to_integer(static_cast<u32>(b >> 32), static_cast<u32>(r >> 32)));
    }
};
// To words, sign-extended.
struct Pf2iw {
    static u64 run(u64 a, u64 b) {
        const u64 r = Pf2id::run(a, b);
        const auto word = [](u32 v) {
            const i32 n = static_cast<i32>(v);
            return static_cast<u32>(n > 32767 ? 32767 : n < -32768 ? -32768 : n);
        };
        return pair(word(static_cast<u32>(r)), word(static_cast<u32>(r >> 32)));
    }
};
struct Pi2fw {
    static u64 run(u64, u64 b) {
        const auto extended = [](u64 v) { return static_cast<u32>(static_cast<i32>(static_cast<i16>(v))); };
        return from_integers(pair(extended(b), extended(b >> 32)));
    }
};
struct Pfrcp {
    static u64 run(u64, u64 b) {
        const u64 r = saturated(divide(kOnes, pair(b, b)));
        return pair(r, r);
    }
};
struct Pfrsqrt {
    static u64 run(u64, u64 b) {
        const u64 low = pair(b, b);
        const u64 r = saturated(divide(kOnes, root(low & kMagnitude)));
        return pair(r, r) | (low & ~kMagnitude);
    }
};
struct Pmulhrw {
    static u64 run(u64 a, u64 b) {
        u64 r = 0;
        for (unsigned n = 0; n < 64; n += 16) {
            const i32 product = static_cast<i32>(static_cast<i16>(a >> n)) * static_cast<i16>(b >> n);
            r |= static_cast<u64>(static_cast<u32>(product + 0x8000) >> 16 & 0xffffu) << n;
        }
        return r;
    }
};
struct Pavgusb {
    static u64 run(u64 a, u64 b) { return low64(_mm_avg_epu8(vec(a), vec(b))); }
};

template <class Op>
void apply(FpuState& fpu, const FpuInsn& insn, u64 source) {
    Float80& d = fpu.regs[insn.opcode >> 3 & 7u];
    fpu.top = 0;
    fpu.in_use = 0xff;
    d.mantissa = Op::run(d.mantissa, source);
    d.sign_exponent = 0xffff;
}
template <class Op>
void registers(FpuState& fpu, FpuInsn& insn, const FpuMem&) {
    apply<Op>(fpu, insn, fpu.regs[insn.opcode & 7u].mantissa);
}
template <class Op>
void memory(FpuState& fpu, FpuInsn& insn, const FpuMem& mem) {
    apply<Op>(fpu, insn, mem.read64(mem.ctx, insn.address));
}
template <class Op>
constexpr MmxExtension entry(u8 suffix, Feature feature = Feature::k3dnow) {
    return {kMmx3dnow, suffix, feature, 0, registers<Op>, memory<Op>};
}
constexpr MmxExtension kEntries[] = {
    entry<Pi2fw>(0x0c, Feature::k3dnowExtensions),
    entry<Pi2fd>(0x0d),
    entry<Pf2iw>(0x1c, Feature::k3dnowExtensions),
    entry<Pf2id>(0x1d),
    entry<Pfnacc>(0x8a, Feature::k3dnowExtensions),
    entry<Pfpnacc>(0x8e, Feature::k3dnowExtensions),
    entry<Pfcmpge>(0x90),
    entry<Pfmin>(0x94),
    entry<Pfrcp>(0x96),
    entry<Pfrsqrt>(0x97),
    entry<Pfsub>(0x9a),
    entry<Pfadd>(0x9e),
    entry<Pfcmpgt>(0xa0),
    entry<Pfmax>(0xa4),
    entry<Pfrcpit2>(0xa6),  // PFRCPIT1
    entry<Pfrcpit2>(0xa7),  // PFRSQIT1
    entry<Pfsubr>(0xaa),
    entry<Pfacc>(0xae),
    entry<Pfcmpeq>(0xb0),
    entry<Pfmul>(0xb4),
    entry<Pfrcpit2>(0xb6),
    entry<Pmulhrw>(0xb7),
    entry<Pswapd>(0xbb, Feature::k3dnowExtensions),
    entry<Pavgusb>(0xbf),
};

}  // namespace

std::span<const MmxExtension> mmx_3dnow() { return kEntries; }

}  // namespace backplane::interp
