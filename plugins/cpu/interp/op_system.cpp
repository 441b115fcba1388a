// Decoded form of the system instructions, segment loads and far transfers: fetches the operands and calls the system
// part.
#include <cstddef>

#include "flags.hpp"
#include "ops.hpp"

namespace backplane::interp {
namespace {

// The 16-bit r/m operand of instructions that take a selector.
template <bool kMemory>
u16 selector_operand(Cpu* c, const Insn* i) {
    if constexpr (kMemory)
        return c->read<u16>(static_cast<Seg>(i->seg), offset_of(c, i));
    else
        return reg<u16>(c, i->dst);
}
template <class Pick>
Handler by_memory(Form form, Pick pick) {
    return form == Form::kReg ? pick.template operator()<false>() : pick.template operator()<true>();
}

template <bool kMemory>
void op_mov_to_seg(Cpu* c, Insn* i) {
    mark_system(c, i);
    c->load_segment(static_cast<Seg>(i->extra), selector_operand<kMemory>(c, i));
    if (i->extra == kSs) c->inhibit_all = true;
    return to_loop(c, i);
}
template <typename T, bool kMemory>
void op_mov_from_seg(Cpu* c, Insn* i) {
    const u16 v = c->seg[i->extra].selector;
    if constexpr (!kMemory) {
        reg<T>(c, i->dst) = v;
        return next(c, i);
    } else {
        mark(c, i);
        c->write<u16>(static_cast<Seg>(i->seg), offset_of(c, i), v);
        return next_checked(c, i);
    }
}
template <typename T>
void op_load_far(Cpu* c, Insn* i) {
    mark_system(c, i);
    const u64 at = offset_of(c, i);
    const Seg s = static_cast<Seg>(i->seg);
    const T offset = c->read<T>(s, at);
    const u16 selector = c->read<u16>(s, offset_plus(i, at, sizeof(T)));
    c->load_segment(static_cast<Seg>(i->extra), selector);
    reg<T>(c, i->dst) = offset;
    return to_loop(c, i);
}

template <typename T, bool kCall, bool kMemory>
void op_far(Cpu* c, Insn* i) {
    mark_system(c, i);
    u16 selector = static_cast<u16>(i->disp);
    u64 offset = i->imm;
    if constexpr (kMemory) {
        const u64 at = offset_of(c, i);
        offset = c->read<T>(static_cast<Seg>(i->seg), at);
        selector = c->read<u16>(static_cast<Seg>(i->seg), offset_plus(i, at, sizeof(T)));
    }
    if constexpr (kCall)
        c->far_call(selector, offset, sizeof(T));
    else
        c->far_jump(selector, offset, sizeof(T));
    return to_loop(c, i);
}
template <typename T>
void op_ret_far(Cpu* c, Insn* i) {
    mark_system(c, i);
    c->far_return(sizeof(T), i->imm);
    return to_loop(c, i);
}
template <typename T>
void op_iret(Cpu* c, Insn* i) {
    mark_system(c, i);
    c->interrupt_return(sizeof(T));
    return to_loop(c, i);
}

bool no_selectors(const Cpu* c) { return c->real_or_v86(); }

// Group 6: SLDT STR LLDT LTR VERR VERW
template <unsigned kOp, typename T, bool kMemory>
void op_group6(Cpu* c, Insn* i) {
    mark_system(c, i);
    if (no_selectors(c)) c->raise(kUd);
    if constexpr (kOp < 2) {
        c->require_table_access();
        const u16 v = kOp == 0 ? c->ldtr.selector : c->tr.selector;
        if constexpr (kMemory)
            c->write<u16>(static_cast<Seg>(i->seg), offset_of(c, i), v);
        else
            reg<T>(c, i->dst) = v;
        return next_checked(c, i);
    } else if constexpr (kOp < 4) {
        c->require_cpl0();
        const u16 v = selector_operand<kMemory>(c, i);
        if constexpr (kOp == 2)
            c->load_ldtr(v);
        else
            c->load_tr(v);
        return to_loop(c, i);
    } else {
        const u16 v = selector_operand<kMemory>(c, i);
        set_zf(c, kOp == 4 ? c->verr(v) : c->verw(v));
        return next_checked(c, i);
    }
}
// Group 7, memory forms: SGDT SIDT LGDT LIDT SMSW LMSW INVLPG
template <unsigned kOp, typename T, bool kMemory>
void op_group7(Cpu* c, Insn* i) {
    mark_system(c, i);
    if constexpr (kOp < 2) {
        c->require_table_access();
        const TableRegister& t = kOp == 0 ? c->gdtr : c->idtr;
        const u64 at = offset_of(c, i);
        const Seg s = static_cast<Seg>(i->seg);
        c->probe_write(s, at, 2);
        constexpr bool kWide = sizeof(T) == 8;
        c->probe_write(s, offset_plus(i, at, 2), kWide ? 8 : 4);
        c->write<u16>(s, at, t.limit);
        // A 16-bit operand size stores a 24-bit base and a zero byte (SDM 2, SGDT).
        if constexpr (kWide)
            c->write<u64>(s, offset_plus(i, at, 2), t.base);
        else
            c->write<u32>(s, offset_plus(i, at, 2), static_cast<u32>(sizeof(T) == 2 ? t.base & 0xffffffu : t.base));
        return next_checked(c, i);
    } else if constexpr (kOp < 4) {
        c->require_cpl0();
        const u64 at = offset_of(c, i);
        const Seg s = static_cast<Seg>(i->seg);
        const u16 limit = c->read<u16>(s, at);
        u64 base = 0;
        if constexpr (sizeof(T) == 8)
            base = c->read<u64>(s, offset_plus(i, at, 2));
        else
            base = c->read<u32>(s, offset_plus(i, at, 2));
        if constexpr (kOp == 2)
            c->lgdt(base, limit, sizeof(T));
        else
            c->lidt(base, limit, sizeof(T));
        return next_checked(c, i);
    } else if constexpr (kOp == 4) {
        c->require_table_access();
        if constexpr (kMemory)
            c->write<u16>(static_cast<Seg>(i->seg), offset_of(c, i), static_cast<u16>(c->cr0));
        else
            reg<T>(c, i->dst) = static_cast<T>(c->cr0);
        return next_checked(c, i);
    } else if constexpr (kOp == 6) {
        c->require_cpl0();
        c->lmsw(selector_operand<kMemory>(c, i));
        return to_loop(c, i);
    } else {
        c->require_cpl0();
        const u64 a = c->segment_base(i->seg) + offset_of(c, i);
        c->invlpg(c->mode64 ? a : static_cast<u32>(a));
        return to_loop(c, i);
    }
}

// Apart from the handler: a local whose address is taken would make its last call a real one.
template <bool kLsl, typename T, bool kMemory>
[[gnu::noinline]] void lar_lsl(Cpu* c, const Insn* i) {
    if (no_selectors(c)) c->raise(kUd);
    u16 selector = 0;
    if constexpr (kMemory)
        selector = c->read<u16>(static_cast<Seg>(i->seg), offset_of(c, i));
    else
        selector = reg<u16>(c, i->src);
    u32 value = 0;
    const bool good = kLsl ? c->lsl(selector, value) : c->lar(selector, value);
    if (good) reg<T>(c, i->dst) = static_cast<T>(value);
    set_zf(c, good);
}
template <bool kLsl, typename T, bool kMemory>
void op_lar_lsl(Cpu* c, Insn* i) {
    mark_system(c, i);
    lar_lsl<kLsl, T, kMemory>(c, i);
    return next_checked(c, i);
}
template <bool kMemory>
void op_arpl(Cpu* c, Insn* i) {
    mark_system(c, i);
    if (no_selectors(c)) c->raise(kUd);
    const u16 rpl = reg<u16>(c, i->src) & 3u;
    u16 v = 0;
    if constexpr (kMemory)
        v = c->read<u16>(static_cast<Seg>(i->seg), offset_of(c, i));
    else
        v = reg<u16>(c, i->dst);
    const bool raise_rpl = (v & 3u) < rpl;
    if (raise_rpl) {
        v = static_cast<u16>((v & ~3u) | rpl);
        if constexpr (kMemory)
            c->write<u16>(static_cast<Seg>(i->seg), offset_of(c, i), v);
        else
            reg<u16>(c, i->dst) = v;
    }
    set_zf(c, raise_rpl);
    return next_checked(c, i);
}

template <u8 kOpcode>
void op_system(Cpu* c, Insn* i) {
    mark_system(c, i);
    if constexpr (kOpcode == 0x06)
        c->clts();
    else if constexpr (kOpcode == 0x08 || kOpcode == 0x09)
        c->wbinvd();
    else if constexpr (kOpcode == 0x05)
        c->syscall();
    else if constexpr (kOpcode == 0x07)
        c->sysret((i->bits & kOperand64) != 0 ? 8 : 4);
    else if constexpr (kOpcode == 0xf8)
        c->swapgs();
    else if constexpr (kOpcode == 0xf9)
        c->rdtscp();
    else if constexpr (kOpcode == 0x20)  // outside 64-bit mode the upper half cannot be seen
        reg<u64>(c, i->dst) = c->mode64 ? c->mov_from_cr(i->src) : static_cast<u32>(c->mov_from_cr(i->src));
    else if constexpr (kOpcode == 0x21)
        reg<u64>(c, i->dst) = c->mode64 ? c->mov_from_dr(i->src) : static_cast<u32>(c->mov_from_dr(i->src));
    else if constexpr (kOpcode == 0x22)
        c->mov_to_cr(i->src, c->mode64 ? reg<u64>(c, i->dst) : u64{reg<u32>(c, i->dst)});
    else if constexpr (kOpcode == 0x23)
        c->mov_to_dr(i->src, c->mode64 ? reg<u64>(c, i->dst) : u64{reg<u32>(c, i->dst)});
    else if constexpr (kOpcode == 0x30)
        c->wrmsr();
    else if constexpr (kOpcode == 0x31)
        c->rdtsc();
    else if constexpr (kOpcode == 0x32)
        c->rdmsr();
    else if constexpr (kOpcode == 0x33)
        c->rdpmc();
    else if constexpr (kOpcode == 0x34)
        c->sysenter();
    else if constexpr (kOpcode == 0x35)
        c->sysexit((i->bits & kOperand64) != 0 ? 8 : 4);
    else if constexpr (kOpcode == 0xa2)
        c->cpuid();
    else if constexpr (kOpcode == 0xaa)
        c->resume_from_smm();
    constexpr bool kStays =
        kOpcode == 0x20 || kOpcode == 0x21 || kOpcode == 0x31 || kOpcode == 0x33 || kOpcode == 0xa2 || kOpcode == 0xf9;
    if constexpr (kStays)
        return next_checked(c, i);
    else
        return to_loop(c, i);
}

}  // namespace

Handler mov_to_seg(Form form) {
    return by_memory(form, []<bool kMemory>() -> Handler { return op_mov_to_seg<kMemory>; });
}
Handler mov_from_seg(unsigned size, Form form) {
    return by_memory(form, [=]<bool kMemory>() -> Handler {
        return by_word(size, []<typename T>() -> Handler { return op_mov_from_seg<T, kMemory>; });
    });
}
Handler load_far_handler(unsigned size) {
    return by_word(size, []<typename T>() -> Handler { return op_load_far<T>; });
}
Handler jmp_far_imm(unsigned size) {
    return by_half(size, []<typename T>() -> Handler { return op_far<T, false, false>; });
}
Handler call_far_imm(unsigned size) {
    return by_half(size, []<typename T>() -> Handler { return op_far<T, true, false>; });
}
Handler jmp_far_mem(unsigned size) {
    return by_word(size, []<typename T>() -> Handler { return op_far<T, false, true>; });
}
Handler call_far_mem(unsigned size) {
    return by_word(size, []<typename T>() -> Handler { return op_far<T, true, true>; });
}
Handler ret_far(unsigned size) {
    return by_word(size, []<typename T>() -> Handler { return op_ret_far<T>; });
}
Handler iret_handler(unsigned size) {
    return by_word(size, []<typename T>() -> Handler { return op_iret<T>; });
}
Handler group6_handler(unsigned op, unsigned size, Form form) {
    if (op > 5) return undefined_handler();
    return by_number<6>(op, [=]<std::size_t kOp>() -> Handler {
        return by_memory(form, [=]<bool kMemory>() -> Handler {
            return by_word(size, []<typename T>() -> Handler { return op_group6<kOp, T, kMemory>; });
        });
    });
}
Handler group7_handler(unsigned op, unsigned size, Form form) {
    // Only SMSW and LMSW have register forms.
    if (op == 5 || (form == Form::kReg && op != 4 && op != 6)) return undefined_handler();
    return by_number<8>(op, [=]<std::size_t kOp>() -> Handler {
        return by_memory(form, [=]<bool kMemory>() -> Handler {
            return by_word(size, []<typename T>() -> Handler { return op_group7<kOp, T, kMemory>; });
        });
    });
}
Handler lar_lsl_handler(bool lsl, unsigned size, Form form) {
    return by_memory(form, [=]<bool kMemory>() -> Handler {
        return by_word(size, [=]<typename T>() -> Handler {
            return lsl ? op_lar_lsl<true, T, kMemory> : op_lar_lsl<false, T, kMemory>;
        });
    });
}
Handler arpl_handler(Form form) {
    return by_memory(form, []<bool kMemory>() -> Handler { return op_arpl<kMemory>; });
}
Handler system_handler(u8 opcode, unsigned) {
    switch (opcode) {
        case 0x05: return op_system<0x05>;
        case 0x06: return op_system<0x06>;
        case 0x07: return op_system<0x07>;
        case 0x08: return op_system<0x08>;
        case 0x09: return op_system<0x09>;
        case 0x20: return op_system<0x20>;
        case 0x21: return op_system<0x21>;
        case 0x22: return op_system<0x22>;
        case 0x23: return op_system<0x23>;
        case 0x30: return op_system<0x30>;
        case 0x31: return op_system<0x31>;
        case 0x32: return op_system<0x32>;
        case 0x33: return op_system<0x33>;
        case 0x34: return op_system<0x34>;
        case 0x35: return op_system<0x35>;
        case 0xa2: return op_system<0xa2>;
        case 0xaa: return op_system<0xaa>;
        case 0xf8: return op_system<0xf8>;
        case 0xf9: return op_system<0xf9>;
        default: return undefined_handler();
    }
}

}  // namespace backplane::interp
