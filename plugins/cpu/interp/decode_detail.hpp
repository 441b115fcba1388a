// State of one decoding, shared by the files that decode the one-byte and the two-byte opcodes.
#pragma once

#include "block.hpp"
#include "decode.hpp"

namespace backplane::interp {

struct MmxExtension;
struct SseEntry;
struct VexEntry;

struct Decoder {
    const DecodeInput& in;
    Insn& o;
    Decoded& what;
    unsigned pos = 0;
    bool more = false;
    bool too_long = false;
    // Prefixes
    bool long_mode = false;
    u8 rex = 0;  // 40..4F, directly before the opcode
    bool operand32 = false;
    bool address32 = false;  // not 16 bits
    bool address64 = false;
    bool prefix66 = false;
    u8 repeat = 0;  // 0, F2, F3: the last one
    bool lock = false;
    bool lockable = false;
    int override_seg = -1;
    // ModRM
    u8 modrm = 0;
    unsigned mod = 0, r = 0, rm = 0;  // r: as an opcode extension
    unsigned rx = 0;                  // r with REX.R; rm has REX.B if it names a register
    bool rip_relative = false;
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
    i64 disp32() { return static_cast<i32>(imm32()); }
    i64 imm64() {
        const u64 low = imm32();
        return static_cast<i64>(low | static_cast<u64>(imm32()) << 32);
    }
    // Of 64-bit operands it is 32 bits, sign-extended by immediate().
    u32 imm(unsigned bytes) { return bytes == 1 ? imm8() : bytes == 2 ? imm16() : imm32(); }

    [[nodiscard]] bool rex_w() const { return (rex & 8u) != 0; }
    [[nodiscard]] unsigned rex_r() const { return (rex & 4u) << 1; }
    [[nodiscard]] unsigned rex_x() const { return (rex & 2u) << 2; }
    [[nodiscard]] unsigned rex_b() const { return (rex & 1u) << 3; }
    [[nodiscard]] unsigned osize() const { return rex_w() ? 8 : operand32 ? 4 : 2; }
    // Of instructions whose operand is 64 bits wide in 64-bit mode without REX.W: near branches and the stack.
    [[nodiscard]] unsigned stack_size() const { return long_mode ? (operand32 || rex_w() ? 8 : 2) : osize(); }
    [[nodiscard]] unsigned branch_size() const { return long_mode ? 8 : osize(); }
    [[nodiscard]] unsigned address_bytes() const { return address64 ? 8 : address32 ? 4 : 2; }
    // Operand size of opcodes whose bit 0 chooses between byte and word.
    [[nodiscard]] unsigned wsize(u8 opcode) const { return (opcode & 1u) == 0 ? 1 : osize(); }
    [[nodiscard]] bool has(u32 feature) const { return (in.model->features_edx & feature) != 0; }
    [[nodiscard]] bool flat_stack() const {
        if (long_mode) return stack_size() == 8;
        constexpr u32 kAll = kModeStack32 | kModeFlatData | kModeFlatCode;
        return (in.mode & kAll) == kAll;
    }
    [[nodiscard]] bool memory() const { return form != Form::kReg; }
    // The instruction takes a LOCK prefix with an operand in memory; with it, its handler is this one. A processor that
    // is alone needs none (three times as fast).
    void may_lock(Handler locked) {
        lockable = memory();
        if (lock && lockable && in.cache->several) o.fn = locked;
    }

    // With any REX prefix bytes 4 to 7 are SPL, BPL, SIL and DIL.
    [[nodiscard]] u8 reg_offset(unsigned n, unsigned size) const {
        return static_cast<u8>(size == 1 && rex == 0 ? (n & 3u) * 8 + (n >> 2) : n * 8);
    }
    void note_address_size() {
        if (address64)
            o.bits |= kAddress64;
        else if (!address32)
            o.bits |= kAddress16;
    }
    void set_dst(unsigned n, unsigned size) { o.dst = reg_offset(n, size); }
    void set_src(unsigned n, unsigned size) { o.src = reg_offset(n, size); }

    void absolute_address(i64 disp, Seg standard);
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
    void relative(Handler h, u32 displacement, unsigned wide_kind = 16) {
        what.wide_kind = static_cast<u8>(wide_kind);
        o.fn = h;
        o.imm = displacement;
        o.link = nullptr;
        what.relative = true;
    }

    void alu(Alu op, AluForm operands, unsigned size);
    void one_byte(u8 opcode);
    [[nodiscard]] bool gone_in_long_mode(u8 opcode) const;
    void two_byte();
    void group1(u8 opcode);
    void group2(u8 opcode);
    void group3(u8 opcode);
    void group5(u8 opcode);
    void jcc(unsigned code, u32 displacement);
    void x87(u8 opcode);
    void mmx(u8 opcode);
    // decode_sse.cpp
    [[nodiscard]] unsigned mandatory_prefix() const;
    bool sse_instruction(u8 opcode);
    void sse_operands(const SseEntry& e);
    bool group15();
    // decode_vex.cpp
    bool vex_prefix(u8 opcode);
    struct Vex {
        unsigned map, prefix, second;
        bool l, w;
    };
    void vex_instruction(const Vex& v);
    bool vex_operands(const VexEntry& e, const Vex& v);
    bool monitor_mwait();
    [[nodiscard]] bool is_fisttp(u8 opcode) const { return memory() && r == 1 && (opcode & 1u) != 0 && opcode != 0xd9; }
    bool instruction_3dnow(u8 opcode);
    void mmx_extension_insn(const MmxExtension* e, u8 opcode, unsigned map);
    void mmx_extension_insn(const MmxExtension* e, u8 opcode, unsigned map, bool immediate);
    u16 entry_index(u32 key, const FpuEntry& entry);
    void string_op(u8 opcode);
};

}  // namespace backplane::interp
