// VEX-encoded moves between vector registers, memory and general registers.
#include <span>

#include "vex_ops.hpp"

namespace backplane::interp {
namespace {

#define BP_MOVE(NAME, MEM, EXPRESSION)                                                              \
    struct NAME {                                                                                   \
        [[maybe_unused]] static constexpr Mem kMemory = Mem::MEM;                                   \
        static constexpr Fp kFloat = Fp::kNone;                                                     \
        [[gnu::always_inline]] static Vec run([[maybe_unused]] Vec a, Vec b) { return EXPRESSION; } \
    }
__m128d pd(Vec v) { return _mm_castsi128_pd(v); }
Vec of(__m128d v) { return _mm_castpd_si128(v); }
BP_MOVE(Move, k16, b);
BP_MOVE(Load4, k4, b);
BP_MOVE(Load8, k8, b);
BP_MOVE(MergeSingle, k4, _mm_castps_si128(_mm_move_ss(_mm_castsi128_ps(a), _mm_castsi128_ps(b))));
BP_MOVE(MergeLow, k8, of(_mm_move_sd(pd(a), pd(b))));
BP_MOVE(MergeHigh, k8, _mm_unpacklo_epi64(a, b));
BP_MOVE(MoveHighLow, k16, of(_mm_move_sd(pd(a), pd(_mm_unpackhi_epi64(b, b)))));
BP_MOVE(Movddup, k8, _mm_unpacklo_epi64(b, b));
BP_MOVE(MovddupHalves, k16, _mm_unpacklo_epi64(b, b));
BP_MOVE(Movsldup, k16, _mm_shuffle_epi32(b, 0xa0));
BP_MOVE(Movshdup, k16, _mm_shuffle_epi32(b, 0xf5));

template <class Register, class Memory, VexKind kKind>
Handler pick_either(const SseChoice& s) {
    return s.form == Form::kReg ? pick_vex<Register, kKind>(s) : pick_vex<Memory, kKind>(s);
}
Handler pick_movddup(const SseChoice& s) {
    return s.vex_l ? pick_vex<MovddupHalves>(s) : pick_vex<Movddup, VexKind::kLow>(s);
}

// Loads that must be aligned.
template <u32 kBytes>
[[gnu::noinline]] void load_general(Cpu* c, const Insn* i) {
    vex_require(c);
    if ((i->bits & kVecMemory) != 0) {
        const Linear a = c->check_data(static_cast<Seg>(i->seg), offset_of(c, i), kBytes, false, 1);
        if ((a & (kBytes - 1)) != 0) c->raise(kGp, 0);
    }
    u8 buffer[kBytes];
    const u8* p = vex_operand(c, i, kBytes, buffer);
    put_vex(c, i, load_vec<16>(p), kBytes == 32 ? load_vec<16>(p + kBytes - 16) : _mm_setzero_si128());
}
template <u32 kBytes>
void load_aligned(Cpu* c, Insn* i) {
    const u8* p = vex_place<kBytes>(c, i);
    if (c->sse.vex_slow != 0 || p == nullptr ||
        ((i->bits & kVecMemory) != 0 && (vex_address(c, i) & (kBytes - 1)) != 0)) [[unlikely]]
        return vex_body<load_general<kBytes>>(c, i);
    put_vex(c, i, load_vec<16>(p), kBytes == 32 ? load_vec<16>(p + kBytes - 16) : _mm_setzero_si128());
    return next(c, i);
}
Handler pick_load_aligned(const SseChoice& s) { return s.vex_l ? load_aligned<32> : load_aligned<16>; }

template <u32 kBytes>
[[gnu::always_inline]] inline u8* place_to_write(Cpu* c, const Insn* i) {
    if ((i->bits & kVecFlat) == 0) return nullptr;
    const Linear a = vex_address(c, i);
    const TlbEntry& e = tlb_entry(c->tlb, a);
    if (((a + kBytes - 1) & ~kPageMask) != e.write) [[unlikely]]
        return nullptr;
    return reinterpret_cast<u8*>(e.addend + a);
}
template <u32 kBytes, bool kAligned>
[[gnu::noinline]] void store_general(Cpu* c, const Insn* i) {
    vex_require(c);
    vex_store(c, i, reinterpret_cast<const u8*>(&half(c, i->src, 0)), kBytes, kAligned);
}
template <u32 kBytes, bool kAligned>
void store(Cpu* c, Insn* i) {
    u8* p = place_to_write<kBytes>(c, i);
    if (c->sse.vex_slow != 0 || p == nullptr || (kAligned && (vex_address(c, i) & (kBytes - 1)) != 0)) [[unlikely]]
        return vex_body<store_general<kBytes, kAligned>>(c, i);
    _mm_storeu_si128(reinterpret_cast<Vec*>(p), half(c, i->src, 0));
    if constexpr (kBytes == 32) _mm_storeu_si128(reinterpret_cast<Vec*>(p + 16), half(c, i->src, 1));
    return next(c, i);
}
template <bool kAligned>
Handler pick_store(const SseChoice& s) {
    if (s.form == Form::kReg) return pick_vex<Move>(s);
    return s.vex_l ? store<32, kAligned> : store<16, kAligned>;
}

// Element kLane of a register, or the one that the immediate names.
constexpr unsigned kByImmediate = 16;
template <typename T, unsigned kLane>
[[gnu::always_inline]] inline T chosen(Cpu* c, const Insn* i) {
    return lane<T>(c, i->src, kLane == kByImmediate ? i->imm & (16 / sizeof(T) - 1) : kLane);
}
template <typename T, unsigned kLane>
[[gnu::noinline]] void store_lane_general(Cpu* c, const Insn* i) {
    vex_require(c);
    c->write<T>(static_cast<Seg>(i->seg), offset_of(c, i), chosen<T, kLane>(c, i));
}
template <typename T, unsigned kLane>
void store_lane(Cpu* c, Insn* i) {
    u8* p = place_to_write<sizeof(T)>(c, i);
    if (c->sse.vex_slow != 0 || p == nullptr) [[unlikely]]
        return vex_body<store_lane_general<T, kLane>>(c, i);
    reinterpret_cast<Guest<T>*>(p)->value = chosen<T, kLane>(c, i);
    return next(c, i);
}
template <typename T, unsigned kLane>
Handler pick_store_lane(const SseChoice&) {
    return store_lane<T, kLane>;
}
template <class Register, VexKind kKind, typename T>
Handler pick_either_store(const SseChoice& s) {
    return s.form == Form::kReg ? pick_vex<Register, kKind>(s) : store_lane<T, 0>;
}
template <typename T>
void extract(Cpu* c, Insn* i) {
    if (c->sse.vex_slow != 0) [[unlikely]] {
        mark(c, i);
        vex_require(c);
    }
    reg<u64>(c, i->dst) = chosen<T, kByImmediate>(c, i);
    return next(c, i);
}
template <typename T>
Handler pick_extract(const SseChoice& s) {
    return s.form == Form::kReg ? extract<T> : store_lane<T, kByImmediate>;
}
Handler pick_extract_dq(const SseChoice& s) { return s.wide ? pick_extract<u64>(s) : pick_extract<u32>(s); }

template <typename T>
struct FromGpr {
    using Gpr = T;
    static constexpr Mem kMemory = sizeof(T) == 8 ? Mem::k8 : Mem::k4;
    static constexpr Fp kFloat = Fp::kNone;
    [[gnu::always_inline]] static Vec run(Vec, Vec b) { return b; }
};
Handler pick_from_gpr(const SseChoice& s) {
    return s.wide ? vex<FromGpr<u64>, VexKind::kLow, false> : vex<FromGpr<u32>, VexKind::kLow, false>;
}
template <typename T>
void low_to_gpr(Cpu* c, Insn* i) {
    if (c->sse.vex_slow != 0) [[unlikely]] {
        mark(c, i);
        vex_require(c);
    }
    reg<u64>(c, i->dst) = lane<T>(c, i->src, 0);
    return next(c, i);
}
Handler pick_to_gpr(const SseChoice& s) {
    if (s.form == Form::kReg) return s.wide ? low_to_gpr<u64> : low_to_gpr<u32>;
    return s.wide ? store_lane<u64, 0> : store_lane<u32, 0>;
}

template <typename T>
struct Insert {
    using Gpr = T;
    static constexpr Mem kMemory = sizeof(T) == 8   ? Mem::k8
                                   : sizeof(T) == 4 ? Mem::k4
                                   : sizeof(T) == 2 ? Mem::k2
                                                    : Mem::k1;
    static constexpr Fp kFloat = Fp::kNone;
    [[gnu::always_inline]] static Vec run(Vec a, Vec b, u32 imm) {
        // At bit 8 * sizeof(T) * n of one half.
        constexpr unsigned kPerHalf = 8 / sizeof(T);
        const unsigned n = imm & (2 * kPerHalf - 1);
        const unsigned at = n % kPerHalf * 8 * sizeof(T);
        constexpr u64 kMask = sizeof(T) == 8 ? ~0ull : (1ull << (sizeof(T) * 8 % 64)) - 1;
        const u64 value = (low64(b) & kMask) << at;
        const u64 cleared = kMask << at;
        const Vec mask = n < kPerHalf ? vec(cleared) : _mm_slli_si128(vec(cleared), 8);
        const Vec put = n < kPerHalf ? vec(value) : _mm_slli_si128(vec(value), 8);
        return _mm_or_si128(_mm_andnot_si128(mask, a), put);
    }
};
template <typename T>
Handler pick_insert(const SseChoice&) {
    return vex<Insert<T>, VexKind::kLow, false>;
}
Handler pick_insert_dq(const SseChoice& s) { return s.wide ? pick_insert<u64>(s) : pick_insert<u32>(s); }

void run_maskmovdqu(Cpu* c, const Insn* i) {
    vex_require(c);
    const auto at = offset_of(c, i);
    const Seg s = static_cast<Seg>(i->seg);
    for (unsigned n = 0; n < 16; ++n) {
        if ((lane<u8>(c, i->src, n) & 0x80u) != 0) c->probe_write(s, offset_plus(i, at, n), 1);
    }
    for (unsigned n = 0; n < 16; ++n) {
        if ((lane<u8>(c, i->src, n) & 0x80u) != 0) c->write<u8>(s, offset_plus(i, at, n), lane<u8>(c, i->dst, n));
    }
}
Handler pick_maskmovdqu(const SseChoice&) { return vex_body<run_maskmovdqu>; }

// VZEROUPPER, VZEROALL: of the registers that the mode has.
template <bool kAll>
[[gnu::noinline]] void run_vzero(Cpu* c, const Insn*) {
    vex_require(c);
    for (unsigned n = 0; n < (c->mode64 ? 16u : 8u); ++n) {
        if (kAll) half(c, n * kXmmOffset, 0) = _mm_setzero_si128();
        half(c, n * kXmmOffset, 1) = _mm_setzero_si128();
    }
}

[[gnu::noinline]] void run_vldmxcsr(Cpu* c, const Insn* i) {
    vex_require(c);
    const u32 v = c->read<u32>(static_cast<Seg>(i->seg), offset_of(c, i));
    if ((v & ~mxcsr_writable(*c->model)) != 0) c->raise(kGp, 0);
    set_mxcsr(c, v);
}
[[gnu::noinline]] void run_vstmxcsr(Cpu* c, const Insn* i) {
    vex_require(c);
    c->write<u32>(static_cast<Seg>(i->seg), offset_of(c, i), mxcsr_value(c));
}

constexpr u8 kTo = kToRm, kToMemory = kToRm | kMemoryOnly;
#define BP_VEX(MAP, PREFIX, OPCODE) sse_key(MAP, PREFIX, OPCODE), Feature::kAvx
constexpr VexEntry kEntries[] = {
    {BP_VEX(kMap0f, k00, 0x10), 0, 0, pick_vex<Move>},
    {BP_VEX(kMap0f, k66, 0x10), 0, 0, pick_vex<Move>},
    {BP_VEX(kMap0f, kF3, 0x10), 0, kVexSecondReg, pick_either<MergeSingle, Load4, VexKind::kScalar>},
    {BP_VEX(kMap0f, kF2, 0x10), 0, kVexSecondReg, pick_either<MergeLow, Load8, VexKind::kScalar>},
    {BP_VEX(kMap0f, k00, 0x11), kTo, 0, pick_store<false>},
    {BP_VEX(kMap0f, k66, 0x11), kTo, 0, pick_store<false>},
    {BP_VEX(kMap0f, kF3, 0x11), kTo, kVexSecondReg, pick_either_store<MergeSingle, VexKind::kScalar, u32>},
    {BP_VEX(kMap0f, kF2, 0x11), kTo, kVexSecondReg, pick_either_store<MergeLow, VexKind::kScalar, u64>},
    {BP_VEX(kMap0f, k00, 0x12), 0, kVexSecond, pick_either<MoveHighLow, MergeLow, VexKind::kLow>},
    {BP_VEX(kMap0f, k66, 0x12), kMemoryOnly, kVexSecond, pick_vex<MergeLow, VexKind::kLow>},
    {BP_VEX(kMap0f, kF3, 0x12), 0, 0, pick_vex<Movsldup>},
    {BP_VEX(kMap0f, kF2, 0x12), 0, 0, pick_movddup},
    {BP_VEX(kMap0f, k00, 0x13), kToMemory, kVexL0, pick_store_lane<u64, 0>},
    {BP_VEX(kMap0f, k66, 0x13), kToMemory, kVexL0, pick_store_lane<u64, 0>},
    {BP_VEX(kMap0f, k00, 0x16), 0, kVexSecond, pick_vex<MergeHigh, VexKind::kLow>},
    {BP_VEX(kMap0f, k66, 0x16), kMemoryOnly, kVexSecond, pick_vex<MergeHigh, VexKind::kLow>},
    {BP_VEX(kMap0f, kF3, 0x16), 0, 0, pick_vex<Movshdup>},
    {BP_VEX(kMap0f, k00, 0x17), kToMemory, kVexL0, pick_store_lane<u64, 1>},
    {BP_VEX(kMap0f, k66, 0x17), kToMemory, kVexL0, pick_store_lane<u64, 1>},
    {BP_VEX(kMap0f, k00, 0x28), 0, 0, pick_load_aligned},
    {BP_VEX(kMap0f, k66, 0x28), 0, 0, pick_load_aligned},
    {BP_VEX(kMap0f, k00, 0x29), kTo, 0, pick_store<true>},
    {BP_VEX(kMap0f, k66, 0x29), kTo, 0, pick_store<true>},
    {BP_VEX(kMap0f, k00, 0x2b), kToMemory, 0, pick_store<true>},
    {BP_VEX(kMap0f, k66, 0x2b), kToMemory, 0, pick_store<true>},
    {BP_VEX(kMap0f, k66, 0x6e), kSrcGpr, kVexL0, pick_from_gpr},
    {BP_VEX(kMap0f, k66, 0x7e), kToRm | kDstGpr, kVexL0, pick_to_gpr},
    {BP_VEX(kMap0f, kF3, 0x7e), 0, 0, pick_vex<Load8, VexKind::kLow>},
    {BP_VEX(kMap0f, k66, 0xd6), kTo, kVexL0, pick_either_store<Load8, VexKind::kLow, u64>},
    {BP_VEX(kMap0f, k66, 0x6f), 0, 0, pick_load_aligned},
    {BP_VEX(kMap0f, kF3, 0x6f), 0, 0, pick_vex<Move>},
    {BP_VEX(kMap0f, k66, 0x7f), kTo, 0, pick_store<true>},
    {BP_VEX(kMap0f, kF3, 0x7f), kTo, 0, pick_store<false>},
    {BP_VEX(kMap0f, k66, 0xe7), kToMemory, 0, pick_store<true>},
    {BP_VEX(kMap0f, kF2, 0xf0), kMemoryOnly, 0, pick_vex<Move>},
    {BP_VEX(kMap38, k66, 0x2a), kMemoryOnly, kVexWide2, pick_load_aligned},
    {BP_VEX(kMap0f, k66, 0xf7), kRegisterOnly, kVexL0, pick_maskmovdqu},
    {BP_VEX(kMap0f, k66, 0xc4), kImmediate | kSrcGpr, kVexSecond | kVexL0, pick_insert<u16>},
    {BP_VEX(kMap0f, k66, 0xc5), kImmediate | kDstGpr | kRegisterOnly, kVexL0, pick_extract<u16>},
    {BP_VEX(kMap3a, k66, 0x14), kImmediate | kToRm | kDstGpr, kVexL0, pick_extract<u8>},
    {BP_VEX(kMap3a, k66, 0x15), kImmediate | kToRm | kDstGpr, kVexL0, pick_extract<u16>},
    {BP_VEX(kMap3a, k66, 0x16), kImmediate | kToRm | kDstGpr, kVexL0, pick_extract_dq},
    {BP_VEX(kMap3a, k66, 0x17), kImmediate | kToRm | kDstGpr, kVexL0, pick_extract<u32>},
    {BP_VEX(kMap3a, k66, 0x20), kImmediate | kSrcGpr, kVexSecond | kVexL0, pick_insert<u8>},
    {BP_VEX(kMap3a, k66, 0x22), kImmediate | kSrcGpr, kVexSecond | kVexL0, pick_insert_dq},
};

}  // namespace

std::span<const VexEntry> vex_move_entries() { return kEntries; }
Handler vzero_handler(bool all) { return all ? vex_body<run_vzero<true>> : vex_body<run_vzero<false>>; }
Handler vldmxcsr_handler() { return vex_body<run_vldmxcsr>; }
Handler vstmxcsr_handler() { return vex_body<run_vstmxcsr>; }

}  // namespace backplane::interp
