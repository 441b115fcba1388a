// Handlers of instructions with a VEX prefix. Those that exist in the SSE family as well are made from the same
// operations: 256 bits are two halves, each computed by one host instruction of 128 bits, so the engine needs nothing
// of the host that the SSE family does not need.
//
// Records: dst and src as for SSE, `extra` is the register of VEX.vvvv, like these. A memory operand is one of any
// alignment; bits say where it is. Every handler looks at SseState::vex_slow once; the general part raises what is due.
#pragma once

#include "sse_ops.hpp"

namespace backplane::interp {

// Insn::bits of these instructions
inline constexpr u8 kVecFlat =
    0x40;  // the memory operand is at base + index + displacement, without a segment's base or limit
inline constexpr u8 kVecMemory = 0x80;  // the r/m operand is in memory

// How the operation makes the result.
enum class VexKind : u8 {
    kLanes,     // each half from its halves
    kLow,       // 128 bits only: VEX.L = 1 is undefined
    kScalar,    // VEX.L is ignored
    kWidening,  // the source has fewer bytes than the result
    kNarrowing,
    kCount,  // both halves use the same source of 128 bits
    kSplat   // both halves of the result are the same
};
// Of an opcode that exists in the SSE family.
constexpr VexKind vex_kind(u16 key) {
    const unsigned map = key >> 10, prefix = key >> 8 & 3u, opcode = key & 0xffu;
    if (map == kMap38) {
        if ((opcode >= 0x20 && opcode <= 0x25) || (opcode >= 0x30 && opcode <= 0x35)) return VexKind::kWidening;
        return opcode == 0x41 || opcode >= 0xdb ? VexKind::kLow : VexKind::kLanes;
    }
    if (map == kMap0f && opcode == 0xe6) return prefix == kF3 ? VexKind::kWidening : VexKind::kNarrowing;
    if (map == kMap0f && opcode == 0x5a && prefix < kF3)
        return prefix == k00 ? VexKind::kWidening : VexKind::kNarrowing;
    if (map == kMap0f && opcode >= 0x51 && opcode <= 0x5f && opcode != 0x5b && prefix >= kF3) return VexKind::kScalar;
    const bool shift =
        (opcode >= 0xd1 && opcode <= 0xd3) || opcode == 0xe1 || opcode == 0xe2 || (opcode >= 0xf1 && opcode <= 0xf3);
    return map == kMap0f && prefix == k66 && shift ? VexKind::kCount : VexKind::kLanes;
}

// A half of a vector register.
[[gnu::always_inline]] inline Vec& half(Cpu* c, unsigned half_offset, unsigned n) {
    return reinterpret_cast<Vec*>(reinterpret_cast<u8*>(c->sse.ymm) + half_offset * 2)[n];
}
[[gnu::always_inline]] inline void put_vex(Cpu* c, const Insn* i, Vec low, Vec high) {
    half(c, i->dst, 0) = low;
    half(c, i->dst, 1) = high;
}

// sse.cpp. The general forms.
void vex_require(Cpu* c);  // #UD or #NM if the state is not available now
// The r/m operand of 1, 2, 4, 8, 16 or 32 bytes: in its register, or read into `buffer`.
[[nodiscard]] const u8* vex_operand(Cpu* c, const Insn* i, u32 bytes, u8* buffer);
void vex_store(Cpu* c, const Insn* i, const u8* value, u32 bytes, bool aligned);  // 8, 16 or 32 bytes

constexpr u32 mem_bytes(Mem m) {
    return m == Mem::k8 ? 8 : m == Mem::k4 ? 4 : m == Mem::k2 ? 2 : m == Mem::k1 ? 1 : 16;
}
template <u32 kBytes>
[[gnu::always_inline]] inline Vec load_vec(const u8* p) {
    if constexpr (kBytes == 16) return _mm_loadu_si128(reinterpret_cast<const Vec*>(p));
    if constexpr (kBytes == 8) return vec(reinterpret_cast<const Guest<u64>*>(p)->value);
    if constexpr (kBytes == 4) return vec(reinterpret_cast<const Guest<u32>*>(p)->value);
    if constexpr (kBytes == 2) return vec(reinterpret_cast<const Guest<u16>*>(p)->value);
    return vec(*p);
}

[[gnu::always_inline]] inline Linear vex_address(Cpu* c, const Insn* i) {
    const Linear a = reg<u64>(c, i->base) + (reg<u64>(c, i->index) << i->shift) + static_cast<u64>(i->disp);
    return (i->bits & kAddress64) != 0 ? a : static_cast<u32>(a);
}
// Where kBytes of the operand are at hand; nullptr: the general part must look. kGpr: the register is a general one.
template <u32 kBytes, bool kGpr = false>
[[gnu::always_inline]] inline const u8* vex_place(Cpu* c, const Insn* i) {
    if ((i->bits & kVecMemory) == 0) {
        if constexpr (kGpr) return reinterpret_cast<const u8*>(c->gpr) + i->src;
        return reinterpret_cast<const u8*>(c->sse.ymm) + i->src * 2;
    }
    if ((i->bits & kVecFlat) == 0) return nullptr;
    const Linear a = vex_address(c, i);
    const TlbEntry& e = tlb_entry(c->tlb, a);
    if (((a + kBytes - 1) & ~kPageMask) != e.read) [[unlikely]]
        return nullptr;
    return reinterpret_cast<const u8*>(e.addend + a);
}
template <class Op>
concept FromGeneral = requires {
    typename Op::Gpr;
};
template <u32 kBytes, class Op>
const u8* general_operand(Cpu* c, const Insn* i, u8* buffer) {
    if constexpr (FromGeneral<Op>) {
        if ((i->bits & kVecMemory) == 0) return reinterpret_cast<const u8*>(c->gpr) + i->src;
    }
    return vex_operand(c, i, kBytes, buffer);
}

// The immediate of the upper half, where that has bits of its own.
template <class Op>
[[gnu::always_inline]] inline u32 high_immediate(u32 imm) {
    if constexpr (requires { Op::kHighImmediate; })
        return imm >> Op::kHighImmediate;
    else
        return imm;
}

template <class Op, VexKind kKind, bool kWide>
constexpr u32 vex_bytes() {
    constexpr u32 kBytes = mem_bytes(Op::kMemory);
    return kWide && kKind != VexKind::kCount && kKind != VexKind::kSplat ? 2 * kBytes : kBytes;
}
// kBarriers: between clearing the host's flags and looking at them.
template <class Op, VexKind kKind, bool kWide, bool kBarriers = false>
[[gnu::always_inline]] inline Halves vex_result(Cpu* c, const Insn* i, const u8* p) {
    constexpr u32 kBytes = mem_bytes(Op::kMemory);
    Vec a = half(c, i->extra, 0);
    Vec b = load_vec<kBytes>(p);
    if constexpr (kBarriers) asm volatile("" : "+x"(a), "+x"(b));
    Halves r{run_op<Op>(a, b, i->imm), _mm_setzero_si128()};
    if constexpr (kWide && kKind == VexKind::kSplat) {
        r.high = r.low;
    } else if constexpr (kWide) {
        Vec a1 = half(c, i->extra, 1);
        Vec b1 = b;
        if constexpr (kKind != VexKind::kCount) b1 = load_vec<kBytes>(p + kBytes);
        if constexpr (kBarriers) asm volatile("" : "+x"(a1), "+x"(b1));
        r.high = run_op<Op>(a1, b1, high_immediate<Op>(i->imm));
        if constexpr (kKind == VexKind::kNarrowing) {
            r.low = _mm_unpacklo_epi64(r.low, r.high);
            r.high = _mm_setzero_si128();
        }
    }
    if constexpr (kBarriers) asm volatile("" : "+x"(r.low), "+x"(r.high));
    return r;
}

template <class Op, VexKind kKind, bool kWide>
[[gnu::noinline]] void vex_general(Cpu* c, const Insn* i) {
    vex_require(c);
    constexpr u32 kBytes = vex_bytes<Op, kKind, kWide>();
    u8 buffer[kBytes];
    const u8* p = general_operand<kBytes, Op>(c, i, buffer);
    Halves r;
    if (Op::kFloat != Fp::kNone && (c->sse.vex_slow & kSseUnmasked) != 0) {
        constexpr u32 kPart = kWide && kBytes > 16 ? 16 : mem_bytes(Op::kMemory);
        const Halves a{half(c, i->extra, 0), half(c, i->extra, 1)};
        const Halves b{load_vec<kPart>(p), kWide ? load_vec<kPart>(p + kBytes - kPart) : _mm_setzero_si128()};
        if constexpr (InSteps<Op>) {  // check_all() is the form of check() for two halves
            Op::check_all(c, a, b, kWide, i->imm);
            r = vex_result<Op, kKind, kWide>(c, i, p);
        } else {
            sse_begin_exact(c);
            r = vex_result<Op, kKind, kWide, true>(c, i, p);
            sse_end_exact<Op>(c, a, b, r, kWide);
        }
    } else {
        r = vex_result<Op, kKind, kWide>(c, i, p);
    }
    put_vex(c, i, r.low, r.high);
}
template <class Op, VexKind kKind, bool kWide>
[[gnu::noinline]] void vex_slow(Cpu* c, Insn* i) {
    mark(c, i);
    vex_general<Op, kKind, kWide>(c, i);
    return next_checked(c, i);
}
template <class Op, VexKind kKind, bool kWide>
void vex(Cpu* c, Insn* i) {
    const u8* p = vex_place<vex_bytes<Op, kKind, kWide>(), FromGeneral<Op>>(c, i);
    if (c->sse.vex_slow != 0 || p == nullptr) [[unlikely]]
        return vex_slow<Op, kKind, kWide>(c, i);
    const Halves r = vex_result<Op, kKind, kWide>(c, i, p);
    put_vex(c, i, r.low, r.high);
    return next(c, i);
}
template <class Op, VexKind kKind = VexKind::kLanes>
Handler pick_vex(const SseChoice& s) {
    if constexpr (kKind == VexKind::kLow || kKind == VexKind::kScalar)
        return kKind == VexKind::kLow && s.vex_l ? nullptr : vex<Op, kKind, false>;
    else
        return s.vex_l ? vex<Op, kKind, true> : vex<Op, kKind, false>;
}

// Results that are no vector: Put says where they go.
template <class Op, class Put>
[[gnu::noinline]] void vex_put_general(Cpu* c, Insn* i) {
    vex_require(c);
    constexpr u32 kBytes = mem_bytes(Op::kMemory);
    u8 buffer[kBytes];
    const u8* p = general_operand<kBytes, Op>(c, i, buffer);
    const Vec b = load_vec<kBytes>(p);
    if (Op::kFloat != Fp::kNone && (c->sse.vex_slow & kSseUnmasked) != 0)
        Put::put(c, i, run_exact<Op>(c, xmm(c, i->dst), b, i->imm));
    else
        Put::put(c, i, run_op<Op>(xmm(c, i->dst), b, i->imm));
}
template <class Op, class Put>
[[gnu::noinline]] void vex_put_slow(Cpu* c, Insn* i) {
    mark(c, i);
    vex_put_general<Op, Put>(c, i);
    return next_checked(c, i);
}
template <class Op, class Put>
void vex_put(Cpu* c, Insn* i) {
    constexpr u32 kBytes = mem_bytes(Op::kMemory);
    const u8* p = vex_place<kBytes>(c, i);
    if (c->sse.vex_slow != 0 || p == nullptr) [[unlikely]]
        return vex_put_slow<Op, Put>(c, i);
    Put::put(c, i, run_op<Op>(xmm(c, i->dst), load_vec<kBytes>(p), i->imm));
    return next(c, i);
}
template <class Op, class Put>
Handler pick_vex_put(const SseChoice&) {
    return vex_put<Op, Put>;
}

// Operations on whole registers, as functions from bytes to bytes: run(out, a, b, imm), `out` being zero. They are not
// in a hurry.
template <class Op>
[[gnu::noinline]] void vex_bytes_run(Cpu* c, const Insn* i, const u8* p) {
    VectorRegister out;
    const VectorRegister a = *reinterpret_cast<const VectorRegister*>(&half(c, i->extra, 0));
    Op::run(out.bytes, a.bytes, p, i->imm);
    *reinterpret_cast<VectorRegister*>(&half(c, i->dst, 0)) = out;
}
template <class Op>
[[gnu::noinline]] void vex_bytes_general(Cpu* c, const Insn* i) {
    vex_require(c);
    u8 buffer[Op::kBytes];
    vex_bytes_run<Op>(c, i, vex_operand(c, i, Op::kBytes, buffer));
}
template <class Op>
[[gnu::noinline]] void vex_bytes_slow(Cpu* c, Insn* i) {
    mark(c, i);
    vex_bytes_general<Op>(c, i);
    return next_checked(c, i);
}
template <class Op>
void vex_bytes_op(Cpu* c, Insn* i) {
    const u8* p = vex_place<Op::kBytes>(c, i);
    if (c->sse.vex_slow != 0 || p == nullptr) [[unlikely]]
        return vex_bytes_slow<Op>(c, i);
    vex_bytes_run<Op>(c, i, p);
    return next(c, i);
}

// Anything else: body(c, i) with all its checks, in a handler.
template <void (*kBody)(Cpu*, const Insn*)>
void vex_body(Cpu* c, Insn* i) {
    mark(c, i);
    kBody(c, i);
    return next_checked(c, i);
}

// Instructions whose immediate is part of the host's: one small function for each value.
template <template <std::size_t> class Op, unsigned kCount, class Numbers = std::make_index_sequence<kCount>>
struct Numbered;
template <template <std::size_t> class Op, unsigned kCount, std::size_t... kImm>
struct Numbered<Op, kCount, std::index_sequence<kImm...>> {
    static constexpr Mem kMemory = Op<0>::kMemory;
    static constexpr Fp kFloat = Op<0>::kFloat;
    static Vec one(Vec a, Vec b, u32 n) {
        using Function = Vec (*)(Vec, Vec);
        static constexpr Function kTable[] = {Op<kImm>::run...};
        return kTable[n & (kCount - 1)](a, b);
    }
    [[gnu::always_inline]] static Vec run(Vec a, Vec b, u32 imm) { return one(a, b, imm); }
};

// --- what the decoder looks up -------------------------------------------------------------------------------------

// VexEntry::rules
inline constexpr u16 kVexSecond = 1;          // VEX.vvvv names a register; otherwise it must be 1111
inline constexpr u16 kVexTo = 2;              // it is the destination (the groups of shifts, BLSR and its like)
inline constexpr u16 kVexL0 = 4;              // #UD if VEX.L = 1
inline constexpr u16 kVexL1 = 8;              // #UD if VEX.L = 0
inline constexpr u16 kVexW0 = 0x10;           // #UD if VEX.W = 1
inline constexpr u16 kVexW1 = 0x20;           // #UD if VEX.W = 0
inline constexpr u16 kVexWide2 = 0x40;        // 256 bits came with AVX2
inline constexpr u16 kVexReg2 = 0x80;         // the register form came with AVX2
inline constexpr u16 kVexFourth = 0x100;      // the immediate's upper half names a register
inline constexpr u16 kVexGeneral = 0x200;     // general registers only: BMI
inline constexpr u16 kVexIndices = 0x400;     // the index register is a vector
inline constexpr u16 kVexOperation = 0x800;   // imm tells the opcode and VEX.W (bit 8): FMA
inline constexpr u16 kVexSecondReg = 0x1000;  // VEX.vvvv names a register in the register form
struct VexEntry {
    u16 key;
    Feature feature;
    u8 shape;  // as in SseEntry
    u16 rules;
    Handler (*pick)(const SseChoice&);  // nullptr from it: #UD
};

std::span<const VexEntry> vex_shuffle_entries();
std::span<const VexEntry> vex_move_entries();
std::span<const VexEntry> vex_lane_entries();
std::span<const VexEntry> vex_mask_entries();
std::span<const VexEntry> vex_fma_entries();
std::span<const VexEntry> vex_half_entries();
std::span<const VexEntry> vex_bmi_entries();
Handler vzero_handler(bool all);
Handler vldmxcsr_handler();
Handler vstmxcsr_handler();

}  // namespace backplane::interp
