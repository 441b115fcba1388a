// BT BTS BTR BTC, BSF BSR.
#include "flags.hpp"
#include "ops.hpp"

namespace backplane::interp {
namespace {

template <BitOp kOp, typename T>
[[gnu::always_inline]] inline T change(T v, T mask) {
    if constexpr (kOp == BitOp::kSet)
        return static_cast<T>(v | mask);
    else if constexpr (kOp == BitOp::kReset)
        return static_cast<T>(v & ~mask);
    else if constexpr (kOp == BitOp::kComplement)
        return static_cast<T>(v ^ mask);
    else
        return v;
}
template <BitOp kOp, typename T, bool kImm>
void bit_r(Cpu* c, Insn* i) {
    const unsigned n = (kImm ? i->imm : static_cast<u32>(reg<T>(c, i->src))) & (kBits<T> - 1);
    auto&& d = reg<T>(c, i->dst);
    const T v = d;
    set_cf(c, static_cast<u32>(v >> n) & 1u);
    if constexpr (kOp != BitOp::kTest) d = change<kOp, T>(v, static_cast<T>(T{1} << n));
    return next(c, i);
}
template <BitOp kOp, typename T, bool kImm>
void bit_m(Cpu* c, Insn* i) {
    mark(c, i);
    u64 offset = offset_of(c, i);
    unsigned n = i->imm & (kBits<T> - 1);
    if constexpr (!kImm) {  // the bit string extends to both sides of the operand
        constexpr unsigned kShift = sizeof(T) == 2 ? 4 : sizeof(T) == 4 ? 5 : 6;
        const i64 bit = static_cast<std::make_signed_t<T>>(static_cast<T>(reg<T>(c, i->src)));
        offset = offset_plus(i, offset, static_cast<u64>((bit >> kShift) * static_cast<i64>(sizeof(T))));
        n = static_cast<u32>(bit) & (kBits<T> - 1);
    }
    const Seg s = static_cast<Seg>(i->seg);
    if constexpr (kOp == BitOp::kTest) {
        set_cf(c, static_cast<u32>(c->read<T>(s, offset) >> n) & 1u);
    } else {
        const T v = rmw_read<T>(c, s, offset);
        c->write<T>(s, offset, change<kOp, T>(v, static_cast<T>(T{1} << n)));
        set_cf(c, static_cast<u32>(v >> n) & 1u);
    }
    return next_checked(c, i);
}

// A zero source leaves the destination alone (what all processors do) and sets only ZF.
template <bool kReverse, typename T>
[[gnu::always_inline]] inline void scan(Cpu* c, const Insn* i, T v) {
    if (v == 0) return set_zf(c, true);
    const unsigned n =
        kReverse ? 63u - static_cast<unsigned>(__builtin_clzll(v)) : static_cast<unsigned>(__builtin_ctzll(v));
    reg<T>(c, i->dst) = static_cast<T>(n);
    set_zf(c, false);
}
template <bool kReverse, typename T>
void scan_r(Cpu* c, Insn* i) {
    scan<kReverse, T>(c, i, reg<T>(c, i->src));
    return next(c, i);
}
template <bool kReverse, typename T>
void scan_m(Cpu* c, Insn* i) {
    return with_load<T, Form::kGeneral>(
        c, i, nullptr, [ c, i ](T v) __attribute__((always_inline)) { scan<kReverse, T>(c, i, v); });
}

template <BitOp kOp>
Handler bit_of(unsigned size, Form form, bool immediate) {
    return by_word(size, [=]<typename T>() -> Handler {
        if (form == Form::kReg) return immediate ? bit_r<kOp, T, true> : bit_r<kOp, T, false>;
        return immediate ? bit_m<kOp, T, true> : bit_m<kOp, T, false>;
    });
}

}  // namespace

Handler bit_handler(BitOp op, unsigned size, Form form, bool immediate) {
    switch (op) {
        case BitOp::kTest: return bit_of<BitOp::kTest>(size, form, immediate);
        case BitOp::kSet: return bit_of<BitOp::kSet>(size, form, immediate);
        case BitOp::kReset: return bit_of<BitOp::kReset>(size, form, immediate);
        case BitOp::kComplement: break;
    }
    return bit_of<BitOp::kComplement>(size, form, immediate);
}
Handler bit_scan_handler(bool reverse, unsigned size, Form form) {
    return by_word(size, [=]<typename T>() -> Handler {
        if (form == Form::kReg) return reverse ? scan_r<true, T> : scan_r<false, T>;
        return reverse ? scan_m<true, T> : scan_m<false, T>;
    });
}

}  // namespace backplane::interp
