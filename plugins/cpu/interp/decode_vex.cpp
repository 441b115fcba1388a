// VEX prefixes (SDM 2, 2.3): C5 and C4, and the instructions behind them.
#include <array>
#include <span>

#include "decode_detail.hpp"
#include "vex_ops.hpp"

namespace backplane::interp {
namespace {

// Of instructions that exist in the SSE family, by opcode: what the prefix's fields mean for them.
bool one_source(u16 key) {
    const unsigned map = key >> 10, prefix = key >> 8 & 3u, opcode = key & 0xffu;
    if (map == kMap0f) {
        const bool root_or_estimate = opcode >= 0x51 && opcode <= 0x53;
        return ((root_or_estimate || opcode == 0x5a) && prefix < kF3) || opcode == 0x5b || opcode == 0xe6 ||
               opcode == 0x70 || opcode == 0x2e || opcode == 0x2f || opcode == 0x2c || opcode == 0x2d;
    }
    if (map == kMap38) {
        return (opcode >= 0x1c && opcode <= 0x1e) || (opcode >= 0x20 && opcode <= 0x25) ||
               (opcode >= 0x30 && opcode <= 0x35) || opcode == 0x41 || opcode == 0xdb;
    }
    return opcode == 0x08 || opcode == 0x09 || (opcode >= 0x60 && opcode <= 0x63) || opcode == 0xdf;
}
bool of_integers(u16 key) {
    const unsigned map = key >> 10, prefix = key >> 8 & 3u, opcode = key & 0xffu;
    if (map == kMap0f) {
        return opcode == 0x70 ||
               (prefix == k66 && ((opcode >= 0x60 && opcode <= 0x76) || (opcode >= 0xd1 && opcode != 0xe6)));
    }
    return map == kMap38 || opcode == 0x0e || opcode == 0x0f || opcode == 0x42;
}
VexEntry made_from(const SseEntry& e) {
    u16 rules = one_source(e.key) ? 0 : kVexSecond;
    if (of_integers(e.key)) rules |= kVexWide2;
    const unsigned opcode = e.key & 0xffu;
    if (e.key >> 10 == kMap0f && opcode >= 0x71 && opcode <= 0x73) rules = kVexSecond | kVexTo | kVexWide2;
    if (e.key >> 10 == kMap3a && opcode >= 0x60 && opcode <= 0x63) rules |= kVexL0;
    const bool own = e.feature == Feature::kAes || e.feature == Feature::kPclmul;
    return {e.key, own ? e.feature : Feature::kAvx, e.shape, rules, e.vex};
}

struct Table {
    std::array<VexEntry, 3 * 4 * 256> entry{};

