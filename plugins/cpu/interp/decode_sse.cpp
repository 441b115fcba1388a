// Opcodes of the SSE family: mandatory prefix and opcode choose an entry, the entry's shape says what the operands are.
#include <array>

#include "decode_detail.hpp"
#include "mmx_extensions.hpp"
#include "sse_ops.hpp"

namespace backplane::interp {
namespace {

using Table = std::array<const SseEntry*, 3 * 4 * 256>;
Table make_table() {
    Table t{};
    const auto add = [&t](std::span<const SseEntry> entries) {
        for (const SseEntry& e : entries) t[e.key] = &e;
    };
    add(sse_float_entries());
    add(sse_convert_entries());
    add(sse_int_entries());
    add(sse_shuffle_entries());
    add(sse_move_entries());
    add(sse_gpr_entries());
    add(sse4_entries());
    add(sse_string_entries());
    add(sse_mmx_entries());
    add(bmi_entries());
    return t;
}
const Table& table() {
    static const Table kTable = make_table();
    return kTable;
}

using MmxTable = std::array<const MmxExtension*, 4 * 256>;
MmxTable make_mmx_table() {
    MmxTable t{};
    for (const MmxExtension& e : mmx_extensions()) t[e.map * 256u + e.opcode] = &e;
    for (const MmxExtension& e : mmx_3dnow()) t[e.map * 256u + e.opcode] = &e;
    return t;
}
const MmxExtension* mmx_extension(unsigned map, u8 opcode) {
    static const MmxTable kTable = make_mmx_table();
    return kTable[map * 256u + opcode];
}

u8 xmm_offset(unsigned n) { return static_cast<u8>(n * kXmmOffset); }

}  // namespace

unsigned Decoder::mandatory_prefix() const {
    if (repeat != 0) return repeat == 0xf3 ? kF3 : kF2;
    return prefix66 ? k66 : k00;
}

void Decoder::sse_operands(const SseEntry& e) {
    parse_modrm();
    if (((e.shape & kMemoryOnly) != 0 && !memory()) || ((e.shape & kRegisterOnly) != 0 && memory())) {
        return undefined();
    }
    const unsigned to = (e.shape & kToRm) != 0 ? rm : rx;
    const unsigned from = (e.shape & kToRm) != 0 ? rx : rm;
    if ((e.shape & kDstGpr) != 0)
        set_dst(to, 4);
    else
        o.dst = xmm_offset(to);
    if ((e.shape & kSrcGpr) != 0)
        set_src(from, (e.shape & kByteSource) != 0 ? 1 : 4);
    else
        o.src = xmm_offset(from);
    u8 immediate = 0;
    if ((e.shape & kImmediate) != 0) {
        immediate = byte();
        o.imm = immediate;
        // EXTRQ, INSERTQ: length and position.
        if ((e.key & 0xffu) == 0x78) o.imm |= static_cast<u32>(byte()) << 8;
    }
    if ((e.key & 0x6ffu) == sse_key(kMap0f, k00, 0xf7)) {  // MASKMOVQ and MASKMOVDQU store to [eDI]
        absolute_address(0, kDs);
        o.base = kEdi * 8;
    }
    const SseChoice choice{form, immediate, static_cast<u8>(r), rex_w(), prefix66, false};
    o.fn = e.pick(choice);
    if (o.fn == nullptr) undefined();
}

// MMX registers go by way of the table of x87 and MMX handlers, like the older MMX instructions.
void Decoder::mmx_extension_insn(const MmxExtension* e, u8 opcode, unsigned map) {
    if (e == nullptr || !has(kFeatMmx) || !has_feature(*in.model, e->feature) || mandatory_prefix() != k00) {
        return undefined();
    }
    const FpuHandler handler = memory() ? e->memory : e->registers;
    if (handler == nullptr) return undefined();
    const u32 code = static_cast<u32>(opcode) << 8 | modrm;
    FpuEntry entry{handler, static_cast<u8>(e->traits | kFpuWaits | (memory() ? kFpuMemory : 0))};
    if (memory()) entry.traits = static_cast<u8>(entry.traits & ~(kMmxReadsGpr | kMmxWritesGpr));
    o.imm = code | static_cast<u32>(entry_index(code | (map + 2) << 16, entry)) << 16;
    o.extra = entry.traits;
    set_dst(e->gpr_is_reg ? rx : rm, 4);
    o.fn = mmx_handler();
}
void Decoder::mmx_extension_insn(const MmxExtension* e, u8 opcode, unsigned map, bool immediate) {
    parse_modrm();
    if (immediate) o.src = byte();
    mmx_extension_insn(e, opcode, map);
}

// 0F AE: FXSAVE and FXRSTOR are elsewhere; MXCSR, fences, CLFLUSH.
bool Decoder::group15() {
    if (pos >= in.available) return false;
    const u8 m = in.bytes[pos];
    const unsigned op = m >> 3 & 7u;
    const bool registers = m >= 0xc0;
    Feature feature = Feature::kNone;
    Handler handler = nullptr;
    if (!registers && op == 2) {
        feature = Feature::kSse;
        handler = ldmxcsr_handler();
    } else if (!registers && op == 3) {
        feature = Feature::kSse;
        handler = stmxcsr_handler();
    } else if (!registers && op == 7) {
        feature = Feature::kClflush;
        handler = clflush_handler();
    } else if (!registers && (op == 4 || op == 5)) {
        feature = Feature::kXsave;
        handler = op == 4 ? xsave_handler() : xrstor_handler();
    } else if (!registers && op == 6) {
        feature = Feature::kXsaveopt;
        handler = xsave_handler();
    } else if (registers && op < 4 && repeat == 0xf3) {
        parse_modrm();
        if (prefix66 || !long_mode || !has_feature(*in.model, Feature::kFsgsbase)) {
            undefined();
            return true;
        }
        set_dst(rm, 4);
        o.fn = base_handler(op, rex_w() ? 8 : 4);
        return true;
    } else if (registers && (op == 5 || op == 6)) {  // LFENCE, MFENCE
        feature = Feature::kSse2;
        handler = op == 6 ? mfence_handler() : nop_handler();
    } else if (registers && op == 7) {  // SFENCE
        feature = Feature::kMmxExtensions;
        handler = nop_handler();
    } else {
        return false;
    }
    parse_modrm();
    if (prefix66 || repeat != 0 || !has_feature(*in.model, feature))
        undefined();
    else
        o.fn = handler;
    return true;
}

// 0F 01: MONITOR and MWAIT, XGETBV and XSETBV.
bool Decoder::monitor_mwait() {
    if (pos >= in.available || in.model == nullptr) return false;
    if ((in.bytes[pos] & 0xfeu) == 0xd0) {
        const bool set = (byte() & 1u) != 0;
        if (prefix66 || repeat != 0 || !has_feature(*in.model, Feature::kXsave))
            undefined();
        else
            o.fn = xcr_handler(set);
        return true;
    }
    if ((in.bytes[pos] & 0xfeu) != 0xc8) return false;
    const u8 m = byte();
    if (prefix66 || repeat != 0 || !has_feature(*in.model, Feature::kMonitor)) {
        undefined();
        return true;
    }
    absolute_address(0, kDs);
    o.base = kEax * 8;
    o.fn = monitor_handler(m == 0xc9);
    return true;
}

// 3DNow!: the opcode follows the operands. FEMMS is EMMS.
bool Decoder::instruction_3dnow(u8 opcode) {
    if (!has_feature(*in.model, Feature::k3dnow)) return false;
    if (opcode == 0x0e) {
        mmx(0x77);
        return true;
    }
    parse_modrm();
    const u8 suffix = byte();
    if (!more && !too_long) mmx_extension_insn(mmx_extension(kMmx3dnow, suffix), suffix, kMmx3dnow);
    return true;
}

// True if the opcode after 0F belongs to the SSE family in this model. Without its feature most of these are
// undefined; some mean something older.
bool Decoder::sse_instruction(u8 opcode) {
    if (in.model == nullptr) return false;
    if (opcode == 0x01) return monitor_mwait();
    if (opcode == 0xae) return group15();
    if (opcode == 0x0f || opcode == 0x0e) return instruction_3dnow(opcode);
    unsigned map = kMap0f;
    if (opcode == 0x38 || opcode == 0x3a) {
        map = opcode == 0x38 ? kMap38 : kMap3a;
        opcode = byte();
        if (more || too_long) return true;
    }
    const SseEntry* e = table()[sse_key(map, mandatory_prefix(), opcode)];
    if (e == nullptr && mandatory_prefix() == k00) {
        const MmxExtension* m = mmx_extension(map, opcode);
        if (m != nullptr) {
            mmx_extension_insn(m, opcode, map, (m->traits & kMmxImmediate) != 0);
            return true;
        }
    }
    if (e == nullptr) {
        if (map == kMap0f) return false;
        undefined();
        return true;
    }
    if (has_feature(*in.model, e->feature)) {
        sse_operands(*e);
        return true;
    }
    if ((e->shape & kLenient) != 0) return false;
    undefined();
    return true;
}

}  // namespace backplane::interp
