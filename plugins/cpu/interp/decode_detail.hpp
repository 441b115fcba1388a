// State of one decoding, shared by the files that decode the one-byte and the two-byte opcodes.
#pragma once

#include "block.hpp"
#include "decode.hpp"

namespace backplane::interp {

struct MmxExtension;
struct SseEntry;

struct Decoder {
    const DecodeInput& in;
    Insn& o;
    Decoded& what;
    unsigned pos = 0;
    bool more = false;
    bool too_long = false;
    // Prefixes
    bool operand32 = false;
    bool address32 = false;
    bool prefix66 = false;
    u8 repeat = 0;  // 0, F2, F3: the last one
    bool lock = false;
    bool lockable = false;
    int override_seg = -1;
    // ModRM
    u8 modrm = 0;
    unsigned mod = 0, r = 0, rm = 0;
    Form form = Form::kReg;

    Decoder(const DecodeInput& input, Insn& out, Decoded& decoded) : in(input), o(out), what(decoded) {}

    u8 byte() {
        if (pos >= kMaxLength) {
            too_long = true;
            return 0;
        }
        if (pos >= in.available) {
            more = true;
            return 0;
        }
        return in.bytes[pos++];
    }
    u32 imm8() { return byte(); }
    u32 imm8s() { return static_cast<u32>(static_cast<i8>(byte())); }
    u32 imm16() {
        const u32 low = byte();
        return low | static_cast<u32>(byte()) << 8;
    }
    u32 imm32() {
        const u32 low = imm16();
        return low | imm16() << 16;
    }
    u32 imm(unsigned bytes) { return bytes == 1 ? imm8() : bytes == 2 ? imm16() : imm32(); }

    [[nodiscard]] unsigned osize() const { return operand32 ? 4 : 2; }
    // Operand size of opcodes whose bit 0 chooses between byte and word.
    [[nodiscard]] unsigned wsize(u8 opcode) const { return (opcode & 1u) == 0 ? 1 : osize(); }
    [[nodiscard]] bool has(u32 feature) const { return (in.features & feature) != 0; }
    [[nodiscard]] bool flat_stack() const {
        constexpr u32 kAll = kModeStack32 | kModeFlatData | kModeFlatCode;
        return (in.mode & kAll) == kAll;
    }
    [[nodiscard]] bool memory() const { return form != Form::kReg; }

    static u8 reg_offset(unsigned n, unsigned size) {
        return static_cast<u8>(size == 1 ? (n & 3u) * 8 + (n >> 2) : n * 8);
    }
    void set_dst(unsigned n, unsigned size) { o.dst = reg_offset(n, size); }
    void set_src(unsigned n, unsigned size) { o.src = reg_offset(n, size); }

    void absolute_address(u32 disp, Seg standard);
    void parse_modrm();
    void choose_form(Seg standard);

    void undefined() {
        o.fn = undefined_handler();
        what.end = DecodeEnd::kFlow;
    }
    void flow(Handler h) {
        o.fn = h;
        what.end = DecodeEnd::kFlow;
    }
    void relative(Handler h, u32 displacement) {
        o.fn = h;
        o.imm = displacement;
        o.link = nullptr;
        what.relative = true;
    }

    void alu(Alu op, AluForm operands, unsigned size);
    void one_byte(u8 opcode);
    void two_byte();
    void group1(u8 opcode);
    void group2(u8 opcode);
    void group3(u8 opcode);
    void group5(u8 opcode);
    void jcc(unsigned code, u32 displacement);
    void x87(u8 opcode);
    void mmx(u8 opcode);
    // decode_sse.cpp
    [[nodiscard]] bool rex_w() const { return false; }
    [[nodiscard]] unsigned mandatory_prefix() const;
    bool sse_instruction(u8 opcode);
    void sse_operands(const SseEntry& e);
    bool group15();
    bool monitor_mwait();
    [[nodiscard]] bool is_fisttp(u8 opcode) const { return memory() && r == 1 && (opcode & 1u) != 0 && opcode != 0xd9; }
    bool instruction_3dnow(u8 opcode);
    void mmx_extension_insn(const MmxExtension* e, u8 opcode, unsigned map);
    void mmx_extension_insn(const MmxExtension* e, u8 opcode, unsigned map, bool immediate);
    u16 entry_index(u32 key, const FpuEntry& entry);
    void string_op(u8 opcode);
};

}  // namespace backplane::interp
