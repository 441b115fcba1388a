// PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM. The immediate is part of the host's instruction, so there is one small
// function for each value.
#include <cstddef>
#include <span>

#include "vex_ops.hpp"

namespace backplane::interp {
namespace {

using IndexFunction = u64 (*)(Vec a, Vec b, u64 la, u64 lb);
using MaskFunction = Vec (*)(Vec a, Vec b, u64 la, u64 lb);

// CF, ZF, SF, OF in EFLAGS' places, AF and PF cleared; above: the index.
constexpr u64 pack(u32 index, u32 cf, u32 zf, u32 sf, u32 of) {
    return static_cast<u64>(index) << 32 | (cf * kCf | zf * kZf | sf * kSf | of * kOf);
}
template <bool kExplicit, unsigned kImm>
u64 index_of(Vec a, Vec b, u64 la, u64 lb) {
    u32 index, cf, zf, sf, of;
    if constexpr (kExplicit) {
        asm("pcmpestri %[imm], %[b], %[a]"
            : "=c"(index), "=@ccc"(cf), "=@ccz"(zf), "=@ccs"(sf), "=@cco"(of)
            : [a] "x"(a), [b] "x"(b), [imm] "i"(kImm), "a"(static_cast<u32>(la)), "d"(static_cast<u32>(lb)));
    } else {
        asm("pcmpistri %[imm], %[b], %[a]"
            : "=c"(index), "=@ccc"(cf), "=@ccz"(zf), "=@ccs"(sf), "=@cco"(of)
            : [a] "x"(a), [b] "x"(b), [imm] "i"(kImm));
    }
    return pack(index, cf, zf, sf, of);
}
template <bool kExplicit, unsigned kImm>
Vec mask_of(Vec a, Vec b, u64 la, u64 lb) {
    Vec result;
    if constexpr (kExplicit) {
        asm("pcmpestrm %[imm], %[b], %[a]"
            : "=Yz"(result)
            : [a] "x"(a), [b] "x"(b), [imm] "i"(kImm), "a"(static_cast<u32>(la)), "d"(static_cast<u32>(lb))
            : "cc");
    } else {
        asm("pcmpistrm %[imm], %[b], %[a]" : "=Yz"(result) : [a] "x"(a), [b] "x"(b), [imm] "i"(kImm) : "cc");
    }
    return result;
}
// Bit 7 of the immediate is ignored.
template <bool kExplicit, class Numbers>
struct Tables;
template <bool kExplicit, std::size_t... kImm>
struct Tables<kExplicit, std::index_sequence<kImm...>> {
    static constexpr IndexFunction kIndex[] = {index_of<kExplicit, kImm>...};
    static constexpr MaskFunction kMask[] = {mask_of<kExplicit, kImm>...};
};
template <bool kExplicit>
using TablesOf = Tables<kExplicit, std::make_index_sequence<128>>;

struct Operands {
    static constexpr Mem kMemory = Mem::k16Any;
    static constexpr Fp kFloat = Fp::kNone;
    [[gnu::always_inline]] static Vec run(Vec, Vec b) { return b; }
};
// Lengths of REX.W are signed numbers of 64 bits, of which the host's instruction gets the low half: all beyond 16 are
// alike.
template <bool kWide>
u64 length_of(u64 v) {
    if constexpr (!kWide) return v;
    const i64 n = static_cast<i64>(v);
    return static_cast<u64>(n > 16 ? 16 : n < -16 ? -16 : n);
}
template <bool kExplicit, bool kMask, bool kWide = false>
struct Compare {
    static void put(Cpu* c, Insn* i, Vec b) {
        const Vec a = xmm(c, i->dst);
        const u64 la = length_of<kWide>(c->gpr[kEax]);
        const u64 lb = length_of<kWide>(c->gpr[kEdx]);
        const u64 r = TablesOf<kExplicit>::kIndex[i->imm & 127u](a, b, la, lb);
        if constexpr (kMask)
            xmm(c, 0) = TablesOf<kExplicit>::kMask[i->imm & 127u](a, b, la, lb);
        else
            c->gpr[kEcx] = r >> 32;
        c->set_arith(static_cast<u32>(r));
    }
};

// With a VEX prefix the mask's register loses its upper half.
template <bool kExplicit, bool kMask, bool kWide = false>
struct CompareVex {
    static void put(Cpu* c, Insn* i, Vec b) {
        Compare<kExplicit, kMask, kWide>::put(c, i, b);
        if (kMask) half(c, 0, 1) = _mm_setzero_si128();
    }
};
template <bool kMask>
Handler pick_vex_explicit(const SseChoice& s) {
    return s.wide ? vex_put<Operands, CompareVex<true, kMask, true>> : vex_put<Operands, CompareVex<true, kMask>>;
}

template <bool kMask>
Handler pick_explicit(const SseChoice& s) {
    return s.wide ? pick_op<Operands, Compare<true, kMask, true>>(s) : pick_op<Operands, Compare<true, kMask>>(s);
}

constexpr SseEntry kEntries[] = {
    {sse_key(kMap3a, k66, 0x60), Feature::kSse42, kImmediate, pick_explicit<true>, pick_vex_explicit<true>},
    {sse_key(kMap3a, k66, 0x61), Feature::kSse42, kImmediate, pick_explicit<false>, pick_vex_explicit<false>},
    {sse_key(kMap3a, k66, 0x62), Feature::kSse42, kImmediate, pick_op<Operands, Compare<false, true>>,
     pick_vex_put<Operands, CompareVex<false, true>>},
    {sse_key(kMap3a, k66, 0x63), Feature::kSse42, kImmediate, pick_op<Operands, Compare<false, false>>,
     pick_vex_put<Operands, CompareVex<false, false>>},
};

}  // namespace

std::span<const SseEntry> sse_string_entries() { return kEntries; }

}  // namespace backplane::interp
