// Handlers of the SSE family: templates over an operation, which is a struct with
//   kMemory  size and alignment of its memory operand
//   kFloat   whether it can raise floating-point exceptions, and which of its results may be tiny
//   kArithmetic   of those whose results may be too large or tiny
//   run(a, b) or run(a, b, imm)   destination and source to result
// Operations are single host instructions wherever possible, written as assembly: the compiler must not swap the
// operands of an addition, because the first NaN is the one that comes out.
//
// Every handler looks at SseState::slow once; if it is not zero, the general form takes over, which raises what is due.
#pragma once

#include <emmintrin.h>

#include <span>
#include <string_view>

#include "ops.hpp"
#include "soft_float.hpp"

namespace backplane::interp {

using Vec = __m128i;

enum class Mem : u8 {
    k16,     // must be aligned
    k16Any,  // any alignment
    k8,      // the smaller ones are zero-extended
    k4,
    k2,
    k1
};
enum class Fp : u8 { kNone, kExact, kSingle, kDouble, kSingles, kDoubles };  // kExact: no result can be tiny

[[gnu::always_inline]] inline Vec& xmm(Cpu* c, unsigned half_offset) {
    return *reinterpret_cast<Vec*>(reinterpret_cast<u8*>(c->sse.ymm) + half_offset * 2);
}
// A part of a vector register.
template <typename T>
[[gnu::always_inline]] inline T& lane(Cpu* c, unsigned half_offset, unsigned n) {
    return reinterpret_cast<T*>(reinterpret_cast<u8*>(c->sse.ymm) + half_offset * 2)[n];
}
inline constexpr unsigned kXmmOffset = sizeof(VectorRegister) / 2;  // of register 1, as in Insn::dst and src

[[gnu::always_inline]] inline Vec vec(u64 low) { return _mm_cvtsi64_si128(static_cast<i64>(low)); }
[[gnu::always_inline]] inline u64 low64(Vec v) { return static_cast<u64>(_mm_cvtsi128_si64(v)); }

// sse.cpp. General forms: these do all checks and may raise.
void sse_require(Cpu* c);  // #UD or #NM if SSE instructions are not available now
[[nodiscard]] Vec sse_read16(Cpu* c, const Insn* i, bool aligned);
void sse_write16(Cpu* c, const Insn* i, Vec value, bool aligned);
// Around an operation of which an exception may be unmasked: the host's flags are cleared before it, and told after it.
void sse_begin_exact(Cpu* c);
[[nodiscard]] u32 sse_flags(Cpu* c, bool tiny);
// Will `flags` raise for a result that is too large or tiny? The host has computed with everything masked; there
// precision has another meaning.
[[nodiscard]] bool sse_raises_for_result(const Cpu* c, u32 flags);
void sse_raise(Cpu* c, u32 flags);  // if one of them is unmasked, before the result is written
// op_fpu.cpp: may an MMX instruction go on? It raises, or false: the processor waits for a numeric error's interrupt.
[[nodiscard]] bool mmx_ready(Cpu* c, const Insn* i);

// Aligned 16 bytes: the low four bits of the address take part in the comparison with the tag, which has zeros there.
template <typename Address>
[[gnu::always_inline]] inline bool tag_of_aligned(Address a, Address tag) {
    return __builtin_expect((a & ~static_cast<Address>(kPageMask & ~15u)) == tag, 1);
}

template <Mem kMem>
using MemType =
    std::conditional_t<kMem == Mem::k8, u64,
                       std::conditional_t<kMem == Mem::k4, u32, std::conditional_t<kMem == Mem::k2, u16, u8>>>;

template <Mem kMem>
[[gnu::always_inline]] inline Vec load_general(Cpu* c, Insn* i) {
    if constexpr (kMem == Mem::k16 || kMem == Mem::k16Any)
        return sse_read16(c, i, kMem == Mem::k16);
    else
        return vec(c->read<MemType<kMem>>(static_cast<Seg>(i->seg), offset_of(c, i)));
}

template <Form kForm, typename Address>
[[gnu::always_inline]] inline bool hit16(Cpu* c, Insn* i, Address a, bool aligned, bool write, u8*& p) {
    const TlbEntry& e = tlb_entry(c->tlb, a);
    p = reinterpret_cast<u8*>(e.addend + a);
    const Address tag = write ? e.write : e.read;
    const bool hit = aligned ? tag_of_aligned(a, tag) : ((a + 15) & ~static_cast<Address>(kPageMask)) == tag;
    return __builtin_expect(hit, 1) && (write ? writable<kForm>(c, i) : readable<kForm>(c, i));
}

// The memory operand into fn(vector).
template <Mem kMem, Form kForm, class Fn>
[[gnu::always_inline]] inline void with_source(Cpu* c, Insn* i, Handler slow, Fn fn) {
    if constexpr (kForm == Form::kGeneral) {
        (void)slow;
        mark(c, i);
        if (c->sse.slow != 0) [[unlikely]]
            sse_require(c);
        fn(load_general<kMem>(c, i));
        return next_checked(c, i);
    } else if constexpr (kMem == Mem::k16 || kMem == Mem::k16Any) {
        u8* p;
        if (c->sse.slow != 0 || !hit16<kForm>(c, i, address_of<kForm>(c, i), kMem == Mem::k16, false, p)) [[unlikely]]
            return slow(c, i);
        fn(_mm_loadu_si128(reinterpret_cast<const Vec*>(p)));
        return next(c, i);
    } else {
        const Guest<MemType<kMem>>* p;
        if (c->sse.slow != 0 || !fast_read<MemType<kMem>>(c, address_of<kForm>(c, i), p) || !readable<kForm>(c, i))
            [[unlikely]]
            return slow(c, i);
        fn(vec(p->value));
        return next(c, i);
    }
}
// A store of 16 bytes.
template <bool kAligned, Form kForm>
[[gnu::always_inline]] inline void with_store16(Cpu* c, Insn* i, Handler slow, Vec value) {
    if constexpr (kForm == Form::kGeneral) {
        (void)slow;
        mark(c, i);
        if (c->sse.slow != 0) [[unlikely]]
            sse_require(c);
        sse_write16(c, i, value, kAligned);
        return next_checked(c, i);
    } else {
        u8* p;
        if (c->sse.slow != 0 || !hit16<kForm>(c, i, address_of<kForm>(c, i), kAligned, true, p)) [[unlikely]]
            return slow(c, i);
        _mm_storeu_si128(reinterpret_cast<Vec*>(p), value);
        return next(c, i);
    }
}
// A store of a part of a register.
template <typename T, Form kForm>
[[gnu::always_inline]] inline void with_store_part(Cpu* c, Insn* i, Handler slow, T value) {
    if constexpr (kForm == Form::kGeneral) {
        mark(c, i);
        if (c->sse.slow != 0) [[unlikely]]
            sse_require(c);
    } else if (c->sse.slow != 0) [[unlikely]] {
        return slow(c, i);
    }
    return with_store<T, kForm>(c, i, slow, value);
}

template <Fp kFloat>
bool any_tiny(Vec r) {
    constexpr bool kWide = kFloat == Fp::kDouble || kFloat == Fp::kDoubles;
    if constexpr (kFloat == Fp::kNone || kFloat == Fp::kExact) return false;
    const auto tiny64 = [](u64 v) { return (v & 0x7ff0000000000000ull) == 0 && v << 1 != 0; };
    const auto tiny32 = [](u32 v) { return (v & 0x7f800000u) == 0 && v << 1 != 0; };
    const u64 low = low64(r);
    const u64 high = low64(_mm_unpackhi_epi64(r, r));
    if constexpr (kFloat == Fp::kDouble) return tiny64(low);
    if constexpr (kFloat == Fp::kSingle) return tiny32(static_cast<u32>(low));
    if constexpr (kWide) return tiny64(low) || tiny64(high);
    return tiny32(static_cast<u32>(low)) || tiny32(static_cast<u32>(low >> 32)) || tiny32(static_cast<u32>(high)) ||
           tiny32(static_cast<u32>(high >> 32));
}

template <class Op>
concept WithImmediate = requires(Vec a) {
    Op::run(a, a, 0u);
};

template <class Op>
[[gnu::always_inline]] inline auto run_op(Vec a, Vec b, u32 imm) {
    if constexpr (WithImmediate<Op>)
        return Op::run(a, b, imm);
    else
        return Op::run(a, b);
}
struct Halves {
    Vec low, high;
};
// An operation's exceptions, from its operands and its result; `wide`: of 32 bytes.
template <class Op>
[[gnu::always_inline]] inline void sse_end_exact(Cpu* c, Halves a, Halves b, Halves r, bool wide = false) {
    u32 flags = sse_flags(c, any_tiny<Op::kFloat>(r.low) || (wide && any_tiny<Op::kFloat>(r.high)));
    if constexpr (requires { Op::kArithmetic; }) {
        if constexpr (Op::kArithmetic != Arithmetic::kNone) {
            if (sse_raises_for_result(c, flags)) {
                constexpr bool kDoubles = Op::kFloat == Fp::kDouble || Op::kFloat == Fp::kDoubles;
                constexpr bool kScalar = Op::kFloat == Fp::kDouble || Op::kFloat == Fp::kSingle;
                constexpr u32 kCount = kScalar ? 1 : kDoubles || Op::kArithmetic == Arithmetic::kNarrow ? 2 : 4;
                flags &= ~kMxcsrPrecision;
                for (u32 n = 0; n < (wide ? 2u : 1u); ++n)
                    flags |= soft_arithmetic(Op::kArithmetic, kDoubles, c->sse.mxcsr,
                                             reinterpret_cast<const u8*>(n == 0 ? &a.low : &a.high),
                                             reinterpret_cast<const u8*>(n == 0 ? &b.low : &b.high), kCount);
            }
        }
    }
    sse_raise(c, flags);
}

// The operation between clearing the host's flags and looking at them. The empty statements keep it there.
template <class Op>
[[gnu::noinline]] auto run_exact(Cpu* c, Vec a, Vec b, u32 imm) {
    sse_begin_exact(c);
    asm volatile("" : "+x"(a), "+x"(b));
    auto r = run_op<Op>(a, b, imm);
    if constexpr (sizeof(r) == sizeof(Vec)) {
        asm volatile("" : "+x"(r));
        sse_end_exact<Op>(c, {a, a}, {b, b}, {r, r});
    } else {
        asm volatile("" : "+r"(r));
        sse_raise(c, sse_flags(c, false));
    }
    return r;
}
// An operation that takes several steps, each of which may raise, says so by check(c, a, b).
template <class Op>
concept InSteps = requires(Cpu* c, Vec a) {
    Op::check(c, a, a);
};

// In general forms.
template <class Op>
[[gnu::always_inline]] inline auto run_checked(Cpu* c, Vec a, Vec b, u32 imm) {
    if constexpr (Op::kFloat != Fp::kNone) {
        if constexpr (InSteps<Op>) {
            if ((c->sse.slow & kSseUnmasked) != 0) [[unlikely]]
                Op::check(c, a, b);
        } else if ((c->sse.slow & kSseUnmasked) != 0) [[unlikely]]
            return run_exact<Op>(c, a, b, imm);
    }
    return run_op<Op>(a, b, imm);
}

// The source of a register form: a vector register, or the general register of type Op::Gpr.
template <class Op>
[[gnu::always_inline]] inline Vec source(Cpu* c, Insn* i) {
    if constexpr (requires { typename Op::Gpr; })
        return vec(reg<typename Op::Gpr>(c, i->src));
    else
        return xmm(c, i->src);
}
// put(c, i, result) is what becomes of the result.
// The slow one stays apart: its calls would cost the other one a stack frame.
template <class Op, class Put>
[[gnu::noinline]] void sse_rr_slow(Cpu* c, Insn* i) {
    mark(c, i);
    sse_require(c);
    Put::put(c, i, run_checked<Op>(c, xmm(c, i->dst), source<Op>(c, i), i->imm));
    return next(c, i);
}
template <class Op, class Put>
void sse_rr(Cpu* c, Insn* i) {
    if (c->sse.slow != 0) [[unlikely]]
        return sse_rr_slow<Op, Put>(c, i);
    Put::put(c, i, run_op<Op>(xmm(c, i->dst), source<Op>(c, i), i->imm));
    return next(c, i);
}
template <class Op, class Put, Form kForm>
void sse_rm(Cpu* c, Insn* i) {
    return with_source<Op::kMemory, kForm>(
        c, i, sse_rm<Op, Put, Form::kGeneral>, [ c, i ](Vec b) __attribute__((always_inline)) {
            if constexpr (kForm == Form::kGeneral)
                Put::put(c, i, run_checked<Op>(c, xmm(c, i->dst), b, i->imm));
            else
                Put::put(c, i, run_op<Op>(xmm(c, i->dst), b, i->imm));
        });
}
struct ToXmm {
    [[gnu::always_inline]] static void put(Cpu* c, Insn* i, Vec r) { xmm(c, i->dst) = r; }
};

// A general register; 32-bit results are zero-extended.
template <typename T>
struct ToGpr {
    [[gnu::always_inline]] static void put(Cpu* c, Insn* i, T r) { reg<u64>(c, i->dst) = r; }
};

// ZF, PF and CF of a comparison as lazy flags (flags.hpp), OF, SF and AF cleared: flag_aux, and ZF in a bit of it that
// means nothing there. flag_result is 0 or 1, whose natural PF is ZF.
[[gnu::always_inline]] inline u64 lazy_compare(u64 zf, u64 pf, u64 cf) {
    return cf << 31 | cf << 30 | (pf ^ zf) << 32 | zf;
}
struct ToFlags {
    [[gnu::always_inline]] static void put(Cpu* c, Insn*, u64 r) {
        c->flag_result = static_cast<i64>(r & 1u) ^ 1;
        c->flag_aux = r;
    }
};

// --- what the decoder looks up -------------------------------------------------------------------------------------

enum SsePrefix : u8 { k00, k66, kF3, kF2 };
enum SseMap : u8 { kMap0f, kMap38, kMap3a };
constexpr u16 sse_key(unsigned map, unsigned prefix, unsigned opcode) {
    return static_cast<u16>(map << 10 | prefix << 8 | opcode);
}

struct SseChoice {
    Form form;
    u8 imm;
    u8 reg;          // modrm.reg
    bool wide;       // REX.W
    bool operand16;  // prefix 66 where it is no mandatory prefix
    bool vex_l;      // 256 bits
};
// SseEntry::shape
inline constexpr u8 kImmediate = 1;      // a byte follows
inline constexpr u8 kToRm = 2;           // destination is the r/m operand
inline constexpr u8 kDstGpr = 4;         // that operand is a general register
inline constexpr u8 kSrcGpr = 8;         //
inline constexpr u8 kMemoryOnly = 0x10;  // #UD otherwise
inline constexpr u8 kRegisterOnly = 0x20;
inline constexpr u8 kLenient = 0x40;  // without the feature the opcode means something else
inline constexpr u8 kByteSource = 0x80;
struct SseEntry {
    u16 key;
    Feature feature;
    u8 shape;
    Handler (*pick)(const SseChoice&);           // nullptr from it: #UD
    Handler (*vex)(const SseChoice&) = nullptr;  // the same with a VEX prefix (vex_ops.hpp)
};

template <class Op, class Put = ToXmm>
Handler pick_op(const SseChoice& s) {
    if (s.form == Form::kReg) return sse_rr<Op, Put>;
    return by_form<u32>(s.form, []<Form kForm>() -> Handler { return sse_rm<Op, Put, kForm>; });
}

template <class Op, class Put = ToXmm>
Handler pick_register(const SseChoice&) {
    return sse_rr<Op, Put>;
}
template <class Op, class Put = ToXmm>
Handler pick_memory(const SseChoice& s) {
    return by_form<u32>(s.form, []<Form kForm>() -> Handler { return sse_rm<Op, Put, kForm>; });
}

// By the host's mnemonic.
consteval Arithmetic arithmetic_of(std::string_view text) {
    if (text == "cvtpd2ps" || text == "cvtsd2ss") return Arithmetic::kNarrow;
    if (text.starts_with("addsub")) return Arithmetic::kSubAdd;
    if (text.starts_with("hadd")) return Arithmetic::kAddPairs;
    if (text.starts_with("hsub")) return Arithmetic::kSubPairs;
    if (text.starts_with("add")) return Arithmetic::kAdd;
    if (text.starts_with("sub")) return Arithmetic::kSub;
    if (text.starts_with("mul")) return Arithmetic::kMul;
    return text.starts_with("div") ? Arithmetic::kDiv : Arithmetic::kNone;
}

// One host instruction: destination and source.
#define BP_SSE_STRUCT(MAP, PREFIX, OPCODE, NAME, TEXT, MEM, FLOAT, FEATURE) \
    struct NAME {                                                           \
        [[maybe_unused]] static constexpr Mem kMemory = Mem::MEM;           \
        static constexpr Fp kFloat = Fp::FLOAT;                             \
        static constexpr Arithmetic kArithmetic = arithmetic_of(TEXT);      \
        [[gnu::always_inline]] static Vec run(Vec a, Vec b) {               \
            asm(TEXT " %1, %0" : "+x"(a) : "x"(b));                         \
            return a;                                                       \
        }                                                                   \
    };
#define BP_SSE_ENTRY(MAP, PREFIX, OPCODE, NAME, TEXT, MEM, FLOAT, FEATURE) \
    {sse_key(MAP, PREFIX, OPCODE), Feature::FEATURE, 0, pick_op<NAME>,     \
     pick_vex<NAME, vex_kind(sse_key(MAP, PREFIX, OPCODE))>},

std::span<const SseEntry> sse_float_entries();
std::span<const SseEntry> sse_convert_entries();
std::span<const SseEntry> sse_int_entries();
std::span<const SseEntry> sse_shuffle_entries();
std::span<const SseEntry> sse_move_entries();
std::span<const SseEntry> sse_gpr_entries();
std::span<const SseEntry> sse4_entries();
std::span<const SseEntry> sse_string_entries();
std::span<const SseEntry> sse_mmx_entries();
std::span<const SseEntry> bmi_entries();

}  // namespace backplane::interp
