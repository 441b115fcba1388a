// Register stack, exception and pointer bookkeeping shared by the x87 sources.
#pragma once

#include "fpu.hpp"

namespace backplane::interp::x87 {

// "Real indefinite", the masked response to an invalid operation (SDM vol. 1, 4.8.3.7).
inline constexpr Float80 kIndefinite{0xc000000000000000, 0xffff};
inline constexpr std::uint16_t kConditionCodes = kFpuC0 | kFpuC2 | kFpuC3;

// Exceptions found before the operation: unmasked, they leave the operands as they were.
inline constexpr std::uint16_t kPreOperation = kFpuInvalid | kFpuDenormal | kFpuZeroDivide;
// Exceptions that, unmasked, suppress a store to memory.
inline constexpr std::uint16_t kSuppressStore = kFpuInvalid | kFpuDenormal | kFpuOverflow | kFpuUnderflow;

inline unsigned physical(const FpuState& fpu, unsigned i) { return (fpu.top + i) & 7u; }
inline Float80& st(FpuState& fpu, unsigned i) { return fpu.regs[physical(fpu, i)]; }
inline const Float80& st(const FpuState& fpu, unsigned i) { return fpu.regs[physical(fpu, i)]; }
inline bool is_empty(const FpuState& fpu, unsigned i) { return ((fpu.in_use >> physical(fpu, i)) & 1u) == 0; }

inline void mark_used(FpuState& fpu, unsigned i) {
    fpu.in_use = static_cast<std::uint8_t>(fpu.in_use | (1u << physical(fpu, i)));
}
inline void mark_empty(FpuState& fpu, unsigned i) {
    fpu.in_use = static_cast<std::uint8_t>(fpu.in_use & ~(1u << physical(fpu, i)));
}
inline void set_st(FpuState& fpu, unsigned i, const Float80& value) {
    st(fpu, i) = value;
    mark_used(fpu, i);
}
inline void pop(FpuState& fpu) {
    mark_empty(fpu, 0);
    fpu.top = static_cast<std::uint8_t>((fpu.top + 1) & 7);
}
inline void push(FpuState& fpu, const Float80& value) {
    fpu.top = static_cast<std::uint8_t>((fpu.top - 1) & 7);
    set_st(fpu, 0, value);
}

// Last-instruction pointers (SDM vol. 1, 8.1.8). Control instructions do not call these.
inline void record(FpuState& fpu, const FpuInsn& insn) {
    fpu.fop = insn.opcode;
    fpu.fip = insn.eip;
    fpu.fcs = insn.cs;
}
inline void record_memory(FpuState& fpu, const FpuInsn& insn) {
    record(fpu, insn);
    fpu.fdp = insn.data_offset;
    fpu.fds = insn.data_selector;
}

inline bool masked(const FpuState& fpu, std::uint16_t exceptions) {
    return (exceptions & ~fpu.cw & kFpuExceptions) == 0;
}

inline void update_summary(FpuState& fpu) {
    const std::uint16_t summary = masked(fpu, fpu.sw) ? 0 : (kFpuErrorSummary | kFpuBusy);
    fpu.sw = static_cast<std::uint16_t>((fpu.sw & ~(kFpuErrorSummary | kFpuBusy)) | summary);
}

inline void replace_sw(FpuState& fpu, std::uint16_t mask, std::uint16_t bits) {
    fpu.sw = static_cast<std::uint16_t>((fpu.sw & ~mask) | (bits & mask));
}

inline void raise(FpuState& fpu, std::uint16_t exceptions) {
    fpu.sw = static_cast<std::uint16_t>(fpu.sw | exceptions);
    update_summary(fpu);
}

// Stack faults: C1 tells overflow (1) from underflow (0). True: masked, so the
// caller stores the indefinite value and goes on.
inline bool stack_fault(FpuState& fpu, bool overflow) {
    replace_sw(fpu, kFpuC1, overflow ? kFpuC1 : 0);
    raise(fpu, kFpuInvalid | kFpuStackFault);
    return masked(fpu, kFpuInvalid);
}
inline bool stack_underflow(FpuState& fpu) { return stack_fault(fpu, false); }
inline bool stack_overflow(FpuState& fpu) { return stack_fault(fpu, true); }

// Pushes with the overflow check; every load clears C1.
inline void push_checked(FpuState& fpu, const Float80& value) {
    if (!is_empty(fpu, 7)) [[unlikely]] {
        if (stack_overflow(fpu)) push(fpu, kIndefinite);
        return;
    }
    replace_sw(fpu, kFpuC1, 0);
    push(fpu, value);
}

// Each source's part of the opcode map; a null handler means "not mine".
FpuEntry lookup_arithmetic(unsigned opcode, unsigned modrm) noexcept;
FpuEntry lookup_compare(unsigned opcode, unsigned modrm) noexcept;
FpuEntry lookup_transfer(unsigned opcode, unsigned modrm) noexcept;
FpuEntry lookup_move(unsigned opcode, unsigned modrm) noexcept;
FpuEntry lookup_transcendental(unsigned opcode, unsigned modrm) noexcept;
FpuEntry lookup_control(unsigned opcode, unsigned modrm) noexcept;

}  // namespace backplane::interp::x87
