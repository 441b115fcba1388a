#include <cstring>

#include "soft_float.hpp"

namespace backplane::interp {
namespace {

__extension__ using u128 = unsigned __int128;

enum Rounding : u32 { kNearest, kDown, kUp, kZero };

// A format of IEEE 754: bits of the fraction and of the exponent.
struct Format {
    unsigned fraction, exponent;
    [[nodiscard]] int bias() const { return (1 << (exponent - 1)) - 1; }
    [[nodiscard]] u64 top() const { return (1ull << exponent) - 1; }  // infinities and NaNs
    [[nodiscard]] u64 quiet() const { return 1ull << (fraction - 1); }
    [[nodiscard]] u64 infinity(bool sign) const { return join(sign, top(), 0); }
    [[nodiscard]] u64 join(bool sign, u64 e, u64 f) const {
        return static_cast<u64>(sign) << (fraction + exponent) | e << fraction | f;
    }
};
constexpr Format kHalf{10, 5}, kSingleFormat{23, 8}, kDoubleFormat{52, 11};

struct Number {
    bool sign = false, nan = false, snan = false, infinite = false, zero = false, denormal = false;
    u64 bits = 0;
    int exponent = 0;  // of the leading one
    u64 mantissa = 0;  // the leading one is bit 63
};
Number unpack(const Format& f, u64 bits, bool daz) {
    Number n;
    n.bits = bits;
    n.sign = (bits >> (f.fraction + f.exponent) & 1u) != 0;
    const u64 e = bits >> f.fraction & f.top();
    const u64 fraction = bits & ((1ull << f.fraction) - 1);
    if (e == f.top()) {
        n.infinite = fraction == 0;
        n.nan = fraction != 0;
        n.snan = n.nan && (fraction & f.quiet()) == 0;
        return n;
    }
    n.denormal = e == 0 && fraction != 0 && !daz;
    n.zero = e == 0 && !n.denormal;
    if (n.zero) return n;
    n.mantissa = (n.denormal ? fraction : fraction | 1ull << f.fraction) << (63 - f.fraction);
    n.exponent = (n.denormal ? 1 : static_cast<int>(e)) - f.bias();
    const int shift = __builtin_clzll(n.mantissa);
    n.mantissa <<= shift;
    n.exponent -= shift;
    return n;
}

constexpr int kTop = 125;  // place of the leading one while it is computed

// Bits that fall out stay as the lowest one.
u128 shift_jam(u128 v, int n) {
    if (n <= 0) return v;
    if (n > 127) return v != 0 ? 1 : 0;
    return v >> n | ((v & ((u128{1} << n) - 1)) != 0 ? 1 : 0);
}
int leading(u128 v) {
    const u64 high = static_cast<u64>(v >> 64);
    return high != 0 ? 127 - __builtin_clzll(high) : 63 - __builtin_clzll(static_cast<u64>(v));
}
// The part above the lowest `n` bits, rounded.
u64 rounded(u128 v, int n, bool sign, u32 mode, bool& inexact) {
    const u128 rest = v & ((u128{1} << n) - 1);
    const u128 tie = u128{1} << (n - 1);
    u64 r = static_cast<u64>(v >> n);
    inexact = rest != 0;
    if (mode == kNearest)
        r += rest > tie || (rest == tie && (r & 1u) != 0) ? 1 : 0;
    else if (inexact && mode == (sign ? kDown : kUp))
        ++r;
    return r;
}

struct Mode {
    u32 rounding;
    bool flush;             // FTZ, and underflow is masked
    bool underflow_raises;  // unmasked
    bool overflow_raises;
};
// v * 2^(exponent - kTop), v's leading one being bit kTop. Where an overflow or underflow raises, the result is inexact
// only if it would be so with an exponent without bounds.
u64 pack(const Format& f, bool sign, int exponent, u128 v, const Mode& m, u32& flags) {
    const int drop = kTop - static_cast<int>(f.fraction);
    const int least = 1 - f.bias();
    bool inexact = false;
    u64 r = rounded(v, drop, sign, m.rounding, inexact);
    int e = exponent;
    if (r >> (f.fraction + 1) != 0) {
        r >>= 1;
        ++e;
    }
    if (e < least) {  // tiny, as it is after rounding
        if (m.underflow_raises) {
            flags |= kMxcsrUnderflow | (inexact ? kMxcsrPrecision : 0);
            return f.join(sign, 0, 0);
        }
        if (m.flush) {
            flags |= kMxcsrUnderflow | kMxcsrPrecision;
            return f.join(sign, 0, 0);
        }
        r = rounded(shift_jam(v, least - exponent), drop, sign, m.rounding, inexact);
        if (inexact) flags |= kMxcsrUnderflow | kMxcsrPrecision;
        return f.join(sign, 0, r);  // one more than the largest fraction is the smallest normal number
    }
    if (e > f.bias()) {
        flags |= kMxcsrOverflow | (inexact || !m.overflow_raises ? kMxcsrPrecision : 0);
        const bool away = m.rounding == kNearest || m.rounding == (sign ? kDown : kUp);
        return away ? f.infinity(sign) : f.join(sign, f.top() - 1, (1ull << f.fraction) - 1);
    }
    if (inexact) flags |= kMxcsrPrecision;
    return f.join(sign, static_cast<u64>(e + f.bias()), r & ((1ull << f.fraction) - 1));
}

u64 fused(const Format& f, Number x, Number y, Number z, const Mode& m, u32& flags) {
    if (x.snan || y.snan || z.snan) flags |= kMxcsrInvalid;
    for (const Number* n : {&x, &y, &z})
        if (n->nan) return n->bits | f.quiet();
    const bool sign = x.sign != y.sign;
    const bool impossible = (x.infinite && y.zero) || (x.zero && y.infinite);
    const bool product_infinite = x.infinite || y.infinite;
    if (impossible || (product_infinite && z.infinite && z.sign != sign)) {
        flags |= kMxcsrInvalid;
        return f.join(true, f.top(), f.quiet());
    }
    if (x.denormal || y.denormal || z.denormal) flags |= kMxcsrDenormal;
    if (product_infinite) return f.infinity(sign);
    if (z.infinite) return f.infinity(z.sign);
    const bool product_zero = x.zero || y.zero;
    if (product_zero && z.zero) return f.join(sign == z.sign ? sign : m.rounding == kDown, 0, 0);
    const u128 addend = static_cast<u128>(z.mantissa) << (kTop - 63);
    if (product_zero) return pack(f, z.sign, z.exponent, addend, m, flags);
    u128 product = static_cast<u128>(x.mantissa) * y.mantissa;  // the leading one is bit 126 or 127
    int exponent = x.exponent + y.exponent;
    const int extra = leading(product) - kTop;
    if (extra == 2) ++exponent;
    product = shift_jam(product, extra);
    if (z.zero) return pack(f, sign, exponent, product, m, flags);
    u128 a = product, b = addend;
    bool result_sign = sign;
    if (exponent >= z.exponent) {
        b = shift_jam(b, exponent - z.exponent);
    } else {
        a = shift_jam(a, z.exponent - exponent);
        exponent = z.exponent;
    }
    u128 sum = 0;
    if (sign == z.sign) {
        sum = a + b;
    } else if (a >= b) {
        sum = a - b;
    } else {
        sum = b - a;
        result_sign = z.sign;
    }
    if (sum == 0) return f.join(m.rounding == kDown, 0, 0);
    const int at = leading(sum);
    exponent += at - kTop;
    sum = at > kTop ? shift_jam(sum, at - kTop) : sum << (kTop - at);
    return pack(f, result_sign, exponent, sum, m, flags);
}

Mode mode_of(u32 mxcsr) {
    const bool raises = (mxcsr & kMxcsrUnderflow << kMxcsrMaskShift) == 0;
    return {mxcsr >> 13 & 3u, (mxcsr & kMxcsrFtz) != 0 && !raises, raises,
            (mxcsr & kMxcsrOverflow << kMxcsrMaskShift) == 0};
}
u64 element(const u8* p, u32 n, u32 size) {
    u64 v = 0;
    std::memcpy(&v, p + n * size, size);
    return v;
}

}  // namespace

u32 soft_fma(u32 opcode, bool doubles, u32 mxcsr, u8* d, const u8* b, const u8* c, u32 count) {
    const Format& f = doubles ? kDoubleFormat : kSingleFormat;
    const u32 size = doubles ? 8 : 4;
    const bool daz = (mxcsr & kMxcsrDaz) != 0;
    const Mode mode = mode_of(mxcsr);
    const u32 kind = opcode & 0xeu;
    const bool alternates = (opcode & 0xfu) == 6 || (opcode & 0xfu) == 7;
    u32 flags = 0;
    for (u32 n = 0; n < count; ++n) {
        const Number first = unpack(f, element(d, n, size), daz);
        const Number second = unpack(f, element(b, n, size), daz);
        const Number third = unpack(f, element(c, n, size), daz);
        Number x = opcode < 0xa0 ? first : second;
        const Number y = opcode < 0xa0 || opcode >= 0xb0 ? third : first;
        Number z = opcode < 0xa0 ? second : opcode < 0xb0 ? third : first;
        // A NaN comes out as it is.
        if (!x.nan && !y.nan && !z.nan) {
            if (kind == 0xc || kind == 0xe) x.sign = !x.sign;
            const bool odd = (n & 1u) != 0;
            const bool subtracts = alternates ? odd == ((opcode & 1u) != 0) : kind == 0xa || kind == 0xe;
            if (subtracts) z.sign = !z.sign;
        }
        const u64 r = fused(f, x, y, z, mode, flags);
        std::memcpy(d + n * size, &r, size);
    }
    return flags;
}

namespace {

u64 divided(const Format& f, const Number& x, const Number& y, const Mode& m, u32& flags) {
    if (x.nan || y.nan || x.infinite || y.infinite || x.zero || y.zero) return 0;  // neither large nor tiny
    const u128 dividend = static_cast<u128>(x.mantissa) << 63;
    u128 quotient = dividend / y.mantissa;  // the leading one is bit 62 or 63
    const bool rest = dividend % y.mantissa != 0;
    int exponent = x.exponent - y.exponent;
    const int at = leading(quotient);
    exponent += at - 63;
    quotient = quotient << (kTop - at) | (rest ? 1 : 0);
    return pack(f, x.sign != y.sign, exponent, quotient, m, flags);
}
u64 narrowed(const Number& x, const Mode& m, u32& flags) {
    if (x.nan || x.infinite || x.zero) return 0;
    return pack(kSingleFormat, x.sign, x.exponent, static_cast<u128>(x.mantissa) << (kTop - 63), m, flags);
}

}  // namespace

u32 soft_arithmetic(Arithmetic operation, bool doubles, u32 mxcsr, const u8* a, const u8* b, u32 count) {
    const bool narrow = operation == Arithmetic::kNarrow;
    const Format& f = doubles || narrow ? kDoubleFormat : kSingleFormat;
    const u32 size = doubles || narrow ? 8 : 4;
    const bool daz = (mxcsr & kMxcsrDaz) != 0;
    const Mode mode = mode_of(mxcsr);
    const Number one = unpack(f, f.join(false, static_cast<u64>(f.bias()), 0), false);
    const bool pairs = operation == Arithmetic::kAddPairs || operation == Arithmetic::kSubPairs;
    u32 flags = 0;
    for (u32 n = 0; n < count; ++n) {
        const u8* left = narrow ? b : a;
        const u8* right = b;
        u32 at = n;
        if (pairs) {  // elements 0 and 1 of a, 2 and 3 of a, ... then those of b
            left = n < count / 2 ? a : b;
            at = n % (count / 2) * 2;
            right = left + size;
        }
        const Number x = unpack(f, element(left, at, size), daz);
        Number y = unpack(f, element(right, at, size), daz);
        switch (operation) {
            case Arithmetic::kMul: fused(f, x, y, Number{.zero = true}, mode, flags); break;
            case Arithmetic::kDiv: divided(f, x, y, mode, flags); break;
            case Arithmetic::kNarrow: narrowed(x, mode, flags); break;
            default: {
                const bool subtracts = operation == Arithmetic::kSub || operation == Arithmetic::kSubPairs ||
                                       (operation == Arithmetic::kSubAdd && n % 2 == 0);
                if (subtracts) y.sign = !y.sign;
                fused(f, x, one, y, mode, flags);
            }
        }
    }
    return flags;
}

u32 single_from_half(u16 value, u32& flags) {
    const Number n = unpack(kHalf, value, false);
    const bool sign = n.sign;
    if (n.nan) {
        if (n.snan) flags |= kMxcsrInvalid;
        const u64 fraction = (value & 0x3ffu) << 13 | kSingleFormat.quiet();
        return static_cast<u32>(kSingleFormat.join(sign, kSingleFormat.top(), fraction));
    }
    if (n.infinite) return static_cast<u32>(kSingleFormat.infinity(sign));
    if (n.zero) return static_cast<u32>(kSingleFormat.join(sign, 0, 0));
    u32 none = 0;
    return static_cast<u32>(
        pack(kSingleFormat, sign, n.exponent, static_cast<u128>(n.mantissa) << (kTop - 63), Mode{}, none));
}

u16 half_from_single(u32 value, u32 rounding, u32 mxcsr, u32& flags) {
    const Number n = unpack(kSingleFormat, value, (mxcsr & kMxcsrDaz) != 0);
    if (n.nan) {
        if (n.snan) flags |= kMxcsrInvalid;
        return static_cast<u16>(kHalf.join(n.sign, kHalf.top(), (value >> 13 & 0x3ffu) | kHalf.quiet()));
    }
    if (n.infinite) return static_cast<u16>(kHalf.infinity(n.sign));
    if (n.zero) return static_cast<u16>(kHalf.join(n.sign, 0, 0));
    if (n.denormal) flags |= kMxcsrDenormal;
    Mode mode = mode_of(mxcsr);
    mode.rounding = rounding;
    mode.flush = false;  // FTZ does not concern halves
    return static_cast<u16>(pack(kHalf, n.sign, n.exponent, static_cast<u128>(n.mantissa) << (kTop - 63), mode, flags));
}

}  // namespace backplane::interp
