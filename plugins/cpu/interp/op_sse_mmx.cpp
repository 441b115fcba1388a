// Instructions that connect MMX and vector registers, and MASKMOVQ.
#include "mmx_extensions.hpp"
#include "sse_ops.hpp"

namespace backplane::interp {
namespace {

unsigned mm_number(unsigned half_offset) { return half_offset / kXmmOffset & 7u; }
void enter_mmx(Cpu* c) {
    c->fpu.top = 0;
    c->fpu.in_use = 0xff;
}
void set_mm(Cpu* c, unsigned half_offset, u64 value) {
    Float80& r = c->fpu.regs[mm_number(half_offset)];
    r.mantissa = value;
    r.sign_exponent = 0xffff;
}

// The same conversions between vector registers: elements above the low two are zero and raise nothing.
#define BP_CONVERT(NAME, MEM, TEXT)                               \
    struct NAME {                                                 \
        [[maybe_unused]] static constexpr Mem kMemory = Mem::MEM; \
        static constexpr Fp kFloat = Fp::kExact;                  \
        [[gnu::always_inline]] static Vec run(Vec a, Vec b) {     \
            if (kMemory == Mem::k8) b = _mm_move_epi64(b);        \
            asm(TEXT " %1, %0" : "=x"(a) : "x"(b));               \
            return a;                                             \
        }                                                         \
    };
BP_CONVERT(Cvtpi2ps, k8, "cvtdq2ps")
BP_CONVERT(Cvtpi2pd, k8, "cvtdq2pd")
BP_CONVERT(Cvtps2pi, k8, "cvtps2dq")
BP_CONVERT(Cvttps2pi, k8, "cvttps2dq")
BP_CONVERT(Cvtpd2pi, k16, "cvtpd2dq")
BP_CONVERT(Cvttpd2pi, k16, "cvttpd2dq")
BP_CONVERT(Copy, k8, "movdqa")

// Apart from the handlers, which must end in jumps. False: stopped, waiting for a numeric error's interrupt.
template <class Op, bool kMemory>
[[gnu::noinline]] bool to_mm(Cpu* c, Insn* i) {
    sse_require(c);
    if (!mmx_ready(c, i)) return false;
    Vec b = xmm(c, i->src);
    if constexpr (kMemory) b = load_general<Op::kMemory>(c, i);
    enter_mmx(c);  // also where an exception follows
    const Vec r = run_checked<Op>(c, b, b, 0);
    set_mm(c, i->dst, low64(r));
    return true;
}
// A source in memory leaves the x87 state alone.
template <class Op, bool kMerge, bool kMemory>
[[gnu::noinline]] bool from_mm(Cpu* c, Insn* i) {
    sse_require(c);
    if constexpr (!kMemory) {
        if (!mmx_ready(c, i)) return false;
    }
    Vec b = vec(c->fpu.regs[mm_number(i->src)].mantissa);
    if constexpr (kMemory) b = load_general<Mem::k8>(c, i);
    if constexpr (!kMemory) enter_mmx(c);
    const Vec r = run_checked<Op>(c, b, b, 0);
    Vec& d = xmm(c, i->dst);
    d = kMerge ? _mm_castpd_si128(_mm_move_sd(_mm_castsi128_pd(d), _mm_castsi128_pd(r))) : r;
    return true;
}
[[gnu::noinline]] bool run_maskmovq(Cpu* c, Insn* i) {
    if (!mmx_ready(c, i)) return false;
    const auto at = offset_of(c, i);
    const Seg s = static_cast<Seg>(i->seg);
    const u64 mask = c->fpu.regs[mm_number(i->src)].mantissa;
    const u64 value = c->fpu.regs[mm_number(i->dst)].mantissa;
    for (unsigned n = 0; n < 8; ++n) {
        if ((mask >> (8 * n + 7) & 1u) != 0) c->probe_write(s, offset_plus(i, at, n), 1);
    }
    for (unsigned n = 0; n < 8; ++n) {
        if ((mask >> (8 * n + 7) & 1u) != 0) c->write<u8>(s, offset_plus(i, at, n), static_cast<u8>(value >> 8 * n));
    }
    enter_mmx(c);
    return true;
}
template <bool (*kRun)(Cpu*, Insn*)>
void op_mixed(Cpu* c, Insn* i) {
    mark(c, i);
    if (!kRun(c, i)) return to_loop(c, i);
    return next_checked(c, i);
}

template <class Op>
Handler pick_to_mm(const SseChoice& s) {
    return s.form == Form::kReg ? op_mixed<to_mm<Op, false>> : op_mixed<to_mm<Op, true>>;
}
template <class Op, bool kMerge>
Handler pick_from_mm(const SseChoice& s) {
    return s.form == Form::kReg ? op_mixed<from_mm<Op, kMerge, false>> : op_mixed<from_mm<Op, kMerge, true>>;
}
Handler pick_maskmovq(const SseChoice&) { return op_mixed<run_maskmovq>; }

constexpr SseEntry kEntries[] = {
    {sse_key(kMap0f, k00, 0x2a), Feature::kSse, 0, pick_from_mm<Cvtpi2ps, true>},
    {sse_key(kMap0f, k66, 0x2a), Feature::kSse2, 0, pick_from_mm<Cvtpi2pd, false>},
    {sse_key(kMap0f, k00, 0x2c), Feature::kSse, 0, pick_to_mm<Cvttps2pi>},
    {sse_key(kMap0f, k66, 0x2c), Feature::kSse2, 0, pick_to_mm<Cvttpd2pi>},
    {sse_key(kMap0f, k00, 0x2d), Feature::kSse, 0, pick_to_mm<Cvtps2pi>},
    {sse_key(kMap0f, k66, 0x2d), Feature::kSse2, 0, pick_to_mm<Cvtpd2pi>},
    {sse_key(kMap0f, kF2, 0xd6), Feature::kSse2, kRegisterOnly, pick_to_mm<Copy>},
    {sse_key(kMap0f, kF3, 0xd6), Feature::kSse2, kRegisterOnly, pick_from_mm<Copy, false>},
    {sse_key(kMap0f, k00, 0xf7), Feature::kMmxExtensions, kRegisterOnly, pick_maskmovq},
};

}  // namespace

std::span<const SseEntry> sse_mmx_entries() { return kEntries; }

}  // namespace backplane::interp
