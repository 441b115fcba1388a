// Branches inside a code segment, fused compare-and-branch pairs, and the way from block to block.
#include "block.hpp"
#include "flags.hpp"
#include "ops.hpp"

namespace backplane::interp {

namespace {

// Enters a block; back to the run loop if somebody wants attention or the deadline does not allow the whole block.
[[gnu::always_inline]] inline void enter(Cpu* c, Block* b, u32 eip) {
    const bp_vcpu* v = c->vcpu;
    const u64 count = c->count + b->count;
    c->block_eip = eip;
    if (count > v->deadline || __atomic_load_n(&v->attention, __ATOMIC_RELAXED) != 0) [[unlikely]] {
        c->eip = eip;
        c->insn = nullptr;
        return;
    }
    c->count = count;
    Insn* i = b->insns();
    return i->fn(c, i);
}

[[gnu::noinline]] void dispatch_slow(Cpu* c) {
    c->insn = nullptr;
    // A fetch that faults counts as an instruction: not behind the deadline.
    if ((c->mode & kModeSingle) != 0 || c->leave != 0 || c->count >= c->vcpu->deadline) return;
    Block* b = find_block(c);
    return enter(c, b, c->eip);
}
[[gnu::always_inline]] inline void dispatch_to(Cpu* c, u32 eip) {
    const JumpEntry& j = c->cache->jump[BlockCache::jump_index(eip)];
    c->eip = eip;
    if (j.key != (static_cast<u64>(c->jump_tag) << 32 | eip)) [[unlikely]]
        return dispatch_slow(c);
    return enter(c, j.block, eip);
}

// A direct branch without a link. Links are made inside a page only: as long as the source runs, its page is mapped,
// and so is the target's. Others go through the jump cache.
[[gnu::noinline]] void link_find(Cpu* c, Insn* i, u32 eip, bool same_page) {
    c->insn = nullptr;
    c->eip = eip;
    if ((c->mode & kModeFlatCode) == 0 && eip > c->seg[kCs].limit) {
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
[[gnu::noinline]] void link_slow(Cpu* c, Insn* i, u32 eip) {
    const bool same_page = ((c->block_eip + i->ip) & ~kPageMask) == (eip & ~kPageMask);
    const JumpEntry& j = c->cache->jump[BlockCache::jump_index(eip)];
    if (same_page || j.key != (static_cast<u64>(c->jump_tag) << 32 | eip)) return link_find(c, i, eip, same_page);
    return enter(c, j.block, eip);
}
template <bool k16>
[[gnu::always_inline]] inline void branch(Cpu* c, Insn* i) {
    u32 eip = c->block_eip + i->imm;
    if constexpr (k16) eip &= 0xffffu;
    Block* b = i->link;
    if (b == nullptr) [[unlikely]]
        return link_slow(c, i, eip);
    return enter(c, b, eip);
}

template <bool k16>
void op_jmp(Cpu* c, Insn* i) {
    return branch<k16>(c, i);
}
template <unsigned kCode, bool k16>
void op_jcc(Cpu* c, Insn* i) {
    if (condition<kCode>(c)) {
        c->count -= i->left;
        return branch<k16>(c, i);
    }
    return next(c, i);
}

// Conditions straight from the operands of a compare.
template <unsigned kCode, bool kLogic, typename T>
[[gnu::always_inline]] inline bool compare(T a, T b, T r) {
    using S = std::make_signed_t<T>;
    constexpr unsigned kKind = kCode >> 1;
    bool v = false;
    if constexpr (kKind == 2)
        v = r == 0;
    else if constexpr (kKind == 4)
        v = static_cast<S>(r) < 0;
    else if constexpr (kLogic) {
        if constexpr (kKind == 1)
            v = false;
        else if constexpr (kKind == 3)
            v = r == 0;
        else if constexpr (kKind == 6)
            v = static_cast<S>(r) < 0;
        else
            v = static_cast<S>(r) <= 0;
    } else {
        if constexpr (kKind == 1)
            v = a < b;
        else if constexpr (kKind == 3)
            v = a <= b;
        else if constexpr (kKind == 6)
            v = static_cast<S>(a) < static_cast<S>(b);
        else
            v = static_cast<S>(a) <= static_cast<S>(b);
    }
    return v != ((kCode & 1u) != 0);
}
// CMP or TEST followed by Jcc: the branch's own record follows and is used for the link.
template <bool kTest, unsigned kCode, typename T>
[[gnu::always_inline]] inline void compare_branch(Cpu* c, Insn* i, T a, T b) {
    const T r = kTest ? do_logic<T>(c, static_cast<T>(a & b)) : do_sub<T>(c, a, b);
    if (compare<kCode, kTest, T>(a, b, r)) {
        c->count -= i[1].left;
        return branch<false>(c, i + 1);
    }
    return next(c, i + 1);
}
template <bool kTest, unsigned kCode, typename T>
void fused_rr(Cpu* c, Insn* i) {
    return compare_branch<kTest, kCode, T>(c, i, reg<T>(c, i->dst), reg<T>(c, i->src));
}
template <bool kTest, unsigned kCode, typename T>
void fused_ri(Cpu* c, Insn* i) {
    return compare_branch<kTest, kCode, T>(c, i, reg<T>(c, i->dst), static_cast<T>(i->imm));
}
// The slow form of a fused pair with a memory operand is the plain compare, after which the branch runs on its own.
template <bool kTest, unsigned kCode, typename T, Form kForm, unsigned kKind>
void fused_mem(Cpu* c, Insn* i) {
    const Guest<T>* p;
    if (!fast_read<T>(c, address_of<kForm>(c, i), p)) [[unlikely]] {
        constexpr AluForm kOperands = kKind == 0 ? AluForm::kRegMem : kKind == 1 ? AluForm::kMemReg : AluForm::kMemImm;
        return alu_handler(kTest ? Alu::kTest : Alu::kCmp, kOperands, sizeof(T), Form::kGeneral)(c, i);
    }
    if constexpr (kKind == 0)
        return compare_branch<kTest, kCode, T>(c, i, reg<T>(c, i->dst), p->value);
    else if constexpr (kKind == 1)
        return compare_branch<kTest, kCode, T>(c, i, p->value, reg<T>(c, i->src));
    else
        return compare_branch<kTest, kCode, T>(c, i, p->value, static_cast<T>(i->imm));
}

template <bool kTest, unsigned kCode, typename T>
Handler fused_of(AluForm operands, Form form) {
    if (operands == AluForm::kRegReg) return fused_rr<kTest, kCode, T>;
    if (operands == AluForm::kRegImm) return fused_ri<kTest, kCode, T>;
    const bool index = form == Form::kFlatIndex;
    if (operands == AluForm::kRegMem) {
        return index ? fused_mem<kTest, kCode, T, Form::kFlatIndex, 0> : fused_mem<kTest, kCode, T, Form::kFlat, 0>;
    }
    if (operands == AluForm::kMemReg) {
        return index ? fused_mem<kTest, kCode, T, Form::kFlatIndex, 1> : fused_mem<kTest, kCode, T, Form::kFlat, 1>;
    }
    return index ? fused_mem<kTest, kCode, T, Form::kFlatIndex, 2> : fused_mem<kTest, kCode, T, Form::kFlat, 2>;
}

// LOOPNE, LOOPE, LOOP, JCXZ
template <unsigned kOp, bool k16, bool kCount16>
void op_loop(Cpu* c, Insn* i) {
    u32 n = kCount16 ? c->r16(kEcx) : c->r32(kEcx);
    bool taken = false;
    if constexpr (kOp == 3) {
        taken = n == 0;
    } else {
        n = kCount16 ? (n - 1) & 0xffffu : n - 1;
        taken = n != 0;
        if constexpr (kOp == 0) taken = taken && get_zf(c) == 0;
        if constexpr (kOp == 1) taken = taken && get_zf(c) != 0;
    }
    if (taken && (c->mode & kModeFlatCode) == 0) {  // a target beyond the segment faults with ECX as it was
        const u32 eip = c->block_eip + i->imm;
        if ((k16 ? eip & 0xffffu : eip) > c->seg[kCs].limit) {
            mark(c, i);
            c->raise(kGp, 0);
        }
    }
    if constexpr (kOp != 3) {
        if constexpr (kCount16)
            c->r16(kEcx) = static_cast<u16>(n);
        else
            c->r32(kEcx) = n;
    }
    if (!taken) return next(c, i);
    c->count -= i->left;
    return branch<k16>(c, i);
}

template <typename T>
void push_return(Cpu* c, T value) {
    const u32 sp =
        c->seg[kSs].big() ? c->r32(kEsp) - static_cast<u32>(sizeof(T)) : static_cast<u16>(c->r16(kEsp) - sizeof(T));
    c->write<T>(kSs, sp, value);
    c->set_sp(sp);
}
// The target of a near branch must lie in the code segment before anything changes.
void check_target(Cpu* c, u32 eip) {
    if (eip > c->seg[kCs].limit) c->raise(kGp, 0);
}

template <typename T, bool kFlat>
void op_call(Cpu* c, Insn* i) {
    const u32 back = c->block_eip + i->ip + i->len;
    if constexpr (kFlat) {
        const u32 sp = c->r32(kEsp) - static_cast<u32>(sizeof(T));
        Guest<T>* p;
        if (!fast_write<T>(c, sp, p)) [[unlikely]]
            return op_call<T, false>(c, i);
        p->value = static_cast<T>(back);
        c->r32(kEsp) = sp;
    } else {
        mark(c, i);
        u32 target = c->block_eip + i->imm;
        if (sizeof(T) == 2) target &= 0xffffu;
        check_target(c, target);
        push_return<T>(c, static_cast<T>(back));
        if (c->leave != 0) {
            c->eip = target;
            return to_loop(c, i);
        }
    }
    return branch<sizeof(T) == 2>(c, i);
}
template <typename T, bool kFlat>
void op_ret(Cpu* c, Insn* i) {
    if constexpr (kFlat) {
        const u32 sp = c->r32(kEsp);
        const Guest<T>* p;
        if (!fast_read<T>(c, sp, p)) [[unlikely]]
            return op_ret<T, false>(c, i);
        c->r32(kEsp) = sp + static_cast<u32>(sizeof(T)) + i->imm;
        return dispatch_to(c, p->value);
    } else {
        mark(c, i);
        const u32 target = c->read<T>(kSs, c->sp());
        check_target(c, target);
        c->set_sp(c->sp() + static_cast<u32>(sizeof(T)) + i->imm);
        c->eip = target;
        return dispatch_slow(c);
    }
}
template <typename T>
void op_jmp_reg(Cpu* c, Insn* i) {
    const u32 target = reg<T>(c, i->dst);
    mark(c, i);
    check_target(c, target);
    return dispatch_to(c, target);
}
template <typename T>
void op_jmp_mem(Cpu* c, Insn* i) {
    mark(c, i);
    const u32 target = c->read<T>(static_cast<Seg>(i->seg), offset_of(c, i));
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
    return dispatch_to(c, p->value);
}
template <typename T, bool kMemory>
void op_call_general(Cpu* c, Insn* i) {
    mark(c, i);
    u32 target = 0;
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
    u32 target = 0;
    if constexpr (kForm == Form::kReg) {
        target = reg<T>(c, i->dst);
    } else {
        const Guest<T>* p;
        if (!fast_read<T>(c, address_of<kForm>(c, i), p)) [[unlikely]]
            return op_call_general<T, true>(c, i);
        target = p->value;
    }
    const u32 sp = c->r32(kEsp) - static_cast<u32>(sizeof(T));
    Guest<T>* s;
    if (!fast_write<T>(c, sp, s) || (c->mode & kModeFlatCode) == 0) [[unlikely]]
        return op_call_general<T, kForm != Form::kReg>(c, i);
    s->value = static_cast<T>(c->block_eip + i->ip + i->len);
    c->r32(kEsp) = sp;
    return dispatch_to(c, target);
}

void op_end(Cpu* c, Insn* i) { return branch<false>(c, i); }
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
    c->eip = c->block_eip + i->ip + i->len;
    to_loop(c, i);
}
void dispatch(Cpu* c) { return dispatch_to(c, c->eip); }

Handler jmp_handler(unsigned size) { return size == 2 ? op_jmp<true> : op_jmp<false>; }
Handler jcc_handler(unsigned code, unsigned size) {
    return by_number<16>(
        code, [=]<std::size_t kCode>() -> Handler { return size == 2 ? op_jcc<kCode, true> : op_jcc<kCode, false>; });
}
Handler fused_handler(Alu op, AluForm operands, unsigned size, Form form, unsigned code) {
    const unsigned kind = code >> 1;
    if ((op != Alu::kCmp && op != Alu::kTest) || kind == 0 || kind == 5) return nullptr;
    if ((form == Form::kGeneral || form == Form::kBased) && operands != AluForm::kRegReg &&
        operands != AluForm::kRegImm)
        return nullptr;
    return by_number<16>(code, [=]<std::size_t kCode>() -> Handler {
        return by_size(size, [=]<typename T>() -> Handler {
            return op == Alu::kTest ? fused_of<true, kCode, T>(operands, form)
                                    : fused_of<false, kCode, T>(operands, form);
        });
    });
}
Handler loop_handler(unsigned op, unsigned size, bool address16) {
    return by_number<4>(op, [=]<std::size_t kOp>() -> Handler {
        if (address16) return size == 2 ? op_loop<kOp, true, true> : op_loop<kOp, false, true>;
        return size == 2 ? op_loop<kOp, true, false> : op_loop<kOp, false, false>;
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
        if (form == Form::kGeneral || form == Form::kBased) return op_jmp_mem<T>;
        return form == Form::kFlat ? op_jmp_flat<T, Form::kFlat> : op_jmp_flat<T, Form::kFlatIndex>;
    });
}
Handler call_indirect(unsigned size, Form form, bool flat) {
    return by_word(size, [=]<typename T>() -> Handler {
        if (form == Form::kReg) return flat ? op_call_flat<T, Form::kReg> : op_call_general<T, false>;
        if (!flat || form == Form::kGeneral || form == Form::kBased) return op_call_general<T, true>;
        return form == Form::kFlat ? op_call_flat<T, Form::kFlat> : op_call_flat<T, Form::kFlatIndex>;
    });
}
Handler end_handler(bool single) { return single ? op_end_single : op_end; }
Handler stale_handler() { return op_stale; }
Handler break_handler() { return op_break; }

}  // namespace backplane::interp
