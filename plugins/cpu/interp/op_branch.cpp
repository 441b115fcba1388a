// Branches inside a code segment.
#include "op_branch.hpp"

namespace backplane::interp {

namespace {

// A direct branch without a link. Links are made inside a page only: as long as the source runs, its page is mapped,
// and so is the target's. Others go through the jump cache.
[[gnu::noinline]] void link_find(Cpu* c, Insn* i, u64 eip, bool same_page) {
    c->insn = nullptr;
    c->eip = eip;
    if ((c->mode & kModeFlatCode) == 0 ? eip > c->seg[kCs].limit : c->mode64 && !canonical(eip)) {
        c->count += i->left;  // the fault is the branch's own
        mark(c, i);
        c->raise(kGp, 0);
    }
    if ((c->mode & kModeSingle) != 0 || c->leave != 0 || c->count >= c->vcpu->deadline) return;
    const u64 flushes = c->cache->flushes;
    Block* b = find_block(c);
    if (same_page && c->cache->flushes == flushes && (c->mode & kModeFlatCode) != 0 && b->phys2 == ~0ull &&
        b->phys != ~0ull) {
        i->link = b;
    }
    return enter(c, b, eip);
}
}  // namespace

void dispatch_slow(Cpu* c) {
    c->insn = nullptr;
    // A fetch that faults counts as an instruction: not behind the deadline.
    if ((c->mode & kModeSingle) != 0 || c->leave != 0 || c->count >= c->vcpu->deadline) return;
    Block* b = find_block(c);
    return enter(c, b, c->eip);
}
void link_slow(Cpu* c, Insn* i, u64 eip) {
    const bool same_page = ((c->block_eip + i->ip) & ~kPageMask) == (eip & ~kPageMask);
    const JumpEntry& j = c->cache->jump[BlockCache::jump_index(eip)];
    if (same_page || !j.matches(eip, c->jump_tag)) return link_find(c, i, eip, same_page);
    return enter(c, j.block, eip);
}
namespace {

template <typename T>
void op_jmp(Cpu* c, Insn* i) {
    return branch<T>(c, i);
}
template <unsigned kCode, typename T>
void op_jcc(Cpu* c, Insn* i) {
    if (condition<kCode>(c)) {
        c->count -= i->left;
        return branch<T>(c, i);
    }
    return next(c, i);
}
// LOOPNE, LOOPE, LOOP, JCXZ. Counter: as wide as addresses.
template <unsigned kOp, typename T, typename Counter>
void op_loop(Cpu* c, Insn* i) {
    Counter n = static_cast<Counter>(c->gpr[kEcx]);
    bool taken = false;
    if constexpr (kOp == 3) {
        taken = n == 0;
    } else {
        n = static_cast<Counter>(n - 1);
        taken = n != 0;
        if constexpr (kOp == 0) taken = taken && get_zf(c) == 0;
        if constexpr (kOp == 1) taken = taken && get_zf(c) != 0;
    }
    if (taken && (c->mode & kModeFlatCode) == 0) {  // a target beyond the segment faults with ECX as it was
        if (target_of<T>(c, i) > c->seg[kCs].limit) {
            mark(c, i);
            c->raise(kGp, 0);
        }
    }
    if constexpr (kOp != 3) reg<Counter>(c, kEcx * 8) = n;
    if (!taken) return next(c, i);
    c->count -= i->left;
    return branch<T>(c, i);
}

template <typename T>
void push_return(Cpu* c, T value) {
    const u64 sp = (c->sp() - sizeof(T)) & c->stack_mask();
    c->write<T>(kSs, sp, value);
    c->set_sp(sp);
}
// The target of a near branch must lie in the code segment, or be canonical, before anything changes.
void check_target(Cpu* c, u64 eip) {
    if (c->mode64 ? !canonical(eip) : eip > c->seg[kCs].limit) c->raise(kGp, 0);
}
// Targets that come out of registers and memory in the flat forms.
template <typename T>
[[gnu::always_inline]] inline bool reachable(u64 target) {
    return sizeof(T) != 8 || canonical(target);
}

template <typename T, bool kFlat>
void op_call(Cpu* c, Insn* i) {
    const u64 back = c->block_eip + i->ip + i->len;
    if constexpr (kFlat) {
        const StackWord<T> sp = flat_sp<T>(c) - static_cast<u32>(sizeof(T));
        Guest<T>* p;
        if (!fast_write<T>(c, sp, p)) [[unlikely]]
            return op_call<T, false>(c, i);
        p->value = static_cast<T>(back);
        flat_sp<T>(c) = sp;
    } else {
        mark(c, i);
        const u64 target = target_of<T>(c, i);
        check_target(c, target);
        push_return<T>(c, static_cast<T>(back));
        if (c->leave != 0) {
            c->eip = target;
            return to_loop(c, i);
        }
    }
    return branch<T>(c, i);
}
template <typename T, bool kFlat>
void op_ret(Cpu* c, Insn* i) {
    if constexpr (kFlat) {
        const StackWord<T> sp = flat_sp<T>(c);
        const Guest<T>* p;
        if (!fast_read<T>(c, sp, p)) [[unlikely]]
            return op_ret<T, false>(c, i);
        const T target = p->value;
        if (!reachable<T>(target)) [[unlikely]]
            return op_ret<T, false>(c, i);
        flat_sp<T>(c) = sp + static_cast<u32>(sizeof(T)) + i->imm;
        return dispatch_to(c, target);
    } else {
        mark(c, i);
        const u64 target = c->read<T>(kSs, c->sp());
        check_target(c, target);
        c->set_sp(c->sp() + sizeof(T) + i->imm);
        c->eip = target;
        return dispatch_slow(c);
    }
}
template <typename T>
void op_jmp_reg(Cpu* c, Insn* i) {
    const T target = reg<T>(c, i->dst);
    mark(c, i);
    check_target(c, target);
    return dispatch_to(c, target);
}
template <typename T>
void op_jmp_mem(Cpu* c, Insn* i) {
    mark(c, i);
    const T target = c->read<T>(static_cast<Seg>(i->seg), offset_of(c, i));
    check_target(c, target);
    c->eip = target;
    if (c->leave != 0) return to_loop(c, i);
    return dispatch_to(c, target);
}
template <typename T, Form kForm>
void op_jmp_flat(Cpu* c, Insn* i) {
    const Guest<T>* p;
    if (!fast_read<T>(c, address_of<kForm>(c, i), p) || (c->mode & kModeFlatCode) == 0) [[unlikely]]
        return op_jmp_mem<T>(c, i);
    const T target = p->value;
    if (!reachable<T>(target)) [[unlikely]]
        return op_jmp_mem<T>(c, i);
    return dispatch_to(c, target);
}
template <typename T, bool kMemory>
void op_call_general(Cpu* c, Insn* i) {
    mark(c, i);
    T target = 0;
    if constexpr (kMemory)
        target = c->read<T>(static_cast<Seg>(i->seg), offset_of(c, i));
    else
        target = reg<T>(c, i->dst);
    check_target(c, target);
    push_return<T>(c, static_cast<T>(c->block_eip + i->ip + i->len));
    c->eip = target;
    if (c->leave != 0) return to_loop(c, i);
    return dispatch_to(c, target);
}
template <typename T, Form kForm>
void op_call_flat(Cpu* c, Insn* i) {
    T target = 0;
    if constexpr (kForm == Form::kReg) {
        target = reg<T>(c, i->dst);
    } else {
        const Guest<T>* p;
        if (!fast_read<T>(c, address_of<kForm>(c, i), p)) [[unlikely]]
            return op_call_general<T, true>(c, i);
        target = p->value;
    }
    const StackWord<T> sp = flat_sp<T>(c) - static_cast<u32>(sizeof(T));
    Guest<T>* s;
    if (!fast_write<T>(c, sp, s) || (c->mode & kModeFlatCode) == 0 || !reachable<T>(target)) [[unlikely]]
        return op_call_general<T, kForm != Form::kReg>(c, i);
    s->value = static_cast<T>(c->block_eip + i->ip + i->len);
    flat_sp<T>(c) = sp;
    return dispatch_to(c, target);
}

// A relative branch of 64-bit mode whose target is more than 2G away from the block's first instruction: the
// displacement stands in disp, the kind in extra (condition code, 16: JMP, 17: CALL). Linux never has one.
template <std::size_t... kCode>
bool by_code(const Cpu* c, unsigned code, std::index_sequence<kCode...>) {
    bool v = false;
    (void)((code == kCode && (v = condition<kCode>(c), true)) || ...);
    return v;
}
bool wide_condition(const Cpu* c, unsigned code) { return by_code(c, code, std::make_index_sequence<16>()); }
void op_wide_branch(Cpu* c, Insn* i) {
    mark(c, i);
    const u64 back = c->block_eip + i->ip + i->len;
    if (i->extra < 16 && !wide_condition(c, i->extra)) return leave_block(c, i);
    const u64 target = back + static_cast<u64>(i->disp);
    check_target(c, target);
    if (i->extra == 17) push_return<u64>(c, back);
    c->eip = target;
    return to_loop(c, i);
}

template <typename T>
void op_end(Cpu* c, Insn* i) {
    return branch<T>(c, i);
}
void op_end_single(Cpu* c, Insn* i) {
    c->eip = c->block_eip + i->ip;
    c->insn = nullptr;
}
// First handler of a block that was overwritten: whoever still has a link to it looks the code up again.
void op_stale(Cpu* c, Insn* i) {
    c->count -= Block::of(i)->count;
    c->eip = c->block_eip;
    return dispatch_slow(c);
}

// A debugger wants to see the run loop before the instruction here. The block has counted nothing.
void op_break(Cpu* c, Insn*) {
    c->eip = c->block_eip;
    c->insn = nullptr;
}

}  // namespace

void leave_block(Cpu* c, Insn* i) {
    c->eip = c->truncated_eip(c->block_eip + i->ip + i->len);
    to_loop(c, i);
}
void dispatch(Cpu* c) { return dispatch_to(c, c->eip); }

Handler jmp_handler(unsigned size) {
    return by_word(size, []<typename T>() -> Handler { return op_jmp<T>; });
}
Handler jcc_handler(unsigned code, unsigned size) {
    return by_number<16>(code, [=]<std::size_t kCode>() -> Handler {
        return by_word(size, []<typename T>() -> Handler { return op_jcc<kCode, T>; });
    });
}
Handler loop_handler(unsigned op, unsigned size, unsigned address_bytes) {
    return by_number<4>(op, [=]<std::size_t kOp>() -> Handler {
        return by_word(size, [=]<typename T>() -> Handler {
            return by_word(address_bytes, []<typename Counter>() -> Handler { return op_loop<kOp, T, Counter>; });
        });
    });
}
Handler call_handler(unsigned size, bool flat) {
    return by_word(size, [=]<typename T>() -> Handler { return flat ? op_call<T, true> : op_call<T, false>; });
}
Handler ret_handler(unsigned size, bool flat) {
    return by_word(size, [=]<typename T>() -> Handler { return flat ? op_ret<T, true> : op_ret<T, false>; });
}
Handler jmp_indirect(unsigned size, Form form) {
    return by_word(size, [=]<typename T>() -> Handler {
        if (form == Form::kReg) return op_jmp_reg<T>;
        if constexpr (sizeof(T) == 8) {
            if (form == Form::kLong) return op_jmp_flat<T, Form::kLong>;
            if (form == Form::kLongIndex) return op_jmp_flat<T, Form::kLongIndex>;
        } else {
            if (form == Form::kFlat) return op_jmp_flat<T, Form::kFlat>;
            if (form == Form::kFlatIndex) return op_jmp_flat<T, Form::kFlatIndex>;
        }
        return op_jmp_mem<T>;
    });
}
Handler call_indirect(unsigned size, Form form, bool flat) {
    return by_word(size, [=]<typename T>() -> Handler {
        if (form == Form::kReg) return flat ? op_call_flat<T, Form::kReg> : op_call_general<T, false>;
        if constexpr (sizeof(T) == 8) {
            if (form == Form::kLong) return op_call_flat<T, Form::kLong>;
            if (form == Form::kLongIndex) return op_call_flat<T, Form::kLongIndex>;
        } else {
            if (flat && form == Form::kFlat) return op_call_flat<T, Form::kFlat>;
            if (flat && form == Form::kFlatIndex) return op_call_flat<T, Form::kFlatIndex>;
        }
        return op_call_general<T, true>;
    });
}
Handler wide_branch_handler() { return op_wide_branch; }
Handler end_handler(bool single, bool long_mode) {
    if (single) return op_end_single;
    return long_mode ? op_end<u64> : op_end<u32>;
}
Handler stale_handler() { return op_stale; }
Handler break_handler() { return op_break; }

}  // namespace backplane::interp
