// Floating-point arithmetic in integers: fused multiply-add and conversions of half precision for hosts that have no
// such instructions, and the exceptions of other arithmetic where the host cannot tell them.
#pragma once

#include "cpu.hpp"

namespace backplane::interp {

// An instruction of FMA3 by its opcode in map 0F 38 on `count` elements: `d` is destination and first operand, `b` the
// one of VEX.vvvv, `c` the r/m operand. Rounding, DAZ, FTZ and which exceptions are masked come from `mxcsr` (SDM 1,
// 14.5). Returns the exception flags; if one of them is unmasked, what `d` holds has no meaning.
[[nodiscard]] u32 soft_fma(u32 opcode, bool doubles, u32 mxcsr, u8* d, const u8* b, const u8* c, u32 count);

// The arithmetic of the SSE family. kAddPairs and kSubPairs: HADDPS, HSUBPS; kSubAdd: ADDSUBPS, which begins with a
// subtraction; kNarrow: CVTPD2PS of `b`.
enum class Arithmetic : u8 { kNone, kAdd, kSub, kMul, kDiv, kNarrow, kAddPairs, kSubPairs, kSubAdd };

// The exceptions of an operation on `count` elements as far as they are found after the computation: overflow,
// underflow, precision. kSubAdd, kAddPairs and kSubPairs have whole vectors of 16 bytes.
[[nodiscard]] u32 soft_arithmetic(Arithmetic operation, bool doubles, u32 mxcsr, const u8* a, const u8* b, u32 count);

// VCVTPH2PS and VCVTPS2PH of one element; `flags` gathers exceptions. `rounding` is that of MXCSR.RC.
[[nodiscard]] u32 single_from_half(u16 value, u32& flags);
[[nodiscard]] u16 half_from_single(u32 value, u32 rounding, u32 mxcsr, u32& flags);

}  // namespace backplane::interp
