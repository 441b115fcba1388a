// XSAVE, XSAVEOPT, XRSTOR, XGETBV, XSETBV (SDM 1, chapter 13): the standard format with the components x87, SSE and
// AVX.
#include "block.hpp"
#include "vex_ops.hpp"

namespace backplane::interp {
namespace {

// Offsets in the area; the first 512 bytes are those of FXSAVE.
constexpr u32 kMxcsr = 24, kMxcsrMask = 28, kXmm = 160, kHeader = 512, kYmmHigh = kXsaveAvxAt;
constexpr u64 kLegacyEnd = kXsaveAvxAt;

struct Access {
    Cpu* cpu;
    Seg seg;
};
template <typename T>
T read_memory(void* ctx, u64 address) {
    const auto* a = static_cast<const Access*>(ctx);
    return a->cpu->read<T>(a->seg, address);
}
template <typename T>
void write_memory(void* ctx, u64 address, T value) {
    const auto* a = static_cast<const Access*>(ctx);
    a->cpu->write<T>(a->seg, address, value);
}
FpuMem memory_of(Access& a) {
    return {&a,
            read_memory<u16>,
            read_memory<u32>,
            read_memory<u64>,
            write_memory<u16>,
            write_memory<u32>,
            write_memory<u64>};
}

unsigned vector_count(const Cpu* c) { return c->mode64 ? 16 : 8; }
u64* half_words(Cpu* c, unsigned n, unsigned which) { return reinterpret_cast<u64*>(&half(c, n * kXmmOffset, which)); }
bool halves_in_use(Cpu* c, unsigned which) {
    for (unsigned n = 0; n < vector_count(c); ++n) {
        const u64* w = half_words(c, n, which);
        if ((w[0] | w[1]) != 0) return true;
    }
    return false;
}
bool x87_in_use(const Cpu* c) {
    const FpuState& f = c->fpu;
    for (const Float80& r : f.regs) {
        if (r.mantissa != 0 || r.sign_exponent != 0) return true;
    }
    return f.cw != 0x37f || f.status_word() != 0 || f.in_use != 0 || f.fop != 0 || f.fip != 0 || f.fcs != 0 ||
           f.fdp != 0 || f.fds != 0;
}
// What is not as after a reset.
u64 in_use(Cpu* c) {
    return (x87_in_use(c) ? kXcr0X87 : 0) | (halves_in_use(c, 0) || mxcsr_value(c) != kMxcsrDefault ? kXcr0Sse : 0) |
           (halves_in_use(c, 1) ? kXcr0Avx : 0);
}

struct Area {
    Seg seg;
    u64 at;
    u64 components;  // asked for, and enabled
    bool wide;
};
// The checks that all have.
Area area_of(Cpu* c, const Insn* i) {
    if ((c->cr4 & kCr4Osxsave) == 0) c->raise(kUd);
    if ((c->cr0 & kCr0Ts) != 0) c->raise(kNm);
    const Area a{static_cast<Seg>(i->seg), offset_of(c, i),
                 c->sse.xcr0 & (static_cast<u64>(c->r32(kEdx)) << 32 | c->r32(kEax)), (i->bits & kOperand64) != 0};
    const Linear linear = c->check_data(a.seg, a.at, kLegacyEnd, false, 1);
    if ((linear & 63u) != 0) c->raise(kGp, 0);
    return a;
}
u64 last_byte(const Area& a) { return a.at + ((a.components & kXcr0Avx) != 0 ? kXsaveSize : kLegacyEnd) - 1; }

void save_halves(Cpu* c, const Area& a, unsigned which, u32 at) {
    for (unsigned n = 0; n < 2 * vector_count(c); ++n)
        c->write<u64>(a.seg, a.at + at + 8 * n, half_words(c, n / 2, which)[n % 2]);
}
void restore_halves(Cpu* c, const Area& a, unsigned which, u32 at, bool there) {
    for (unsigned n = 0; n < 2 * vector_count(c); ++n)
        half_words(c, n / 2, which)[n % 2] = there ? c->read<u64>(a.seg, a.at + at + 8 * n) : 0;
}

[[gnu::noinline]] void run_xsave(Cpu* c, const Insn* i) {
    const Area a = area_of(c, i);
    c->probe_write(a.seg, a.at, 1);
    c->probe_write(a.seg, last_byte(a), 1);
    const u64 before = c->read<u64>(a.seg, a.at + kHeader);
    if ((a.components & kXcr0X87) != 0) {
        Access access{c, a.seg};
        fpu_fxsave(c->fpu, a.at, memory_of(access), a.wide);
    }
    if ((a.components & (kXcr0Sse | kXcr0Avx)) != 0) {
        c->write<u32>(a.seg, a.at + kMxcsr, mxcsr_value(c));
        c->write<u32>(a.seg, a.at + kMxcsrMask, mxcsr_writable(*c->model));
    }
    if ((a.components & kXcr0Sse) != 0) save_halves(c, a, 0, kXmm);
    if ((a.components & kXcr0Avx) != 0) save_halves(c, a, 1, kYmmHigh);
    c->write<u64>(a.seg, a.at + kHeader, (before & ~a.components) | (in_use(c) & a.components));
}

[[gnu::noinline]] void run_xrstor(Cpu* c, const Insn* i) {
    const Area a = area_of(c, i);
    // All that can fault comes before the first change.
    (void)c->read<u8>(a.seg, a.at);
    (void)c->read<u8>(a.seg, last_byte(a));
    const u64 there = c->read<u64>(a.seg, a.at + kHeader);
    if ((there & ~c->sse.xcr0) != 0) c->raise(kGp, 0);
    if ((c->read<u64>(a.seg, a.at + kHeader + 8) | c->read<u64>(a.seg, a.at + kHeader + 16)) != 0) c->raise(kGp, 0);
    const bool with_mxcsr = (a.components & (kXcr0Sse | kXcr0Avx)) != 0;
    if (with_mxcsr) {
        const u32 mxcsr = c->read<u32>(a.seg, a.at + kMxcsr);
        if ((mxcsr & ~mxcsr_writable(*c->model)) != 0) c->raise(kGp, 0);
        set_mxcsr(c, mxcsr);
    }
    if ((a.components & kXcr0X87) != 0) {
        Access access{c, a.seg};
        if ((there & kXcr0X87) != 0) {
            fpu_fxrstor(c->fpu, a.at, memory_of(access), a.wide);
        } else {
            c->fpu = FpuState{};
            c->fpu.init();
        }
    }
    if ((a.components & kXcr0Sse) != 0) restore_halves(c, a, 0, kXmm, (there & kXcr0Sse) != 0);
    if ((a.components & kXcr0Avx) != 0) restore_halves(c, a, 1, kYmmHigh, (there & kXcr0Avx) != 0);
    if (c->fpu.error_pending() != c->ferr) c->update_ferr();
}

[[gnu::noinline]] void run_xgetbv(Cpu* c, const Insn*) {
    if ((c->cr4 & kCr4Osxsave) == 0) c->raise(kUd);
    if (c->r32(kEcx) != 0) c->raise(kGp, 0);
    c->r32(kEax) = static_cast<u32>(c->sse.xcr0);
    c->r32(kEdx) = static_cast<u32>(c->sse.xcr0 >> 32);
}
[[gnu::noinline]] void run_xsetbv(Cpu* c, const Insn*) {
    if ((c->cr4 & kCr4Osxsave) == 0) c->raise(kUd);
    c->require_cpl0();
    const u64 value = static_cast<u64>(c->r32(kEdx)) << 32 | c->r32(kEax);
    if (c->r32(kEcx) != 0 || !xcr0_valid(*c->model, value)) c->raise(kGp, 0);
    c->sse.xcr0 = value;
    sse_update(c);
}

}  // namespace

u64 xcr0_components(const CpuModel& model) {
    return kXcr0X87 | (has_feature(model, Feature::kSse) ? kXcr0Sse : 0) |
           (has_feature(model, Feature::kAvx) ? kXcr0Avx : 0);
}
bool xcr0_valid(const CpuModel& model, u64 value) {
    if ((value & ~xcr0_components(model)) != 0 || (value & kXcr0X87) == 0) return false;
    return (value & kXcr0Avx) == 0 || (value & kXcr0Sse) != 0;
}

Handler xsave_handler() { return vex_body<run_xsave>; }
Handler xrstor_handler() { return vex_body<run_xrstor>; }
Handler xcr_handler(bool set) { return set ? vex_body<run_xsetbv> : vex_body<run_xgetbv>; }

}  // namespace backplane::interp
