// Lazy arithmetic flags.
//
// flag_result holds the last result, sign-extended: ZF, SF and PF follow from it. flag_aux holds carries: bit 31 is CF,
// bit 30 the carry into the sign bit (OF = bit 31 ^ bit 30), bit 3 is AF; the other low bits are noise. Combinations
// that no result has (ZF with SF, say, from POPF) are expressed by bit 32, which inverts PF, and bit 33, which inverts
// SF. An arithmetic instruction stores a zero-extended 32-bit value into flag_aux and thereby clears both.
#pragma once

#include <type_traits>

#include "cpu.hpp"

namespace backplane::interp {

template <typename T>
inline constexpr unsigned kBits = sizeof(T) * 8;

inline u32 get_cf(const Cpu* c) { return static_cast<u32>(c->flag_aux) >> 31; }
inline u32 get_of(const Cpu* c) {
    const u32 a = static_cast<u32>(c->flag_aux);
    return (a ^ (a << 1)) >> 31;
}
inline u32 get_af(const Cpu* c) { return static_cast<u32>(c->flag_aux) >> 3 & 1u; }
inline u32 get_zf(const Cpu* c) { return c->flag_result == 0 ? 1u : 0u; }
inline u32 get_sf(const Cpu* c) {
    return static_cast<u32>(static_cast<u64>(c->flag_result) >> 63 ^ (c->flag_aux >> 33 & 1u));
}
inline u32 get_pf(const Cpu* c) {
    const unsigned odd = static_cast<unsigned>(__builtin_parity(static_cast<unsigned>(c->flag_result) & 0xffu));
    return (odd ^ 1u ^ static_cast<u32>(c->flag_aux >> 32)) & 1u;
}

template <typename T>
[[gnu::always_inline]] inline void set_result(Cpu* c, T r) {
    c->flag_result = static_cast<std::make_signed_t<T>>(r);
}
// x = a ^ b ^ result computed in 64 bits: bit n is the carry into bit n.
template <typename T>
[[gnu::always_inline]] inline u32 carries(u64 x) {
    if constexpr (sizeof(T) == 4)
        return static_cast<u32>(x >> 1);
    else
        return static_cast<u32>(x << (31 - kBits<T>)) | (static_cast<u32>(x >> 1) & 8u);
}
// The same from the carries out of each bit of a 64-bit operation.
[[gnu::always_inline]] inline u32 carries_out(u64 out) {
    return (static_cast<u32>(out >> 32) & 0xc0000000u) | (static_cast<u32>(out) & 8u);
}
template <typename T>
[[gnu::always_inline]] inline T do_add(Cpu* c, T a, T b, u32 carry = 0) {
    if constexpr (sizeof(T) == 8) {
        const u64 r = a + b + carry;
        c->flag_aux = carries_out((a & b) | ((a | b) & ~r));
        set_result<T>(c, r);
        return r;
    } else {
        const u64 wide = static_cast<u64>(a) + b + carry;
        c->flag_aux = carries<T>(a ^ b ^ wide);
        set_result<T>(c, static_cast<T>(wide));
        return static_cast<T>(wide);
    }
}
template <typename T>
[[gnu::always_inline]] inline T do_sub(Cpu* c, T a, T b, u32 borrow = 0) {
    if constexpr (sizeof(T) == 8) {
        const u64 r = a - b - borrow;
        c->flag_aux = carries_out((~a & b) | (~(a ^ b) & r));
        set_result<T>(c, r);
        return r;
    } else {
        const u64 wide = static_cast<u64>(a) - b - borrow;
        c->flag_aux = carries<T>(a ^ b ^ wide);
        set_result<T>(c, static_cast<T>(wide));
        return static_cast<T>(wide);
    }
}
template <typename T>
[[gnu::always_inline]] inline T do_logic(Cpu* c, T r) {
    c->flag_aux = 0;
    set_result<T>(c, r);
    return r;
}
// CF, OF and AF explicitly, SZP from the result.
template <typename T>
[[gnu::always_inline]] inline void set_flags_of(Cpu* c, T r, u32 cf, u32 of, u32 af = 0) {
    c->flag_aux = (cf << 31) | ((cf ^ of) << 30) | (af << 3);
    set_result<T>(c, r);
}
template <typename T>
[[gnu::always_inline]] inline T do_inc(Cpu* c, T a) {
    const u32 cf = static_cast<u32>(c->flag_aux) & 0x80000000u;
    const T r = static_cast<T>(a + 1);
    const u32 of = r == static_cast<T>(T{1} << (kBits<T> - 1)) ? 0x40000000u : 0u;
    c->flag_aux = (cf | cf >> 1) ^ (of | ((r & 15u) == 0 ? 8u : 0u));
    set_result<T>(c, r);
    return r;
}
template <typename T>
[[gnu::always_inline]] inline T do_dec(Cpu* c, T a) {
    const u32 cf = static_cast<u32>(c->flag_aux) & 0x80000000u;
    const T r = static_cast<T>(a - 1);
    const u32 of = a == static_cast<T>(T{1} << (kBits<T> - 1)) ? 0x40000000u : 0u;
    c->flag_aux = (cf | cf >> 1) ^ (of | ((a & 15u) == 0 ? 8u : 0u));
    set_result<T>(c, r);
    return r;
}
// CF alone; OF keeps its value.
inline void set_cf(Cpu* c, u32 cf) {
    const u32 a = static_cast<u32>(c->flag_aux);
    const u32 of = (a ^ (a << 1)) >> 31;
    c->flag_aux = (c->flag_aux & ~0xc0000000ull) | (static_cast<u64>(cf) << 31) | (static_cast<u64>(cf ^ of) << 30);
}
// CF and OF; the others keep their values (rotates).
inline void set_cf_of(Cpu* c, u32 cf, u32 of) {
    c->flag_aux = (c->flag_aux & ~0xc0000000ull) | (static_cast<u64>(cf) << 31) | (static_cast<u64>(cf ^ of) << 30);
}
// The same from a word whose bit 31 is CF and bit 30 CF ^ OF.
[[gnu::always_inline]] inline void set_carries(Cpu* c, u32 top) { c->flag_aux = (c->flag_aux & ~0xc0000000ull) | top; }
inline void set_zf(Cpu* c, bool zf) {
    if ((c->flag_result == 0) == zf) return;
    u32 f = (get_cf(c) * kCf) | (get_pf(c) * kPf) | (get_af(c) * kAf) | (get_sf(c) * kSf) | (get_of(c) * kOf);
    if (zf) f |= kZf;
    c->set_arith(f);
}

// Condition codes as in Jcc, SETcc, CMOVcc.
template <unsigned kCode>
[[gnu::always_inline]] inline bool condition(const Cpu* c) {
    bool v = false;
    if constexpr (kCode >> 1 == 0)
        v = get_of(c) != 0;
    else if constexpr (kCode >> 1 == 1)
        v = get_cf(c) != 0;
    else if constexpr (kCode >> 1 == 2)
        v = get_zf(c) != 0;
    else if constexpr (kCode >> 1 == 3)
        v = get_cf(c) != 0 || get_zf(c) != 0;
    else if constexpr (kCode >> 1 == 4)
        v = get_sf(c) != 0;
    else if constexpr (kCode >> 1 == 5)
        v = get_pf(c) != 0;
    else if constexpr (kCode >> 1 == 6)
        v = get_sf(c) != get_of(c);
    else
        v = get_zf(c) != 0 || get_sf(c) != get_of(c);
    return v != ((kCode & 1u) != 0);
}

}  // namespace backplane::interp
