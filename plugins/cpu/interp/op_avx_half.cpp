// F16C: conversions between half and single precision.
#include <cstring>
#include <span>

#include "soft_float.hpp"
#include "vex_ops.hpp"

namespace backplane::interp {
namespace {

template <bool kWide>
[[gnu::noinline]] void to_singles(Cpu* c, const Insn* i) {
    vex_require(c);
    constexpr u32 kCount = kWide ? 8 : 4;
    alignas(16) u8 buffer[16];
    u16 from[8] = {};
    std::memcpy(from, vex_operand(c, i, 2 * kCount, buffer), 2 * kCount);
    u32 flags = 0;
    VectorRegister r;
    for (u32 n = 0; n < kCount; ++n) {
        const u32 v = single_from_half(from[n], flags);
        std::memcpy(r.bytes + 4 * n, &v, 4);
    }
    sse_add_flags(c, flags);
    put_vex(c, i, load_vec<16>(r.bytes), load_vec<16>(r.bytes + 16));
}
// The immediate has the rounding, or says that it is MXCSR's. A page fault comes before a floating-point exception, and
// nothing is written if one is raised.
template <bool kWide>
[[gnu::noinline]] void to_halves(Cpu* c, const Insn* i) {
    vex_require(c);
    constexpr u32 kCount = kWide ? 8 : 4;
    const u32 mxcsr = mxcsr_value(c);
    const u32 rounding = (i->imm & 4u) != 0 ? mxcsr >> 13 & 3u : i->imm & 3u;
    u32 flags = 0;
    VectorRegister r;
    for (u32 n = 0; n < kCount; ++n) {
        const u16 v = half_from_single(lane<u32>(c, i->src, n), rounding, mxcsr, flags);
        std::memcpy(r.bytes + 2 * n, &v, 2);
    }
    if ((i->bits & kVecMemory) == 0) {
        sse_add_flags(c, flags);
        return put_vex(c, i, load_vec<16>(r.bytes), _mm_setzero_si128());
    }
    const Linear a = c->check_data(static_cast<Seg>(i->seg), offset_of(c, i), 2 * kCount, true, 2 * kCount);
    c->lin_probe_write(a, 2 * kCount, c->user());
    sse_add_flags(c, flags);
    vex_store(c, i, r.bytes, 2 * kCount, false);
}
Handler pick_to_singles(const SseChoice& s) {
    return s.vex_l ? vex_body<to_singles<true>> : vex_body<to_singles<false>>;
}
Handler pick_to_halves(const SseChoice& s) { return s.vex_l ? vex_body<to_halves<true>> : vex_body<to_halves<false>>; }

constexpr VexEntry kEntries[] = {
    {sse_key(kMap38, k66, 0x13), Feature::kF16c, 0, kVexW0, pick_to_singles},
    {sse_key(kMap3a, k66, 0x1d), Feature::kF16c, kImmediate | kToRm, kVexW0, pick_to_halves},
};

}  // namespace

std::span<const VexEntry> vex_half_entries() { return kEntries; }

}  // namespace backplane::interp
