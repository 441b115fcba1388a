// BMI1, BMI2 and ADX: bit manipulation in general registers. Those with a VEX prefix need no vector state, but a mode
// that knows the prefix.
#include <span>

#include "flags.hpp"
#include "vex_ops.hpp"

namespace backplane::interp {
namespace {

template <typename T>
[[gnu::always_inline]] inline void put(Cpu* c, unsigned where, T v) {
    if constexpr (sizeof(T) == 2)
        reg<u16>(c, where) = v;
    else
        reg<u64>(c, where) = v;
}
template <typename T>
[[gnu::always_inline]] inline T second(Cpu* c, const Insn* i) {
    return reg<T>(c, i->extra);
}
// AF and PF, and what else the manual leaves undefined, are as after a logic operation.
#define BP_BMI(NAME, ...)                                                        \
    struct NAME {                                                                \
        template <typename T>                                                    \
        [[gnu::always_inline]] static void run(Cpu* c, Insn* i, T v) __VA_ARGS__ \
    }
BP_BMI(Andn, { put<T>(c, i->dst, do_logic<T>(c, v & static_cast<T>(~second<T>(c, i)))); });
BP_BMI(Bextr, {
    const u32 control = static_cast<u32>(second<T>(c, i));
    const u32 start = control & 0xffu;
    const u32 length = control >> 8 & 0xffu;
    T r = start < kBits<T> ? static_cast<T>(v >> start) : T{0};
    if (length < kBits<T>) r &= static_cast<T>((T{1} << length) - 1);
    put<T>(c, i->dst, do_logic<T>(c, r));
});
BP_BMI(Blsr, {
    const T r = v & static_cast<T>(v - 1);
    set_flags_of<T>(c, r, v == 0 ? 1 : 0, 0);
    put<T>(c, i->dst, r);
});
BP_BMI(Blsmsk, {
    const T r = v ^ static_cast<T>(v - 1);
    set_flags_of<T>(c, r, v == 0 ? 1 : 0, 0);
    put<T>(c, i->dst, r);
});
BP_BMI(Blsi, {
    const T r = v & static_cast<T>(0 - v);
    set_flags_of<T>(c, r, v != 0 ? 1 : 0, 0);
    put<T>(c, i->dst, r);
});
BP_BMI(Bzhi, {
    const u32 n = static_cast<u32>(second<T>(c, i)) & 0xffu;
    const T r = n < kBits<T> ? static_cast<T>(v & ((T{1} << n) - 1)) : v;
    set_flags_of<T>(c, r, n >= kBits<T> ? 1 : 0, 0);
    put<T>(c, i->dst, r);
});
BP_BMI(Shlx, { put<T>(c, i->dst, static_cast<T>(v << (second<T>(c, i) & (kBits<T> - 1)))); });
BP_BMI(Shrx, { put<T>(c, i->dst, static_cast<T>(v >> (second<T>(c, i) & (kBits<T> - 1)))); });
BP_BMI(Sarx, {
    put<T>(c, i->dst, static_cast<T>(static_cast<std::make_signed_t<T>>(v) >> (second<T>(c, i) & (kBits<T> - 1))));
});
BP_BMI(Rorx, {
    const u32 n = i->imm & (kBits<T> - 1);
    put<T>(c, i->dst, static_cast<T>(n == 0 ? v : v >> n | v << (kBits<T> - n)));
});
// The high half is written last: it stays if both go to one register.
BP_BMI(Mulx, {
    __extension__ using Wide = std::conditional_t<sizeof(T) == 8, unsigned __int128, u64>;
    const Wide r = static_cast<Wide>(static_cast<T>(reg<T>(c, kEdx * 8))) * v;
    put<T>(c, i->extra, static_cast<T>(r));
    put<T>(c, i->dst, static_cast<T>(r >> kBits<T>));
});
BP_BMI(Pdep, {
    T from = second<T>(c, i);
    T r = 0;
    for (T mask = v; mask != 0; mask &= static_cast<T>(mask - 1), from = static_cast<T>(from >> 1)) {
        if ((from & 1u) != 0) r |= mask & static_cast<T>(0 - mask);
    }
    put<T>(c, i->dst, r);
});
BP_BMI(Pext, {
    const T from = second<T>(c, i);
    T r = 0;
    T to = 1;
    for (T mask = v; mask != 0; mask &= static_cast<T>(mask - 1), to = static_cast<T>(to << 1)) {
        if ((from & mask & static_cast<T>(0 - mask)) != 0) r |= to;
    }
    put<T>(c, i->dst, r);
});
// Without a VEX prefix. CF: the source is zero, ZF: the result is; the others are left undefined.
BP_BMI(Tzcnt, {
    const T n = v == 0 ? static_cast<T>(kBits<T>) : static_cast<T>(__builtin_ctzll(v));
    set_flags_of<T>(c, n, v == 0 ? 1 : 0, 0);
    put<T>(c, i->dst, n);
});
BP_BMI(Adcx, {
    const T a = reg<T>(c, i->dst);
    const u32 carry = get_cf(c);
    const T sum = static_cast<T>(a + v);
    const T r = static_cast<T>(sum + carry);
    set_cf(c, sum < a || r < sum ? 1 : 0);
    put<T>(c, i->dst, r);
});
BP_BMI(Adox, {
    const T a = reg<T>(c, i->dst);
    const u32 carry = get_of(c);
    const T sum = static_cast<T>(a + v);
    const T r = static_cast<T>(sum + carry);
    set_cf_of(c, get_cf(c), sum < a || r < sum ? 1 : 0);
    put<T>(c, i->dst, r);
});

template <bool kVex, class Op, typename T>
void bmi_r(Cpu* c, Insn* i) {
    if (kVex && (c->sse.vex_slow & kVexUnknown) != 0) [[unlikely]]
        return undefined_handler()(c, i);
    Op::template run<T>(c, i, reg<T>(c, i->src));
    return next(c, i);
}
template <bool kVex, class Op, typename T, Form kForm>
void bmi_m(Cpu* c, Insn* i) {
    if (kVex && (c->sse.vex_slow & kVexUnknown) != 0) [[unlikely]]
        return undefined_handler()(c, i);
    return with_load<T, kForm>(
        c, i, bmi_m<kVex, Op, T, Form::kGeneral>,
        [ c, i ](T v) __attribute__((always_inline)) { Op::template run<T>(c, i, v); });
}
template <bool kVex, class Op, typename T>
Handler pick_sized(const SseChoice& s) {
    if (s.form == Form::kReg) return bmi_r<kVex, Op, T>;
    return by_form<u32>(s.form, []<Form kForm>() -> Handler { return bmi_m<kVex, Op, T, kForm>; });
}
template <class Op>
Handler pick_bmi(const SseChoice& s) {
    return s.wide ? pick_sized<true, Op, u64>(s) : pick_sized<true, Op, u32>(s);
}
Handler pick_lowest_bit(const SseChoice& s) {
    if (s.reg == 1) return pick_bmi<Blsr>(s);
    if (s.reg == 2) return pick_bmi<Blsmsk>(s);
    return s.reg == 3 ? pick_bmi<Blsi>(s) : nullptr;
}
template <class Op>
Handler pick_plain(const SseChoice& s) {
    return s.wide ? pick_sized<false, Op, u64>(s) : pick_sized<false, Op, u32>(s);
}
Handler pick_tzcnt(const SseChoice& s) {
    return s.operand16 && !s.wide ? pick_sized<false, Tzcnt, u16>(s) : pick_plain<Tzcnt>(s);
}

constexpr u16 kOne = kVexGeneral | kVexL0, kTwo = kOne | kVexSecond;
constexpr VexEntry kVexEntries[] = {
    {sse_key(kMap38, k00, 0xf2), Feature::kBmi1, 0, kTwo, pick_bmi<Andn>},
    {sse_key(kMap38, k00, 0xf3), Feature::kBmi1, 0, kTwo | kVexTo, pick_lowest_bit},
    {sse_key(kMap38, k00, 0xf5), Feature::kBmi2, 0, kTwo, pick_bmi<Bzhi>},
    {sse_key(kMap38, kF3, 0xf5), Feature::kBmi2, 0, kTwo, pick_bmi<Pext>},
    {sse_key(kMap38, kF2, 0xf5), Feature::kBmi2, 0, kTwo, pick_bmi<Pdep>},
    {sse_key(kMap38, kF2, 0xf6), Feature::kBmi2, 0, kTwo, pick_bmi<Mulx>},
    {sse_key(kMap38, k00, 0xf7), Feature::kBmi1, 0, kTwo, pick_bmi<Bextr>},
    {sse_key(kMap38, k66, 0xf7), Feature::kBmi2, 0, kTwo, pick_bmi<Shlx>},
    {sse_key(kMap38, kF3, 0xf7), Feature::kBmi2, 0, kTwo, pick_bmi<Sarx>},
    {sse_key(kMap38, kF2, 0xf7), Feature::kBmi2, 0, kTwo, pick_bmi<Shrx>},
    {sse_key(kMap3a, kF2, 0xf0), Feature::kBmi2, kImmediate, kOne, pick_bmi<Rorx>},
};
constexpr SseEntry kEntries[] = {
    {sse_key(kMap0f, kF3, 0xbc), Feature::kBmi1, kDstGpr | kSrcGpr | kLenient, pick_tzcnt},
    {sse_key(kMap38, k66, 0xf6), Feature::kAdx, kDstGpr | kSrcGpr, pick_plain<Adcx>},
    {sse_key(kMap38, kF3, 0xf6), Feature::kAdx, kDstGpr | kSrcGpr, pick_plain<Adox>},
};

}  // namespace

std::span<const VexEntry> vex_bmi_entries() { return kVexEntries; }
std::span<const SseEntry> bmi_entries() { return kEntries; }

}  // namespace backplane::interp
