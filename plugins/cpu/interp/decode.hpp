// Decoder: bytes -> Insn.
#pragma once

#include "ops.hpp"

namespace backplane::interp {

struct DecodeInput {
    const u8* bytes;
    unsigned available;  // that can be read
    u32 mode;            // kMode bits
    const CpuModel* model;
    BlockCache* cache;  // for the table of x87 handlers
};
enum class DecodeStatus : u8 { kOk, kMore };
enum class DecodeEnd : u8 {
    kNone,
    kBlock,  // flow may go on, but the block must not
    kFlow    // the next instruction is never reached from here
};
// What the block builder wants to know besides the record.
struct Decoded {
    DecodeEnd end = DecodeEnd::kNone;
    // CMP/TEST: candidates for fusing with a following branch.
    bool compares = false;
    Alu op = Alu::kCmp;
    AluForm operands = AluForm::kRegReg;
    u8 size = 0;
    Form form = Form::kReg;
    // Jcc with 32-bit operand size, or in 64-bit mode.
    bool jcc = false;
    u8 code = 0;
    bool relative = false;  // imm holds a displacement from the next instruction
    u8 wide_kind = 0;       // as op_branch.cpp wants it for targets out of reach of imm
};
inline constexpr unsigned kMaxLength = 15;

// kMore: the instruction reaches beyond `available`. Undefined ones become a record that raises #UD.
DecodeStatus decode(const DecodeInput& in, Insn& out, Decoded& what);

}  // namespace backplane::interp
