// Instructions on MMX registers that came after MMX: with SSE, SSE2 and SSSE3, and 3DNow!.
#pragma once

#include <span>

#include "fpu.hpp"
#include "sse.hpp"

namespace backplane::interp {

enum MmxMap : std::uint8_t { kMmx0f, kMmx38, kMmx3a, kMmx3dnow };  // in the last one the opcode is the suffix
struct MmxExtension {
    MmxMap map;
    std::uint8_t opcode;
    Feature feature;
    std::uint8_t traits;   // FpuTraits
    FpuHandler registers;  // nullptr: #UD
    FpuHandler memory;
    bool gpr_is_reg = false;  // the general register is modrm.reg, not modrm.rm
};
std::span<const MmxExtension> mmx_extensions();
std::span<const MmxExtension> mmx_3dnow();

}  // namespace backplane::interp
