// Fused multiply-add and conversions of half precision without the host's help, for hosts that have no such
// instructions.
#pragma once

#include "cpu.hpp"

namespace backplane::interp {

// An instruction of FMA3 by its opcode in map 0F 38 on `count` elements: `d` is destination and first operand, `b` the
// one of VEX.vvvv, `c` the r/m operand. Rounding, DAZ, FTZ and which exceptions are masked come from `mxcsr` (SDM 1,
// 14.5). Returns the exception flags; if one of them is unmasked, what `d` holds has no meaning.
[[nodiscard]] u32 soft_fma(u32 opcode, bool doubles, u32 mxcsr, u8* d, const u8* b, const u8* c, u32 count);

// VCVTPH2PS and VCVTPS2PH of one element; `flags` gathers exceptions. `rounding` is that of MXCSR.RC.
[[nodiscard]] u32 single_from_half(u16 value, u32& flags);
[[nodiscard]] u16 half_from_single(u32 value, u32 rounding, u32 mxcsr, u32& flags);

}  // namespace backplane::interp
