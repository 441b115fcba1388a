// BCD adjustments, flag instructions, conversions, BOUND, INT, ports, NOP and undefined opcodes.
#include "flags.hpp"
#include "ops.hpp"

namespace backplane::interp {
namespace {

void op_nop(Cpu* c, Insn* i) { return next(c, i); }
void op_undefined(Cpu* c, Insn* i) {
    mark(c, i);
    c->raise(kUd);
}
void op_too_long(Cpu* c, Insn* i) {
    mark(c, i);
    c->raise(kGp, 0);
}

template <bool kSubtract>
void op_decimal(Cpu* c, Insn* i) {  // DAA, DAS
    u8& al = c->r8(0);
    const u8 old = al;
    const bool old_cf = get_cf(c) != 0;
    const bool adjust = (old & 15u) > 9 || get_af(c) != 0;
    bool cf = old_cf;
    if (adjust) {
        if constexpr (kSubtract) {
            cf = old_cf || old < 6;
            al = static_cast<u8>(al - 6);
        } else {
            cf = old_cf || old > 0xf9;
            al = static_cast<u8>(al + 6);
        }
    }
    if (old > 0x99 || old_cf) {
        al = static_cast<u8>(kSubtract ? al - 0x60 : al + 0x60);
        cf = true;
    } else if constexpr (!kSubtract) {
        cf = false;
    }
    set_flags_of<u8>(c, al, cf, 0, adjust);
    return next(c, i);
}
template <bool kSubtract>
void op_ascii(Cpu* c, Insn* i) {  // AAA, AAS
    const bool adjust = (c->r8(0) & 15u) > 9 || get_af(c) != 0;
    if (adjust) c->r16(0) = static_cast<u16>(kSubtract ? c->r16(0) - 0x106 : c->r16(0) + 0x106);
    c->r8(0) &= 15u;
    set_flags_of<u8>(c, c->r8(0), adjust, 0, adjust);
    return next(c, i);
}
void op_aam(Cpu* c, Insn* i) {
    mark(c, i);
    const u8 base = static_cast<u8>(i->imm);
    if (base == 0) c->raise(kDe);
    const u8 al = c->r8(0);
    c->r8(4) = al / base;
    c->r8(0) = al % base;
    do_logic<u8>(c, c->r8(0));
    return next(c, i);
}
void op_aad(Cpu* c, Insn* i) {
    c->r16(0) = static_cast<u8>(c->r8(0) + c->r8(4) * i->imm);
    do_logic<u8>(c, c->r8(0));
    return next(c, i);
}

void op_cbw(Cpu* c, Insn* i) {
    c->r16(0) = static_cast<u16>(static_cast<i8>(c->r8(0)));
    return next(c, i);
}
void op_cwde(Cpu* c, Insn* i) {
    c->r32(0) = static_cast<u32>(static_cast<i16>(c->r16(0)));
    return next(c, i);
}
void op_cwd(Cpu* c, Insn* i) {
    c->r16(kEdx) = static_cast<u16>(static_cast<i16>(c->r16(0)) >> 15);
    return next(c, i);
}
void op_cdq(Cpu* c, Insn* i) {
    c->r32(kEdx) = static_cast<u32>(static_cast<i32>(c->r32(0)) >> 31);
    return next(c, i);
}
void op_cdqe(Cpu* c, Insn* i) {
    c->gpr[kEax] = static_cast<u64>(static_cast<i64>(static_cast<i32>(c->gpr[kEax])));
    return next(c, i);
}
void op_cqo(Cpu* c, Insn* i) {
    c->gpr[kEdx] = static_cast<u64>(static_cast<i64>(c->gpr[kEax]) >> 63);
    return next(c, i);
}
void op_sahf(Cpu* c, Insn* i) {
    c->set_arith(c->r8(4) | (get_of(c) != 0 ? kOf : 0u));
    return next(c, i);
}
void op_lahf(Cpu* c, Insn* i) {
    c->r8(4) = static_cast<u8>(c->flags());
    return next(c, i);
}
void op_cmc(Cpu* c, Insn* i) {
    set_cf(c, get_cf(c) ^ 1u);
    return next(c, i);
}
void op_clc(Cpu* c, Insn* i) {
    set_cf(c, 0);
    return next(c, i);
}
void op_stc(Cpu* c, Insn* i) {
    set_cf(c, 1);
    return next(c, i);
}
void op_cld(Cpu* c, Insn* i) {
    c->eflags_rest &= ~kDf;
    return next(c, i);
}
void op_std(Cpu* c, Insn* i) {
    c->eflags_rest |= kDf;
    return next(c, i);
}
void op_salc(Cpu* c, Insn* i) {  // D6, undocumented, present since the 8086
    c->r8(0) = get_cf(c) != 0 ? 0xff : 0;
    return next(c, i);
}
void op_cli(Cpu* c, Insn* i) {
    mark_system(c, i);
    c->cli();
    return next_checked(c, i);
}
void op_sti(Cpu* c, Insn* i) {
    mark_system(c, i);
    c->sti();
    return to_loop(c, i);
}
void op_hlt(Cpu* c, Insn* i) {
    mark_system(c, i);
    c->halt();
    return to_loop(c, i);
}

template <typename T>
void op_bound(Cpu* c, Insn* i) {
    using S = std::make_signed_t<T>;
    mark(c, i);
    const u64 offset = offset_of(c, i);
    const Seg s = static_cast<Seg>(i->seg);
    const S low = static_cast<S>(c->read<T>(s, offset));
    const S high = static_cast<S>(c->read<T>(s, offset_plus(i, offset, sizeof(T))));
    const S v = static_cast<S>(static_cast<T>(reg<T>(c, i->dst)));
    if (v < low || v > high) c->raise(kBr);
    return next_checked(c, i);
}

template <Cpu::SoftInt kKind>
void op_int(Cpu* c, Insn* i) {
    mark_system(c, i);
    if constexpr (kKind == Cpu::SoftInt::kInto) {
        if (get_of(c) == 0) return leave_block(c, i);
    }
    u8 vector = static_cast<u8>(i->imm);
    if constexpr (kKind == Cpu::SoftInt::kInt3)
        vector = kBp;
    else if constexpr (kKind == Cpu::SoftInt::kInto)
        vector = kOfTrap;
    else if constexpr (kKind == Cpu::SoftInt::kIcebp)
        vector = kDb;
    c->software_interrupt(vector, kKind);
    c->step_suppressed = true;
    return to_loop(c, i);
}

template <typename T, bool kOut, bool kImm>
void op_io(Cpu* c, Insn* i) {
    mark_system(c, i);
    const u32 port = kImm ? i->imm & 0xffu : c->r16(kEdx);
    c->check_io(port, sizeof(T));
    if constexpr (kOut)
        c->port_out(port, sizeof(T), reg<T>(c, 0));
    else
        reg<T>(c, 0) = static_cast<T>(c->port_in(port, sizeof(T)));
    return next_checked(c, i);
}
template <bool kOut, bool kImm>
Handler io_of(unsigned size) {
    return by_size(size == 8 ? 4 : size, []<typename T>() -> Handler {
        if constexpr (sizeof(T) == 8)
            return nullptr;
        else
            return op_io<T, kOut, kImm>;
    });
}

}  // namespace

Handler simple_handler(u8 opcode, unsigned size) {
    switch (opcode) {
        case 0x27: return op_decimal<false>;
        case 0x2f: return op_decimal<true>;
        case 0x37: return op_ascii<false>;
        case 0x3f: return op_ascii<true>;
        case 0x90: return op_nop;
        case 0x98: return size == 2 ? op_cbw : size == 8 ? op_cdqe : op_cwde;
        case 0x99: return size == 2 ? op_cwd : size == 8 ? op_cqo : op_cdq;
        case 0x9e: return op_sahf;
        case 0x9f: return op_lahf;
        case 0xd6: return op_salc;
        case 0xf4: return op_hlt;
        case 0xf5: return op_cmc;
        case 0xf8: return op_clc;
        case 0xf9: return op_stc;
        case 0xfa: return op_cli;
        case 0xfb: return op_sti;
        case 0xfc: return op_cld;
        case 0xfd: return op_std;
        default: return op_undefined;
    }
}
Handler aam_handler(bool aad) { return aad ? op_aad : op_aam; }
Handler int_handler(u8 opcode) {
    switch (opcode) {
        case 0xcc: return op_int<Cpu::SoftInt::kInt3>;
        case 0xcd: return op_int<Cpu::SoftInt::kIntN>;
        case 0xce: return op_int<Cpu::SoftInt::kInto>;
        default: return op_int<Cpu::SoftInt::kIcebp>;
    }
}
Handler bound_handler(unsigned size) {
    return by_half(size, []<typename T>() -> Handler { return op_bound<T>; });
}
Handler io_handler(u8 opcode, unsigned size) {
    const bool out = (opcode & 2u) != 0;
    const bool immediate = (opcode & 8u) == 0;
    if (out) return immediate ? io_of<true, true>(size) : io_of<true, false>(size);
    return immediate ? io_of<false, true>(size) : io_of<false, false>(size);
}
Handler undefined_handler() { return op_undefined; }
Handler too_long_handler() { return op_too_long; }
Handler nop_handler() { return op_nop; }

}  // namespace backplane::interp
