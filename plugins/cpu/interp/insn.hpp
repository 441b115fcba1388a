// One decoded instruction, and how handlers follow one another.
//
// A block is an array of Insn records. Each handler ends in a call of the next record's handler in tail position, which
// the compiler turns into a jump: there is no central loop. A handler must therefore not keep anything with a
// destructor or a local whose address escapes.
#pragma once

#include <type_traits>

#include "cpu.hpp"

namespace backplane::interp {

struct Block;
using Handler = void (*)(Cpu*, Insn*);

// Insn::bits
inline constexpr u8 kAddress16 = 1;  // effective address is 16 bits wide
inline constexpr u8 kOperand16 = 2;
inline constexpr u8 kRepeat = 4;  // REP / REPE
inline constexpr u8 kRepeatNe = 8;
inline constexpr u8 kAddress64 = 16;  // effective address is 64 bits wide
inline constexpr u8 kOperand64 = 32;  // REX.W

struct Insn {
    Handler fn;
    union {
        Block* link;  // branches: the block behind the target once known
        i64 disp;     // memory operands; far branches: the selector
    };
    u32 imm;         // immediate, sign-extended for 64-bit operands; branches: target relative to the block's first EIP
    u8 dst, src;     // byte offsets into Cpu::gpr, or plain numbers
    u8 base, index;  // byte offsets into Cpu::gpr; Cpu::kZeroReg for none
    u16 ip;          // offset of this instruction from the block's first EIP
    u8 left;         // instructions behind this one in the block
    u8 len;
    u8 shift;  // scale of the index
    u8 seg;
    u8 bits;
    u8 extra;
};
static_assert(sizeof(Insn) == 32);

// A register or a part of one. A 32-bit register is no plain reference: writing it clears the upper half, in every mode
// (outside 64-bit mode nobody can see that half).
template <typename T>
[[gnu::always_inline]] inline std::conditional_t<std::is_same_v<T, u32>, Reg32, T&> reg(Cpu* c, unsigned offset) {
    u8* place = reinterpret_cast<u8*>(c->gpr) + offset;
    if constexpr (std::is_same_v<T, u32>)
        return Reg32(reinterpret_cast<u64*>(place));
    else
        return *reinterpret_cast<T*>(place);
}
// An immediate as an operand of type T.
template <typename T>
[[gnu::always_inline]] inline T immediate(const Insn* i) {
    if constexpr (sizeof(T) == 8)
        return static_cast<T>(static_cast<i64>(static_cast<i32>(i->imm)));
    else
        return static_cast<T>(i->imm);
}

[[gnu::always_inline]] inline void next(Cpu* c, Insn* i) {
    Insn* n = i + 1;
    return n->fn(c, n);
}

// Marks the instruction that may fault.
[[gnu::always_inline]] inline void mark(Cpu* c, Insn* i) { c->insn = i; }
// The same for handlers that call the system part: eip and prev_eip as it expects them.
inline void mark_system(Cpu* c, Insn* i) {
    c->insn = i;
    c->prev_eip = c->block_eip + i->ip;
    c->eip = c->truncated_eip(c->prev_eip + i->len);
}
// Leaves the block behind this instruction: back to the run loop with exact eip and count.
[[gnu::noinline]] void leave_block(Cpu* c, Insn* i);
// To the run loop where `eip` is set already.
inline void to_loop(Cpu* c, Insn* i) {
    c->count -= i->left;
    c->insn = nullptr;
}
// Next instruction after something that may have hit code or asked to leave.
[[gnu::always_inline]] inline void next_checked(Cpu* c, Insn* i) {
    if (c->leave != 0) [[unlikely]]
        return leave_block(c, i);
    return next(c, i);
}

// branch.cpp: continues at c->eip by way of the jump cache (count exact, block finished).
void dispatch(Cpu* c);

// Where an operand in memory is, see memory.hpp.
enum class Form : u8 { kReg, kFlat, kFlatIndex, kBased, kGeneral, kLong, kLongIndex, kLongBased };

}  // namespace backplane::interp
