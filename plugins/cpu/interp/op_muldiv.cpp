// Multiplication and division.
#include <cstddef>
#include <limits>

#include "flags.hpp"
#include "ops.hpp"

namespace backplane::interp {
namespace {

template <typename T>
using Wide = std::conditional_t<sizeof(T) == 1, u16, std::conditional_t<sizeof(T) == 2, u32, u64>>;
__extension__ using u128 = unsigned __int128;
__extension__ using i128 = __int128;

// AX, DX:AX or EDX:EAX.
template <typename T>
[[gnu::always_inline]] inline Wide<T> accumulator(Cpu* c) {
    if constexpr (sizeof(T) == 1)
        return c->r16(kEax);
    else
        return static_cast<Wide<T>>(static_cast<Wide<T>>(reg<T>(c, kEdx * 8)) << kBits<T> | reg<T>(c, 0));
}
template <typename T>
[[gnu::always_inline]] inline void set_halves(Cpu* c, T low, T high) {
    if constexpr (sizeof(T) == 1) {
        c->r16(kEax) = static_cast<u16>(high << 8 | low);
    } else {
        reg<T>(c, 0) = low;
        reg<T>(c, kEdx * 8) = high;
    }
}

// RDX:RAX by v; the quotient fits.
inline void divide64(u64 high, u64 low, u64 v, u64& quotient, u64& remainder) {
    if (high == 0) {
        quotient = low / v;
        remainder = low % v;
        return;
    }
    __asm__("divq %4" : "=a"(quotient), "=d"(remainder) : "a"(low), "d"(high), "r"(v) : "cc");
}
[[gnu::noinline]] void idiv64(Cpu* c, u64 v) {
    u64 high = c->gpr[kEdx];
    u64 low = c->gpr[kEax];
    const bool negative = static_cast<i64>(high) < 0;
    const bool opposite = static_cast<i64>(v) < 0;
    if (negative) {
        low = 0 - low;
        high = ~high + (low == 0 ? 1 : 0);
    }
    const u64 divisor = opposite ? 0 - v : v;
    if (divisor == 0 || high >= divisor) c->raise(kDe);
    u64 quotient = 0;
    u64 remainder = 0;
    divide64(high, low, divisor, quotient, remainder);
    constexpr u64 kMost = 1ull << 63;
    if (negative != opposite ? quotient > kMost : quotient >= kMost) c->raise(kDe);
    c->gpr[kEax] = negative != opposite ? 0 - quotient : quotient;
    c->gpr[kEdx] = negative ? 0 - remainder : remainder;
}
[[gnu::noinline]] void div64(Cpu* c, u64 v) {
    const u64 high = c->gpr[kEdx];
    if (v == 0 || high >= v) c->raise(kDe);
    u64 quotient = 0;
    u64 remainder = 0;
    divide64(high, c->gpr[kEax], v, quotient, remainder);
    c->gpr[kEax] = quotient;
    c->gpr[kEdx] = remainder;
}
template <unsigned kOp>
[[gnu::always_inline]] inline void execute64(Cpu* c, u64 v) {
    if constexpr (kOp == 4) {
        const u128 p = static_cast<u128>(c->gpr[kEax]) * v;
        const u64 high = static_cast<u64>(p >> 64);
        set_halves<u64>(c, static_cast<u64>(p), high);
        set_flags_of<u64>(c, static_cast<u64>(p), high != 0, high != 0);
    } else if constexpr (kOp == 5) {
        const i128 p = static_cast<i128>(static_cast<i64>(c->gpr[kEax])) * static_cast<i64>(v);
        set_halves<u64>(c, static_cast<u64>(p), static_cast<u64>(static_cast<u128>(p) >> 64));
        const u32 over = p != static_cast<i64>(p) ? 1u : 0u;
        set_flags_of<u64>(c, static_cast<u64>(p), over, over);
    } else if constexpr (kOp == 6) {
        div64(c, v);
    } else {
        idiv64(c, v);
    }
}
template <unsigned kOp, typename T>
[[gnu::always_inline]] inline void execute(Cpu* c, T v) {
    using S = std::make_signed_t<T>;
    using W = Wide<T>;
    using SW = std::make_signed_t<W>;
    if constexpr (sizeof(T) == 8) {
        execute64<kOp>(c, v);
    } else if constexpr (kOp == 4) {
        const W p = static_cast<W>(static_cast<W>(reg<T>(c, 0)) * v);
        const T high = static_cast<T>(p >> kBits<T>);
        set_halves<T>(c, static_cast<T>(p), high);
        set_flags_of<T>(c, static_cast<T>(p), high != 0, high != 0);
    } else if constexpr (kOp == 5) {
        const SW p = static_cast<SW>(static_cast<SW>(static_cast<S>(reg<T>(c, 0))) * static_cast<S>(v));
        set_halves<T>(c, static_cast<T>(p), static_cast<T>(static_cast<W>(p) >> kBits<T>));
        const u32 over = p != static_cast<S>(p) ? 1u : 0u;
        set_flags_of<T>(c, static_cast<T>(p), over, over);
    } else if constexpr (kOp == 6) {
        if (v == 0) c->raise(kDe);
        const W a = accumulator<T>(c);
        const W q = static_cast<W>(a / v);
        if (q >> kBits<T> != 0) c->raise(kDe);
        set_halves<T>(c, static_cast<T>(q), static_cast<T>(a % v));
    } else {
        const SW a = static_cast<SW>(accumulator<T>(c));
        const SW d = static_cast<S>(v);
        if (d == 0 || (a == std::numeric_limits<SW>::min() && d == -1)) c->raise(kDe);
        const SW q = static_cast<SW>(a / d);
        if (q != static_cast<S>(q)) c->raise(kDe);
        set_halves<T>(c, static_cast<T>(q), static_cast<T>(a % d));
    }
}
template <unsigned kOp, typename T>
void mul_r(Cpu* c, Insn* i) {
    if constexpr (kOp >= 6) mark(c, i);
    execute<kOp, T>(c, reg<T>(c, i->dst));
    return next(c, i);
}
template <unsigned kOp, typename T>
void mul_m(Cpu* c, Insn* i) {
    return with_load<T, Form::kGeneral>(
        c, i, nullptr, [c](T v) __attribute__((always_inline)) { execute<kOp, T>(c, v); });
}

template <typename T>
[[gnu::always_inline]] inline T imul(Cpu* c, T a, T b) {
    using S = std::make_signed_t<T>;
    using P = std::conditional_t<sizeof(T) == 8, i128, i64>;
    const P p = static_cast<P>(static_cast<S>(a)) * static_cast<S>(b);
    const u32 over = p != static_cast<S>(p) ? 1u : 0u;
    set_flags_of<T>(c, static_cast<T>(p), over, over);
    return static_cast<T>(p);
}
template <typename T, bool kImm>
void imul_r(Cpu* c, Insn* i) {
    auto&& d = reg<T>(c, i->dst);
    d = imul<T>(c, reg<T>(c, i->src), kImm ? immediate<T>(i) : d);
    return next(c, i);
}
template <typename T, bool kImm, Form kForm>
void imul_m(Cpu* c, Insn* i) {
    return with_load<T, kForm>(
        c, i, imul_m<T, kImm, Form::kGeneral>, [ c, i ](T v) __attribute__((always_inline)) {
            auto&& d = reg<T>(c, i->dst);
            d = imul<T>(c, v, kImm ? immediate<T>(i) : d);
        });
}
template <bool kImm>
Handler imul_of(unsigned size, Form form) {
    return by_word(size, [=]<typename T>() -> Handler {
        if (form == Form::kReg) return imul_r<T, kImm>;
        return by_form<T>(form, []<Form kForm>() -> Handler { return imul_m<T, kImm, kForm>; });
    });
}

}  // namespace

Handler mul_handler(unsigned op, unsigned size, Form form) {
    return by_number<4>(op - 4, [=]<std::size_t kIndex>() -> Handler {
        return by_size(size, [=]<typename T>() -> Handler {
            if (form == Form::kReg) return mul_r<kIndex + 4, T>;
            return mul_m<kIndex + 4, T>;
        });
    });
}
Handler imul2_handler(unsigned size, Form form) { return imul_of<false>(size, form); }
Handler imul3_handler(unsigned size, Form form) { return imul_of<true>(size, form); }

}  // namespace backplane::interp
