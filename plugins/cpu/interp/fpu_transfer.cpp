// x87 data transfer with memory: FLD, FST, FILD, FIST, FBLD, FBSTP (SDM vol. 1,
// 8.3.3).
#include <bit>

#include "fpu_host.hpp"

namespace backplane::interp::x87 {
namespace {

constexpr std::uint16_t kSign = 0x8000;

// ---- loads ----

// Host conversions of m32real and m64real. An unmasked invalid operation
// pushes nothing (TOP stays 0 instead of 7), so there is nothing to pop then.
// An unmasked denormal operand is pushed all the same.
#define BP_X87_LOAD(NAME, INSTRUCTION, TYPE)                                                        \
    struct NAME {                                                                                   \
        template <bool Exact>                                                                       \
        static std::uint16_t run(Float80& r, TYPE a) {                                              \
            BP_X87_BODY(Exact, INSTRUCTION " %[a]",                                                 \
                        "testl $0x800, %%eax\n\tjz 1f\n\tfstpt %[r]\n1:", [r] "+m"(r), [a] "m"(a)); \
        }                                                                                           \
    }
BP_X87_LOAD(LoadF32, "flds", std::uint32_t);
BP_X87_LOAD(LoadF64, "fldl", std::uint64_t);

// Denormals (#D), infinities and NaNs (#I if signalling) go to the host.
template <typename Op, typename T>
[[gnu::noinline]] void load_special(FpuState& fpu, T bits) {
    if (!is_empty(fpu, 7)) {
        if (stack_overflow(fpu)) push(fpu, kIndefinite);
        return;
    }
    Float80 result;
    const std::uint16_t status =
        host_run<0>(fpu, [&](auto exact) { return Op::template run<decltype(exact)::value>(result, bits); });
    if (commit(fpu, status, kFpuC1, kFpuInvalid)) push(fpu, result);
}

void fld_f32(FpuState& fpu, FpuInsn& insn, const FpuMem& mem) {
    const std::uint32_t bits = mem.read32(mem.ctx, insn.address);
    record_memory(fpu, insn);
    const std::uint32_t exponent = (bits >> 23) & 0xffu;
    const std::uint32_t sign = (bits >> 16) & kSign;
    if (exponent - 1 < 0xfe) [[likely]] {
        const std::uint64_t mantissa = (std::uint64_t{1} << 63) | (std::uint64_t{bits & 0x7fffffu} << 40);
        push_checked(fpu, {mantissa, static_cast<std::uint16_t>(sign | (exponent + (16383 - 127)))});
    } else if ((bits << 1) == 0) {
        push_checked(fpu, {0, static_cast<std::uint16_t>(sign)});
    } else {
        load_special<LoadF32>(fpu, bits);
    }
}

void fld_f64(FpuState& fpu, FpuInsn& insn, const FpuMem& mem) {
    const std::uint64_t bits = mem.read64(mem.ctx, insn.address);
    record_memory(fpu, insn);
    const auto exponent = static_cast<std::uint32_t>((bits >> 52) & 0x7ffu);
    const auto sign = static_cast<std::uint32_t>((bits >> 48) & kSign);
    if (exponent - 1 < 0x7fe) [[likely]] {
        const std::uint64_t mantissa = (std::uint64_t{1} << 63) | ((bits << 12) >> 1);
        push_checked(fpu, {mantissa, static_cast<std::uint16_t>(sign | (exponent + (16383 - 1023)))});
    } else if ((bits << 1) == 0) {
        push_checked(fpu, {0, static_cast<std::uint16_t>(sign)});
    } else {
        load_special<LoadF64>(fpu, bits);
    }
}

void fld_f80(FpuState& fpu, FpuInsn& insn, const FpuMem& mem) {
    Float80 value;
    value.mantissa = mem.read64(mem.ctx, insn.address);
    value.sign_exponent = mem.read16(mem.ctx, insn.address + 8);
    record_memory(fpu, insn);
    push_checked(fpu, value);
}

Float80 from_integer(std::int64_t value) {
    if (value == 0) return {0, 0};
    const bool negative = value < 0;
    const std::uint64_t magnitude =
        negative ? std::uint64_t{0} - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
    const int shift = std::countl_zero(magnitude);
    return {magnitude << shift, static_cast<std::uint16_t>((negative ? kSign : 0) | (16383 + 63 - shift))};
}

void fild_i16(FpuState& fpu, FpuInsn& insn, const FpuMem& mem) {
    const auto value = static_cast<std::int16_t>(mem.read16(mem.ctx, insn.address));
    record_memory(fpu, insn);
    push_checked(fpu, from_integer(value));
}
void fild_i32(FpuState& fpu, FpuInsn& insn, const FpuMem& mem) {
    const auto value = static_cast<std::int32_t>(mem.read32(mem.ctx, insn.address));
    record_memory(fpu, insn);
    push_checked(fpu, from_integer(value));
}
void fild_i64(FpuState& fpu, FpuInsn& insn, const FpuMem& mem) {
    const auto value = static_cast<std::int64_t>(mem.read64(mem.ctx, insn.address));
    record_memory(fpu, insn);
    push_checked(fpu, from_integer(value));
}

void fbld(FpuState& fpu, FpuInsn& insn, const FpuMem& mem) {
    Float80 bcd;  // same shape as a register: 8 + 2 bytes
    bcd.mantissa = mem.read64(mem.ctx, insn.address);
    bcd.sign_exponent = mem.read16(mem.ctx, insn.address + 8);
    Float80 value;
    __asm__ volatile("fbld %[b]\n\tfstpt %[v]" : [v] "=m"(value) : [b] "m"(bcd) : BP_X87_CLOBBERS);
    record_memory(fpu, insn);
    push_checked(fpu, value);
}

// ---- stores ----

#define BP_X87_STORE(NAME, INSTRUCTION, TYPE)                                                                 \
    struct NAME {                                                                                             \
        using Type = TYPE;                                                                                    \
        template <bool Exact>                                                                                 \
        static std::uint16_t run(TYPE& r, const Float80& a) {                                                 \
            BP_X87_BODY(Exact, "fldt %[a]\n\t" INSTRUCTION " %[r]", "fstp %%st(0)", [r] "=m"(r), [a] "m"(a)); \
        }                                                                                                     \
    }
// Instructions that only exist with a pop: an unmasked exception keeps the
// operand (TOP 7), otherwise the host stack is empty (TOP 0).
#define BP_X87_STORE_POP(NAME, INSTRUCTION, TYPE)                                                     \
    struct NAME {                                                                                     \
        using Type = TYPE;                                                                            \
        template <bool Exact>                                                                         \
        static std::uint16_t run(TYPE& r, const Float80& a) {                                         \
            BP_X87_BODY(Exact, "fldt %[a]\n\t" INSTRUCTION " %[r]",                                   \
                        "testl $0x800, %%eax\n\tjz 1f\n\tfstp %%st(0)\n1:", [r] "=m"(r), [a] "m"(a)); \
        }                                                                                             \
    }
BP_X87_STORE(StoreF32, "fsts", std::uint32_t);
BP_X87_STORE(StoreF64, "fstl", std::uint64_t);
BP_X87_STORE(StoreI16, "fists", std::uint16_t);
BP_X87_STORE(StoreI32, "fistl", std::uint32_t);
BP_X87_STORE_POP(StoreI64, "fistpll", std::uint64_t);
BP_X87_STORE_POP(StoreBcd, "fbstp", Float80);
// FISTTP, of SSE3: the decoder asks whether the model has it.
BP_X87_STORE_POP(TruncateI16, "fisttps", std::uint16_t);
BP_X87_STORE_POP(TruncateI32, "fisttpl", std::uint32_t);
BP_X87_STORE_POP(TruncateI64, "fisttpll", std::uint64_t);

inline void write(const FpuMem& mem, std::uint64_t address, std::uint16_t value) {
    mem.write16(mem.ctx, address, value);
}
inline void write(const FpuMem& mem, std::uint64_t address, std::uint32_t value) {
    mem.write32(mem.ctx, address, value);
}
inline void write(const FpuMem& mem, std::uint64_t address, std::uint64_t value) {
    mem.write64(mem.ctx, address, value);
}
inline void write(const FpuMem& mem, std::uint64_t address, const Float80& value) {
    mem.write64(mem.ctx, address, value.mantissa);
    mem.write16(mem.ctx, address + 8, value.sign_exponent);
}

// Masked response to storing an empty register: the indefinite of the format.
template <typename Op>
constexpr typename Op::Type kIndefiniteOf{};
template <>
constexpr std::uint32_t kIndefiniteOf<StoreF32> = 0xffc00000;
template <>
constexpr std::uint64_t kIndefiniteOf<StoreF64> = 0xfff8000000000000;
template <>
constexpr std::uint16_t kIndefiniteOf<StoreI16> = 0x8000;
template <>
constexpr std::uint32_t kIndefiniteOf<StoreI32> = 0x80000000;
template <>
constexpr std::uint64_t kIndefiniteOf<StoreI64> = 0x8000000000000000;
template <>
constexpr std::uint16_t kIndefiniteOf<TruncateI16> = 0x8000;
template <>
constexpr std::uint32_t kIndefiniteOf<TruncateI32> = 0x80000000;
template <>
constexpr std::uint64_t kIndefiniteOf<TruncateI64> = 0x8000000000000000;
template <>
constexpr Float80 kIndefiniteOf<StoreBcd>{0xc000000000000000, 0xffff};

template <typename T>
[[gnu::noinline]] void store_empty(FpuState& fpu, FpuInsn& insn, const FpuMem& mem, const T& indefinite,
                                   bool with_pop) {
    if (masked(fpu, kFpuInvalid)) write(mem, insn.address, indefinite);
    record_memory(fpu, insn);
    if (stack_underflow(fpu) && with_pop) pop(fpu);
}

// Values that fit a narrower format exactly need no rounding, so no host:
// most of what a compiler's 53-bit arithmetic stores. False: ask the host.
template <typename T, unsigned FractionBits, unsigned Bias>
inline bool narrow_exactly(const Float80& a, T& result) {
    constexpr unsigned kDropped = 63 - FractionBits;
    constexpr unsigned kLow = 16383 - Bias + 1;  // smallest normal exponent
    const unsigned exponent = a.sign_exponent & 0x7fffu;
    const bool normal = exponent - kLow < 2 * Bias && (a.mantissa >> 63) != 0;
    if (!normal || (a.mantissa & ((std::uint64_t{1} << kDropped) - 1)) != 0) return false;
    const std::uint64_t fraction = (a.mantissa << 1) >> (kDropped + 1);
    const std::uint64_t top = ((a.sign_exponent & kSign) != 0 ? 2 * Bias + 2 : 0) + (exponent - kLow + 1);
    result = static_cast<T>(top << FractionBits | fraction);
    return true;
}
inline bool exact_form(const Float80& a, std::uint32_t& result) {
    return narrow_exactly<std::uint32_t, 23, 127>(a, result);
}
inline bool exact_form(const Float80& a, std::uint64_t& result) {
    return narrow_exactly<std::uint64_t, 52, 1023>(a, result);
}
template <typename Op>
constexpr bool kHasExactForm = std::is_same_v<Op, StoreF32> || std::is_same_v<Op, StoreF64>;

template <typename Op, bool Pop>
void store(FpuState& fpu, FpuInsn& insn, const FpuMem& mem) {
    if (is_empty(fpu, 0)) [[unlikely]] {
        store_empty(fpu, insn, mem, kIndefiniteOf<Op>, Pop);
        return;
    }
    typename Op::Type result;
    const Float80& a = st(fpu, 0);
    if constexpr (kHasExactForm<Op>) {
        if (exact_form(a, result)) {
            write(mem, insn.address, result);
            record_memory(fpu, insn);
            replace_sw(fpu, kFpuC1, 0);
            if constexpr (Pop) pop(fpu);
            return;
        }
    }
    // Precision control does not apply to stores (SDM vol. 1, 8.1.5.2).
    const std::uint16_t status = host_run<kFpuRoundingControl>(
        fpu, [&](auto exact) { return Op::template run<decltype(exact)::value>(result, a); });
    if (masked(fpu, status & kSuppressStore)) write(mem, insn.address, result);
    record_memory(fpu, insn);
    if (commit(fpu, status, kFpuC1, kSuppressStore) && Pop) pop(fpu);
}

void fstp_f80(FpuState& fpu, FpuInsn& insn, const FpuMem& mem) {
    if (is_empty(fpu, 0)) [[unlikely]] {
        store_empty(fpu, insn, mem, kIndefinite, true);
        return;
    }
    write(mem, insn.address, st(fpu, 0));
    record_memory(fpu, insn);
    replace_sw(fpu, kFpuC1, 0);
    pop(fpu);
}

FpuHandler memory_handler(unsigned opcode, unsigned reg) {
    switch (opcode << 4 | reg) {
        case 0xd90: return fld_f32;
        case 0xd92: return store<StoreF32, false>;
        case 0xd93: return store<StoreF32, true>;
        case 0xdb0: return fild_i32;
        case 0xdb1: return store<TruncateI32, true>;
        case 0xdb2: return store<StoreI32, false>;
        case 0xdb3: return store<StoreI32, true>;
        case 0xdb5: return fld_f80;
        case 0xdb7: return fstp_f80;
        case 0xdd0: return fld_f64;
        case 0xdd1: return store<TruncateI64, true>;
        case 0xdd2: return store<StoreF64, false>;
        case 0xdd3: return store<StoreF64, true>;
        case 0xdf0: return fild_i16;
        case 0xdf1: return store<TruncateI16, true>;
        case 0xdf2: return store<StoreI16, false>;
        case 0xdf3: return store<StoreI16, true>;
        case 0xdf4: return fbld;
        case 0xdf5: return fild_i64;
        case 0xdf6: return store<StoreBcd, true>;
        case 0xdf7: return store<StoreI64, true>;
        default: return nullptr;
    }
}

}  // namespace

FpuEntry lookup_transfer(unsigned opcode, unsigned modrm) noexcept {
    if (modrm >= 0xc0) return {};
    const FpuHandler handler = memory_handler(opcode, (modrm >> 3) & 7u);
    return handler != nullptr ? FpuEntry{handler, kFpuWaits | kFpuMemory} : FpuEntry{};
}

}  // namespace backplane::interp::x87
