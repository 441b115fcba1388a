// Masks: tests and sign masks of vectors, loads and stores of chosen elements, gathers.
#include <span>

#include "vex_ops.hpp"

namespace backplane::interp {
namespace {

// --- sign bits -----------------------------------------------------------------------------------------------------

template <unsigned kSize>
[[gnu::always_inline]] inline u32 signs(Vec v) {
    if constexpr (kSize == 1) return static_cast<u32>(_mm_movemask_epi8(v));
    if constexpr (kSize == 4) return static_cast<u32>(_mm_movemask_ps(_mm_castsi128_ps(v)));
    return static_cast<u32>(_mm_movemask_pd(_mm_castsi128_pd(v)));
}
// VMOVMSKPS, VMOVMSKPD, VPMOVMSKB.
template <unsigned kSize, bool kWide>
void sign_mask(Cpu* c, Insn* i) {
    if (c->sse.vex_slow != 0) [[unlikely]] {
        mark(c, i);
        vex_require(c);
    }
    u64 r = signs<kSize>(half(c, i->src, 0));
    if constexpr (kWide) r |= static_cast<u64>(signs<kSize>(half(c, i->src, 1))) << 16 / kSize;
    reg<u64>(c, i->dst) = r;
    return next(c, i);
}
template <unsigned kSize>
Handler pick_sign_mask(const SseChoice& s) {
    return s.vex_l ? sign_mask<kSize, true> : sign_mask<kSize, false>;
}

// VPTEST, VTESTPS, VTESTPD: ZF of the conjunction, CF of that with the first operand inverted; all bits or the signs.
template <unsigned kSize>
[[gnu::always_inline]] inline bool none(Vec v) {
    if constexpr (kSize != 16) return signs<kSize>(v) == 0;
    return _mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_setzero_si128())) == 0xffff;
}
template <unsigned kSize, bool kWide>
[[gnu::always_inline]] inline void test(Cpu* c, const Insn* i, const u8* p) {
    const Vec a = half(c, i->dst, 0);
    const Vec b = load_vec<16>(p);
    bool zf = none<kSize>(_mm_and_si128(a, b));
    bool cf = none<kSize>(_mm_andnot_si128(a, b));
    if constexpr (kWide) {
        const Vec a1 = half(c, i->dst, 1);
        const Vec b1 = load_vec<16>(p + 16);
        zf = zf && none<kSize>(_mm_and_si128(a1, b1));
        cf = cf && none<kSize>(_mm_andnot_si128(a1, b1));
    }
    const u64 flags = lazy_compare(zf ? 1 : 0, 0, cf ? 1 : 0);
    c->flag_result = static_cast<i64>(flags & 1u) ^ 1;
    c->flag_aux = flags;
}
template <unsigned kSize, bool kWide>
[[gnu::noinline]] void test_general(Cpu* c, const Insn* i) {
    vex_require(c);
    u8 buffer[32];
    test<kSize, kWide>(c, i, vex_operand(c, i, kWide ? 32 : 16, buffer));
}
template <unsigned kSize, bool kWide>
void test_op(Cpu* c, Insn* i) {
    const u8* p = vex_place < kWide ? 32 : 16 > (c, i);
    if (c->sse.vex_slow != 0 || p == nullptr) [[unlikely]]
        return vex_body<test_general<kSize, kWide>>(c, i);
    test<kSize, kWide>(c, i, p);
    return next(c, i);
}
template <unsigned kSize>
Handler pick_test(const SseChoice& s) {
    return s.vex_l ? test_op<kSize, true> : test_op<kSize, false>;
}

// --- VMASKMOV, VPMASKMOV -------------------------------------------------------------------------------------------

// Elements that the mask leaves out are not looked at: they raise nothing.
template <typename T>
bool chosen(const T& mask) {
    return mask >> (8 * sizeof(T) - 1) != 0;
}
template <typename T>
[[gnu::noinline]] void masked_load(Cpu* c, const Insn* i, unsigned count) {
    vex_require(c);
    T value[8] = {};
    const T* mask = reinterpret_cast<const T*>(&half(c, i->extra, 0));
    const u64 at = offset_of(c, i);
    for (unsigned n = 0; n < count; ++n) {
        if (chosen(mask[n])) value[n] = c->read<T>(static_cast<Seg>(i->seg), offset_plus(i, at, n * sizeof(T)));
    }
    put_vex(c, i, load_vec<16>(reinterpret_cast<const u8*>(value)),
            load_vec<16>(reinterpret_cast<const u8*>(value) + 16));
}
template <typename T>
[[gnu::noinline]] void masked_store(Cpu* c, const Insn* i, unsigned count) {
    vex_require(c);
    const T* mask = reinterpret_cast<const T*>(&half(c, i->extra, 0));
    const T* value = reinterpret_cast<const T*>(&half(c, i->src, 0));
    const u64 at = offset_of(c, i);
    for (unsigned n = 0; n < count; ++n) {
        if (chosen(mask[n])) c->probe_write(static_cast<Seg>(i->seg), offset_plus(i, at, n * sizeof(T)), sizeof(T));
    }
    for (unsigned n = 0; n < count; ++n) {
        if (chosen(mask[n])) c->write<T>(static_cast<Seg>(i->seg), offset_plus(i, at, n * sizeof(T)), value[n]);
    }
}
template <typename T, bool kStore, bool kWide>
void masked_body(Cpu* c, const Insn* i) {
    constexpr unsigned kCount = (kWide ? 32 : 16) / sizeof(T);
    if constexpr (kStore)
        masked_store<T>(c, i, kCount);
    else
        masked_load<T>(c, i, kCount);
}
template <typename T, bool kStore>
Handler pick_masked(const SseChoice& s) {
    return s.vex_l ? vex_body<masked_body<T, kStore, true>> : vex_body<masked_body<T, kStore, false>>;
}
template <bool kStore>
Handler pick_masked_integers(const SseChoice& s) {
    return s.wide ? pick_masked<u64, kStore>(s) : pick_masked<u32, kStore>(s);
}

