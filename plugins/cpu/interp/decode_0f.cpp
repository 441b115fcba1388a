// Two-byte opcodes, x87 and MMX.
#include "decode_detail.hpp"

namespace backplane::interp {

// The table of x87 and MMX handlers in use is filled as code meets them; a record can hold only an index.
u16 Decoder::entry_index(u32 key, const FpuEntry& entry) {
    const auto found = in.cache->fpu_index.find(key);
    if (found != in.cache->fpu_index.end()) return found->second;
    const u16 index = static_cast<u16>(in.cache->fpu_entries.size());
    in.cache->fpu_entries.push_back(entry);
    in.cache->fpu_index.emplace(key, index);
    return index;
}

void Decoder::x87(u8 opcode) {
    parse_modrm();
    set_dst(kEax, 2);
    const u32 code = (opcode & 7u) << 8 | modrm;
    // The memory forms depend on the opcode and modrm.reg only.
    const FpuEntry entry = fpu_lookup(opcode, modrm);
    if (entry.handler == nullptr || (is_fisttp(opcode) && !has_feature(*in.model, Feature::kSse3))) {
        o.fn = undefined_handler();
        what.end = DecodeEnd::kFlow;
        return;
    }
    o.imm = code | static_cast<u32>(entry_index(code, entry)) << 16;
    o.extra = entry.traits;
    o.fn = fpu_handler();
}

void Decoder::mmx(u8 opcode) {
    if (!has(kFeatMmx) || prefix66 || repeat != 0) return undefined();
    if (opcode != 0x77) parse_modrm();  // EMMS has no ModRM
    // MOVQ between memory and MMX register by the opcodes of MOVD.
    if (rex_w() && memory() && (opcode == 0x6e || opcode == 0x7e)) opcode |= 1u;
    const FpuEntry entry = mmx_lookup(opcode, opcode == 0x77 ? 0 : modrm);
    if (entry.handler == nullptr) return undefined();
    const u32 code = static_cast<u32>(opcode) << 8 | (opcode == 0x77 ? 0u : modrm);
    o.imm = code | static_cast<u32>(entry_index(code | 0x10000u, entry)) << 16;
    o.extra = entry.traits;
    set_dst(rm, 4);
    if ((entry.traits & kMmxImmediate) != 0) o.src = byte();
    o.fn = mmx_handler();
}

void Decoder::two_byte() {
    const u8 opcode = byte();
    if (more || too_long || sse_instruction(opcode)) return;
    const unsigned size = osize();
    const unsigned n = (opcode & 7u) | rex_b();
    switch (opcode) {
        case 0x00:
            parse_modrm();
            set_dst(rm, size);
            o.fn = group6_handler(r, size, form);
            if (r == 2 || r == 3 || r > 5) what.end = DecodeEnd::kFlow;
            return;
        case 0x01:
            parse_modrm();
            set_dst(rm, size);
            if (modrm == 0xf8 && long_mode) return flow(system_handler(0xf8, size));  // SWAPGS
            if (modrm == 0xf9 && (in.model->extended_edx & kFeatRdtscp) != 0) {
                o.fn = system_handler(0xf9, size);
                return;
            }
            o.fn = group7_handler(r, long_mode && memory() && r < 4 ? 8 : size, form);
            if (r >= 5) what.end = DecodeEnd::kFlow;
            return;
        case 0x02:
        case 0x03:
            parse_modrm();
            set_dst(rx, size);
            set_src(rm, 2);
            o.fn = lar_lsl_handler(opcode == 0x03, size, form);
            return;
        case 0x05:  // SYSCALL: processors of Intel have it in 64-bit mode only
        case 0x07:
            if ((in.model->extended_edx & kFeatSyscall) == 0) return undefined();
            if (!long_mode && in.model->vendor[0] == 'G') return undefined();
            return flow(system_handler(opcode, size));
        case 0x06:
        case 0x08:
        case 0x09: return flow(system_handler(opcode, size));
        case 0x0d:  // PREFETCH, PREFETCHW
            if ((in.model->extended_edx & (kFeatLm | kFeat3dNow)) == 0) return undefined();
            parse_modrm();
            if (!memory()) return undefined();
            o.fn = nop_handler();
            return;
        case 0x18:
        case 0x19:
        case 0x1a:
        case 0x1b:
        case 0x1c:
        case 0x1d:
        case 0x1e:
        case 0x1f:
            // Hint space of the P6 family.
            parse_modrm();
            o.fn = nop_handler();
            return;
        case 0x20:
        case 0x21:
        case 0x22:
        case 0x23: {
            // The mod field is ignored: these take registers only.
            const u8 m = byte();
            const unsigned which = (m >> 3 & 7u) | rex_r();
            const bool control = (opcode & 1u) == 0;
            if (control ? which == 1 || (which > 4 && which != 8) : which > 7) return undefined();
            set_dst((m & 7u) | rex_b(), 4);
            o.src = static_cast<u8>(which);
            o.fn = system_handler(opcode, size);
            if (opcode >= 0x22) what.end = DecodeEnd::kFlow;
            return;
        }
        case 0x30:
        case 0x32:
            if (!has(kFeatMsr)) return undefined();
            return flow(system_handler(opcode, size));
        case 0x31:
            if (!has(kFeatTsc)) return undefined();
            o.fn = system_handler(opcode, size);
            return;
        case 0x33: o.fn = system_handler(opcode, size); return;
        case 0x34:
        case 0x35:
            if (!has(kFeatSep)) return undefined();
            return flow(system_handler(opcode, size));
        case 0xa0:
        case 0xa8:
            o.src = opcode == 0xa0 ? kFs : kGs;
            o.fn = push_seg(stack_size());
            return;
        case 0xa1:
        case 0xa9: o.dst = opcode == 0xa1 ? kFs : kGs; return flow(pop_seg(stack_size()));
        case 0xa2: o.fn = system_handler(opcode, size); return;
        case 0xaa: return flow(system_handler(opcode, size));
        case 0xa3:
        case 0xab:
        case 0xb3:
        case 0xbb:
            parse_modrm();
            set_dst(rm, size);
            set_src(rx, size);
            o.fn = bit_handler(static_cast<BitOp>(opcode >> 3 & 3u), size, form, false);
            if (opcode != 0xa3) may_lock(locked_bit(static_cast<BitOp>(opcode >> 3 & 3u), size, false));
            return;
        case 0xba:
            parse_modrm();
            if (r < 4) return undefined();
            set_dst(rm, size);
            o.imm = imm8();
            o.fn = bit_handler(static_cast<BitOp>(r & 3u), size, form, true);
            if (r != 4) may_lock(locked_bit(static_cast<BitOp>(r & 3u), size, true));
            return;
        case 0xa4:
        case 0xa5:
        case 0xac:
        case 0xad:
            parse_modrm();
            set_dst(rm, size);
            set_src(rx, size);
            if ((opcode & 1u) == 0) o.imm = imm8();
            o.fn = double_shift_handler(opcode >= 0xac, size, form, (opcode & 1u) != 0);
            return;
        case 0xae:
            parse_modrm();
            if (!memory() || r > 1 || !has(kFeatFxsr) || prefix66 || repeat != 0) return undefined();
            o.fn = fxsave_handler(r == 1);
            return;
        case 0xaf:
            parse_modrm();
            set_dst(rx, size);
            set_src(rm, size);
            o.fn = imul2_handler(size, form);
            return;
        case 0xb0:
        case 0xb1: {
            parse_modrm();
            const unsigned w = wsize(opcode);
            set_dst(rm, w);
            set_src(rx, w);
            o.fn = cmpxchg_handler(w, form);
            may_lock(locked_cmpxchg(w));
            return;
        }
        case 0xb2:
        case 0xb4:
        case 0xb5:
            parse_modrm();
            if (!memory()) return undefined();
            set_dst(rx, size);
            o.extra = opcode == 0xb2 ? kSs : opcode == 0xb4 ? kFs : kGs;
            return flow(load_far_handler(size));
        case 0xb6:
        case 0xb7:
        case 0xbe:
        case 0xbf: {
            parse_modrm();
            const unsigned from = (opcode & 1u) == 0 ? 1 : 2;
            set_dst(rx, size);
            set_src(rm, from);
            o.fn = extend_handler(opcode >= 0xbe, from, size, form);
            return;
        }
        case 0xbc:
        case 0xbd:
            parse_modrm();
            set_dst(rx, size);
            set_src(rm, size);
            o.fn = bit_scan_handler(opcode == 0xbd, size, form);
            return;
        case 0xc0:
        case 0xc1: {
            parse_modrm();
            const unsigned w = wsize(opcode);
            set_dst(rm, w);
            set_src(rx, w);
            o.fn = xadd_handler(w, form);
            may_lock(locked_xadd(w));
            return;
        }
        case 0xc7:
            parse_modrm();
            if (!memory() && r >= 6 && repeat == 0 &&
                has_feature(*in.model, r == 6 ? Feature::kRdrand : Feature::kRdseed)) {
                set_dst(rm, size);
                o.fn = random_handler(size);
                return;
            }
            if (!memory() || r != 1 || !has(kFeatCx8)) return undefined();
            lockable = true;
            if (rex_w()) {
                if ((in.model->features_ecx & kFeatCx16) == 0) return undefined();
                o.fn = locked_cmpxchg16b();
                return;
            }
            o.fn = cmpxchg8b_handler();
            may_lock(locked_cmpxchg8b());
            return;
        default: break;
    }
    switch (opcode & 0xf0u) {
        case 0x40:
            if (!has(kFeatCmov)) return undefined();
            parse_modrm();
            set_dst(rx, size);
            set_src(rm, size);
            o.fn = cmov_handler(opcode & 15u, size, form);
            return;
        case 0x60:
        case 0x70:
        case 0xd0:
        case 0xe0:
        case 0xf0: return mmx(opcode);
        case 0x80: {
            const u32 d = branch_size() != 2 ? imm32() : static_cast<u32>(static_cast<i16>(imm16()));
            return jcc(opcode & 15u, d);
        }
        case 0x90:
            parse_modrm();
            set_dst(rm, 1);
            o.fn = setcc_handler(opcode & 15u, form);
            return;
        case 0xc0:
            if (opcode < 0xc8) break;
            set_dst(n, 4);
            o.fn = bswap_handler(size);
            return;
        default: break;
    }
    undefined();
}

}  // namespace backplane::interp
