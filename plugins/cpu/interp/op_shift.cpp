// Shifts and rotates: ROL ROR RCL RCR SHL SHR SAR, SHLD SHRD.
#include <cstddef>

#include "flags.hpp"
#include "ops.hpp"

namespace backplane::interp {
namespace {

// RCL, RCR of 64 bits; n is 1..63.
template <bool kRight>
u64 rotate_carry64(Cpu* c, u64 a, unsigned n) {
    const u64 old_cf = get_cf(c);
    u64 r = 0;
    u32 cf = 0;
    if constexpr (kRight) {
        cf = static_cast<u32>(a >> (n - 1)) & 1u;
        r = a >> n | old_cf << (64 - n) | (n > 1 ? a << (65 - n) : 0);
        set_cf_of(c, cf, static_cast<u32>(r >> 63) ^ (static_cast<u32>(r >> 62) & 1u));
    } else {
        cf = static_cast<u32>(a >> (64 - n)) & 1u;
        r = a << n | old_cf << (n - 1) | (n > 1 ? a >> (65 - n) : 0);
        set_cf_of(c, cf, cf ^ static_cast<u32>(r >> 63));
    }
    return r;
}

// n is the masked count, 1..31, 1..63 for 64-bit operands. Flags that the manual leaves undefined for n > 1 are as P6
// and later processors set them where that is simple.
template <unsigned kOp, typename T>
[[gnu::always_inline]] inline T shift(Cpu* c, T a, unsigned n) {
    constexpr unsigned kSize = kBits<T>;
    if constexpr (kOp == 0) {  // ROL: CF is bit 0 of the result, OF = CF ^ the top bit
        const unsigned k = n & (kSize - 1);
        const T r = static_cast<T>(a << k | a >> (-k & (kSize - 1)));
        set_carries(c, static_cast<u32>(r) << 31 | static_cast<u32>(r >> (kSize - 1)) << 30);
        return r;
    } else if constexpr (kOp == 1) {  // ROR: CF and OF are in the result's two top bits
        const unsigned k = n & (kSize - 1);
        const T r = static_cast<T>(a >> k | a << (-k & (kSize - 1)));
        if constexpr (kSize == 64)
            set_carries(c, static_cast<u32>(r >> 32) & 0xc0000000u);
        else
            set_carries(c, static_cast<u32>(r) << (32 - kSize) & 0xc0000000u);
        return r;
    } else if constexpr ((kOp == 2 || kOp == 3) && kSize == 64) {
        return rotate_carry64<kOp == 3>(c, a, n);
    } else if constexpr (kOp == 2) {  // RCL, through kSize + 1 bits
        const unsigned k = n % (kSize + 1);
        const u64 wide = static_cast<u64>(get_cf(c)) << kSize | a;
        const u64 turned = k == 0 ? wide : wide << k | wide >> (kSize + 1 - k);
        const T r = static_cast<T>(turned);
        const u32 cf = static_cast<u32>(turned >> kSize) & 1u;
        set_cf_of(c, cf, cf ^ static_cast<u32>(r >> (kSize - 1)));
        return r;
    } else if constexpr (kOp == 3) {  // RCR
        const unsigned k = n % (kSize + 1);
        const u32 old_cf = get_cf(c);
        const u64 wide = static_cast<u64>(old_cf) << kSize | a;
        const u64 turned = k == 0 ? wide : wide >> k | wide << (kSize + 1 - k);
        const T r = static_cast<T>(turned);
        const u32 cf = static_cast<u32>(turned >> kSize) & 1u;
        set_cf_of(c, cf, static_cast<u32>(r >> (kSize - 1)) ^ (static_cast<u32>(r >> (kSize - 2)) & 1u));
        return r;
    } else if constexpr (kOp == 4) {  // SHL: the two top bits of the wide result are CF and CF ^ OF; AF is undefined
        const u64 wide = static_cast<u64>(a) << n;
        if constexpr (kSize == 64) {
            const u32 cf = static_cast<u32>(a >> (64 - n)) & 1u;
            c->flag_aux = static_cast<u32>(cf << 31 | static_cast<u32>(wide >> 63) << 30);
        } else {
            c->flag_aux = static_cast<u32>(kSize == 32 ? wide >> 1 : wide << (31 - kSize));
        }
        set_result<T>(c, static_cast<T>(wide));
        return static_cast<T>(wide);
    } else if constexpr (kOp == 5) {  // SHR: OF is the old top bit where it is defined
        const T r = static_cast<T>(static_cast<u64>(a) >> n);
        const u32 cf = static_cast<u32>(static_cast<u64>(a) >> (n - 1));
        c->flag_aux = static_cast<u32>(cf << 31 | ((cf ^ static_cast<u32>(a >> (kSize - 1))) & 1u) << 30);
        set_result<T>(c, r);
        return r;
    } else {  // SAR: OF is 0
        const i64 wide = static_cast<std::make_signed_t<T>>(a);
        const T r = static_cast<T>(wide >> n);
        c->flag_aux = (static_cast<u32>(wide >> (n - 1)) & 1u) * 0xc0000000u;
        set_result<T>(c, r);
        return r;
    }
}

template <typename T, bool kByCl>
[[gnu::always_inline]] inline unsigned count_of(Cpu* c, const Insn* i) {
    return (kByCl ? c->r8(kEcx) : i->imm) & (sizeof(T) == 8 ? 63u : 31u);
}

template <unsigned kOp, typename T, bool kByCl>
void shift_r(Cpu* c, Insn* i) {
    const unsigned n = count_of<T, kByCl>(c, i);
    auto&& d = reg<T>(c, i->dst);
    if (!kByCl || n != 0)
        d = shift<kOp, T>(c, d, n);
    else if constexpr (sizeof(T) == 4)
        d = static_cast<u32>(d);  // the upper half is cleared all the same
    return next(c, i);
}
template <unsigned kOp, typename T, bool kByCl>
void shift_m(Cpu* c, Insn* i) {
    const unsigned n = count_of<T, kByCl>(c, i);
    return with_update<T, Form::kGeneral>(
        c, i, nullptr, [ c, n ](T v) __attribute__((always_inline)) { return n == 0 ? v : shift<kOp, T>(c, v, n); });
}

// dst is shifted, src fills; n is the masked count. For 16-bit operands and n > 16 the result is undefined in the
// manual; processors of this family rotate through dst:src:dst.
template <bool kRight, typename T>
T double_shift(Cpu* c, T a, T b, unsigned n) {
    constexpr unsigned kSize = kBits<T>;
    T r = 0;
    u32 cf = 0;
    if constexpr (kSize >= 32) {
        if constexpr (kRight) {
            r = a >> n | b << (kSize - n);
            cf = static_cast<u32>(a >> (n - 1)) & 1u;
        } else {
            r = a << n | b >> (kSize - n);
            cf = static_cast<u32>(a >> (kSize - n)) & 1u;
        }
    } else {
        const u64 x = a;
        const u64 y = b;
        if constexpr (kRight) {
            const u64 wide = x | y << 16 | x << 32;
            r = static_cast<T>(wide >> n);
            cf = static_cast<u32>(wide >> (n - 1)) & 1u;
        } else {
            const u64 wide = x << 32 | y << 16 | x;
            r = static_cast<T>(wide >> (32 - n));
            cf = static_cast<u32>(wide >> (48 - n)) & 1u;
        }
    }
    set_flags_of<T>(c, r, cf, static_cast<u32>((r ^ a) >> (kSize - 1)) & 1u);
    return r;
}
template <bool kRight, typename T, bool kByCl, bool kMemory>
void op_double_shift(Cpu* c, Insn* i) {
    const unsigned n = count_of<T, kByCl>(c, i);
    const T b = reg<T>(c, i->src);
    if constexpr (kMemory) {
        return with_update<T, Form::kGeneral>(
            c, i, nullptr, [ c, b, n ](T v) __attribute__((always_inline)) {
                return n == 0 ? v : double_shift<kRight, T>(c, v, b, n);
            });
    } else {
        auto&& d = reg<T>(c, i->dst);
        const T v = d;
        d = n != 0 ? double_shift<kRight, T>(c, v, b, n) : v;
        return next(c, i);
    }
}

}  // namespace

Handler shift_handler(unsigned op, unsigned size, Form form, bool by_cl) {
    // Group 2 /6 is SHL as well.
    return by_number<8>(op == 6 ? 4 : op, [=]<std::size_t kOp>() -> Handler {
        return by_size(size, [=]<typename T>() -> Handler {
            if (form == Form::kReg) return by_cl ? shift_r<kOp, T, true> : shift_r<kOp, T, false>;
            return by_cl ? shift_m<kOp, T, true> : shift_m<kOp, T, false>;
        });
    });
}

Handler double_shift_handler(bool right, unsigned size, Form form, bool by_cl) {
    return by_word(size, [=]<typename T>() -> Handler {
        if (form == Form::kReg) {
            if (right) return by_cl ? op_double_shift<true, T, true, false> : op_double_shift<true, T, false, false>;
            return by_cl ? op_double_shift<false, T, true, false> : op_double_shift<false, T, false, false>;
        }
        if (right) return by_cl ? op_double_shift<true, T, true, true> : op_double_shift<true, T, false, true>;
        return by_cl ? op_double_shift<false, T, true, true> : op_double_shift<false, T, false, true>;
    });
}

}  // namespace backplane::interp