// --- gathers -------------------------------------------------------------------------------------------------------

// An element that is there has its mask cleared, so the instruction goes on behind a fault where it was (SDM 2,
// VGATHERDPS). I: indices, T: elements.
template <typename I, typename T>
[[gnu::noinline]] void gather(Cpu* c, const Insn* i, unsigned bytes) {
    vex_require(c);
    const unsigned wider = sizeof(I) > sizeof(T) ? sizeof(I) : sizeof(T);
    const unsigned count = bytes / wider;
    const I* index = reinterpret_cast<const I*>(&half(c, i->src, 0));
    T* mask = reinterpret_cast<T*>(&half(c, i->extra, 0));
    T* value = reinterpret_cast<T*>(&half(c, i->dst, 0));
    for (unsigned n = 0; n < count; ++n) mask[n] = chosen(mask[n]) ? static_cast<T>(~T{0}) : T{0};
    const u64 base = reg<u64>(c, i->base) + static_cast<u64>(i->disp);
    for (unsigned n = 0; n < count; ++n) {
        if (mask[n] == 0) continue;
        const u64 scaled = static_cast<u64>(static_cast<i64>(static_cast<std::make_signed_t<I>>(index[n]))) << i->shift;
        value[n] = c->read<T>(static_cast<Seg>(i->seg), truncate_offset(i, base + scaled));
        mask[n] = 0;
    }
    for (unsigned n = count; n < 32 / sizeof(T); ++n) value[n] = mask[n] = 0;
}
template <typename I, typename T, bool kWide>
void gather_body(Cpu* c, const Insn* i) {
    gather<I, T>(c, i, kWide ? 32 : 16);
}
template <typename I, typename T>
Handler pick_gather_of(const SseChoice& s) {
    return s.vex_l ? vex_body<gather_body<I, T, true>> : vex_body<gather_body<I, T, false>>;
}
template <typename I>
Handler pick_gather(const SseChoice& s) {
    return s.wide ? pick_gather_of<I, u64>(s) : pick_gather_of<I, u32>(s);
}

constexpr u8 kMask = kDstGpr | kRegisterOnly;
constexpr u16 kMasked = kVexSecond | kVexW0;
constexpr u16 kGather = kVexSecond | kVexIndices;
constexpr VexEntry kEntries[] = {
    {sse_key(kMap0f, k00, 0x50), Feature::kAvx, kMask, 0, pick_sign_mask<4>},
    {sse_key(kMap0f, k66, 0x50), Feature::kAvx, kMask, 0, pick_sign_mask<8>},
    {sse_key(kMap0f, k66, 0xd7), Feature::kAvx, kMask, kVexWide2, pick_sign_mask<1>},
    {sse_key(kMap38, k66, 0x17), Feature::kAvx, 0, 0, pick_test<16>},
    {sse_key(kMap38, k66, 0x0e), Feature::kAvx, 0, kVexW0, pick_test<4>},
    {sse_key(kMap38, k66, 0x0f), Feature::kAvx, 0, kVexW0, pick_test<8>},
    {sse_key(kMap38, k66, 0x2c), Feature::kAvx, kMemoryOnly, kMasked, pick_masked<u32, false>},
    {sse_key(kMap38, k66, 0x2d), Feature::kAvx, kMemoryOnly, kMasked, pick_masked<u64, false>},
    {sse_key(kMap38, k66, 0x2e), Feature::kAvx, kMemoryOnly | kToRm, kMasked, pick_masked<u32, true>},
    {sse_key(kMap38, k66, 0x2f), Feature::kAvx, kMemoryOnly | kToRm, kMasked, pick_masked<u64, true>},
    {sse_key(kMap38, k66, 0x8c), Feature::kAvx2, kMemoryOnly, kVexSecond, pick_masked_integers<false>},
    {sse_key(kMap38, k66, 0x8e), Feature::kAvx2, kMemoryOnly | kToRm, kVexSecond, pick_masked_integers<true>},
    {sse_key(kMap38, k66, 0x90), Feature::kAvx2, kMemoryOnly, kGather, pick_gather<u32>},
    {sse_key(kMap38, k66, 0x91), Feature::kAvx2, kMemoryOnly, kGather, pick_gather<u64>},
    {sse_key(kMap38, k66, 0x92), Feature::kAvx2, kMemoryOnly, kGather, pick_gather<u32>},
    {sse_key(kMap38, k66, 0x93), Feature::kAvx2, kMemoryOnly, kGather, pick_gather<u64>},
};

}  // namespace

std::span<const VexEntry> vex_mask_entries() { return kEntries; }

}  // namespace backplane::interp
