// Moves between vector registers, memory and general registers.
#include <span>

#include "vex_ops.hpp"

namespace backplane::interp {
namespace {

// A load as an operation: `fn` of destination a and source b.
#define BP_MOVE(NAME, MEM, EXPRESSION)                                                              \
    struct NAME {                                                                                   \
        [[maybe_unused]] static constexpr Mem kMemory = Mem::MEM;                                   \
        static constexpr Fp kFloat = Fp::kNone;                                                     \
        [[gnu::always_inline]] static Vec run([[maybe_unused]] Vec a, Vec b) { return EXPRESSION; } \
    }
__m128d pd(Vec v) { return _mm_castsi128_pd(v); }
Vec of(__m128d v) { return _mm_castpd_si128(v); }
BP_MOVE(MoveAligned, k16, b);
BP_MOVE(MoveAny, k16Any, b);
BP_MOVE(Load4, k4, b);
BP_MOVE(Load8, k8, b);
BP_MOVE(MergeSingle, k4, _mm_castps_si128(_mm_move_ss(_mm_castsi128_ps(a), _mm_castsi128_ps(b))));
BP_MOVE(MergeLow, k8, of(_mm_move_sd(pd(a), pd(b))));
BP_MOVE(MergeHigh, k8, _mm_unpacklo_epi64(a, b));  // also MOVLHPS
BP_MOVE(MoveHighLow, k8, of(_mm_move_sd(pd(a), pd(_mm_unpackhi_epi64(b, b)))));
BP_MOVE(Movddup, k8, _mm_unpacklo_epi64(b, b));
BP_MOVE(LowOnly, k8, _mm_move_epi64(b));
BP_MOVE(Movsldup, k16, _mm_shuffle_epi32(b, 0xa0));
BP_MOVE(Movshdup, k16, _mm_shuffle_epi32(b, 0xf5));

template <bool kAligned, Form kForm>
void store16(Cpu* c, Insn* i) {
    return with_store16<kAligned, kForm>(c, i, store16<kAligned, Form::kGeneral>, xmm(c, i->src));
}
template <bool kAligned>
Handler pick_store(const SseChoice& s) {
    if (s.form == Form::kReg) return sse_rr<MoveAligned, ToXmm>;
    return by_form<u32>(s.form, []<Form kForm>() -> Handler { return store16<kAligned, kForm>; });
}
// Element kLane of type T.
template <typename T, unsigned kLane, Form kForm>
void store_part(Cpu* c, Insn* i) {
    return with_store_part<T, kForm>(c, i, store_part<T, kLane, Form::kGeneral>, lane<T>(c, i->src, kLane));
}
template <typename T, unsigned kLane>
Handler pick_store_part(const SseChoice& s) {
    return by_form<u32>(s.form, []<Form kForm>() -> Handler { return store_part<T, kLane, kForm>; });
}

// Register and memory forms that do different things.
template <class Register, class Memory>
Handler pick_either(const SseChoice& s) {
    return s.form == Form::kReg ? pick_register<Register>(s) : pick_memory<Memory>(s);
}
template <class Register, typename T>
Handler pick_either_store(const SseChoice& s) {
    return s.form == Form::kReg ? pick_register<Register>(s) : pick_store_part<T, 0>(s);
}

// MOVD, MOVQ with general registers.
template <typename T>
struct FromGpr {
    using Gpr = T;
    static constexpr Mem kMemory = sizeof(T) == 8 ? Mem::k8 : Mem::k4;
    static constexpr Fp kFloat = Fp::kNone;
    [[gnu::always_inline]] static Vec run(Vec, Vec b) { return b; }
};
Handler pick_from_gpr(const SseChoice& s) { return s.wide ? pick_op<FromGpr<u64>>(s) : pick_op<FromGpr<u32>>(s); }
template <typename T>
struct LowPart {
    static constexpr Mem kMemory = Mem::k8;
    static constexpr Fp kFloat = Fp::kNone;
    [[gnu::always_inline]] static T run(Vec, Vec b) { return static_cast<T>(low64(b)); }
};
Handler pick_to_gpr(const SseChoice& s) {
    if (s.form == Form::kReg) {
        return s.wide ? pick_register<LowPart<u64>, ToGpr<u64>>(s) : pick_register<LowPart<u32>, ToGpr<u32>>(s);
    }
    return s.wide ? pick_store_part<u64, 0>(s) : pick_store_part<u32, 0>(s);
}

#define BP_MASK(NAME, TEXT)                                       \
    struct NAME {                                                 \
        [[maybe_unused]] static constexpr Mem kMemory = Mem::k16; \
        static constexpr Fp kFloat = Fp::kNone;                   \
        [[gnu::always_inline]] static u32 run(Vec, Vec b) {       \
            u32 r;                                                \
            asm(TEXT " %1, %0" : "=r"(r) : "x"(b));               \
            return r;                                             \
        }                                                         \
    }
BP_MASK(Movmskps, "movmskps");
BP_MASK(Movmskpd, "movmskpd");
BP_MASK(Pmovmskb, "pmovmskb");

// PINSRx: an element of the destination. The source is the low part of a general register or memory.
template <typename T>
struct ToLane {
    static void put(Cpu* c, Insn* i, T r) { lane<T>(c, i->dst, i->imm & (16 / sizeof(T) - 1)) = r; }
};
template <typename T>
struct InsertSource {
    using Gpr = T;
    static constexpr Mem kMemory = sizeof(T) == 8   ? Mem::k8
                                   : sizeof(T) == 4 ? Mem::k4
                                   : sizeof(T) == 2 ? Mem::k2
                                                    : Mem::k1;
    static constexpr Fp kFloat = Fp::kNone;
    [[gnu::always_inline]] static T run(Vec, Vec b) { return static_cast<T>(low64(b)); }
};
template <typename T>
Handler pick_insert(const SseChoice& s) {
    return pick_op<InsertSource<T>, ToLane<T>>(s);
}
Handler pick_insert_dq(const SseChoice& s) { return s.wide ? pick_insert<u64>(s) : pick_insert<u32>(s); }

// PEXTRx, EXTRACTPS.
template <typename T>
[[gnu::noinline]] void extract_slow(Cpu* c, Insn* i) {
    mark(c, i);
    sse_require(c);
    reg<u64>(c, i->dst) = lane<T>(c, i->src, i->imm & (16 / sizeof(T) - 1));
    return next(c, i);
}
template <typename T, Form kForm>
void extract(Cpu* c, Insn* i) {
    const T v = lane<T>(c, i->src, i->imm & (16 / sizeof(T) - 1));
    if constexpr (kForm == Form::kReg) {
        if (c->sse.slow != 0) [[unlikely]]
            return extract_slow<T>(c, i);
        reg<u64>(c, i->dst) = v;
        return next(c, i);
    } else {
        return with_store_part<T, kForm>(c, i, extract<T, Form::kGeneral>, v);
    }
}
template <typename T>
Handler pick_extract(const SseChoice& s) {
    if (s.form == Form::kReg) return extract<T, Form::kReg>;
    return by_form<u32>(s.form, []<Form kForm>() -> Handler { return extract<T, kForm>; });
}
Handler pick_extract_dq(const SseChoice& s) { return s.wide ? pick_extract<u64>(s) : pick_extract<u32>(s); }

// MASKMOVDQU: bytes whose mask has the top bit set, to [eDI].
[[gnu::noinline]] void run_maskmovdqu(Cpu* c, const Insn* i) {
    sse_require(c);
    const auto at = offset_of(c, i);
    const Seg s = static_cast<Seg>(i->seg);
    for (unsigned n = 0; n < 16; ++n) {
        if ((lane<u8>(c, i->src, n) & 0x80u) != 0) c->probe_write(s, offset_plus(i, at, n), 1);
    }
    for (unsigned n = 0; n < 16; ++n) {
        if ((lane<u8>(c, i->src, n) & 0x80u) != 0) c->write<u8>(s, offset_plus(i, at, n), lane<u8>(c, i->dst, n));
    }
}
void maskmovdqu(Cpu* c, Insn* i) {
    mark(c, i);
    run_maskmovdqu(c, i);
    return next_checked(c, i);
}
Handler pick_maskmovdqu(const SseChoice&) { return maskmovdqu; }

// SSE4A: bit fields of the low half. A length of 0 means 64.
u64 field_mask(u32 length) {
    length &= 63u;
    return length == 0 ? ~0ull : (1ull << length) - 1;
}
[[gnu::always_inline]] inline Vec extract_field(Vec a, u32 length, u32 at) {
    return vec(low64(a) >> (at & 63u) & field_mask(length));
}
[[gnu::always_inline]] inline Vec insert_field(Vec a, Vec b, u32 length, u32 at) {
    const u64 mask = field_mask(length) << (at & 63u);
    return vec((low64(a) & ~mask) | (low64(b) << (at & 63u) & mask));
}
#define BP_FIELD(NAME, EXPRESSION)                                                                       \
    struct NAME {                                                                                        \
        [[maybe_unused]] static constexpr Mem kMemory = Mem::k16;                                        \
        static constexpr Fp kFloat = Fp::kNone;                                                          \
        [[gnu::always_inline]] static Vec run(Vec a, [[maybe_unused]] Vec b, [[maybe_unused]] u32 imm) { \
            return EXPRESSION;                                                                           \
        }                                                                                                \
    }
BP_FIELD(ExtrqImmediate, extract_field(a, imm, imm >> 8));
BP_FIELD(Extrq, extract_field(a, static_cast<u32>(low64(b)), static_cast<u32>(low64(b) >> 8)));
BP_FIELD(InsertqImmediate, insert_field(a, b, imm, imm >> 8));
BP_FIELD(Insertq, insert_field(a, b, static_cast<u32>(low64(_mm_unpackhi_epi64(b, b))),
                               static_cast<u32>(low64(_mm_unpackhi_epi64(b, b)) >> 8)));
Handler pick_extrq_immediate(const SseChoice& s) { return s.reg == 0 ? pick_register<ExtrqImmediate>(s) : nullptr; }

constexpr SseEntry kEntries[] = {
    {sse_key(kMap0f, k00, 0x10), Feature::kSse, 0, pick_op<MoveAny>},
    {sse_key(kMap0f, k66, 0x10), Feature::kSse2, 0, pick_op<MoveAny>},
    {sse_key(kMap0f, kF3, 0x10), Feature::kSse, 0, pick_either<MergeSingle, Load4>},
    {sse_key(kMap0f, kF2, 0x10), Feature::kSse2, 0, pick_either<MergeLow, Load8>},
    {sse_key(kMap0f, k00, 0x11), Feature::kSse, kToRm, pick_store<false>},
    {sse_key(kMap0f, k66, 0x11), Feature::kSse2, kToRm, pick_store<false>},
    {sse_key(kMap0f, kF3, 0x11), Feature::kSse, kToRm, pick_either_store<MergeSingle, u32>},
    {sse_key(kMap0f, kF2, 0x11), Feature::kSse2, kToRm, pick_either_store<MergeLow, u64>},
    {sse_key(kMap0f, k00, 0x12), Feature::kSse, 0, pick_either<MoveHighLow, MergeLow>},
    {sse_key(kMap0f, k66, 0x12), Feature::kSse2, kMemoryOnly, pick_memory<MergeLow>},
    {sse_key(kMap0f, kF3, 0x12), Feature::kSse3, 0, pick_op<Movsldup>},
    {sse_key(kMap0f, kF2, 0x12), Feature::kSse3, 0, pick_op<Movddup>},
    {sse_key(kMap0f, k00, 0x13), Feature::kSse, kToRm | kMemoryOnly, pick_store_part<u64, 0>},
    {sse_key(kMap0f, k66, 0x13), Feature::kSse2, kToRm | kMemoryOnly, pick_store_part<u64, 0>},
    {sse_key(kMap0f, k00, 0x16), Feature::kSse, 0, pick_op<MergeHigh>},
    {sse_key(kMap0f, k66, 0x16), Feature::kSse2, kMemoryOnly, pick_memory<MergeHigh>},
    {sse_key(kMap0f, kF3, 0x16), Feature::kSse3, 0, pick_op<Movshdup>},
    {sse_key(kMap0f, k00, 0x17), Feature::kSse, kToRm | kMemoryOnly, pick_store_part<u64, 1>},
    {sse_key(kMap0f, k66, 0x17), Feature::kSse2, kToRm | kMemoryOnly, pick_store_part<u64, 1>},
    {sse_key(kMap0f, k00, 0x28), Feature::kSse, 0, pick_op<MoveAligned>},
    {sse_key(kMap0f, k66, 0x28), Feature::kSse2, 0, pick_op<MoveAligned>},
    {sse_key(kMap0f, k00, 0x29), Feature::kSse, kToRm, pick_store<true>},
    {sse_key(kMap0f, k66, 0x29), Feature::kSse2, kToRm, pick_store<true>},
    {sse_key(kMap0f, k00, 0x2b), Feature::kSse, kToRm | kMemoryOnly, pick_store<true>},
    {sse_key(kMap0f, k66, 0x2b), Feature::kSse2, kToRm | kMemoryOnly, pick_store<true>},
    {sse_key(kMap0f, kF3, 0x2b), Feature::kSse4a, kToRm | kMemoryOnly, pick_store_part<u32, 0>},
    {sse_key(kMap0f, kF2, 0x2b), Feature::kSse4a, kToRm | kMemoryOnly, pick_store_part<u64, 0>},
    {sse_key(kMap0f, k00, 0x50), Feature::kSse, kDstGpr | kRegisterOnly, pick_register<Movmskps, ToGpr<u32>>},
    {sse_key(kMap0f, k66, 0x50), Feature::kSse2, kDstGpr | kRegisterOnly, pick_register<Movmskpd, ToGpr<u32>>},
    {sse_key(kMap0f, k66, 0xd7), Feature::kSse2, kDstGpr | kRegisterOnly, pick_register<Pmovmskb, ToGpr<u32>>},
    {sse_key(kMap0f, k66, 0x6e), Feature::kSse2, kSrcGpr, pick_from_gpr},
    {sse_key(kMap0f, k66, 0x7e), Feature::kSse2, kToRm | kDstGpr, pick_to_gpr},
    {sse_key(kMap0f, kF3, 0x7e), Feature::kSse2, 0, pick_op<LowOnly>},
    {sse_key(kMap0f, k66, 0xd6), Feature::kSse2, kToRm, pick_either_store<LowOnly, u64>},
    {sse_key(kMap0f, k66, 0x6f), Feature::kSse2, 0, pick_op<MoveAligned>},
    {sse_key(kMap0f, kF3, 0x6f), Feature::kSse2, 0, pick_op<MoveAny>},
    {sse_key(kMap0f, k66, 0x7f), Feature::kSse2, kToRm, pick_store<true>},
    {sse_key(kMap0f, kF3, 0x7f), Feature::kSse2, kToRm, pick_store<false>},
    {sse_key(kMap0f, k66, 0xe7), Feature::kSse2, kToRm | kMemoryOnly, pick_store<true>},
    {sse_key(kMap0f, kF2, 0xf0), Feature::kSse3, kMemoryOnly, pick_memory<MoveAny>},
    {sse_key(kMap38, k66, 0x2a), Feature::kSse41, kMemoryOnly, pick_memory<MoveAligned>},
    {sse_key(kMap0f, k66, 0xf7), Feature::kSse2, kRegisterOnly, pick_maskmovdqu},
    {sse_key(kMap0f, k66, 0xc4), Feature::kSse2, kImmediate | kSrcGpr, pick_insert<u16>},
    {sse_key(kMap0f, k66, 0xc5), Feature::kSse2, kImmediate | kDstGpr | kRegisterOnly, pick_extract<u16>},
    {sse_key(kMap3a, k66, 0x14), Feature::kSse41, kImmediate | kToRm | kDstGpr, pick_extract<u8>},
    {sse_key(kMap3a, k66, 0x15), Feature::kSse41, kImmediate | kToRm | kDstGpr, pick_extract<u16>},
    {sse_key(kMap3a, k66, 0x16), Feature::kSse41, kImmediate | kToRm | kDstGpr, pick_extract_dq},
    {sse_key(kMap3a, k66, 0x17), Feature::kSse41, kImmediate | kToRm | kDstGpr, pick_extract<u32>},
    {sse_key(kMap3a, k66, 0x20), Feature::kSse41, kImmediate | kSrcGpr, pick_insert<u8>},
    {sse_key(kMap3a, k66, 0x22), Feature::kSse41, kImmediate | kSrcGpr, pick_insert_dq},
    {sse_key(kMap0f, k66, 0x78), Feature::kSse4a, kImmediate | kToRm | kRegisterOnly, pick_extrq_immediate},
    {sse_key(kMap0f, k66, 0x79), Feature::kSse4a, kRegisterOnly, pick_register<Extrq>},
    {sse_key(kMap0f, kF2, 0x78), Feature::kSse4a, kImmediate | kRegisterOnly, pick_register<InsertqImmediate>},
    {sse_key(kMap0f, kF2, 0x79), Feature::kSse4a, kRegisterOnly, pick_register<Insertq>},
};

}  // namespace

std::span<const SseEntry> sse_move_entries() { return kEntries; }

}  // namespace backplane::interp
