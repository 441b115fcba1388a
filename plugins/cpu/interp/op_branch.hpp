// The way from block to block, and compare-and-branch pairs that were fused into one handler.
#pragma once

#include "block.hpp"
#include "flags.hpp"
#include "ops.hpp"

namespace backplane::interp {

// Enters a block; back to the run loop if somebody wants attention or the deadline does not allow the whole block.
[[gnu::always_inline]] inline void enter(Cpu* c, Block* b, u64 eip) {
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

// Where the target is not at hand: looks it up, decodes it, links it; or back to the run loop.
void dispatch_slow(Cpu* c);
void link_slow(Cpu* c, Insn* i, u64 eip);
[[gnu::always_inline]] inline void dispatch_to(Cpu* c, u64 eip) {
    const JumpEntry& j = c->cache->jump[BlockCache::jump_index(eip)];
    c->eip = eip;
    if (!j.matches(eip, c->jump_tag)) [[unlikely]]
        return dispatch_slow(c);
    return enter(c, j.block, eip);
}

// T is as wide as the instruction pointer: u16, u32 or u64.
template <typename T>
[[gnu::always_inline]] inline T target_of(const Cpu* c, const Insn* i) {
    return static_cast<T>(c->block_eip + static_cast<u64>(static_cast<i64>(static_cast<i32>(i->imm))));
}
template <typename T>
[[gnu::always_inline]] inline void branch(Cpu* c, Insn* i) {
    const u64 eip = target_of<T>(c, i);
    Block* b = i->link;
    if (b == nullptr) [[unlikely]]
        return link_slow(c, i, eip);
    return enter(c, b, eip);
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
template <bool kTest, unsigned kCode, typename Ip, typename T>
[[gnu::always_inline]] inline void compare_branch(Cpu* c, Insn* i, T a, T b) {
    const T r = kTest ? do_logic<T>(c, static_cast<T>(a & b)) : do_sub<T>(c, a, b);
    if (compare<kCode, kTest, T>(a, b, r)) {
        c->count -= i[1].left;
        return branch<Ip>(c, i + 1);
    }
    return next(c, i + 1);
}
template <bool kTest, unsigned kCode, typename Ip, typename T>
void fused_rr(Cpu* c, Insn* i) {
    return compare_branch<kTest, kCode, Ip, T>(c, i, reg<T>(c, i->dst), reg<T>(c, i->src));
}
template <bool kTest, unsigned kCode, typename Ip, typename T>
void fused_ri(Cpu* c, Insn* i) {
    return compare_branch<kTest, kCode, Ip, T>(c, i, reg<T>(c, i->dst), immediate<T>(i));
}
// The slow form of a fused pair with a memory operand is the plain compare, after which the branch runs on its own.
template <bool kTest, unsigned kCode, typename Ip, typename T, Form kForm, unsigned kKind>
void fused_mem(Cpu* c, Insn* i) {
    const Guest<T>* p;
    if (!fast_read<T>(c, address_of<kForm>(c, i), p)) [[unlikely]] {
        constexpr AluForm kOperands = kKind == 0 ? AluForm::kRegMem : kKind == 1 ? AluForm::kMemReg : AluForm::kMemImm;
        return alu_handler(kTest ? Alu::kTest : Alu::kCmp, kOperands, sizeof(T), Form::kGeneral)(c, i);
    }
    if constexpr (kKind == 0)
        return compare_branch<kTest, kCode, Ip, T>(c, i, reg<T>(c, i->dst), p->value);
    else if constexpr (kKind == 1)
        return compare_branch<kTest, kCode, Ip, T>(c, i, p->value, reg<T>(c, i->src));
    else
        return compare_branch<kTest, kCode, Ip, T>(c, i, p->value, immediate<T>(i));
}

template <bool kTest, unsigned kCode, typename Ip, typename T, Form kForm>
Handler fused_memory(AluForm operands) {
    if (operands == AluForm::kRegMem) return fused_mem<kTest, kCode, Ip, T, kForm, 0>;
    if (operands == AluForm::kMemReg) return fused_mem<kTest, kCode, Ip, T, kForm, 1>;
    return fused_mem<kTest, kCode, Ip, T, kForm, 2>;
}
template <bool kTest, unsigned kCode, typename Ip, typename T>
Handler fused_of(AluForm operands, Form form) {
    if (operands == AluForm::kRegReg) return fused_rr<kTest, kCode, Ip, T>;
    if (operands == AluForm::kRegImm) return fused_ri<kTest, kCode, Ip, T>;
    if constexpr (sizeof(Ip) == 8)
        return fused_memory<kTest, kCode, Ip, T, Form::kLongIndex>(operands);
    else if (form == Form::kFlatIndex)
        return fused_memory<kTest, kCode, Ip, T, Form::kFlatIndex>(operands);
    else
        return fused_memory<kTest, kCode, Ip, T, Form::kFlat>(operands);
}

}  // namespace backplane::interp
