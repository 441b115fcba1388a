// Prefixes, and what all instructions have in common.
#include "decode_detail.hpp"

namespace backplane::interp {

DecodeStatus decode(const DecodeInput& in, Insn& out, Decoded& what) {
    Decoder d(in, out, what);
    out.link = nullptr;
    out.imm = 0;
    out.dst = out.src = 0;
    out.base = out.index = Cpu::kZeroReg * 8;
    out.shift = out.seg = out.bits = out.extra = 0;
    const bool code32 = (in.mode & kModeCode32) != 0;
    d.long_mode = (in.mode & kModeLong) != 0;
    d.operand32 = code32;
    d.address32 = code32;
    d.address64 = d.long_mode;
    u8 opcode = 0;
    u8 rex = 0;
    for (bool prefix = true; prefix && !d.more && !d.too_long;) {
        opcode = d.byte();
        switch (opcode) {
            case 0x26:
            case 0x2e:
            case 0x36:
            case 0x3e:  // without effect in 64-bit mode
                if (!d.long_mode) d.override_seg = opcode >> 3 & 3u;
                break;
            case 0x64: d.override_seg = kFs; break;
            case 0x65: d.override_seg = kGs; break;
            case 0x66:
                d.operand32 = !code32;
                d.prefix66 = true;
                break;
            case 0x67:
                if (d.long_mode)
                    d.address64 = false;
                else
                    d.address32 = !code32;
                break;
            case 0xf0: d.lock = true; break;
            case 0xf2:
            case 0xf3: d.repeat = opcode; break;
            default:
                if (!d.long_mode || (opcode & 0xf0u) != 0x40) {
                    prefix = false;
                } else if (!d.more) {
                    rex = opcode;
                    continue;  // counts only directly before the opcode
                }
                break;
        }
        if (prefix)
            rex = 0;
        else
            d.rex = rex;
    }
    if (!d.more && !d.too_long) d.one_byte(opcode);
    if (d.too_long) {
        out.fn = too_long_handler();
        what = Decoded{};
        what.end = DecodeEnd::kFlow;
        out.len = kMaxLength;
        return DecodeStatus::kOk;
    }
    if (d.more) return DecodeStatus::kMore;
    if (d.lock && !d.lockable) {
        what = Decoded{};
        d.undefined();
    }
    out.len = static_cast<u8>(d.pos);
    if (!d.operand32 && !d.rex_w()) out.bits |= kOperand16;
    if (d.rex_w()) out.bits |= kOperand64;
    if (d.rip_relative) out.disp += out.ip + d.pos;
    if (what.relative) {
        const i64 target = static_cast<i64>(static_cast<i32>(out.imm)) + out.ip + d.pos;
        if (d.long_mode && target != static_cast<i32>(target)) {
            out.disp = static_cast<i32>(out.imm);
            out.extra = what.wide_kind;
            out.fn = wide_branch_handler();
            what = Decoded{};
            what.end = DecodeEnd::kFlow;
        }
        out.imm = static_cast<u32>(target);
    }
    return DecodeStatus::kOk;
}

}  // namespace backplane::interp
