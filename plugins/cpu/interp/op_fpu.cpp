// x87, MMX, FXSAVE: availability, pending errors, operands; the arithmetic is the FPU unit's.
#include "block.hpp"
#include "flags.hpp"
#include "ops.hpp"
#include "sse_ops.hpp"

namespace backplane::interp {
namespace {

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

// A pending error is reported before a waiting instruction: #MF, or by FERR# while the processor waits for the
// interrupt that the board makes of it. False: stopped.
bool wait_for_errors(Cpu* c, const Insn* i) {
    if (!c->fpu.error_pending()) return true;
    if ((c->cr0 & kCr0Ne) != 0) c->raise(kMf);
    c->update_ferr();
    if ((c->lines.load(std::memory_order_relaxed) & kLineIgnne) != 0) return true;
    c->eip = c->truncated_eip(c->block_eip + i->ip);
    c->halted = true;
    return false;
}

// True if the block goes on.
[[gnu::noinline]] bool run_x87(Cpu* c, const Insn* i) {
    if ((c->cr0 & (kCr0Em | kCr0Ts)) != 0) c->raise(kNm);
    const u8 traits = i->extra;
    if ((traits & kFpuWaits) != 0 && !wait_for_errors(c, i)) return false;
    Access access{c, static_cast<Seg>(i->seg)};
    FpuInsn x;
    x.opcode = static_cast<u16>(i->imm & 0x7ffu);
    x.operand_size_32 = (i->bits & kOperand16) == 0;
    x.protected_mode = !c->real_or_v86();
    x.cs = c->seg[kCs].selector;
    x.eip = c->truncated_eip(c->block_eip + i->ip);
    if ((traits & kFpuMemory) != 0) {
        x.address = offset_of(c, i);
        x.data_offset = x.address;
        x.data_selector = c->seg[i->seg].selector;
    }
    if ((traits & (kFpuReadsFlags | kFpuWritesFlags)) != 0) x.eflags = c->flags();
    const FpuMem memory = memory_of(access);
    c->cache->fpu_entries[i->imm >> 16].handler(c->fpu, x, memory);
    if ((traits & kFpuWritesFlags) != 0) c->set_arith(x.eflags);
    if ((traits & kFpuWritesAx) != 0) c->r16(kEax) = x.ax;
    if (c->fpu.error_pending() != c->ferr) c->update_ferr();
    return true;
}
void op_x87(Cpu* c, Insn* i) {
    mark(c, i);
    if (!run_x87(c, i)) return to_loop(c, i);
    return next_checked(c, i);
}

[[gnu::noinline]] bool run_mmx(Cpu* c, const Insn* i) {
    if (!mmx_ready(c, i)) return false;
    const u8 traits = i->extra;
    Access access{c, static_cast<Seg>(i->seg)};
    FpuInsn x;
    x.opcode = static_cast<u16>(i->imm);
    x.imm8 = i->src;
    if ((traits & kFpuMemory) != 0) x.address = offset_of(c, i);
    const bool wide = (i->bits & kOperand64) != 0;
    if ((traits & kMmxReadsGpr) != 0) x.gpr = wide ? reg<u64>(c, i->dst) : u64{reg<u32>(c, i->dst)};
    const FpuMem memory = memory_of(access);
    c->cache->fpu_entries[i->imm >> 16].handler(c->fpu, x, memory);
    if ((traits & kMmxWritesGpr) != 0) reg<u64>(c, i->dst) = wide ? x.gpr : static_cast<u32>(x.gpr);
    return true;
}
void op_mmx(Cpu* c, Insn* i) {
    mark(c, i);
    if (!run_mmx(c, i)) return to_loop(c, i);
    return next_checked(c, i);
}

void op_fwait(Cpu* c, Insn* i) {
    mark(c, i);
    if ((c->cr0 & (kCr0Mp | kCr0Ts)) == (kCr0Mp | kCr0Ts)) c->raise(kNm);
    if (!wait_for_errors(c, i)) return to_loop(c, i);
    return next(c, i);
}

// The part of the image that came with SSE: MXCSR at 24, its mask at 28, XMM registers from 160 on. It is left out
// while the operating system has not announced that it knows of it.
constexpr u32 kFxMxcsr = 24, kFxMxcsrMask = 28, kFxXmm = 160;
bool saves_sse(const Cpu* c) { return (c->model->features_edx & kFeatSse) != 0 && (c->cr4 & kCr4Osfxsr) != 0; }
unsigned xmm_count(const Cpu* c) { return c->mode64 ? 16 : 8; }
u64* xmm_words(Cpu* c, unsigned n) { return reinterpret_cast<u64*>(c->sse.ymm[n].bytes); }
void save_sse(Cpu* c, Seg s, u64 at) {
    c->write<u32>(s, at + kFxMxcsr, mxcsr_value(c));
    c->write<u32>(s, at + kFxMxcsrMask, mxcsr_writable(*c->model));
    for (unsigned n = 0; n < 2 * xmm_count(c); ++n) c->write<u64>(s, at + kFxXmm + 8 * n, xmm_words(c, n / 2)[n % 2]);
}
void restore_sse(Cpu* c, Seg s, u64 at) {
    set_mxcsr(c, c->read<u32>(s, at + kFxMxcsr));
    for (unsigned n = 0; n < 2 * xmm_count(c); ++n) xmm_words(c, n / 2)[n % 2] = c->read<u64>(s, at + kFxXmm + 8 * n);
}

template <bool kRestore>
[[gnu::noinline]] void run_fxsave(Cpu* c, const Insn* i) {
    if ((c->cr0 & (kCr0Em | kCr0Ts)) != 0) c->raise(kNm);
    Access access{c, static_cast<Seg>(i->seg)};
    const u64 at = offset_of(c, i);
    const bool wide = (i->bits & kOperand64) != 0;
    if (((c->segment_base(i->seg) + at) & 15u) != 0) c->raise(kGp, 0);
    const FpuMem memory = memory_of(access);
    if constexpr (kRestore) {
        // All that can fault comes before the first change.
        (void)c->read<u8>(access.seg, at + 511);
        if (saves_sse(c)) {
            const u32 mxcsr = c->read<u32>(access.seg, at + kFxMxcsr);
            if ((mxcsr & ~mxcsr_writable(*c->model)) != 0) c->raise(kGp, 0);
        }
        fpu_fxrstor(c->fpu, at, memory, wide);
        if (saves_sse(c)) restore_sse(c, access.seg, at);
    } else {
        c->probe_write(access.seg, at, 1);
        c->probe_write(access.seg, at + 511, 1);
        fpu_fxsave(c->fpu, at, memory, wide);
        if (saves_sse(c)) save_sse(c, access.seg, at);
    }
    if (c->fpu.error_pending() != c->ferr) c->update_ferr();
}
template <bool kRestore>
void op_fxsave(Cpu* c, Insn* i) {
    mark(c, i);
    run_fxsave<kRestore>(c, i);
    return next_checked(c, i);
}

}  // namespace

bool mmx_ready(Cpu* c, const Insn* i) {
    if ((c->cr0 & kCr0Em) != 0) c->raise(kUd);
    if ((c->cr0 & kCr0Ts) != 0) c->raise(kNm);
    return wait_for_errors(c, i);
}

void Cpu::update_ferr() {
    const bool level = fpu.error_pending() && (cr0 & kCr0Ne) == 0;
    if (level == ferr) return;
    ferr = level;
    if (host.set_ferr == nullptr) return;
    sync_out();
    host.set_ferr(host.self, level ? 1 : 0);
    leave |= kLeaveStop;
}

Handler fpu_handler() { return op_x87; }
Handler mmx_handler() { return op_mmx; }
Handler fwait_handler() { return op_fwait; }
Handler fxsave_handler(bool restore) { return restore ? op_fxsave<true> : op_fxsave<false>; }

}  // namespace backplane::interp
