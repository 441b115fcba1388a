// Handlers by family: what the decoder asks for when it has recognised an instruction.
// `size` is the operand size in bytes; `form` says where the r/m operand is.
#pragma once

#include <cstddef>

#include "insn.hpp"
#include "memory.hpp"

namespace backplane::interp {

template <class Pick>
Handler by_size(unsigned size, Pick pick) {
    if (size == 1) return pick.template operator()<u8>();
    if (size == 2) return pick.template operator()<u16>();
    if (size == 8) return pick.template operator()<u64>();
    return pick.template operator()<u32>();
}
// Without bytes.
template <class Pick>
Handler by_word(unsigned size, Pick pick) {
    if (size == 2) return pick.template operator()<u16>();
    if (size == 8) return pick.template operator()<u64>();
    return pick.template operator()<u32>();
}
// Only 16 and 32 bits: what does not exist in 64-bit mode or is no wider there.
template <class Pick>
Handler by_half(unsigned size, Pick pick) {
    if (size == 2) return pick.template operator()<u16>();
    return pick.template operator()<u32>();
}
// By form, for operands of type T: 64-bit operands exist in 64-bit mode only, and 16-bit ones are rare there.
template <typename T, class Pick>
Handler by_form(Form form, Pick pick) {
    if constexpr (sizeof(T) != 8) {
        if (form == Form::kFlat) return pick.template operator()<Form::kFlat>();
        if (form == Form::kFlatIndex) return pick.template operator()<Form::kFlatIndex>();
        if (form == Form::kBased) return pick.template operator()<Form::kBased>();
    }
    if constexpr (sizeof(T) != 2) {
        if (form == Form::kLong) return pick.template operator()<Form::kLong>();
        if (form == Form::kLongIndex) return pick.template operator()<Form::kLongIndex>();
        if (form == Form::kLongBased) return pick.template operator()<Form::kLongBased>();
    } else {
        if (form == Form::kLong || form == Form::kLongIndex) return pick.template operator()<Form::kLongIndex>();
    }
    return pick.template operator()<Form::kGeneral>();
}
template <class Pick, std::size_t... kIndex>
Handler by_number_impl(unsigned n, Pick pick, std::index_sequence<kIndex...>) {
    Handler found = nullptr;
    (void)((n == kIndex && (found = pick.template operator()<kIndex>(), true)) || ...);
    return found;
}
template <unsigned kCount, class Pick>
Handler by_number(unsigned n, Pick pick) {
    return by_number_impl(n, pick, std::make_index_sequence<kCount>());
}

// A load into fn(value), a read-modify-write through fn(value), a store. `slow` is the general form of the same
// handler.
template <typename T, Form kForm, class Fn>
[[gnu::always_inline]] inline void with_load(Cpu* c, Insn* i, Handler slow, Fn fn) {
    if constexpr (kForm == Form::kGeneral) {
        (void)slow;
        mark(c, i);
        fn(c->read<T>(static_cast<Seg>(i->seg), offset_of(c, i)));
        return next_checked(c, i);
    } else {
        const Guest<T>* p;
        if (!fast_read<T>(c, address_of<kForm>(c, i), p) || !readable<kForm>(c, i)) [[unlikely]]
            return slow(c, i);
        fn(p->value);
        return next(c, i);
    }
}
template <typename T, Form kForm, class Fn>
[[gnu::always_inline]] inline void with_update(Cpu* c, Insn* i, Handler slow, Fn fn) {
    if constexpr (kForm == Form::kGeneral) {
        (void)slow;
        mark(c, i);
        const u64 offset = offset_of(c, i);
        const T v = rmw_read<T>(c, static_cast<Seg>(i->seg), offset);
        c->write<T>(static_cast<Seg>(i->seg), offset, fn(v));
        return next_checked(c, i);
    } else {
        Guest<T>* p;
        if (!fast_write<T>(c, address_of<kForm>(c, i), p) || !writable<kForm>(c, i)) [[unlikely]]
            return slow(c, i);
        p->value = fn(p->value);
        return next(c, i);
    }
}
template <typename T, Form kForm>
[[gnu::always_inline]] inline void with_store(Cpu* c, Insn* i, Handler slow, T value) {
    if constexpr (kForm == Form::kGeneral) {
        (void)slow;
        mark(c, i);
        c->write<T>(static_cast<Seg>(i->seg), offset_of(c, i), value);
        return next_checked(c, i);
    } else {
        Guest<T>* p;
        if (!fast_write<T>(c, address_of<kForm>(c, i), p) || !writable<kForm>(c, i)) [[unlikely]]
            return slow(c, i);
        p->value = value;
        return next(c, i);
    }
}

// The stack pointer that the flat form of a handler uses: 64-bit operands have the stack of 64-bit mode.
template <typename T>
using StackWord = std::conditional_t<sizeof(T) == 8, u64, u32>;
template <typename T>
[[gnu::always_inline]] inline auto flat_sp(Cpu* c) -> decltype(reg<StackWord<T>>(c, 0)) {
    return reg<StackWord<T>>(c, kEsp * 8);
}

enum class Alu : u8 { kAdd, kOr, kAdc, kSbb, kAnd, kSub, kXor, kCmp, kTest };
enum class Unary : u8 { kInc, kDec, kNot, kNeg };
enum class AluForm : u8 { kRegReg, kRegImm, kRegMem, kMemReg, kMemImm };
Handler alu_handler(Alu op, AluForm operands, unsigned size, Form form);
Handler unary_handler(Unary op, unsigned size, Form form);

// Moves. Register operand in dst (loads) or src (stores).
Handler mov_rr(unsigned size);
Handler mov_ri(unsigned size);
Handler mov_ri64();  // 64-bit immediate, in disp
Handler mov_load(unsigned size, Form form);
Handler mov_store(unsigned size, Form form);
Handler mov_store_imm(unsigned size, Form form);
Handler extend_handler(bool sign, unsigned from, unsigned to, Form form);
Handler lea_handler(unsigned size, Form form);
Handler xchg_handler(unsigned size);  // registers; with memory it is locked_xchg()
Handler cmov_handler(unsigned code, unsigned size, Form form);
Handler setcc_handler(unsigned code, Form form);
Handler cmpxchg_handler(unsigned size, Form form);
Handler cmpxchg8b_handler();
Handler xadd_handler(unsigned size, Form form);
Handler bswap_handler(unsigned size);
Handler xlat_handler();

// Shifts: op is modrm.reg of group 2. Count in imm, or CL if by_cl.
Handler shift_handler(unsigned op, unsigned size, Form form, bool by_cl);
Handler double_shift_handler(bool right, unsigned size, Form form, bool by_cl);

Handler mul_handler(unsigned op, unsigned size, Form form);  // modrm.reg 4..7 of group 3
Handler imul2_handler(unsigned size, Form form);             // dst *= r/m
Handler imul3_handler(unsigned size, Form form);             // dst = r/m * imm

enum class BitOp : u8 { kTest, kSet, kReset, kComplement };
Handler bit_handler(BitOp op, unsigned size, Form form, bool immediate);
Handler bit_scan_handler(bool reverse, unsigned size, Form form);

// The same with a LOCK prefix, always with a memory operand (op_locked.cpp).
Handler locked_alu(Alu op, bool immediate, unsigned size);
Handler locked_unary(Unary op, unsigned size);
Handler locked_xchg(unsigned size);
Handler locked_xadd(unsigned size);
Handler locked_cmpxchg(unsigned size);
Handler locked_cmpxchg8b();
Handler locked_cmpxchg16b();  // also without the prefix
Handler locked_bit(BitOp op, unsigned size, bool immediate);
// Memory barriers of several processors.
Handler pause_handler();
Handler mfence_handler();

// Stack. `flat`: 32-bit flat stack segment; an operand size of 8 is always flat.
Handler push_reg(unsigned size, bool flat);
Handler push_imm(unsigned size, bool flat);
Handler push_mem(unsigned size, Form form, bool flat);
Handler push_seg(unsigned size);
Handler pop_reg(unsigned size, bool flat);
Handler pop_mem(unsigned size);
Handler pop_seg(unsigned size);
Handler pusha_handler(unsigned size);
Handler popa_handler(unsigned size);
Handler pushf_handler(unsigned size);
Handler popf_handler(unsigned size);
Handler enter_handler(unsigned size);
Handler leave_handler(unsigned size, bool flat);

// Branches. imm: target relative to the block (relative ones).
Handler jmp_handler(unsigned size);
Handler jcc_handler(unsigned code, unsigned size);
// nullptr: not fused
Handler fused_handler(Alu op, AluForm operands, unsigned size, Form form, unsigned code, bool long_mode);
Handler fused_long(Alu op, AluForm operands, unsigned size, Form form, unsigned code);
Handler loop_handler(unsigned op, unsigned size, unsigned address_bytes);  // E0..E3
Handler wide_branch_handler();  // a target more than 2G from the block's first instruction, see op_branch.cpp
Handler call_handler(unsigned size, bool flat);
Handler ret_handler(unsigned size, bool flat);  // imm: bytes to release
Handler jmp_indirect(unsigned size, Form form);
Handler call_indirect(unsigned size, Form form, bool flat);
Handler jmp_far_imm(unsigned size);
Handler call_far_imm(unsigned size);
Handler jmp_far_mem(unsigned size);
Handler call_far_mem(unsigned size);
Handler ret_far(unsigned size);
Handler iret_handler(unsigned size);
Handler end_handler(bool single, bool long_mode);  // end of a block without a branch
Handler stale_handler();
Handler break_handler();  // all that a block at a breakpoint consists of

// String instructions: A4.. AF and INS/OUTS 6C..6F by opcode.
Handler string_handler(u8 opcode, unsigned size);

// Rest.
Handler simple_handler(u8 opcode, unsigned size);  // one-byte opcodes without operands
Handler aam_handler(bool aad);
Handler int_handler(u8 opcode);  // CC, CD, CE, F1
Handler bound_handler(unsigned size);
Handler io_handler(u8 opcode, unsigned size);  // E4..E7, EC..EF
Handler load_far_handler(unsigned size);       // LDS...; segment number in extra
Handler mov_to_seg(Form form);
Handler mov_from_seg(unsigned size, Form form);
Handler undefined_handler();
Handler too_long_handler();
Handler nop_handler();

// System: 0F 00, 0F 01 groups by modrm.reg, others by second opcode byte.
Handler group6_handler(unsigned op, unsigned size, Form form);
Handler group7_handler(unsigned op, unsigned size, Form form);
Handler system_handler(u8 opcode, unsigned size);  // after 0F
Handler lar_lsl_handler(bool lsl, unsigned size, Form form);
Handler arpl_handler(Form form);

Handler fpu_handler();  // D8..DF; link to the entry is made by the decoder
Handler fwait_handler();
Handler mmx_handler();
Handler fxsave_handler(bool restore);
Handler ldmxcsr_handler();
Handler stmxcsr_handler();
Handler clflush_handler();
Handler monitor_handler(bool wait);
Handler xsave_handler();  // also XSAVEOPT
Handler xrstor_handler();
Handler xcr_handler(bool set);
Handler random_handler(unsigned size);
Handler base_handler(unsigned op, unsigned size);  // modrm.reg: RDFSBASE and so on

}  // namespace backplane::interp
