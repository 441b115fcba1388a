// x87 transcendental and single-operand arithmetic: FSQRT, FRNDINT, FSCALE,
// FPREM, FXTRACT, FSIN ... FYL2XP1 (SDM vol. 1, 8.3.5 and 8.3.7).
#include "fpu_host.hpp"

namespace backplane::interp::x87 {
namespace {

// One operand, one result.
#define BP_X87_UNARY(NAME, INSTRUCTION)                                                             \
    struct NAME {                                                                                   \
        template <bool Exact>                                                                       \
        static std::uint16_t run(Float80& r, const Float80& a) {                                    \
            BP_X87_BODY(Exact, "fldt %[a]\n\t" INSTRUCTION, "fstpt %[r]", [r] "=m"(r), [a] "m"(a)); \
        }                                                                                           \
    }
// Two operands; the result replaces ST(0), ST(1) stays.
#define BP_X87_KEEP(NAME, INSTRUCTION)                                                      \
    struct NAME {                                                                           \
        template <bool Exact>                                                               \
        static std::uint16_t run(Float80& r, const Float80& a, const Float80& b) {          \
            BP_X87_BODY(Exact, "fldt %[b]\n\tfldt %[a]\n\t" INSTRUCTION,                    \
                        "fstpt %[r]\n\tfstp %%st(0)", [r] "=m"(r), [a] "m"(a), [b] "m"(b)); \
        }                                                                                   \
    }
// Two operands, the result replaces both; an unmasked exception keeps both. The
// host's TOP tells (from an empty stack: 7 after success, 6 with both kept).
#define BP_X87_REPLACE(NAME, INSTRUCTION)                                                                           \
    struct NAME {                                                                                                   \
        template <bool Exact>                                                                                       \
        static std::uint16_t run(Float80& r, const Float80& a, const Float80& b) {                                  \
            BP_X87_BODY(Exact, "fldt %[b]\n\tfldt %[a]\n\t" INSTRUCTION,                                            \
                        "fstpt %[r]\n\ttestl $0x800, %%eax\n\tjnz 1f\n\tfstp %%st(0)\n1:", [r] "=m"(r), [a] "m"(a), \
                        [b] "m"(b));                                                                                \
        }                                                                                                           \
    }
// One operand, two results, or one if the operand was out of range (C2) or an
// unmasked exception was found (TOP 6 and 7). `top` is the new ST(0).
#define BP_X87_PUSH(NAME, INSTRUCTION)                                                                      \
    struct NAME {                                                                                           \
        template <bool Exact>                                                                               \
        static std::uint16_t run(Float80 (&r)[2], const Float80& a) {                                       \
            BP_X87_BODY(Exact, "fldt %[a]\n\t" INSTRUCTION,                                                 \
                        "fstpt (%[p])\n\ttestl $0x800, %%eax\n\tjnz 1f\n\tfstpt 16(%[p])\n1:", [r] "=m"(r), \
                        [a] "m"(a), [p] "r"(&r));                                                           \
        }                                                                                                   \
    }

BP_X87_UNARY(Sqrt, "fsqrt");
BP_X87_UNARY(RoundToInteger, "frndint");
BP_X87_UNARY(TwoToXMinus1, "f2xm1");
BP_X87_UNARY(Sin, "fsin");
BP_X87_UNARY(Cos, "fcos");
BP_X87_KEEP(Scale, "fscale");
BP_X87_KEEP(Remainder, "fprem");
BP_X87_KEEP(RemainderIeee, "fprem1");
BP_X87_REPLACE(YLog2X, "fyl2x");
BP_X87_REPLACE(YLog2XPlus1, "fyl2xp1");
BP_X87_REPLACE(ArcTan, "fpatan");
BP_X87_PUSH(Tan, "fptan");
BP_X87_PUSH(SinCos, "fsincos");
BP_X87_PUSH(Extract, "fxtract");

inline bool is_nan(const Float80& value) {
    return (value.sign_exponent & 0x7fffu) == 0x7fff && (value.mantissa << 1) != 0;
}

constexpr std::uint16_t kRange = kFpuC1 | kFpuC2;              // C2: operand out of range
constexpr std::uint16_t kQuotient = kFpuC1 | kConditionCodes;  // C2: incomplete; C0 C3 C1: quotient
constexpr std::uint16_t kQuotientBits = kFpuC0 | kFpuC3;       // kept when the result is a NaN

// A stack fault also says "not incomplete" where C2 means that.
template <std::uint16_t Codes>
inline bool operand_fault(FpuState& fpu, bool overflow) {
    replace_sw(fpu, Codes & kFpuC2, 0);
    return stack_fault(fpu, overflow);
}

template <typename Op, std::uint16_t Codes>
void unary(FpuState& fpu, FpuInsn& insn, const FpuMem&) {
    record(fpu, insn);
    if (is_empty(fpu, 0)) [[unlikely]] {
        if (operand_fault<Codes>(fpu, false)) set_st(fpu, 0, kIndefinite);
        return;
    }
    Float80 result;
    const Float80& a = st(fpu, 0);
    const std::uint16_t status =
        host_run(fpu, [&](auto exact) { return Op::template run<decltype(exact)::value>(result, a); });
    if (commit(fpu, status, Codes)) st(fpu, 0) = result;
}

template <typename Op, std::uint16_t Codes, bool Replace>
void binary(FpuState& fpu, FpuInsn& insn, const FpuMem&) {
    constexpr unsigned kTo = Replace ? 1 : 0;
    record(fpu, insn);
    if (is_empty(fpu, 0) || is_empty(fpu, 1)) [[unlikely]] {
        if (!operand_fault<Codes>(fpu, false)) return;
        set_st(fpu, kTo, kIndefinite);
    } else {
        Float80 result;
        const Float80& a = st(fpu, 0);
        const Float80& b = st(fpu, 1);
        const std::uint16_t status =
            host_run(fpu, [&](auto exact) { return Op::template run<decltype(exact)::value>(result, a, b); });
        const bool done = commit(fpu, status, Codes & ~kQuotientBits);
        if (!done) return;
        if (Codes & kQuotientBits && !is_nan(result)) replace_sw(fpu, Codes & kQuotientBits, status);
        st(fpu, kTo) = result;
    }
    if constexpr (Replace) pop(fpu);
}

template <typename Op, std::uint16_t Codes>
void pushing(FpuState& fpu, FpuInsn& insn, const FpuMem&) {
    record(fpu, insn);
    const bool underflow = is_empty(fpu, 0);
    if (underflow || !is_empty(fpu, 7)) [[unlikely]] {
        if (!operand_fault<Codes>(fpu, !underflow)) return;
        set_st(fpu, 0, kIndefinite);
        push(fpu, kIndefinite);
        return;
    }
    Float80 result[2];
    const Float80& a = st(fpu, 0);
    const std::uint16_t status =
        host_run(fpu, [&](auto exact) { return Op::template run<decltype(exact)::value>(result, a); });
    commit(fpu, status, Codes);
    const bool pushed = (status & kFpuTopMask) == (6u << kFpuTopShift);
    if (pushed) {
        st(fpu, 0) = result[1];
        push(fpu, result[0]);
    }
}

}  // namespace

FpuEntry lookup_transcendental(unsigned opcode, unsigned modrm) noexcept {
    if (opcode != 0xd9) return {};
    switch (modrm) {
        case 0xf0: return {unary<TwoToXMinus1, kFpuC1>, kFpuWaits};
        case 0xf1: return {binary<YLog2X, kFpuC1, true>, kFpuWaits};
        case 0xf2: return {pushing<Tan, kRange>, kFpuWaits};
        case 0xf3: return {binary<ArcTan, kFpuC1, true>, kFpuWaits};
        case 0xf4: return {pushing<Extract, kFpuC1>, kFpuWaits};
        case 0xf5: return {binary<RemainderIeee, kQuotient, false>, kFpuWaits};
        case 0xf8: return {binary<Remainder, kQuotient, false>, kFpuWaits};
        case 0xf9: return {binary<YLog2XPlus1, kFpuC1, true>, kFpuWaits};
        case 0xfa: return {unary<Sqrt, kFpuC1>, kFpuWaits};
        case 0xfb: return {pushing<SinCos, kRange>, kFpuWaits};
        case 0xfc: return {unary<RoundToInteger, kFpuC1>, kFpuWaits};
        case 0xfd: return {binary<Scale, kFpuC1, false>, kFpuWaits};
        case 0xfe: return {unary<Sin, kRange>, kFpuWaits};
        case 0xff: return {unary<Cos, kRange>, kFpuWaits};
        default: return {};
    }
}

}  // namespace backplane::interp::x87
