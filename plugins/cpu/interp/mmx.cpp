// The MMX instruction set of the Pentium II (SDM vol. 1, chapter 9): 57
// instructions on the mantissas of the x87 registers. The packed arithmetic is
// done on the low half of host SSE2 registers: same lanes, same results.
#include <emmintrin.h>

#include "fpu_internal.hpp"

namespace backplane::interp {
namespace {

using Vector = __m128i;

Vector from_u64(std::uint64_t value) { return _mm_cvtsi64_si128(static_cast<long long>(value)); }
std::uint64_t to_u64(Vector value) { return static_cast<std::uint64_t>(_mm_cvtsi128_si64(value)); }

// Every MMX instruction makes all registers valid and TOP zero (SDM vol. 1, 9.5.1).
void enter_mmx(FpuState& fpu) {
    fpu.top = 0;
    fpu.in_use = 0xff;
}
// A written register also gets an all-ones exponent: a NaN to x87 code.
void set_mm(FpuState& fpu, unsigned n, std::uint64_t value) {
    fpu.regs[n].mantissa = value;
    fpu.regs[n].sign_exponent = 0xffff;
}
unsigned reg_of(const FpuInsn& insn) { return (insn.opcode >> 3) & 7u; }
unsigned rm_of(const FpuInsn& insn) { return insn.opcode & 7u; }

// ---- packed operations: `a` is the destination, `b` the source operand ----

#define BP_MMX_OP(NAME, EXPRESSION)                                  \
    struct NAME {                                                    \
        static Vector run(Vector a, Vector b) { return EXPRESSION; } \
    }
BP_MMX_OP(Paddb, _mm_add_epi8(a, b));
BP_MMX_OP(Paddw, _mm_add_epi16(a, b));
BP_MMX_OP(Paddd, _mm_add_epi32(a, b));
BP_MMX_OP(Paddsb, _mm_adds_epi8(a, b));
BP_MMX_OP(Paddsw, _mm_adds_epi16(a, b));
BP_MMX_OP(Paddusb, _mm_adds_epu8(a, b));
BP_MMX_OP(Paddusw, _mm_adds_epu16(a, b));
BP_MMX_OP(Psubb, _mm_sub_epi8(a, b));
BP_MMX_OP(Psubw, _mm_sub_epi16(a, b));
BP_MMX_OP(Psubd, _mm_sub_epi32(a, b));
BP_MMX_OP(Psubsb, _mm_subs_epi8(a, b));
BP_MMX_OP(Psubsw, _mm_subs_epi16(a, b));
BP_MMX_OP(Psubusb, _mm_subs_epu8(a, b));
BP_MMX_OP(Psubusw, _mm_subs_epu16(a, b));
BP_MMX_OP(Pmullw, _mm_mullo_epi16(a, b));
BP_MMX_OP(Pmulhw, _mm_mulhi_epi16(a, b));
BP_MMX_OP(Pmaddwd, _mm_madd_epi16(a, b));
BP_MMX_OP(Pcmpeqb, _mm_cmpeq_epi8(a, b));
BP_MMX_OP(Pcmpeqw, _mm_cmpeq_epi16(a, b));
BP_MMX_OP(Pcmpeqd, _mm_cmpeq_epi32(a, b));
BP_MMX_OP(Pcmpgtb, _mm_cmpgt_epi8(a, b));
BP_MMX_OP(Pcmpgtw, _mm_cmpgt_epi16(a, b));
BP_MMX_OP(Pcmpgtd, _mm_cmpgt_epi32(a, b));
BP_MMX_OP(Pand, _mm_and_si128(a, b));
BP_MMX_OP(Pandn, _mm_andnot_si128(a, b));
BP_MMX_OP(Por, _mm_or_si128(a, b));
BP_MMX_OP(Pxor, _mm_xor_si128(a, b));
// Packs narrow a:b, so both go into one vector, `a` low.
BP_MMX_OP(Packsswb, _mm_packs_epi16(_mm_unpacklo_epi64(a, b), a));
BP_MMX_OP(Packssdw, _mm_packs_epi32(_mm_unpacklo_epi64(a, b), a));
BP_MMX_OP(Packuswb, _mm_packus_epi16(_mm_unpacklo_epi64(a, b), a));
// Interleaving two 64-bit operands gives 128 bits: the "low" forms keep the
// lower half, the "high" forms the upper.
BP_MMX_OP(Punpcklbw, _mm_unpacklo_epi8(a, b));
BP_MMX_OP(Punpcklwd, _mm_unpacklo_epi16(a, b));
BP_MMX_OP(Punpckldq, _mm_unpacklo_epi32(a, b));
BP_MMX_OP(Punpckhbw, _mm_srli_si128(_mm_unpacklo_epi8(a, b), 8));
BP_MMX_OP(Punpckhwd, _mm_srli_si128(_mm_unpacklo_epi16(a, b), 8));
BP_MMX_OP(Punpckhdq, _mm_srli_si128(_mm_unpacklo_epi32(a, b), 8));
// The count is all 64 bits of the source; larger than the lane gives 0 or the sign.
BP_MMX_OP(Psllw, _mm_sll_epi16(a, b));
BP_MMX_OP(Pslld, _mm_sll_epi32(a, b));
BP_MMX_OP(Psllq, _mm_sll_epi64(a, b));
BP_MMX_OP(Psrlw, _mm_srl_epi16(a, b));
BP_MMX_OP(Psrld, _mm_srl_epi32(a, b));
BP_MMX_OP(Psrlq, _mm_srl_epi64(a, b));
BP_MMX_OP(Psraw, _mm_sra_epi16(a, b));
BP_MMX_OP(Psrad, _mm_sra_epi32(a, b));
#undef BP_MMX_OP

template <typename Op>
void apply(FpuState& fpu, unsigned to, std::uint64_t source) {
    enter_mmx(fpu);
    set_mm(fpu, to, to_u64(Op::run(from_u64(fpu.regs[to].mantissa), from_u64(source))));
}
template <typename Op>
void packed_register(FpuState& fpu, FpuInsn& insn, const FpuMem&) {
    apply<Op>(fpu, reg_of(insn), fpu.regs[rm_of(insn)].mantissa);
}
template <typename Op>
void packed_memory(FpuState& fpu, FpuInsn& insn, const FpuMem& mem) {
    apply<Op>(fpu, reg_of(insn), mem.read64(mem.ctx, insn.address));
}
// PUNPCKL* read only the 32 bits they use.
template <typename Op>
void packed_memory32(FpuState& fpu, FpuInsn& insn, const FpuMem& mem) {
    apply<Op>(fpu, reg_of(insn), mem.read32(mem.ctx, insn.address));
}
template <typename Op>
void shift_immediate(FpuState& fpu, FpuInsn& insn, const FpuMem&) {
    apply<Op>(fpu, rm_of(insn), insn.imm8);
}

// ---- moves ----

void movd_from_gpr(FpuState& fpu, FpuInsn& insn, const FpuMem&) {
    enter_mmx(fpu);
    set_mm(fpu, reg_of(insn), insn.gpr);
}
void movd_to_gpr(FpuState& fpu, FpuInsn& insn, const FpuMem&) {
    enter_mmx(fpu);
    insn.gpr = fpu.regs[reg_of(insn)].mantissa;  // as much of it as the operand size says
}
void movd_load(FpuState& fpu, FpuInsn& insn, const FpuMem& mem) {
    const std::uint32_t value = mem.read32(mem.ctx, insn.address);
    enter_mmx(fpu);
    set_mm(fpu, reg_of(insn), value);
}
void movd_store(FpuState& fpu, FpuInsn& insn, const FpuMem& mem) {
    mem.write32(mem.ctx, insn.address, static_cast<std::uint32_t>(fpu.regs[reg_of(insn)].mantissa));
    enter_mmx(fpu);
}
void movq_load(FpuState& fpu, FpuInsn& insn, const FpuMem& mem) {
    const std::uint64_t value = mem.read64(mem.ctx, insn.address);
    enter_mmx(fpu);
    set_mm(fpu, reg_of(insn), value);
}
void movq_store(FpuState& fpu, FpuInsn& insn, const FpuMem& mem) {
    mem.write64(mem.ctx, insn.address, fpu.regs[reg_of(insn)].mantissa);
    enter_mmx(fpu);
}
void movq_to_reg(FpuState& fpu, FpuInsn& insn, const FpuMem&) {
    enter_mmx(fpu);
    set_mm(fpu, reg_of(insn), fpu.regs[rm_of(insn)].mantissa);
}
void movq_to_rm(FpuState& fpu, FpuInsn& insn, const FpuMem&) {
    enter_mmx(fpu);
    set_mm(fpu, rm_of(insn), fpu.regs[reg_of(insn)].mantissa);
}
void emms(FpuState& fpu, FpuInsn&, const FpuMem&) {
    fpu.top = 0;
    fpu.in_use = 0;
}

// ---- opcode map ----

FpuEntry register_form(FpuHandler handler, unsigned extra = 0) {
    return {handler, static_cast<std::uint8_t>(kFpuWaits | extra)};
}
FpuEntry memory_form(FpuHandler handler) { return {handler, kFpuWaits | kFpuMemory}; }

template <typename Op>
FpuEntry packed(bool memory) {
    return memory ? memory_form(packed_memory<Op>) : register_form(packed_register<Op>);
}
template <typename Op>
FpuEntry unpack_low(bool memory) {
    return memory ? memory_form(packed_memory32<Op>) : register_form(packed_register<Op>);
}

// 0F 71, 72, 73: shift groups by immediate, registers only.
FpuEntry shift_group(unsigned opcode, unsigned operation) {
    const auto entry = [](FpuHandler handler) { return register_form(handler, kMmxImmediate); };
    switch (opcode << 4 | operation) {
        case 0x712: return entry(shift_immediate<Psrlw>);
        case 0x714: return entry(shift_immediate<Psraw>);
        case 0x716: return entry(shift_immediate<Psllw>);
        case 0x722: return entry(shift_immediate<Psrld>);
        case 0x724: return entry(shift_immediate<Psrad>);
        case 0x726: return entry(shift_immediate<Pslld>);
        case 0x732: return entry(shift_immediate<Psrlq>);
        case 0x736: return entry(shift_immediate<Psllq>);
        default: return {};
    }
}

}  // namespace

FpuEntry mmx_lookup(std::uint8_t opcode, std::uint8_t modrm) noexcept {
    const bool memory = modrm < 0xc0;
    switch (opcode) {
        case 0x60: return unpack_low<Punpcklbw>(memory);
        case 0x61: return unpack_low<Punpcklwd>(memory);
        case 0x62: return unpack_low<Punpckldq>(memory);
        case 0x63: return packed<Packsswb>(memory);
        case 0x64: return packed<Pcmpgtb>(memory);
        case 0x65: return packed<Pcmpgtw>(memory);
        case 0x66: return packed<Pcmpgtd>(memory);
        case 0x67: return packed<Packuswb>(memory);
        case 0x68: return packed<Punpckhbw>(memory);
        case 0x69: return packed<Punpckhwd>(memory);
        case 0x6a: return packed<Punpckhdq>(memory);
        case 0x6b: return packed<Packssdw>(memory);
        case 0x6e: return memory ? memory_form(movd_load) : register_form(movd_from_gpr, kMmxReadsGpr);
        case 0x6f: return memory ? memory_form(movq_load) : register_form(movq_to_reg);
        case 0x71:
        case 0x72:
        case 0x73: return memory ? FpuEntry{} : shift_group(opcode, (modrm >> 3) & 7u);
        case 0x74: return packed<Pcmpeqb>(memory);
        case 0x75: return packed<Pcmpeqw>(memory);
        case 0x76: return packed<Pcmpeqd>(memory);
        case 0x77: return register_form(emms);
        case 0x7e: return memory ? memory_form(movd_store) : register_form(movd_to_gpr, kMmxWritesGpr);
        case 0x7f: return memory ? memory_form(movq_store) : register_form(movq_to_rm);
        case 0xd1: return packed<Psrlw>(memory);
        case 0xd2: return packed<Psrld>(memory);
        case 0xd3: return packed<Psrlq>(memory);
        case 0xd5: return packed<Pmullw>(memory);
        case 0xd8: return packed<Psubusb>(memory);
        case 0xd9: return packed<Psubusw>(memory);
        case 0xdb: return packed<Pand>(memory);
        case 0xdc: return packed<Paddusb>(memory);
        case 0xdd: return packed<Paddusw>(memory);
        case 0xdf: return packed<Pandn>(memory);
        case 0xe1: return packed<Psraw>(memory);
        case 0xe2: return packed<Psrad>(memory);
        case 0xe5: return packed<Pmulhw>(memory);
        case 0xe8: return packed<Psubsb>(memory);
        case 0xe9: return packed<Psubsw>(memory);
        case 0xeb: return packed<Por>(memory);
        case 0xec: return packed<Paddsb>(memory);
        case 0xed: return packed<Paddsw>(memory);
        case 0xef: return packed<Pxor>(memory);
        case 0xf1: return packed<Psllw>(memory);
        case 0xf2: return packed<Pslld>(memory);
        case 0xf3: return packed<Psllq>(memory);
        case 0xf5: return packed<Pmaddwd>(memory);
        case 0xf8: return packed<Psubb>(memory);
        case 0xf9: return packed<Psubw>(memory);
        case 0xfa: return packed<Psubd>(memory);
        case 0xfc: return packed<Paddb>(memory);
        case 0xfd: return packed<Paddw>(memory);
        case 0xfe: return packed<Paddd>(memory);
        default: return {};
    }
}

}  // namespace backplane::interp
