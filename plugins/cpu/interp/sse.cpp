// MXCSR, availability, and the 16-byte memory operands of the SSE family.
#include <cstring>

#include "sse.hpp"

#include "vex_ops.hpp"

namespace backplane::interp {
namespace {

u32 host_mxcsr() { return _mm_getcsr(); }
void set_host_mxcsr(u32 value) { _mm_setcsr(value); }

// What the host runs guest code with. FTZ acts only while underflow is masked (SDM 1, 10.2.3.3).
u32 image(const Cpu* c) {
    u32 m = (c->sse.mxcsr & (kMxcsrRounding | kMxcsrDaz | kMxcsrFtz)) | kMxcsrMasks;
    if ((c->sse.mxcsr & kMxcsrUnderflow << kMxcsrMaskShift) == 0) m &= ~kMxcsrFtz;
    return m;
}
void gather_flags(Cpu* c) { c->sse.mxcsr |= host_mxcsr() & kMxcsrFlags; }

}  // namespace

u32 mxcsr_value(const Cpu* c) { return c->sse.mxcsr | (c->sse.loaded ? host_mxcsr() & kMxcsrFlags : 0); }

void set_mxcsr(Cpu* c, u32 value) {
    c->sse.mxcsr = value;
    if (c->sse.loaded) set_host_mxcsr(image(c));
    sse_update(c);
}

u32 mxcsr_writable(const CpuModel& model) {
    // DAZ came with the first processors that have SSE2.
    return has_feature(model, Feature::kSse2) ? 0xffffu : 0xffbfu;
}

void sse_update(Cpu* c) {
    const bool off = (c->cr0 & (kCr0Em | kCr0Ts)) != 0 || (c->cr4 & kCr4Osfxsr) == 0;
    const bool unmasked = (c->sse.mxcsr & kMxcsrMasks) != kMxcsrMasks;
    const u32 common = (unmasked ? kSseUnmasked : 0) | (c->sse.loaded ? 0 : kSseAsleep);
    c->sse.slow = (off ? kSseOff : 0) | common;
    constexpr u64 vectors = kXcr0Sse | kXcr0Avx;
    const bool no_state = (c->cr4 & kCr4Osxsave) == 0 || (c->sse.xcr0 & vectors) != vectors;
    const bool unknown = c->real_or_v86();
    c->sse.vex_slow =
        (no_state || unknown || (c->cr0 & kCr0Ts) != 0 ? kSseOff : 0) | (unknown ? kVexUnknown : 0) | common;
}

void sse_reset(Cpu* c) {
    for (VectorRegister& r : c->sse.ymm) r = VectorRegister{};
    c->sse.xcr0 = kXcr0X87;
    set_mxcsr(c, kMxcsrDefault);
}

void sse_enter(Cpu* c) {
    c->sse.outer = host_mxcsr();
    c->sse.loaded = false;
    sse_update(c);
}
void sse_sleep(Cpu* c) {
    if (!c->sse.loaded) return;
    const u32 host = host_mxcsr();
    c->sse.mxcsr |= host & kMxcsrFlags;
    c->sse.loaded = false;
    c->sse.slow |= kSseAsleep;
    c->sse.vex_slow |= kSseAsleep;
    if (((host ^ c->sse.outer) & ~kMxcsrFlags) != 0) set_host_mxcsr(c->sse.outer);
}

HostFloat::HostFloat(Cpu* c) : cpu_(c) {
    if (!c->sse.loaded) return;
    // Most guests have the same rounding and masks as the host: then only the flags must survive. Writing MXCSR costs
    // much more than reading it.
    entered_ = host_mxcsr();
    if (((entered_ ^ c->sse.outer) & ~kMxcsrFlags) == 0) return;
    changed_ = true;
    gather_flags(c);
    set_host_mxcsr(c->sse.outer);
}
HostFloat::~HostFloat() {
    if (!cpu_->sse.loaded) return;
    if (changed_)
        set_host_mxcsr(image(cpu_));
    else if (host_mxcsr() != entered_)
        set_host_mxcsr(entered_);
}

// --- availability --------------------------------------------------------------------------------------------------

namespace {
void wake(Cpu* c) {
    const u32 host = host_mxcsr(), guest = image(c);
    // Flags that the guest has already may stay.
    if (((host ^ guest) & ~kMxcsrFlags) != 0 || (host & kMxcsrFlags & ~c->sse.mxcsr) != 0) set_host_mxcsr(guest);
    c->sse.loaded = true;
    c->sse.slow &= ~kSseAsleep;
    c->sse.vex_slow &= ~kSseAsleep;
}
}  // namespace

void sse_require(Cpu* c) {
    if ((c->sse.slow & kSseOff) != 0) {
        if ((c->cr0 & kCr0Em) != 0 || (c->cr4 & kCr4Osfxsr) == 0) c->raise(kUd);
        c->raise(kNm);
    }
    if ((c->sse.slow & kSseAsleep) != 0) wake(c);
}

void vex_require(Cpu* c) {
    if ((c->sse.vex_slow & kSseOff) != 0) {
        constexpr u64 vectors = kXcr0Sse | kXcr0Avx;
        if (c->real_or_v86() || (c->cr4 & kCr4Osxsave) == 0 || (c->sse.xcr0 & vectors) != vectors) c->raise(kUd);
        c->raise(kNm);
    }
    if ((c->sse.vex_slow & kSseAsleep) != 0) wake(c);
}

// --- exact exceptions ----------------------------------------------------------------------------------------------

namespace {

// Exceptions that are found before the computation.
constexpr u32 kBefore = kMxcsrInvalid | kMxcsrDenormal | kMxcsrZeroDivide;

u32 unmasked_of(const Cpu* c, u32 flags) { return flags & ~(c->sse.mxcsr >> kMxcsrMaskShift) & kMxcsrFlags; }

}  // namespace

void sse_begin_exact(Cpu* c) {
    gather_flags(c);
    set_host_mxcsr(image(c));
}

u32 sse_flags(Cpu* c, bool tiny) {
    const u32 flags = host_mxcsr() & kMxcsrFlags;
    // Unmasked underflow takes a tiny result even if it is exact.
    return flags | (tiny ? unmasked_of(c, kMxcsrUnderflow) : 0);
}
bool sse_raises_for_result(const Cpu* c, u32 flags) {
    const u32 unmasked = unmasked_of(c, flags);
    return (unmasked & (kMxcsrOverflow | kMxcsrUnderflow)) != 0 && (unmasked & kBefore) == 0;
}
// An unmasked exception that is found before the computation hides those that are found after it (SDM 1, 11.5.3).
void sse_raise(Cpu* c, u32 flags) {
    const u32 unmasked = unmasked_of(c, flags);
    if (unmasked == 0) return;
    if ((unmasked & kBefore) != 0) flags &= kBefore;
    c->sse.mxcsr |= flags;
    set_host_mxcsr(image(c));
    c->raise((c->cr4 & kCr4Osxmmexcpt) != 0 ? kXm : kUd);
}
void sse_add_flags(Cpu* c, u32 flags) {
    gather_flags(c);
    sse_raise(c, flags);
    c->sse.mxcsr |= flags;
}

// --- memory --------------------------------------------------------------------------------------------------------

namespace {

// Segment checks come first, then alignment, then paging.
Linear operand_address(Cpu* c, const Insn* i, bool aligned, bool write) {
    const Linear a = c->check_data(static_cast<Seg>(i->seg), offset_of(c, i), 16, write, aligned ? 1 : 16);
    if (aligned && (a & 15u) != 0) c->raise(kGp, 0);
    return a;
}

}  // namespace

Vec sse_read16(Cpu* c, const Insn* i, bool aligned) {
    const Linear a = operand_address(c, i, aligned, false);
    const bool user = c->user();
    const u64 low = c->lin_read<u64>(a, user);
    const u64 high = c->lin_read<u64>(a + 8, user);
    return _mm_set_epi64x(static_cast<i64>(high), static_cast<i64>(low));
}

void sse_write16(Cpu* c, const Insn* i, Vec value, bool aligned) {
    const Linear a = operand_address(c, i, aligned, true);
    const bool user = c->user();
    c->lin_probe_write(a, 16, user);
    c->lin_write<u64>(a, static_cast<u64>(_mm_cvtsi128_si64(value)), user);
    c->lin_write<u64>(a + 8, static_cast<u64>(_mm_cvtsi128_si64(_mm_unpackhi_epi64(value, value))), user);
}

const u8* vex_operand(Cpu* c, const Insn* i, u32 bytes, u8* buffer) {
    if ((i->bits & kVecMemory) == 0) return reinterpret_cast<const u8*>(c->sse.ymm) + i->src * 2;
    const Linear a = c->check_data(static_cast<Seg>(i->seg), offset_of(c, i), bytes, false, bytes);
    const bool user = c->user();
    if (bytes >= 8) {
        for (u32 n = 0; n < bytes; n += 8) {
            const u64 part = c->lin_read<u64>(a + n, user);
            std::memcpy(buffer + n, &part, 8);
        }
    } else if (bytes == 4) {
        const u32 part = c->lin_read<u32>(a, user);
        std::memcpy(buffer, &part, 4);
    } else if (bytes == 2) {
        const u16 part = c->lin_read<u16>(a, user);
        std::memcpy(buffer, &part, 2);
    } else {
        buffer[0] = c->lin_read<u8>(a, user);
    }
    return buffer;
}

void vex_store(Cpu* c, const Insn* i, const u8* value, u32 bytes, bool aligned) {
    const Linear a = c->check_data(static_cast<Seg>(i->seg), offset_of(c, i), bytes, true, aligned ? 1 : bytes);
    if (aligned && (a & (bytes - 1)) != 0) c->raise(kGp, 0);
    const bool user = c->user();
    c->lin_probe_write(a, bytes, user);
    for (u32 n = 0; n < bytes; n += 8) {
        u64 part;
        std::memcpy(&part, value + n, 8);
        c->lin_write<u64>(a + n, part, user);
    }
}

}  // namespace backplane::interp
