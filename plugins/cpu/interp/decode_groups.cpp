// One-byte opcodes whose operation stands in ModRM or in a field of the opcode.
#include "decode_detail.hpp"

namespace backplane::interp {

void Decoder::alu(Alu op, AluForm operands, unsigned size) {
    o.fn = alu_handler(op, operands, size, form);
    what.compares = op == Alu::kCmp || op == Alu::kTest;
    what.op = op;
    what.operands = operands;
    what.size = static_cast<u8>(size);
    what.form = form;
    if ((operands == AluForm::kMemReg || operands == AluForm::kMemImm) && !what.compares)
        may_lock(locked_alu(op, operands == AluForm::kMemImm, size));
}

void Decoder::group1(u8 opcode) {
    parse_modrm();
    const unsigned size = wsize(opcode);
    if (memory()) {
        o.imm = opcode == 0x81 ? imm(size) : imm8s();
        return alu(static_cast<Alu>(r), AluForm::kMemImm, size);
    }
    set_dst(rm, size);
    o.imm = opcode == 0x81 ? imm(size) : imm8s();
    alu(static_cast<Alu>(r), AluForm::kRegImm, size);
}

void Decoder::group2(u8 opcode) {
    parse_modrm();
    const unsigned size = wsize(opcode);
    set_dst(rm, size);
    const bool by_cl = (opcode & 0xfeu) == 0xd2;
    o.imm = (opcode & 0xfeu) == 0xc0 ? imm8() : 1;
    o.fn = shift_handler(r, size, form, by_cl);
    // Without a change, except that a 32-bit register loses its upper half.
    if (!by_cl && (o.imm & (size == 8 ? 63u : 31u)) == 0 && !memory()) {
        set_src(rm, size);
        o.fn = size == 4 ? mov_rr(4) : nop_handler();
    }
}

void Decoder::group3(u8 opcode) {
    parse_modrm();
    const unsigned size = wsize(opcode);
    set_dst(rm, size);
    if (r < 2) {
        o.imm = imm(size);
        return alu(Alu::kTest, memory() ? AluForm::kMemImm : AluForm::kRegImm, size);
    }
    if (r == 2 || r == 3) {
        const Unary op = r == 2 ? Unary::kNot : Unary::kNeg;
        o.fn = unary_handler(op, size, form);
        may_lock(locked_unary(op, size));
        return;
    }
    o.fn = mul_handler(r, size, form);
}

void Decoder::group5(u8 opcode) {
    parse_modrm();
    const unsigned size = wsize(opcode);
    set_dst(rm, size);
    if (r < 2) {
        const Unary op = r == 0 ? Unary::kInc : Unary::kDec;
        o.fn = unary_handler(op, size, form);
        may_lock(locked_unary(op, size));
        return;
    }
    if (opcode == 0xfe || r == 7 || ((r == 3 || r == 5) && !memory())) return undefined();
    if (r == 2) return flow(call_indirect(branch_size(), form, flat_stack()));
    if (r == 3) return flow(call_far_mem(size));
    if (r == 4) return flow(jmp_indirect(branch_size(), form));
    if (r == 5) return flow(jmp_far_mem(size));
    o.fn = memory() ? push_mem(stack_size(), form, flat_stack()) : push_reg(stack_size(), flat_stack());
}

void Decoder::jcc(unsigned code, u32 displacement) {
    relative(jcc_handler(code, branch_size()), displacement, code);
    what.jcc = operand32 || long_mode;
    what.code = static_cast<u8>(code);
}

void Decoder::string_op(u8 opcode) {
    o.seg = static_cast<u8>(override_seg >= 0 ? override_seg : kDs);
    note_address_size();
    if (repeat != 0) {
        o.bits |= repeat == 0xf3 ? kRepeat : kRepeatNe;
        what.end = DecodeEnd::kBlock;
    }
    o.fn = string_handler(opcode, wsize(opcode));
}

}  // namespace backplane::interp
