// PUSH POP PUSHA POPA PUSHF POPF ENTER LEAVE.
#include "flags.hpp"
#include "ops.hpp"

namespace backplane::interp {
namespace {

// Stack accesses in any mode: SP wraps by SS.B.
template <typename T>
void push(Cpu* c, T value) {
    const u64 sp = (c->sp() - sizeof(T)) & c->stack_mask();
    c->write<T>(kSs, sp, value);
    c->set_sp(sp);
}
template <typename T>
T top(Cpu* c) {
    return c->read<T>(kSs, c->sp());
}
template <typename T, bool kFlat>
[[gnu::always_inline]] inline void push_value(Cpu* c, Insn* i, Handler slow, T value) {
    if constexpr (kFlat) {
        const StackWord<T> sp = flat_sp<T>(c) - static_cast<u32>(sizeof(T));
        Guest<T>* p;
        if (!fast_write<T>(c, sp, p)) [[unlikely]]
            return slow(c, i);
        p->value = value;
        flat_sp<T>(c) = sp;
        return next(c, i);
    } else {
        (void)slow;
        mark(c, i);
        push<T>(c, value);
        return next_checked(c, i);
    }
}
template <typename T, bool kFlat>
void op_push_reg(Cpu* c, Insn* i) {
    return push_value<T, kFlat>(c, i, op_push_reg<T, false>, reg<T>(c, i->dst));
}
template <typename T, bool kFlat>
void op_push_imm(Cpu* c, Insn* i) {
    return push_value<T, kFlat>(c, i, op_push_imm<T, false>, immediate<T>(i));
}
template <typename T>
void op_push_mem_general(Cpu* c, Insn* i) {
    mark(c, i);
    push<T>(c, c->read<T>(static_cast<Seg>(i->seg), offset_of(c, i)));
    return next_checked(c, i);
}
template <typename T, Form kForm>
void op_push_mem(Cpu* c, Insn* i) {
    const Guest<T>* p;
    if (!fast_read<T>(c, address_of<kForm>(c, i), p)) [[unlikely]]
        return op_push_mem_general<T>(c, i);
    return push_value<T, true>(c, i, op_push_mem_general<T>, p->value);
}
template <typename T>
void op_push_seg(Cpu* c, Insn* i) {
    mark(c, i);
    const u64 sp = (c->sp() - sizeof(T)) & c->stack_mask();
    // Of the two behaviours the manual allows for a 32-bit push, zero extension is the one no program trips over.
    c->write<T>(kSs, sp, c->seg[i->src].selector);
    c->set_sp(sp);
    return next_checked(c, i);
}

template <typename T, bool kFlat>
void op_pop_reg(Cpu* c, Insn* i) {
    if constexpr (kFlat) {
        const StackWord<T> sp = flat_sp<T>(c);
        const Guest<T>* p;
        if (!fast_read<T>(c, sp, p)) [[unlikely]]
            return op_pop_reg<T, false>(c, i);
        const T v = p->value;
        flat_sp<T>(c) = sp + static_cast<u32>(sizeof(T));
        reg<T>(c, i->dst) = v;
        return next(c, i);
    } else {
        mark(c, i);
        const T v = top<T>(c);
        c->set_sp(c->sp() + sizeof(T));
        reg<T>(c, i->dst) = v;
        return next_checked(c, i);
    }
}
template <typename T>
void op_pop_mem(Cpu* c, Insn* i) {
    // An address that uses ESP sees the value after the pop.
    mark(c, i);
    const T v = top<T>(c);
    c->esp_saved = c->gpr[kEsp];
    c->esp_guard = true;
    c->set_sp(c->sp() + sizeof(T));
    c->write<T>(static_cast<Seg>(i->seg), offset_of(c, i), v);
    c->esp_guard = false;
    return next_checked(c, i);
}
template <typename T>
void op_pop_seg(Cpu* c, Insn* i) {
    mark_system(c, i);
    const u16 v = c->read<u16>(kSs, c->sp());
    const u64 sp = c->sp() + sizeof(T);
    const bool big = c->seg[kSs].big();
    c->load_segment(static_cast<Seg>(i->dst), v);
    if (c->mode64)
        c->gpr[kEsp] = sp;
    else if (big)
        c->r32(kEsp) = static_cast<u32>(sp);
    else
        c->r16(kEsp) = static_cast<u16>(sp);
    if (i->dst == kSs) c->inhibit_all = true;
    return to_loop(c, i);
}

template <typename T>
void op_pusha(Cpu* c, Insn* i) {
    mark(c, i);
    const u32 mask = static_cast<u32>(c->stack_mask());
    const u32 sp = static_cast<u32>(c->sp());
    // A fault in the middle leaves the earlier writes, as processors do; ESP is unchanged and the instruction restarts.
    for (unsigned k = 0; k < 8; ++k) {
        c->write<T>(kSs, (sp - static_cast<u32>(sizeof(T)) * (k + 1)) & mask, reg<T>(c, k * 8));
    }
    c->set_sp(sp - 8 * static_cast<u32>(sizeof(T)));
    return next_checked(c, i);
}
template <typename T>
[[gnu::noinline]] void pop_all(Cpu* c) {
    const u32 mask = static_cast<u32>(c->stack_mask());
    const u32 sp = static_cast<u32>(c->sp());
    T v[8];
    for (unsigned k = 0; k < 8; ++k) v[k] = c->read<T>(kSs, (sp + static_cast<u32>(sizeof(T)) * k) & mask);
    for (unsigned k = 0; k < 8; ++k) {
        if (k != 3) reg<T>(c, (7 - k) * 8) = v[k];
    }
    c->set_sp(sp + 8 * static_cast<u32>(sizeof(T)));
}
template <typename T>
void op_popa(Cpu* c, Insn* i) {
    mark(c, i);
    pop_all<T>(c);
    return next_checked(c, i);
}

// Apart from the handler: a local whose address is taken would make its last call a real one.
template <typename T>
[[gnu::noinline]] void push_flags(Cpu* c) {
    u32 value = 0;
    c->push_flags_value(sizeof(T), value);
    push<T>(c, static_cast<T>(value));
}
template <typename T>
void op_pushf(Cpu* c, Insn* i) {
    mark_system(c, i);
    push_flags<T>(c);
    return next_checked(c, i);
}
template <typename T>
void op_popf(Cpu* c, Insn* i) {
    mark_system(c, i);
    const T v = top<T>(c);
    c->pop_flags_value(sizeof(T), static_cast<u32>(v));
    c->set_sp(c->sp() + sizeof(T));
    return leave_block(c, i);
}

template <typename T>
void op_enter(Cpu* c, Insn* i) {
    mark(c, i);
    const u32 size = i->imm & 0xffffu;
    const u32 level = i->imm >> 16 & 31u;
    const u64 mask = c->stack_mask();
    const u64 step = sizeof(T);
    u64 sp = (c->sp() - step) & mask;
    c->write<T>(kSs, sp, reg<T>(c, kEbp * 8));
    const u64 frame = sp;
    u64 bp = c->gpr[kEbp];
    for (u32 k = 1; k < level; ++k) {
        bp = (bp - step) & mask;
        sp = (sp - step) & mask;
        c->write<T>(kSs, sp, c->read<T>(kSs, bp));
    }
    if (level != 0) {
        sp = (sp - step) & mask;
        c->write<T>(kSs, sp, static_cast<T>(frame));
    }
    sp = (sp - size) & mask;
    c->probe_write(kSs, sp, sizeof(T));
    reg<T>(c, kEbp * 8) = static_cast<T>(frame);
    c->set_sp(sp);
    return next_checked(c, i);
}
template <typename T, bool kFlat>
void op_leave(Cpu* c, Insn* i) {
    if constexpr (kFlat) {
        const StackWord<T> bp = reg<StackWord<T>>(c, kEbp * 8);
        const Guest<T>* p;
        if (!fast_read<T>(c, bp, p)) [[unlikely]]
            return op_leave<T, false>(c, i);
        reg<T>(c, kEbp * 8) = p->value;
        flat_sp<T>(c) = bp + static_cast<u32>(sizeof(T));
        return next(c, i);
    } else {
        mark(c, i);
        const u64 bp = c->gpr[kEbp] & c->stack_mask();
        const T v = c->read<T>(kSs, bp);
        c->set_sp(bp + sizeof(T));
        reg<T>(c, kEbp * 8) = v;
        return next_checked(c, i);
    }
}

}  // namespace

Handler push_reg(unsigned size, bool flat) {
    return by_word(size, [=]<typename T>() -> Handler { return flat ? op_push_reg<T, true> : op_push_reg<T, false>; });
}
Handler push_imm(unsigned size, bool flat) {
    return by_word(size, [=]<typename T>() -> Handler { return flat ? op_push_imm<T, true> : op_push_imm<T, false>; });
}
Handler push_mem(unsigned size, Form form, bool flat) {
    return by_word(size, [=]<typename T>() -> Handler {
        if constexpr (sizeof(T) == 8) {
            if (form == Form::kLong) return op_push_mem<T, Form::kLong>;
            if (form == Form::kLongIndex) return op_push_mem<T, Form::kLongIndex>;
        } else {
            if (flat && form == Form::kFlat) return op_push_mem<T, Form::kFlat>;
            if (flat && form == Form::kFlatIndex) return op_push_mem<T, Form::kFlatIndex>;
        }
        return op_push_mem_general<T>;
    });
}
Handler push_seg(unsigned size) {
    return by_word(size, []<typename T>() -> Handler { return op_push_seg<T>; });
}
Handler pop_reg(unsigned size, bool flat) {
    return by_word(size, [=]<typename T>() -> Handler { return flat ? op_pop_reg<T, true> : op_pop_reg<T, false>; });
}
Handler pop_mem(unsigned size) {
    return by_word(size, []<typename T>() -> Handler { return op_pop_mem<T>; });
}
Handler pop_seg(unsigned size) {
    return by_word(size, []<typename T>() -> Handler { return op_pop_seg<T>; });
}
Handler pusha_handler(unsigned size) {
    return by_half(size, []<typename T>() -> Handler { return op_pusha<T>; });
}
Handler popa_handler(unsigned size) {
    return by_half(size, []<typename T>() -> Handler { return op_popa<T>; });
}
Handler pushf_handler(unsigned size) {
    return by_word(size, []<typename T>() -> Handler { return op_pushf<T>; });
}
Handler popf_handler(unsigned size) {
    return by_word(size, []<typename T>() -> Handler { return op_popf<T>; });
}
Handler enter_handler(unsigned size) {
    return by_word(size, []<typename T>() -> Handler { return op_enter<T>; });
}
Handler leave_handler(unsigned size, bool flat) {
    return by_word(size, [=]<typename T>() -> Handler { return flat ? op_leave<T, true> : op_leave<T, false>; });
}

}  // namespace backplane::interp