    void add(std::span<const SseEntry> entries) {
        for (const SseEntry& e : entries) {
            if (e.vex != nullptr) entry[e.key] = made_from(e);
        }
    }
    void add(std::span<const VexEntry> entries) {
        for (const VexEntry& e : entries) entry[e.key] = e;
    }
    Table() {
        add(sse_float_entries());
        add(sse_convert_entries());
        add(sse_int_entries());
        add(sse_shuffle_entries());
        add(sse4_entries());
        add(sse_string_entries());
        add(vex_shuffle_entries());
        add(vex_move_entries());
        add(vex_lane_entries());
        add(vex_mask_entries());
        add(vex_fma_entries());
        add(vex_half_entries());
        add(vex_bmi_entries());
    }
};
const Table& table() {
    static const Table kTable;
    return kTable;
}

u8 xmm_offset(unsigned n) { return static_cast<u8>(n * kXmmOffset); }

}  // namespace

// Is it one? Outside 64-bit mode the opcodes are those of LDS and LES, whose operand is in memory.
bool Decoder::vex_prefix(u8 opcode) {
    if (!long_mode) {
        if (pos >= in.available) {
            more = true;
            return true;
        }
        if (in.bytes[pos] < 0xc0) return false;
    }
    const bool refused = lock || prefix66 || repeat != 0 || rex != 0;
    u8 fields = byte();
    Vex v{1, 0, 0, false, false};
    rex = static_cast<u8>(0x40 | (~fields >> 5 & 4));
    if (opcode == 0xc4) {
        v.map = fields & 31u;
        rex = static_cast<u8>(0x40 | (~fields >> 5 & 7));
        fields = byte();
        v.w = (fields & 0x80u) != 0;
    }
    if (more || too_long) return true;
    v.prefix = fields & 3u;
    v.l = (fields & 4u) != 0;
    v.second = ~fields >> 3 & 15u;
    if (long_mode) {
        if (v.w) rex |= 8;
    } else {  // eight registers
        rex = 0x40;
        v.second &= 7u;
    }
    if (refused || v.map < 1 || v.map > 3) {
        undefined();
        return true;
    }
    vex_instruction(v);
    return true;
}

void Decoder::vex_instruction(const Vex& v) {
    const u8 opcode = byte();
    if (more || too_long) return;
    const u16 key = sse_key(v.map - 1, v.prefix, opcode);
    // The field without a register in it: inverted it is 1111.
    const bool no_second = v.second == 0;
    if (key == sse_key(kMap0f, k00, 0x77)) {
        if (!no_second || !has_feature(*in.model, Feature::kAvx)) return undefined();
        o.fn = vzero_handler(v.l);
        return;
    }
    if (key == sse_key(kMap0f, k00, 0xae)) {
        parse_modrm();
        if (!memory() || (r != 2 && r != 3) || v.l || !no_second || !has_feature(*in.model, Feature::kAvx)) {
            return undefined();
        }
        o.fn = r == 2 ? vldmxcsr_handler() : vstmxcsr_handler();
        return;
    }
    const VexEntry& e = table().entry[key];
    if (e.pick == nullptr || !has_feature(*in.model, e.feature)) return undefined();
    if (e.feature != Feature::kAvx && (e.rules & kVexGeneral) == 0 && !has_feature(*in.model, Feature::kAvx)) {
        return undefined();
    }
    if (!vex_operands(e, v) && !more && !too_long) undefined();
}

bool Decoder::vex_operands(const VexEntry& e, const Vex& v) {
    const auto rule = [&e](u16 bit) { return (e.rules & bit) != 0; };
    const auto shape = [&e](u8 bit) { return (e.shape & bit) != 0; };
    const unsigned modrm_at = pos;
    parse_modrm();
    if ((shape(kMemoryOnly) && !memory()) || (shape(kRegisterOnly) && memory())) return false;
    if ((rule(kVexL0) && v.l) || (rule(kVexL1) && !v.l) || (rule(kVexW0) && v.w) || (rule(kVexW1) && !v.w))
        return false;
    const bool avx2 = has_feature(*in.model, Feature::kAvx2);
    if (!avx2 && ((rule(kVexWide2) && v.l) || (rule(kVexReg2) && !memory()))) return false;
    const bool second = rule(kVexSecond) || (rule(kVexSecondReg) && !memory());
    if (!second && v.second != 0) return false;
    const unsigned to = shape(kToRm) ? rm : rx;
    const unsigned from = shape(kToRm) ? rx : rm;
    const bool general = rule(kVexGeneral);
    o.dst = general || shape(kDstGpr) ? static_cast<u8>(to * 8) : xmm_offset(to);
    o.src = general || shape(kSrcGpr) ? static_cast<u8>(from * 8) : xmm_offset(from);
    o.extra = general ? static_cast<u8>(v.second * 8) : xmm_offset(v.second);
    if (rule(kVexTo)) {
        o.dst = o.extra;
        // The shifts' first operand is the source.
        if (!general) o.extra = o.src = xmm_offset(rm);
    }
    if (rule(kVexIndices)) {
        if (rm != 4 || !address32) return false;
        const u8 sib = modrm_at + 1 < in.available ? in.bytes[modrm_at + 1] : 0;
        const unsigned index = (sib >> 3 & 7u) | rex_x();
        if (index == rx || index == v.second || rx == v.second) return false;
        o.index = Cpu::kZeroReg * 8;
        o.shift = sib >> 6;
        o.src = xmm_offset(index);
    }
    u8 immediate = 0;
    if (shape(kImmediate) || rule(kVexFourth)) {
        immediate = byte();
        o.imm = immediate;
        if (rule(kVexFourth)) o.imm = xmm_offset(immediate >> 4 & (long_mode ? 15u : 7u));
    }
    if (rule(kVexOperation)) o.imm = (e.key & 0xffu) | (v.w ? 0x100u : 0u);
    if (e.key == sse_key(kMap0f, k66, 0xf7)) {  // VMASKMOVDQU stores to [eDI]
        absolute_address(0, kDs);
        o.base = kEdi * 8;
    }
    const bool in_memory = memory() && e.key != sse_key(kMap0f, k66, 0xf7);
    if (in_memory) o.bits |= kVecMemory;
    if (in_memory &&
        (form == Form::kFlat || form == Form::kFlatIndex || form == Form::kLong || form == Form::kLongIndex))
        o.bits |= kVecFlat;
    // Outside 64-bit mode VEX.W makes no general register wider.
    const bool wide_gpr = general || shape(kDstGpr) || shape(kSrcGpr) || (e.key & 0xfeu) == 0x60;
    o.fn = e.pick({form, immediate, static_cast<u8>(r), v.w && (long_mode || !wide_gpr), false, v.l});
    return o.fn != nullptr;
}

}  // namespace backplane::interp
