// MMX registers: what SSE, SSE2 and SSSE3 added. Computed in the low halves of host SSE registers, like mmx.cpp.
#include "mmx_extensions.hpp"

#include <emmintrin.h>

#include "fpu_internal.hpp"

namespace backplane::interp {
namespace {

using Vec = __m128i;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

Vec vec(u64 v) { return _mm_cvtsi64_si128(static_cast<long long>(v)); }
u64 low64(Vec v) { return static_cast<u64>(_mm_cvtsi128_si64(v)); }
void enter_mmx(FpuState& fpu) {
    fpu.top = 0;
    fpu.in_use = 0xff;
}
void set_mm(FpuState& fpu, unsigned n, u64 value) {
    fpu.regs[n].mantissa = value;
    fpu.regs[n].sign_exponent = 0xffff;
}
unsigned reg_of(const FpuInsn& insn) { return insn.opcode >> 3 & 7u; }
unsigned rm_of(const FpuInsn& insn) { return insn.opcode & 7u; }
u64 rm_value(const FpuState& fpu, const FpuInsn& insn) { return fpu.regs[rm_of(insn)].mantissa; }

#define BP_OP(NAME, TEXT)                           \
    struct NAME {                                   \
        static u64 run(u64 x, u64 y, u32) {         \
            Vec a = vec(x);                         \
            const Vec b = vec(y);                   \
            asm(TEXT " %1, %0" : "+x"(a) : "x"(b)); \
            return low64(a);                        \
        }                                           \
    };
BP_OP(Paddq, "paddq")
BP_OP(Psubq, "psubq")
BP_OP(Pmuludq, "pmuludq")
BP_OP(Pminub, "pminub")
BP_OP(Pmaxub, "pmaxub")
BP_OP(Pminsw, "pminsw")
BP_OP(Pmaxsw, "pmaxsw")
BP_OP(Pavgb, "pavgb")
BP_OP(Pavgw, "pavgw")
BP_OP(Pmulhuw, "pmulhuw")
BP_OP(Psadbw, "psadbw")
BP_OP(Pmaddubsw, "pmaddubsw")
BP_OP(Psignb, "psignb")
BP_OP(Psignw, "psignw")
BP_OP(Psignd, "psignd")
BP_OP(Pmulhrsw, "pmulhrsw")
BP_OP(Pabsb, "pabsb")
BP_OP(Pabsw, "pabsw")
BP_OP(Pabsd, "pabsd")

// Both operands in one register: the sums of neighbours come out in its low half.
#define BP_HORIZONTAL(NAME, TEXT)                       \
    struct NAME {                                       \
        static u64 run(u64 x, u64 y, u32) {             \
            Vec a = _mm_unpacklo_epi64(vec(x), vec(y)); \
            asm(TEXT " %0, %0" : "+x"(a));              \
            return low64(a);                            \
        }                                               \
    };
BP_HORIZONTAL(Phaddw, "phaddw")
BP_HORIZONTAL(Phaddd, "phaddd")
BP_HORIZONTAL(Phaddsw, "phaddsw")
BP_HORIZONTAL(Phsubw, "phsubw")
BP_HORIZONTAL(Phsubd, "phsubd")
BP_HORIZONTAL(Phsubsw, "phsubsw")

struct Pshufb {
    static u64 run(u64 x, u64 y, u32) {
        Vec a = vec(x);
        const Vec b = vec(y & 0x8787878787878787ull);
        asm("pshufb %1, %0" : "+x"(a) : "x"(b));
        return low64(a);
    }
};
struct Pshufw {
    static u64 run(u64, u64 y, u32 imm) {
        u64 r = 0;
        for (unsigned n = 0; n < 4; ++n) r |= (y >> 16 * (imm >> 2 * n & 3u) & 0xffffu) << 16 * n;
        return r;
    }
};
struct Palignr {
    static u64 run(u64 x, u64 y, u32 imm) {
        if (imm >= 16) return 0;
        if (imm >= 8) return x >> 8 * (imm - 8);
        return imm == 0 ? y : y >> 8 * imm | x << (64 - 8 * imm);
    }
};

template <class Op>
void registers(FpuState& fpu, FpuInsn& insn, const FpuMem&) {
    const u64 r = Op::run(fpu.regs[reg_of(insn)].mantissa, rm_value(fpu, insn), insn.imm8);
    enter_mmx(fpu);
    set_mm(fpu, reg_of(insn), r);
}
template <class Op>
void memory(FpuState& fpu, FpuInsn& insn, const FpuMem& mem) {
    const u64 r = Op::run(fpu.regs[reg_of(insn)].mantissa, mem.read64(mem.ctx, insn.address), insn.imm8);
    enter_mmx(fpu);
    set_mm(fpu, reg_of(insn), r);
}

void insert_word(FpuState& fpu, const FpuInsn& insn, u64 word) {
    const unsigned at = (insn.imm8 & 3u) * 16;
    enter_mmx(fpu);
    set_mm(fpu, reg_of(insn), (fpu.regs[reg_of(insn)].mantissa & ~(0xffffull << at)) | (word & 0xffffu) << at);
}
void pinsrw(FpuState& fpu, FpuInsn& insn, const FpuMem&) { insert_word(fpu, insn, insn.gpr); }
void pinsrw_memory(FpuState& fpu, FpuInsn& insn, const FpuMem& mem) {
    insert_word(fpu, insn, mem.read16(mem.ctx, insn.address));
}
void pextrw(FpuState& fpu, FpuInsn& insn, const FpuMem&) {
    enter_mmx(fpu);
    insn.gpr = static_cast<u32>(rm_value(fpu, insn) >> (insn.imm8 & 3u) * 16 & 0xffffu);
}
void pmovmskb(FpuState& fpu, FpuInsn& insn, const FpuMem&) {
    enter_mmx(fpu);
    insn.gpr = static_cast<u32>(_mm_movemask_epi8(vec(rm_value(fpu, insn))));
}
void movntq(FpuState& fpu, FpuInsn& insn, const FpuMem& mem) {
    mem.write64(mem.ctx, insn.address, fpu.regs[reg_of(insn)].mantissa);
    enter_mmx(fpu);
}

template <class Op>
constexpr MmxExtension packed(MmxMap map, std::uint8_t opcode, Feature feature, std::uint8_t traits = 0) {
    return {map, opcode, feature, traits, registers<Op>, memory<Op>};
}
constexpr Feature kExt = Feature::kMmxExtensions;
constexpr MmxExtension kExtensions[] = {
    packed<Pshufw>(kMmx0f, 0x70, kExt, kMmxImmediate),
    {kMmx0f, 0xc4, kExt, kMmxImmediate | kMmxReadsGpr, pinsrw, pinsrw_memory},
    {kMmx0f, 0xc5, kExt, kMmxImmediate | kMmxWritesGpr, pextrw, nullptr, true},
    packed<Paddq>(kMmx0f, 0xd4, Feature::kSse2),
    {kMmx0f, 0xd7, kExt, kMmxWritesGpr, pmovmskb, nullptr, true},
    packed<Pminub>(kMmx0f, 0xda, kExt),
    packed<Pmaxub>(kMmx0f, 0xde, kExt),
    packed<Pavgb>(kMmx0f, 0xe0, kExt),
    packed<Pavgw>(kMmx0f, 0xe3, kExt),
    packed<Pmulhuw>(kMmx0f, 0xe4, kExt),
    {kMmx0f, 0xe7, kExt, 0, nullptr, movntq},
    packed<Pminsw>(kMmx0f, 0xea, kExt),
    packed<Pmaxsw>(kMmx0f, 0xee, kExt),
    packed<Pmuludq>(kMmx0f, 0xf4, Feature::kSse2),
    packed<Psadbw>(kMmx0f, 0xf6, kExt),
    packed<Psubq>(kMmx0f, 0xfb, Feature::kSse2),
    packed<Pshufb>(kMmx38, 0x00, Feature::kSsse3),
    packed<Phaddw>(kMmx38, 0x01, Feature::kSsse3),
    packed<Phaddd>(kMmx38, 0x02, Feature::kSsse3),
    packed<Phaddsw>(kMmx38, 0x03, Feature::kSsse3),
    packed<Pmaddubsw>(kMmx38, 0x04, Feature::kSsse3),
    packed<Phsubw>(kMmx38, 0x05, Feature::kSsse3),
    packed<Phsubd>(kMmx38, 0x06, Feature::kSsse3),
    packed<Phsubsw>(kMmx38, 0x07, Feature::kSsse3),
    packed<Psignb>(kMmx38, 0x08, Feature::kSsse3),
    packed<Psignw>(kMmx38, 0x09, Feature::kSsse3),
    packed<Psignd>(kMmx38, 0x0a, Feature::kSsse3),
    packed<Pmulhrsw>(kMmx38, 0x0b, Feature::kSsse3),
    packed<Pabsb>(kMmx38, 0x1c, Feature::kSsse3),
    packed<Pabsw>(kMmx38, 0x1d, Feature::kSsse3),
    packed<Pabsd>(kMmx38, 0x1e, Feature::kSsse3),
    packed<Palignr>(kMmx3a, 0x0f, Feature::kSsse3, kMmxImmediate),
};

}  // namespace

std::span<const MmxExtension> mmx_extensions() { return kExtensions; }

}  // namespace backplane::interp
