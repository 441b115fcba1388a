// Locked instructions: ADD OR ADC SBB AND SUB XOR INC DEC NOT NEG XCHG XADD CMPXCHG CMPXCHG8B CMPXCHG16B BTS BTR BTC
// with LOCK and an operand in memory, by atomic operations of the host (SDM 3, 8.1.2); and what else several processors
// need.
//
// The work is done in functions apart from the handlers, which may have no locals in memory.
#include <atomic>

#include "flags.hpp"
#include "ops.hpp"

namespace backplane::interp {
namespace {

template <typename T>
[[gnu::always_inline]] inline Linear place(Cpu* c, const Insn* i) {
    return c->check_data(static_cast<Seg>(i->seg), offset_of(c, i), sizeof(T), true, sizeof(T));
}
template <typename T, class Fn>
[[gnu::always_inline]] inline T update(Cpu* c, Linear address, Fn fn) {
    return locked_update<T>(c, address, c->user(), fn);
}

template <Alu kOp, typename T>
[[gnu::noinline]] void run_alu(Cpu* c, const Insn* i, T b) {
    constexpr bool kCarry = kOp == Alu::kAdc || kOp == Alu::kSbb;
    constexpr bool kAdds = kOp == Alu::kAdd || kOp == Alu::kAdc;
    constexpr bool kSubtracts = kOp == Alu::kSub || kOp == Alu::kSbb;
    u32 carry = 0;
    if constexpr (kCarry) carry = get_cf(c);
    const auto result = [b, carry](T v) {
        if constexpr (kAdds)
            return static_cast<T>(v + b + carry);
        else if constexpr (kSubtracts)
            return static_cast<T>(v - b - carry);
        else if constexpr (kOp == Alu::kOr)
            return static_cast<T>(v | b);
        else if constexpr (kOp == Alu::kAnd)
            return static_cast<T>(v & b);
        else
            return static_cast<T>(v ^ b);
    };
    const T old = update<T>(c, place<T>(c, i), result);
    if constexpr (kAdds)
        do_add<T>(c, old, b, carry);
    else if constexpr (kSubtracts)
        do_sub<T>(c, old, b, carry);
    else
        do_logic<T>(c, result(old));
}
template <Alu kOp, typename T, bool kImm>
void op_alu(Cpu* c, Insn* i) {
    mark(c, i);
    run_alu<kOp, T>(c, i, kImm ? immediate<T>(i) : static_cast<T>(reg<T>(c, i->src)));
    return next_checked(c, i);
}

template <Unary kOp, typename T>
[[gnu::noinline]] void run_unary(Cpu* c, const Insn* i) {
    const T old = update<T>(c, place<T>(c, i), [](T v) {
        if constexpr (kOp == Unary::kInc)
            return static_cast<T>(v + 1);
        else if constexpr (kOp == Unary::kDec)
            return static_cast<T>(v - 1);
        else if constexpr (kOp == Unary::kNeg)
            return static_cast<T>(-v);
        else
            return static_cast<T>(~v);
    });
    if constexpr (kOp == Unary::kInc)
        do_inc<T>(c, old);
    else if constexpr (kOp == Unary::kDec)
        do_dec<T>(c, old);
    else if constexpr (kOp == Unary::kNeg)
        do_sub<T>(c, T{0}, old);
}
template <Unary kOp, typename T>
void op_unary(Cpu* c, Insn* i) {
    mark(c, i);
    run_unary<kOp, T>(c, i);
    return next_checked(c, i);
}

template <typename T>
[[gnu::noinline]] void run_xchg(Cpu* c, const Insn* i) {
    const T mine = reg<T>(c, i->src);
    reg<T>(c, i->src) = update<T>(c, place<T>(c, i), [mine](T) { return mine; });
}
template <typename T>
void op_xchg(Cpu* c, Insn* i) {
    mark(c, i);
    run_xchg<T>(c, i);
    return next_checked(c, i);
}
template <typename T>
[[gnu::noinline]] void run_xadd(Cpu* c, const Insn* i) {
    const T mine = reg<T>(c, i->src);
    const T old = update<T>(c, place<T>(c, i), [mine](T v) { return static_cast<T>(v + mine); });
    do_add<T>(c, old, mine);
    reg<T>(c, i->src) = old;
}
template <typename T>
void op_xadd(Cpu* c, Insn* i) {
    mark(c, i);
    run_xadd<T>(c, i);
    return next_checked(c, i);
}
template <typename T>
[[gnu::noinline]] void run_cmpxchg(Cpu* c, const Insn* i) {
    const T expected = reg<T>(c, 0);
    const T mine = reg<T>(c, i->src);
    const T old = update<T>(c, place<T>(c, i), [expected, mine](T v) { return v == expected ? mine : v; });
    do_sub<T>(c, expected, old);
    if (old != expected) reg<T>(c, 0) = old;
}
template <typename T>
void op_cmpxchg(Cpu* c, Insn* i) {
    mark(c, i);
    run_cmpxchg<T>(c, i);
    return next_checked(c, i);
}
[[gnu::noinline]] void run_cmpxchg8b(Cpu* c, const Insn* i) {
    const u64 expected = static_cast<u64>(c->r32(kEdx)) << 32 | c->r32(kEax);
    const u64 mine = static_cast<u64>(c->r32(kEcx)) << 32 | c->r32(kEbx);
    const u64 old = update<u64>(c, place<u64>(c, i), [expected, mine](u64 v) { return v == expected ? mine : v; });
    set_zf(c, old == expected);
    if (old == expected) return;
    c->r32(kEax) = static_cast<u32>(old);
    c->r32(kEdx) = static_cast<u32>(old >> 32);
}
void op_cmpxchg8b(Cpu* c, Insn* i) {
    mark(c, i);
    run_cmpxchg8b(c, i);
    return next_checked(c, i);
}

__extension__ using Pair = unsigned __int128;
[[gnu::target("cx16")]] Pair compare_and_swap(Pair* at, Pair expected, Pair value) {
    return __sync_val_compare_and_swap(at, expected, value);
}
// The operand stands in one 16-byte block.
[[gnu::noinline]] void run_cmpxchg16b(Cpu* c, const Insn* i) {
    const Seg s = static_cast<Seg>(i->seg);
    const u64 offset = offset_of(c, i);
    if (((c->segment_base(s) + offset) & 15u) != 0) c->raise(kGp, 0);
    const Linear a = c->check_data(s, offset, 16, true, 8);
    const Pair expected = Pair{c->gpr[kEdx]} << 64 | c->gpr[kEax];
    const Pair mine = Pair{c->gpr[kEcx]} << 64 | c->gpr[kEbx];
    const LockedPlace at = locked_place(c, a, 16, c->user());
    Pair old = 0;
    if (at.host != nullptr) {
        old = compare_and_swap(reinterpret_cast<Pair*>(at.host), expected, mine);
        if (at.page != nullptr) locked_stored(c, *at.page, a, 16, c->user());
    } else {
        old = locked_read(c, a, 8, c->user());
        old |= Pair{locked_read(c, a + 8, 8, c->user())} << 64;
        const Pair now = old == expected ? mine : old;
        locked_write(c, a + 8, 8, static_cast<u64>(now >> 64), c->user());
        locked_write(c, a, 8, static_cast<u64>(now), c->user());
    }
    set_zf(c, old == expected);
    if (old == expected) return;
    c->gpr[kEax] = static_cast<u64>(old);
    c->gpr[kEdx] = static_cast<u64>(old >> 64);
}
void op_cmpxchg16b(Cpu* c, Insn* i) {
    mark(c, i);
    run_cmpxchg16b(c, i);
    return next_checked(c, i);
}

template <BitOp kOp, typename T>
[[gnu::noinline]] void run_bit(Cpu* c, const Insn* i, i64 bit, bool moves) {
    constexpr unsigned kShift = sizeof(T) == 2 ? 4 : sizeof(T) == 4 ? 5 : 6;
    u64 offset = offset_of(c, i);
    if (moves) offset = offset_plus(i, offset, static_cast<u64>((bit >> kShift) * static_cast<i64>(sizeof(T))));
    const unsigned n = static_cast<u32>(bit) & (sizeof(T) * 8 - 1);
    const T mask = static_cast<T>(T{1} << n);
    const Linear a = c->check_data(static_cast<Seg>(i->seg), offset, sizeof(T), true, sizeof(T));
    const T old = update<T>(c, a, [mask](T v) {
        if constexpr (kOp == BitOp::kSet)
            return static_cast<T>(v | mask);
        else if constexpr (kOp == BitOp::kReset)
            return static_cast<T>(v & ~mask);
        else
            return static_cast<T>(v ^ mask);
    });
    set_cf(c, static_cast<u32>(old >> n) & 1u);
}
template <BitOp kOp, typename T, bool kImm>
void op_bit(Cpu* c, Insn* i) {
    mark(c, i);
    if constexpr (kImm)
        run_bit<kOp, T>(c, i, i->imm, false);
    else  // the bit string extends to both sides of the operand
        run_bit<kOp, T>(c, i, static_cast<std::make_signed_t<T>>(static_cast<T>(reg<T>(c, i->src))), true);
    return next_checked(c, i);
}

void op_pause(Cpu* c, Insn* i) {
    c->pause();
    return next(c, i);
}
void op_mfence(Cpu* c, Insn* i) {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return next(c, i);
}

template <Alu kOp>
Handler alu_of(bool immediate, unsigned size) {
    return by_size(size,
                   [=]<typename T>() -> Handler { return immediate ? op_alu<kOp, T, true> : op_alu<kOp, T, false>; });
}
template <Unary kOp>
Handler unary_of(unsigned size) {
    return by_size(size, []<typename T>() -> Handler { return op_unary<kOp, T>; });
}
template <BitOp kOp>
Handler bit_of(unsigned size, bool immediate) {
    return by_word(size,
                   [=]<typename T>() -> Handler { return immediate ? op_bit<kOp, T, true> : op_bit<kOp, T, false>; });
}

}  // namespace

Handler locked_alu(Alu op, bool immediate, unsigned size) {
    switch (op) {
        case Alu::kAdd: return alu_of<Alu::kAdd>(immediate, size);
        case Alu::kOr: return alu_of<Alu::kOr>(immediate, size);
        case Alu::kAdc: return alu_of<Alu::kAdc>(immediate, size);
        case Alu::kSbb: return alu_of<Alu::kSbb>(immediate, size);
        case Alu::kAnd: return alu_of<Alu::kAnd>(immediate, size);
        case Alu::kSub: return alu_of<Alu::kSub>(immediate, size);
        case Alu::kXor: return alu_of<Alu::kXor>(immediate, size);
        default: return undefined_handler();
    }
}
Handler locked_unary(Unary op, unsigned size) {
    switch (op) {
        case Unary::kInc: return unary_of<Unary::kInc>(size);
        case Unary::kDec: return unary_of<Unary::kDec>(size);
        case Unary::kNot: return unary_of<Unary::kNot>(size);
        case Unary::kNeg: break;
    }
    return unary_of<Unary::kNeg>(size);
}
Handler locked_xchg(unsigned size) {
    return by_size(size, []<typename T>() -> Handler { return op_xchg<T>; });
}
Handler locked_xadd(unsigned size) {
    return by_size(size, []<typename T>() -> Handler { return op_xadd<T>; });
}
Handler locked_cmpxchg(unsigned size) {
    return by_size(size, []<typename T>() -> Handler { return op_cmpxchg<T>; });
}
Handler locked_cmpxchg8b() { return op_cmpxchg8b; }
Handler locked_cmpxchg16b() { return op_cmpxchg16b; }
Handler locked_bit(BitOp op, unsigned size, bool immediate) {
    switch (op) {
        case BitOp::kSet: return bit_of<BitOp::kSet>(size, immediate);
        case BitOp::kReset: return bit_of<BitOp::kReset>(size, immediate);
        default: return bit_of<BitOp::kComplement>(size, immediate);
    }
}
Handler pause_handler() { return op_pause; }
Handler mfence_handler() { return op_mfence; }

}  // namespace backplane::interp
