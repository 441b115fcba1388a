// x87 basic arithmetic: FADD, FMUL, FSUB, FSUBR, FDIV, FDIVR and their integer
// and popping forms (SDM vol. 1, 8.3.5).
#include <array>

#include "fpu_host.hpp"

namespace backplane::interp::x87 {
namespace {

// One operation in all its operand forms; `a` is the destination operand.
#define BP_X87_BINARY(NAME, BASE)                                                                                   \
    struct NAME {                                                                                                   \
        template <bool Exact>                                                                                       \
        static std::uint16_t run(Float80& r, const Float80& a, const Float80& b) {                                  \
            BP_X87_BODY(Exact, "fldt %[b]\n\tfldt %[a]\n\tf" BASE " %%st(1), %%st",                                 \
                        "fstpt %[r]\n\tfstp %%st(0)", [r] "=m"(r), [a] "m"(a), [b] "m"(b));                         \
        }                                                                                                           \
        template <bool Exact>                                                                                       \
        static std::uint16_t run_f32(Float80& r, const Float80& a, std::uint32_t b) {                               \
            BP_X87_BODY(Exact, "fldt %[a]\n\tf" BASE "s %[b]", "fstpt %[r]", [r] "=m"(r), [a] "m"(a), [b] "m"(b));  \
        }                                                                                                           \
        template <bool Exact>                                                                                       \
        static std::uint16_t run_f64(Float80& r, const Float80& a, std::uint64_t b) {                               \
            BP_X87_BODY(Exact, "fldt %[a]\n\tf" BASE "l %[b]", "fstpt %[r]", [r] "=m"(r), [a] "m"(a), [b] "m"(b));  \
        }                                                                                                           \
        template <bool Exact>                                                                                       \
        static std::uint16_t run_i16(Float80& r, const Float80& a, std::uint16_t b) {                               \
            BP_X87_BODY(Exact, "fldt %[a]\n\tfi" BASE "s %[b]", "fstpt %[r]", [r] "=m"(r), [a] "m"(a), [b] "m"(b)); \
        }                                                                                                           \
        template <bool Exact>                                                                                       \
        static std::uint16_t run_i32(Float80& r, const Float80& a, std::uint32_t b) {                               \
            BP_X87_BODY(Exact, "fldt %[a]\n\tfi" BASE "l %[b]", "fstpt %[r]", [r] "=m"(r), [a] "m"(a), [b] "m"(b)); \
        }                                                                                                           \
    }

BP_X87_BINARY(Add, "add");
BP_X87_BINARY(Mul, "mul");
BP_X87_BINARY(Sub, "sub");
BP_X87_BINARY(SubR, "subr");
BP_X87_BINARY(Div, "div");
BP_X87_BINARY(DivR, "divr");

enum class Form : std::uint8_t { kToSt0, kToSti, kToStiPop };

template <typename Op, Form F>
void arith_register(FpuState& fpu, FpuInsn& insn, const FpuMem&) {
    const unsigned i = insn.opcode & 7u;
    const unsigned to = F == Form::kToSt0 ? 0 : i;
    const unsigned from = F == Form::kToSt0 ? i : 0;
    record(fpu, insn);
    if (is_empty(fpu, 0) || is_empty(fpu, i)) [[unlikely]] {
        if (!stack_underflow(fpu)) return;
        set_st(fpu, to, kIndefinite);
    } else {
        Float80 result;
        const Float80& a = st(fpu, to);
        const Float80& b = st(fpu, from);
        const std::uint16_t status =
            host_run(fpu, [&](auto exact) { return Op::template run<decltype(exact)::value>(result, a, b); });
        if (!commit(fpu, status)) return;
        st(fpu, to) = result;
    }
    if constexpr (F == Form::kToStiPop) pop(fpu);
}

template <typename Run>
inline void arith_memory(FpuState& fpu, FpuInsn& insn, const Run& run) {
    record_memory(fpu, insn);
    if (is_empty(fpu, 0)) [[unlikely]] {
        if (stack_underflow(fpu)) set_st(fpu, 0, kIndefinite);
        return;
    }
    Float80 result;
    const Float80& a = st(fpu, 0);
    const std::uint16_t status = host_run(fpu, [&](auto exact) { return run(exact, result, a); });
    if (commit(fpu, status)) st(fpu, 0) = result;
}

template <typename Op>
void arith_f32(FpuState& fpu, FpuInsn& insn, const FpuMem& mem) {
    const std::uint32_t b = mem.read32(mem.ctx, insn.address);
    arith_memory(fpu, insn, [b](auto exact, Float80& r, const Float80& a) {
        return Op::template run_f32<decltype(exact)::value>(r, a, b);
    });
}
template <typename Op>
void arith_f64(FpuState& fpu, FpuInsn& insn, const FpuMem& mem) {
    const std::uint64_t b = mem.read64(mem.ctx, insn.address);
    arith_memory(fpu, insn, [b](auto exact, Float80& r, const Float80& a) {
        return Op::template run_f64<decltype(exact)::value>(r, a, b);
    });
}
template <typename Op>
void arith_i16(FpuState& fpu, FpuInsn& insn, const FpuMem& mem) {
    const std::uint16_t b = mem.read16(mem.ctx, insn.address);
    arith_memory(fpu, insn, [b](auto exact, Float80& r, const Float80& a) {
        return Op::template run_i16<decltype(exact)::value>(r, a, b);
    });
}
template <typename Op>
void arith_i32(FpuState& fpu, FpuInsn& insn, const FpuMem& mem) {
    const std::uint32_t b = mem.read32(mem.ctx, insn.address);
    arith_memory(fpu, insn, [b](auto exact, Float80& r, const Float80& a) {
        return Op::template run_i32<decltype(exact)::value>(r, a, b);
    });
}

// Index: modrm.reg; 2 and 3 are the comparisons.
#define BP_X87_ROW(TEMPLATE, ...)                                                                             \
    {                                                                                                         \
        TEMPLATE<Add __VA_OPT__(, ) __VA_ARGS__>, TEMPLATE<Mul __VA_OPT__(, ) __VA_ARGS__>, nullptr, nullptr, \
            TEMPLATE<Sub __VA_OPT__(, ) __VA_ARGS__>, TEMPLATE<SubR __VA_OPT__(, ) __VA_ARGS__>,              \
            TEMPLATE<Div __VA_OPT__(, ) __VA_ARGS__>, TEMPLATE<DivR __VA_OPT__(, ) __VA_ARGS__>               \
    }
using Row = std::array<FpuHandler, 8>;
constexpr Row kToSt0 = BP_X87_ROW(arith_register, Form::kToSt0);
constexpr Row kToSti = BP_X87_ROW(arith_register, Form::kToSti);
constexpr Row kToStiPop = BP_X87_ROW(arith_register, Form::kToStiPop);
constexpr Row kF32 = BP_X87_ROW(arith_f32);
constexpr Row kF64 = BP_X87_ROW(arith_f64);
constexpr Row kI16 = BP_X87_ROW(arith_i16);
constexpr Row kI32 = BP_X87_ROW(arith_i32);

}  // namespace

FpuEntry lookup_arithmetic(unsigned opcode, unsigned modrm) noexcept {
    const unsigned reg = (modrm >> 3) & 7u;
    const auto entry = [](FpuHandler handler, unsigned traits) {
        return FpuEntry{handler, static_cast<std::uint8_t>(handler != nullptr ? traits : 0)};
    };
    if (modrm < 0xc0) {
        const unsigned traits = kFpuWaits | kFpuMemory;
        switch (opcode) {
            case 0xd8: return entry(kF32[reg], traits);
            case 0xda: return entry(kI32[reg], traits);
            case 0xdc: return entry(kF64[reg], traits);
            case 0xde: return entry(kI16[reg], traits);
            default: return {};
        }
    }
    // With ST(i) as destination, /4 and /5 as well as /6 and /7 trade places:
    // DC E8+i is FSUB ST(i), ST(0).
    const unsigned swapped = reg >= 4 ? reg ^ 1u : reg;
    switch (opcode) {
        case 0xd8: return entry(kToSt0[reg], kFpuWaits);
        case 0xdc: return entry(kToSti[swapped], kFpuWaits);
        case 0xde: return entry(kToStiPop[swapped], kFpuWaits);
        default: return {};
    }
}

}  // namespace backplane::interp::x87
