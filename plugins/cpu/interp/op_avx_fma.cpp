// FMA3: the host's own instructions if it has them, else soft_float.cpp.
#include <cpuid.h>
#include <cstring>
#include <span>

#include "soft_float.hpp"
#include "vex_ops.hpp"

namespace backplane::interp {
namespace {

bool host_has_fma() {
    static const bool kHas = [] {
        unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
        return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 &&
               (ecx & (1u << 12 | 1u << 27 | 1u << 28)) == (1u << 12 | 1u << 27 | 1u << 28);
    }();
    return kHas;
}

// Destination, VEX.vvvv, r/m: the order in which the first NaN is looked for is that of the instruction's form.
#define BP_FMA_STRUCT(OPCODE, NAME, TEXT, FLOAT)                     \
    struct NAME {                                                    \
        static constexpr Fp kFloat = Fp::FLOAT;                      \
        static constexpr u32 kOpcode = OPCODE;                       \
        [[gnu::always_inline]] static Vec run(Vec d, Vec b, Vec c) { \
            asm(TEXT " %2, %1, %0" : "+x"(d) : "x"(b), "x"(c));      \
            return d;                                                \
        }                                                            \
    };
#define BP_FMA_FORMS(OPCODE, NAME, TEXT, SUFFIX, FLOAT)                        \
    BP_FMA_STRUCT(0x90 + OPCODE, NAME##132##SUFFIX, TEXT "132" #SUFFIX, FLOAT) \
    BP_FMA_STRUCT(0xa0 + OPCODE, NAME##213##SUFFIX, TEXT "213" #SUFFIX, FLOAT) \
    BP_FMA_STRUCT(0xb0 + OPCODE, NAME##231##SUFFIX, TEXT "231" #SUFFIX, FLOAT)
#define BP_FMA_PACKED(OPCODE, NAME, TEXT)          \
    BP_FMA_FORMS(OPCODE, NAME, TEXT, ps, kSingles) \
    BP_FMA_FORMS(OPCODE, NAME, TEXT, pd, kDoubles)
#define BP_FMA_ALL(OPCODE, NAME, TEXT)                \
    BP_FMA_PACKED(OPCODE, NAME, TEXT)                 \
    BP_FMA_FORMS(OPCODE + 1, NAME, TEXT, ss, kSingle) \
    BP_FMA_FORMS(OPCODE + 1, NAME, TEXT, sd, kDouble)
BP_FMA_PACKED(6, Vfmaddsub, "vfmaddsub")
BP_FMA_PACKED(7, Vfmsubadd, "vfmsubadd")
BP_FMA_ALL(8, Vfmadd, "vfmadd")
BP_FMA_ALL(0xa, Vfmsub, "vfmsub")
BP_FMA_ALL(0xc, Vfnmadd, "vfnmadd")
BP_FMA_ALL(0xe, Vfnmsub, "vfnmsub")

template <class Op>
constexpr bool kScalarFma = Op::kFloat == Fp::kSingle || Op::kFloat == Fp::kDouble;
template <class Op, bool kWide>
constexpr u32 kFmaBytes = kWide                       ? 32
                          : Op::kFloat == Fp::kSingle ? 4
                          : Op::kFloat == Fp::kDouble ? 8
                                                      : 16;

template <class Op, bool kWide>
[[gnu::always_inline]] inline Halves fused(Cpu* c, const Insn* i, const u8* p) {
    constexpr u32 kBytes = kFmaBytes<Op, kWide>;
    Halves r{Op::run(half(c, i->dst, 0), half(c, i->extra, 0), load_vec < kBytes == 32 ? 16 : kBytes > (p)),
             _mm_setzero_si128()};
    if constexpr (kWide) r.high = Op::run(half(c, i->dst, 1), half(c, i->extra, 1), load_vec<16>(p + 16));
    return r;
}
template <class Op, bool kWide>
[[gnu::noinline]] void fma_general(Cpu* c, const Insn* i) {
    vex_require(c);
    constexpr u32 kBytes = kFmaBytes<Op, kWide>;
    u8 buffer[kBytes];
    const u8* p = vex_operand(c, i, kBytes, buffer);
    Halves r;
    if ((c->sse.vex_slow & kSseUnmasked) != 0) {
        sse_begin_exact(c);
        asm volatile("" : : : "memory");  // the operands are read behind it
        r = fused<Op, kWide>(c, i, p);
        asm volatile("" : "+x"(r.low), "+x"(r.high));
        u32 flags = sse_flags(c, any_tiny<Op::kFloat>(r.low) || (kWide && any_tiny<Op::kFloat>(r.high)));
        if (sse_raises_for_result(c, flags)) {
            constexpr bool kDoubles = Op::kFloat == Fp::kDouble || Op::kFloat == Fp::kDoubles;
            VectorRegister d = *reinterpret_cast<const VectorRegister*>(&half(c, i->dst, 0));
            flags = soft_fma(Op::kOpcode, kDoubles, c->sse.mxcsr, d.bytes,
                             reinterpret_cast<const u8*>(&half(c, i->extra, 0)), p, kBytes / (kDoubles ? 8 : 4));
        }
        sse_raise(c, flags);
    } else {
        r = fused<Op, kWide>(c, i, p);
    }
    put_vex(c, i, r.low, r.high);
}
template <class Op, bool kWide>
void fma(Cpu* c, Insn* i) {
    const u8* p = vex_place<kFmaBytes<Op, kWide>>(c, i);
    if (c->sse.vex_slow != 0 || p == nullptr) [[unlikely]]
        return vex_body<fma_general<Op, kWide>>(c, i);
    const Halves r = fused<Op, kWide>(c, i, p);
    put_vex(c, i, r.low, r.high);
    return next(c, i);
}

// Without the host's: any of them, by opcode and VEX.W in the immediate.
template <bool kWide>
[[gnu::noinline]] void soft_general(Cpu* c, const Insn* i) {
    vex_require(c);
    const u32 opcode = i->imm & 0xffu;
    const bool doubles = (i->imm & 0x100u) != 0;
    const bool scalar = (opcode & 0xfu) >= 8 && (opcode & 1u) != 0;
    const u32 size = doubles ? 8 : 4;
    const u32 bytes = scalar ? size : kWide ? 32 : 16;
    alignas(16) u8 buffer[32];
    const u8* p = vex_operand(c, i, bytes, buffer);
    VectorRegister r{};
    std::memcpy(r.bytes, &half(c, i->dst, 0), scalar || !kWide ? 16 : 32);
    const u32 flags = soft_fma(opcode, doubles, mxcsr_value(c), r.bytes,
                               reinterpret_cast<const u8*>(&half(c, i->extra, 0)), p, bytes / size);
    sse_add_flags(c, flags);
    std::memcpy(&half(c, i->dst, 0), r.bytes, 32);
}
Handler pick_soft(const SseChoice& s) { return s.vex_l ? vex_body<soft_general<true>> : vex_body<soft_general<false>>; }

template <class Single, class Double>
Handler pick_fma(const SseChoice& s) {
    if (!host_has_fma()) return pick_soft(s);
    constexpr bool kScalar = kScalarFma<Single>;
    if (s.wide) return s.vex_l && !kScalar ? fma<Double, !kScalar> : fma<Double, false>;
    return s.vex_l && !kScalar ? fma<Single, !kScalar> : fma<Single, false>;
}

#define BP_FMA_ENTRY(OPCODE, SINGLE, DOUBLE) \
    {sse_key(kMap38, k66, OPCODE), Feature::kFma, 0, kVexSecond | kVexOperation, pick_fma<SINGLE, DOUBLE>},
#define BP_FMA_PACKED_ENTRIES(OPCODE, NAME)               \
    BP_FMA_ENTRY(0x90 + OPCODE, NAME##132ps, NAME##132pd) \
    BP_FMA_ENTRY(0xa0 + OPCODE, NAME##213ps, NAME##213pd) \
    BP_FMA_ENTRY(0xb0 + OPCODE, NAME##231ps, NAME##231pd)
#define BP_FMA_ENTRIES(OPCODE, NAME)                      \
    BP_FMA_PACKED_ENTRIES(OPCODE, NAME)                   \
    BP_FMA_ENTRY(0x91 + OPCODE, NAME##132ss, NAME##132sd) \
    BP_FMA_ENTRY(0xa1 + OPCODE, NAME##213ss, NAME##213sd) \
    BP_FMA_ENTRY(0xb1 + OPCODE, NAME##231ss, NAME##231sd)
constexpr VexEntry kEntries[] = {
    // clang-format off
    BP_FMA_PACKED_ENTRIES(6, Vfmaddsub)
    BP_FMA_PACKED_ENTRIES(7, Vfmsubadd)
    BP_FMA_ENTRIES(8, Vfmadd)
    BP_FMA_ENTRIES(0xa, Vfmsub)
    BP_FMA_ENTRIES(0xc, Vfnmadd)
    BP_FMA_ENTRIES(0xe, Vfnmsub)
    // clang-format on
};

}  // namespace

std::span<const VexEntry> vex_fma_entries() { return kEntries; }

}  // namespace backplane::interp
