// Arithmetic on the host's own x87 unit: the only source of bit-exact results
// for all precisions, roundings and transcendental functions.
//
// Between calls the host unit holds its ABI default: control word 037F, empty
// stack. Its sticky exception flags may be stale, see host_run.
#pragma once

#ifndef __x86_64__
#error "the x87 unit of this engine computes on the host's x87 unit: an x86-64 host is needed"
#endif

#include <type_traits>

#include "fpu_internal.hpp"

namespace backplane::interp::x87 {

inline void host_fldcw(std::uint16_t value) { __asm__ volatile("fldcw %0" : : "m"(value)); }
inline void host_fnclex() { __asm__ volatile("fnclex"); }

#define BP_X87_CLOBBERS "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)", "cc"

// An Op body is one asm statement from an empty host stack to an empty host
// stack that returns the status word right after the operation. In its Exact
// form it runs with the guest's masks, so it must execute FNCLEX before its
// next waiting instruction: an unmasked exception is then never delivered.
#define BP_X87_BODY(EXACT, BEFORE, AFTER, OUTPUTS, ...)                                                              \
    std::uint16_t status;                                                                                            \
    if constexpr (EXACT) {                                                                                           \
        __asm__ volatile(BEFORE "\n\tfnstsw %%ax\n\tfnclex\n\t" AFTER                                                \
                         : "=&a"(status), OUTPUTS:__VA_ARGS__                                                        \
                         : BP_X87_CLOBBERS);                                                                         \
    } else {                                                                                                         \
        __asm__ volatile(BEFORE "\n\tfnstsw %%ax\n\t" AFTER : "=&a"(status), OUTPUTS:__VA_ARGS__ : BP_X87_CLOBBERS); \
    }                                                                                                                \
    return status

inline std::uint16_t rounding_and_masks(const FpuState& fpu) {
    return static_cast<std::uint16_t>((fpu.cw & (kFpuPrecisionControl | kFpuRoundingControl | kFpuExceptions)) |
                                      kFpuControlFixed);
}

// The slow half of host_run: clean flags and the guest's own exception masks,
// so that the host performs the unmasked response (operands kept, or the
// result with the exponent wrapped by 24576).
template <typename Run>
[[gnu::noinline]] std::uint16_t host_run_exact(const FpuState& fpu, const Run& run) {
    host_fnclex();
    host_fldcw(rounding_and_masks(fpu));
    const std::uint16_t status = run(std::true_type{});
    host_fldcw(kFpuControlDefault);
    return status;
}

// Runs one operation and returns the host status word. `run` must be free of
// side effects on its inputs: it runs with everything masked first, and that
// run stands if every host flag is masked and set in the guest already. Flags
// left over from earlier operations pass this test too, which saves an FNCLEX
// per operation: an exception that is not new needs no exactness. Unmasked
// underflow is also raised by tiny results that are exact (SDM vol. 1, 8.5.5),
// which the masked run does not show.
//
// `Relevant` names the control fields the operation depends on: switching the
// host's control word costs more than most operations.
template <unsigned Relevant = kFpuPrecisionControl | kFpuRoundingControl, typename Run>
inline std::uint16_t host_run(const FpuState& fpu, const Run& run) {
    if ((fpu.cw & kFpuUnderflow) == 0) [[unlikely]]
        return host_run_exact(fpu, run);
    const auto control = static_cast<std::uint16_t>((fpu.cw & Relevant) | (kFpuControlDefault & ~Relevant));
    std::uint16_t status;
    if (control == kFpuControlDefault) [[likely]] {
        status = run(std::false_type{});
    } else {
        host_fldcw(control);
        status = run(std::false_type{});
        host_fldcw(kFpuControlDefault);
    }
    if ((status & kFpuExceptions & ~(fpu.sw & fpu.cw)) == 0) [[likely]] {
        return status;
    }
    return host_run_exact(fpu, run);
}

// Takes the exceptions and the condition codes in `codes` over from a host
// status word. True: no unmasked exception among `blocking`, store the result.
inline bool commit(FpuState& fpu, std::uint16_t status, std::uint16_t codes = kFpuC1,
                   std::uint16_t blocking = kPreOperation) {
    replace_sw(fpu, codes, status);
    const auto fresh = static_cast<std::uint16_t>(status & kFpuExceptions & ~(fpu.sw & fpu.cw));
    if (fresh == 0) [[likely]] {
        return true;
    }
    raise(fpu, fresh);
    return masked(fpu, fresh & blocking);
}

}  // namespace backplane::interp::x87
