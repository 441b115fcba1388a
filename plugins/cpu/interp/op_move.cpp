// Moves: MOV MOVZX MOVSX LEA XCHG CMOVcc SETcc CMPXCHG CMPXCHG8B XADD BSWAP XLAT.
#include <cstddef>

#include "flags.hpp"
#include "ops.hpp"

namespace backplane::interp {
namespace {

template <typename T>
void op_mov_rr(Cpu* c, Insn* i) {
    reg<T>(c, i->dst) = reg<T>(c, i->src);
    return next(c, i);
}
template <typename T>
void op_mov_ri(Cpu* c, Insn* i) {
    reg<T>(c, i->dst) = immediate<T>(i);
    return next(c, i);
}
template <typename T, Form kForm>
void op_load(Cpu* c, Insn* i) {
    return with_load<T, kForm>(
        c, i, op_load<T, Form::kGeneral>, [ c, i ](T v) __attribute__((always_inline)) { reg<T>(c, i->dst) = v; });
}
template <typename T, Form kForm>
void op_store(Cpu* c, Insn* i) {
    return with_store<T, kForm>(c, i, op_store<T, Form::kGeneral>, reg<T>(c, i->src));
}
template <typename T, Form kForm>
void op_store_imm(Cpu* c, Insn* i) {
    return with_store<T, kForm>(c, i, op_store_imm<T, Form::kGeneral>, immediate<T>(i));
}

template <bool kSign, typename From, typename To>
[[gnu::always_inline]] inline To extend(From v) {
    if constexpr (kSign)
        return static_cast<To>(static_cast<std::make_signed_t<From>>(v));
    else
        return v;
}
template <bool kSign, typename From, typename To>
void op_extend_r(Cpu* c, Insn* i) {
    reg<To>(c, i->dst) = extend<kSign, From, To>(reg<From>(c, i->src));
    return next(c, i);
}
template <bool kSign, typename From, typename To, Form kForm>
void op_extend_m(Cpu* c, Insn* i) {
    return with_load<From, kForm>(
        c, i, op_extend_m<kSign, From, To, Form::kGeneral>,
        [ c, i ](From v) __attribute__((always_inline)) { reg<To>(c, i->dst) = extend<kSign, From, To>(v); });
}

template <typename T, Form kForm>
void op_lea(Cpu* c, Insn* i) {
    if constexpr (kForm == Form::kGeneral || kForm == Form::kBased || kForm == Form::kLongBased)
        reg<T>(c, i->dst) = static_cast<T>(offset_of(c, i));
    else
        reg<T>(c, i->dst) = static_cast<T>(address_of<kForm>(c, i));
    return next(c, i);
}

template <typename T>
void op_xchg_r(Cpu* c, Insn* i) {
    const T v = reg<T>(c, i->dst);
    reg<T>(c, i->dst) = reg<T>(c, i->src);
    reg<T>(c, i->src) = v;
    return next(c, i);
}
template <unsigned kCode, typename T>
void op_cmov_r(Cpu* c, Insn* i) {
    // Written in any case: the upper half of a 64-bit register is cleared.
    const T v = condition<kCode>(c) ? reg<T>(c, i->src) : reg<T>(c, i->dst);
    reg<T>(c, i->dst) = v;
    return next(c, i);
}
template <unsigned kCode, typename T, Form kForm>
void op_cmov_m(Cpu* c, Insn* i) {  // reads in any case
    return with_load<T, kForm>(
        c, i, op_cmov_m<kCode, T, Form::kGeneral>, [ c, i ](T v) __attribute__((always_inline)) {
            const T r = condition<kCode>(c) ? v : static_cast<T>(reg<T>(c, i->dst));
            reg<T>(c, i->dst) = r;
        });
}
template <unsigned kCode>
void op_setcc_r(Cpu* c, Insn* i) {
    reg<u8>(c, i->dst) = condition<kCode>(c) ? 1 : 0;
    return next(c, i);
}
template <unsigned kCode>
void op_setcc_m(Cpu* c, Insn* i) {
    return with_store<u8, Form::kGeneral>(c, i, nullptr, static_cast<u8>(condition<kCode>(c) ? 1 : 0));
}

template <typename T>
T cmpxchg(Cpu* c, T old, T replacement) {
    auto&& a = reg<T>(c, 0);
    do_sub<T>(c, a, old);
    if (c->flag_result == 0) return replacement;
    a = old;
    return old;
}
template <typename T>
void op_cmpxchg_r(Cpu* c, Insn* i) {
    const T old = reg<T>(c, i->dst);
    const T now = cmpxchg<T>(c, old, reg<T>(c, i->src));
    if (c->flag_result == 0) reg<T>(c, i->dst) = now;
    return next(c, i);
}
template <typename T, Form kForm>
void op_cmpxchg_m(Cpu* c, Insn* i) {
    return with_update<T, kForm>(
        c, i, op_cmpxchg_m<T, Form::kGeneral>,
        [ c, i ](T v) __attribute__((always_inline)) { return cmpxchg<T>(c, v, reg<T>(c, i->src)); });
}
void op_cmpxchg8b(Cpu* c, Insn* i) {
    return with_update<u64, Form::kGeneral>(
        c, i, nullptr, [c](u64 v) __attribute__((always_inline)) {
            const u64 expected = static_cast<u64>(c->r32(kEdx)) << 32 | c->r32(kEax);
            const bool equal = v == expected;
            set_zf(c, equal);
            if (equal) return static_cast<u64>(c->r32(kEcx)) << 32 | c->r32(kEbx);
            c->r32(kEax) = static_cast<u32>(v);
            c->r32(kEdx) = static_cast<u32>(v >> 32);
            return v;
        });
}
template <typename T>
void op_xadd_r(Cpu* c, Insn* i) {
    const T d = reg<T>(c, i->dst);
    const T sum = do_add<T>(c, d, reg<T>(c, i->src));
    reg<T>(c, i->src) = d;
    reg<T>(c, i->dst) = sum;
    return next(c, i);
}
template <typename T, Form kForm>
void op_xadd_m(Cpu* c, Insn* i) {
    return with_update<T, kForm>(
        c, i, op_xadd_m<T, Form::kGeneral>, [ c, i ](T v) __attribute__((always_inline)) {
            const T sum = do_add<T>(c, v, reg<T>(c, i->src));
            reg<T>(c, i->src) = v;
            return sum;
        });
}
void op_mov_ri64(Cpu* c, Insn* i) {
    reg<u64>(c, i->dst) = static_cast<u64>(i->disp);
    return next(c, i);
}
template <typename T>
void op_bswap(Cpu* c, Insn* i) {
    auto&& r = reg<T>(c, i->dst);
    if constexpr (sizeof(T) == 8)
        r = __builtin_bswap64(r);
    else
        r = __builtin_bswap32(r);
    return next(c, i);
}
void op_xlat(Cpu* c, Insn* i) {
    mark(c, i);
    c->r8(0) = c->read<u8>(static_cast<Seg>(i->seg), offset_plus(i, truncate_offset(i, c->gpr[kEbx]), c->r8(0)));
    return next_checked(c, i);
}

}  // namespace

Handler mov_rr(unsigned size) {
    return by_size(size, []<typename T>() -> Handler { return op_mov_rr<T>; });
}
Handler mov_ri(unsigned size) {
    return by_size(size, []<typename T>() -> Handler { return op_mov_ri<T>; });
}
Handler mov_load(unsigned size, Form form) {
    return by_size(size, [=]<typename T>() -> Handler {
        return by_form<T>(form, []<Form kForm>() -> Handler { return op_load<T, kForm>; });
    });
}
Handler mov_store(unsigned size, Form form) {
    return by_size(size, [=]<typename T>() -> Handler {
        return by_form<T>(form, []<Form kForm>() -> Handler { return op_store<T, kForm>; });
    });
}
Handler mov_store_imm(unsigned size, Form form) {
    return by_size(size, [=]<typename T>() -> Handler {
        return by_form<T>(form, []<Form kForm>() -> Handler { return op_store_imm<T, kForm>; });
    });
}

namespace {
template <bool kSign, typename From, typename To>
Handler extend_of(Form form) {
    if (form == Form::kReg) return op_extend_r<kSign, From, To>;
    return by_form<To>(form, []<Form kForm>() -> Handler { return op_extend_m<kSign, From, To, kForm>; });
}
}  // namespace

Handler extend_handler(bool sign, unsigned from, unsigned to, Form form) {
    return by_word(to, [=]<typename To>() -> Handler {
        if (from == 1) return sign ? extend_of<true, u8, To>(form) : extend_of<false, u8, To>(form);
        if (from == 4) return extend_of<true, u32, To>(form);  // MOVSXD
        return sign ? extend_of<true, u16, To>(form) : extend_of<false, u16, To>(form);
    });
}
Handler lea_handler(unsigned size, Form form) {
    return by_word(size, [=]<typename T>() -> Handler {
        return by_form<T>(form, []<Form kForm>() -> Handler { return op_lea<T, kForm>; });
    });
}
Handler xchg_handler(unsigned size) {
    return by_size(size, []<typename T>() -> Handler { return op_xchg_r<T>; });
}
Handler cmov_handler(unsigned code, unsigned size, Form form) {
    return by_number<16>(code, [=]<std::size_t kCode>() -> Handler {
        return by_word(size, [=]<typename T>() -> Handler {
            if (form == Form::kReg) return op_cmov_r<kCode, T>;
            if constexpr (sizeof(T) == 2) return op_cmov_m<kCode, T, Form::kGeneral>;
            return by_form<T>(form, []<Form kForm>() -> Handler { return op_cmov_m<kCode, T, kForm>; });
        });
    });
}
Handler setcc_handler(unsigned code, Form form) {
    return by_number<16>(code, [=]<std::size_t kCode>() -> Handler {
        if (form == Form::kReg) return op_setcc_r<kCode>;
        return op_setcc_m<kCode>;
    });
}
Handler cmpxchg_handler(unsigned size, Form form) {
    return by_size(size, [=]<typename T>() -> Handler {
        if (form == Form::kReg) return op_cmpxchg_r<T>;
        return by_form<T>(form, []<Form kForm>() -> Handler { return op_cmpxchg_m<T, kForm>; });
    });
}
Handler cmpxchg8b_handler() { return op_cmpxchg8b; }
Handler xadd_handler(unsigned size, Form form) {
    return by_size(size, [=]<typename T>() -> Handler {
        if (form == Form::kReg) return op_xadd_r<T>;
        return by_form<T>(form, []<Form kForm>() -> Handler { return op_xadd_m<T, kForm>; });
    });
}
Handler mov_ri64() { return op_mov_ri64; }
Handler bswap_handler(unsigned size) { return size == 8 ? op_bswap<u64> : op_bswap<u32>; }
Handler xlat_handler() { return op_xlat; }

}  // namespace backplane::interp
