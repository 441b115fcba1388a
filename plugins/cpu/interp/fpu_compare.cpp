// x87 comparisons and classification: FCOM, FUCOM, FCOMI, FUCOMI, FICOM, FTST,
// FXAM (SDM vol. 1, 8.3.6).
#include "fpu_host.hpp"

namespace backplane::interp::x87 {
namespace {

constexpr std::uint32_t kEflagsCf = 0x0001;
constexpr std::uint32_t kEflagsPf = 0x0004;
constexpr std::uint32_t kEflagsZf = 0x0040;
constexpr std::uint32_t kEflagsArithmetic = 0x08d5;  // OF SF ZF AF PF CF

// In the Exact form FNCLEX runs first, so the operands can be dropped safely.
#define BP_X87_COMPARE(NAME, INSTRUCTION)                                                          \
    struct NAME {                                                                                  \
        template <bool Exact>                                                                      \
        static std::uint16_t run(const Float80& a, const Float80& b) {                             \
            std::uint16_t unused;                                                                  \
            BP_X87_BODY(Exact, "fldt %[b]\n\tfldt %[a]\n\t" INSTRUCTION " %%st(1)",                \
                        "fstp %%st(0)\n\tfstp %%st(0)", [u] "=m"(unused), [a] "m"(a), [b] "m"(b)); \
        }                                                                                          \
    }
#define BP_X87_COMPARE_MEMORY(NAME, INSTRUCTION, TYPE)                                                                 \
    struct NAME {                                                                                                      \
        template <bool Exact>                                                                                          \
        static std::uint16_t run(const Float80& a, TYPE b) {                                                           \
            std::uint16_t unused;                                                                                      \
            BP_X87_BODY(Exact, "fldt %[a]\n\t" INSTRUCTION, "fstp %%st(0)", [u] "=m"(unused), [a] "m"(a), [b] "m"(b)); \
        }                                                                                                              \
    }

BP_X87_COMPARE(Ordered, "fcom");
BP_X87_COMPARE(Unordered, "fucom");
BP_X87_COMPARE_MEMORY(CompareF32, "fcoms %[b]", std::uint32_t);
BP_X87_COMPARE_MEMORY(CompareF64, "fcoml %[b]", std::uint64_t);
BP_X87_COMPARE_MEMORY(CompareI16, "ficoms %[b]", std::uint16_t);
BP_X87_COMPARE_MEMORY(CompareI32, "ficoml %[b]", std::uint32_t);
BP_X87_COMPARE_MEMORY(CompareZero, "ftst", std::uint16_t);

template <unsigned Pops>
inline void pop_n(FpuState& fpu) {
    for (unsigned n = 0; n < Pops; ++n) pop(fpu);
}

// Compares through the status word. Condition codes are set and operands popped
// only if no unmasked exception was found (SDM vol. 2, FCOM, note to table 3-20).
template <typename Op, unsigned Pops, typename Operand>
inline void compare(FpuState& fpu, const Operand& b) {
    const Float80& a = st(fpu, 0);
    const std::uint16_t status =
        host_run<0>(fpu, [&](auto exact) { return Op::template run<decltype(exact)::value>(a, b); });
    if (!commit(fpu, status)) return;
    replace_sw(fpu, kConditionCodes, status);
    pop_n<Pops>(fpu);
}

// Masked stack underflow compares as unordered.
template <unsigned Pops>
inline void compare_underflow(FpuState& fpu) {
    if (!stack_underflow(fpu)) return;
    replace_sw(fpu, kConditionCodes, kConditionCodes);
    pop_n<Pops>(fpu);
}

template <typename Op, unsigned Pops>
void compare_register(FpuState& fpu, FpuInsn& insn, const FpuMem&) {
    const unsigned i = insn.opcode & 7u;
    record(fpu, insn);
    if (is_empty(fpu, 0) || is_empty(fpu, i)) [[unlikely]] {
        compare_underflow<Pops>(fpu);
        return;
    }
    compare<Op, Pops>(fpu, st(fpu, i));
}

template <typename Op, unsigned Pops, typename Operand>
inline void compare_memory(FpuState& fpu, FpuInsn& insn, Operand b) {
    record_memory(fpu, insn);
    if (is_empty(fpu, 0)) [[unlikely]] {
        compare_underflow<Pops>(fpu);
        return;
    }
    compare<Op, Pops>(fpu, b);
}
template <unsigned Pops>
void compare_f32(FpuState& fpu, FpuInsn& insn, const FpuMem& mem) {
    compare_memory<CompareF32, Pops>(fpu, insn, mem.read32(mem.ctx, insn.address));
}
template <unsigned Pops>
void compare_f64(FpuState& fpu, FpuInsn& insn, const FpuMem& mem) {
    compare_memory<CompareF64, Pops>(fpu, insn, mem.read64(mem.ctx, insn.address));
}
template <unsigned Pops>
void compare_i16(FpuState& fpu, FpuInsn& insn, const FpuMem& mem) {
    compare_memory<CompareI16, Pops>(fpu, insn, mem.read16(mem.ctx, insn.address));
}
template <unsigned Pops>
void compare_i32(FpuState& fpu, FpuInsn& insn, const FpuMem& mem) {
    compare_memory<CompareI32, Pops>(fpu, insn, mem.read32(mem.ctx, insn.address));
}

void ftst(FpuState& fpu, FpuInsn& insn, const FpuMem&) {
    record(fpu, insn);
    if (is_empty(fpu, 0)) [[unlikely]] {
        compare_underflow<0>(fpu);
        return;
    }
    compare<CompareZero, 0>(fpu, std::uint16_t{0});
}

// FCOMI family: the result goes to ZF, PF and CF; OF, SF and AF are cleared.
template <typename Op, unsigned Pops>
void compare_eflags(FpuState& fpu, FpuInsn& insn, const FpuMem&) {
    const unsigned i = insn.opcode & 7u;
    std::uint16_t codes = kConditionCodes;
    record(fpu, insn);
    if (is_empty(fpu, 0) || is_empty(fpu, i)) [[unlikely]] {
        if (!stack_underflow(fpu)) return;
    } else {
        const Float80& a = st(fpu, 0);
        const Float80& b = st(fpu, i);
        codes = host_run<0>(fpu, [&](auto exact) { return Op::template run<decltype(exact)::value>(a, b); });
        if (!commit(fpu, codes)) return;
    }
    insn.eflags = (insn.eflags & ~kEflagsArithmetic) | ((codes & kFpuC0) != 0 ? kEflagsCf : 0) |
                  ((codes & kFpuC2) != 0 ? kEflagsPf : 0) | ((codes & kFpuC3) != 0 ? kEflagsZf : 0);
    pop_n<Pops>(fpu);
}

// FXAM looks at empty registers too and raises nothing; C1 is the sign.
void fxam(FpuState& fpu, FpuInsn& insn, const FpuMem&) {
    record(fpu, insn);
    const Float80& value = st(fpu, 0);
    const unsigned exponent = value.sign_exponent & 0x7fffu;
    const bool integer_bit = (value.mantissa >> 63) != 0;
    unsigned codes;
    if (is_empty(fpu, 0)) {
        codes = kFpuC3 | kFpuC0;
    } else if (exponent == 0) {
        codes = value.mantissa == 0 ? kFpuC3 : kFpuC3 | kFpuC2;
    } else if (!integer_bit) {
        codes = 0;  // unsupported encoding
    } else if (exponent == 0x7fff) {
        codes = (value.mantissa << 1) == 0 ? kFpuC2 | kFpuC0 : unsigned{kFpuC0};
    } else {
        codes = kFpuC2;
    }
    if ((value.sign_exponent & 0x8000u) != 0) codes |= kFpuC1;
    replace_sw(fpu, kConditionCodes | kFpuC1, static_cast<std::uint16_t>(codes));
}

FpuEntry memory_entry(unsigned opcode, bool with_pop) {
    const std::uint8_t traits = kFpuWaits | kFpuMemory;
    switch (opcode) {
        case 0xd8: return {with_pop ? compare_f32<1> : compare_f32<0>, traits};
        case 0xda: return {with_pop ? compare_i32<1> : compare_i32<0>, traits};
        case 0xdc: return {with_pop ? compare_f64<1> : compare_f64<0>, traits};
        case 0xde: return {with_pop ? compare_i16<1> : compare_i16<0>, traits};
        default: return {};
    }
}

}  // namespace

FpuEntry lookup_compare(unsigned opcode, unsigned modrm) noexcept {
    const unsigned row = modrm & 0xf8;
    if (modrm < 0xc0) {
        const unsigned reg = (modrm >> 3) & 7u;
        return reg == 2 || reg == 3 ? memory_entry(opcode, reg == 3) : FpuEntry{};
    }
    constexpr std::uint8_t kFlags = kFpuWaits | kFpuWritesFlags;
    switch (opcode) {
        case 0xd8:
        case 0xdc:  // DC D0+i and DC D8+i: FCOM2 and FCOMP3, undocumented aliases
            if (row == 0xd0) return {compare_register<Ordered, 0>, kFpuWaits};
            if (row == 0xd8) return {compare_register<Ordered, 1>, kFpuWaits};
            break;
        case 0xd9:
            if (modrm == 0xe4) return {ftst, kFpuWaits};
            if (modrm == 0xe5) return {fxam, kFpuWaits};
            break;
        case 0xda:
            if (modrm == 0xe9) return {compare_register<Unordered, 2>, kFpuWaits};
            break;
        case 0xdb:
            if (row == 0xe8) return {compare_eflags<Unordered, 0>, kFlags};
            if (row == 0xf0) return {compare_eflags<Ordered, 0>, kFlags};
            break;
        case 0xdd:
            if (row == 0xe0) return {compare_register<Unordered, 0>, kFpuWaits};
            if (row == 0xe8) return {compare_register<Unordered, 1>, kFpuWaits};
            break;
        case 0xde:
            if (row == 0xd0) return {compare_register<Ordered, 1>, kFpuWaits};  // FCOMP5, undocumented alias
            if (modrm == 0xd9) return {compare_register<Ordered, 2>, kFpuWaits};
            break;
        case 0xdf:
            if (row == 0xe8) return {compare_eflags<Unordered, 1>, kFlags};
            if (row == 0xf0) return {compare_eflags<Ordered, 1>, kFlags};
            break;
        default: break;
    }
    return {};
}

}  // namespace backplane::interp::x87
