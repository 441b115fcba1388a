// The one-byte opcodes (SDM 2, table A-2).
#include "decode_detail.hpp"

namespace backplane::interp {

// Opcodes that 64-bit mode has no use for (SDM 2, opcode map: i64).
bool Decoder::gone_in_long_mode(u8 opcode) const {
    switch (opcode) {
        case 0x06:
        case 0x07:
        case 0x0e:
        case 0x16:
        case 0x17:
        case 0x1e:
        case 0x1f:
        case 0x27:
        case 0x2f:
        case 0x37:
        case 0x3f:
        case 0x60:
        case 0x61:
        case 0x62:
        case 0x82:
        case 0x9a:
        case 0xce:
        case 0xd4:
        case 0xd5:
        case 0xd6:
        case 0xea: return true;
        default: return false;
    }
}

void Decoder::one_byte(u8 opcode) {
    const unsigned size = wsize(opcode);
    if (long_mode && gone_in_long_mode(opcode)) return undefined();
    if (opcode < 0x40 && (opcode & 7u) < 6) {
        const Alu op = static_cast<Alu>(opcode >> 3);
        const unsigned kind = opcode & 7u;
        if (kind >= 4) {
            set_dst(kEax, size);
            o.imm = imm(size);
            return alu(op, AluForm::kRegImm, size);
        }
        parse_modrm();
        if (kind < 2) {
            set_src(rx, size);
            set_dst(rm, size);
            return alu(op, memory() ? AluForm::kMemReg : AluForm::kRegReg, size);
        }
        set_dst(rx, size);
        set_src(rm, size);
        return alu(op, memory() ? AluForm::kRegMem : AluForm::kRegReg, size);
    }
    switch (opcode) {
        case 0x06:
        case 0x0e:
        case 0x16:
        case 0x1e:
            o.src = opcode >> 3;
            o.fn = push_seg(osize());
            return;
        case 0x07:
        case 0x17:
        case 0x1f: o.dst = opcode >> 3; return flow(pop_seg(osize()));
        case 0x0f: return two_byte();
        case 0x27:
        case 0x2f:
        case 0x37:
        case 0x3f:
        case 0x98:
        case 0x99:
        case 0x9e:
        case 0x9f:
        case 0xd6:
        case 0xf5:
        case 0xf8:
        case 0xf9:
        case 0xfa:
        case 0xfc:
        case 0xfd: o.fn = simple_handler(opcode, osize()); return;
        case 0xf4:
        case 0xfb: return flow(simple_handler(opcode, osize()));
        case 0x60: o.fn = pusha_handler(osize()); return;
        case 0x61: o.fn = popa_handler(osize()); return;
        case 0x62:
            parse_modrm();
            if (!memory()) return undefined();
            set_dst(rx, osize());
            o.fn = bound_handler(osize());
            return;
        case 0x63:
            parse_modrm();
            if (long_mode) {  // MOVSXD
                const unsigned from = osize() == 8 ? 4 : osize();
                set_dst(rx, osize());
                set_src(rm, from);
                o.fn = osize() == 8 ? extend_handler(true, 4, 8, form) : memory() ? mov_load(from, form) : mov_rr(from);
                return;
            }
            set_dst(rm, 2);
            set_src(rx, 2);
            o.fn = arpl_handler(form);
            return;
        case 0x68:
            o.imm = imm(stack_size());
            o.fn = push_imm(stack_size(), flat_stack());
            return;
        case 0x6a:
            o.imm = imm8s();
            o.fn = push_imm(stack_size(), flat_stack());
            return;
        case 0x69:
        case 0x6b:
            parse_modrm();
            set_dst(rx, osize());
            set_src(rm, osize());
            o.imm = opcode == 0x69 ? imm(osize()) : imm8s();
            o.fn = imul3_handler(osize(), form);
            return;
        case 0x80:
        case 0x81:
        case 0x82:
        case 0x83: return group1(opcode);
        case 0x84:
        case 0x85:
            parse_modrm();
            set_src(rx, size);
            set_dst(rm, size);
            return alu(Alu::kTest, memory() ? AluForm::kMemReg : AluForm::kRegReg, size);
        case 0x86:
        case 0x87:
            parse_modrm();
            set_src(rx, size);
            set_dst(rm, size);
            lockable = memory();
            o.fn = memory() ? locked_xchg(size) : xchg_handler(size);  // locked with and without the prefix
            return;
        case 0x88:
        case 0x89:
            parse_modrm();
            set_src(rx, size);
            set_dst(rm, size);
            o.fn = memory() ? mov_store(size, form) : mov_rr(size);
            return;
        case 0x8a:
        case 0x8b:
            parse_modrm();
            set_dst(rx, size);
            set_src(rm, size);
            o.fn = memory() ? mov_load(size, form) : mov_rr(size);
            return;
        case 0x8c:
        case 0x8e:
            parse_modrm();
            if (r > kGs || (opcode == 0x8e && r == kCs)) return undefined();
            o.extra = static_cast<u8>(r);
            set_dst(rm, 4);
            if (opcode == 0x8e) return flow(mov_to_seg(form));
            o.fn = mov_from_seg(osize(), form);
            return;
        case 0x8d:
            parse_modrm();
            if (!memory()) return undefined();
            set_dst(rx, osize());
            if (address32 && !address64) form = o.index == Cpu::kZeroReg * 8 ? Form::kFlat : Form::kFlatIndex;
            if (address64) form = o.index == Cpu::kZeroReg * 8 ? Form::kLong : Form::kLongIndex;
            if (osize() == 8 && !address64) form = Form::kGeneral;
            o.fn = lea_handler(osize(), form);
            return;
        case 0x8f:
            parse_modrm();
            if (r != 0) return undefined();
            set_dst(rm, stack_size());
            o.fn = memory() ? pop_mem(stack_size()) : pop_reg(stack_size(), flat_stack());
            return;
        case 0x90:
            if (rex_b() != 0) break;
            o.fn = repeat == 0xf3 && in.cache->several ? pause_handler() : nop_handler();
            return;
        case 0x9a:
        case 0xea: {
            o.imm = imm(osize());
            const u32 selector = imm16();
            o.link = nullptr;
            o.disp = selector;
            return flow(opcode == 0x9a ? call_far_imm(osize()) : jmp_far_imm(osize()));
        }
        case 0x9b: o.fn = fwait_handler(); return;
        case 0x9c: o.fn = pushf_handler(stack_size()); return;
        case 0x9d: return flow(popf_handler(stack_size()));
        case 0xa0:
        case 0xa1:
        case 0xa2:
        case 0xa3:
            absolute_address(address64 ? imm64() : address32 ? imm32() : imm16(), kDs);
            set_dst(kEax, size);
            set_src(kEax, size);
            o.fn = opcode < 0xa2 ? mov_load(size, form) : mov_store(size, form);
            return;
        case 0xa4:
        case 0xa5:
        case 0xa6:
        case 0xa7:
        case 0xaa:
        case 0xab:
        case 0xac:
        case 0xad:
        case 0xae:
        case 0xaf:
        case 0x6c:
        case 0x6d:
        case 0x6e:
        case 0x6f: return string_op(opcode);
        case 0xa8:
        case 0xa9:
            set_dst(kEax, size);
            o.imm = imm(size);
            return alu(Alu::kTest, AluForm::kRegImm, size);
        case 0xc0:
        case 0xc1:
        case 0xd0:
        case 0xd1:
        case 0xd2:
        case 0xd3: return group2(opcode);
        case 0xc2: o.imm = imm16(); return flow(ret_handler(branch_size(), flat_stack()));
        case 0xc3: o.imm = 0; return flow(ret_handler(branch_size(), flat_stack()));
        case 0xc4:
        case 0xc5:
            if (vex_prefix(opcode)) return;
            parse_modrm();
            if (!memory()) return undefined();
            set_dst(rx, osize());
            o.extra = opcode == 0xc4 ? kEs : kDs;
            return flow(load_far_handler(osize()));
        case 0xc6:
        case 0xc7:
            parse_modrm();
            if (r != 0) return undefined();
            set_dst(rm, size);
            o.imm = imm(size);
            o.fn = memory() ? mov_store_imm(size, form) : mov_ri(size);
            return;
        case 0xc8: {
            const u32 frame = imm16();
            o.imm = frame | imm8() << 16;
            o.fn = enter_handler(stack_size());
            return;
        }
        case 0xc9: o.fn = leave_handler(stack_size(), flat_stack()); return;
        case 0xca: o.imm = imm16(); return flow(ret_far(osize()));
        case 0xcb: o.imm = 0; return flow(ret_far(osize()));
        case 0xcd: o.imm = imm8(); return flow(int_handler(opcode));
        case 0xcc:
        case 0xce:
        case 0xf1: return flow(int_handler(opcode));
        case 0xcf: return flow(iret_handler(osize()));
        case 0xd4:
        case 0xd5:
            o.imm = imm8();
            o.fn = aam_handler(opcode == 0xd5);
            return;
        case 0xd7:
            o.seg = static_cast<u8>(override_seg >= 0 ? override_seg : kDs);
            note_address_size();
            o.fn = xlat_handler();
            return;
        case 0xd8:
        case 0xd9:
        case 0xda:
        case 0xdb:
        case 0xdc:
        case 0xdd:
        case 0xde:
        case 0xdf: return x87(opcode);
        case 0xe0:
        case 0xe1:
        case 0xe2:
        case 0xe3: {
            const u32 d = imm8s();
            return relative(loop_handler(opcode & 3u, branch_size(), address_bytes()), d);
        }
        case 0xe4:
        case 0xe5:
        case 0xe6:
        case 0xe7:
            o.imm = imm8();
            o.fn = io_handler(opcode, size);
            return;
        case 0xec:
        case 0xed:
        case 0xee:
        case 0xef: o.fn = io_handler(opcode, size); return;
        case 0xe8:
        case 0xe9: {
            const u32 d = branch_size() != 2 ? imm32() : static_cast<u32>(static_cast<i16>(imm16()));
            what.end = DecodeEnd::kFlow;
            if (opcode == 0xe8) return relative(call_handler(branch_size(), flat_stack()), d, 17);
            return relative(jmp_handler(branch_size()), d);
        }
        case 0xeb: {
            const u32 d = imm8s();
            what.end = DecodeEnd::kFlow;
            return relative(jmp_handler(branch_size()), d);
        }
        case 0xf6:
        case 0xf7: return group3(opcode);
        case 0xfe:
        case 0xff: return group5(opcode);
        default: break;
    }
    const unsigned n = (opcode & 7u) | rex_b();
    switch (opcode & 0xf8u) {
        case 0x40:
        case 0x48:
            set_dst(n, osize());
            o.fn = unary_handler(opcode < 0x48 ? Unary::kInc : Unary::kDec, osize(), Form::kReg);
            return;
        case 0x50:
            set_dst(n, stack_size());
            o.fn = push_reg(stack_size(), flat_stack());
            return;
        case 0x58:
            set_dst(n, stack_size());
            o.fn = pop_reg(stack_size(), flat_stack());
            return;
        case 0x70:
        case 0x78: {
            const u32 d = imm8s();
            return jcc(opcode & 15u, d);
        }
        case 0x90:
            set_dst(kEax, osize());
            set_src(n, osize());
            o.fn = xchg_handler(osize());
            return;
        case 0xb0:
            set_dst(n, 1);
            o.imm = imm8();
            o.fn = mov_ri(1);
            return;
        case 0xb8:
            set_dst(n, osize());
            if (rex_w()) {
                o.link = nullptr;
                o.disp = imm64();
                o.fn = mov_ri64();
                return;
            }
            o.imm = imm(osize());
            o.fn = mov_ri(osize());
            return;
        default: return undefined();
    }
}

}  // namespace backplane::interp
