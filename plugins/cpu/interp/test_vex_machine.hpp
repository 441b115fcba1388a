// A processor with everything that the engine has, its vector state switched on, for tests.
#pragma once

#include "test_sse_machine.hpp"

namespace backplane::interp::sse_test {

inline constexpr u32 kArea = 0x30000;                                                                    // of XSAVE
inline constexpr std::initializer_list<u8> kXsaveArea{0x0f, 0xae, 0x26}, kXrstorArea{0x0f, 0xae, 0x2e};  // [esi]
inline constexpr std::initializer_list<u8> kXgetbv{0x0f, 0x01, 0xd0}, kXsetbv{0x0f, 0x01, 0xd1};

struct VexMachine : Machine {
    CpuModel wanted;
    explicit VexMachine(const char* model = "max", unsigned level = 0)
        : Machine(level), wanted(cpumodel::select(model).model) {
        cpu.model = &wanted;
        cpu.cr4 |= kCr4Osxsave;
        cpu.sse.xcr0 = 7;
        cpu.mode_changed();
        cpu.r32(kEsi) = kArea;
    }
    u8* ymm(unsigned n) { return cpu.sse.ymm[n].bytes; }
    // At level 3 what follows the instruction faults as well.
    bool refused_to_user() { return go() == kGp && peek<u32>(kStack0 - 20) == kAt; }
    void leaf(u32 number, u32 part = 0) {
        cpu.r32(kEax) = number;
        cpu.r32(kEcx) = part;
        cpu.cpuid();
    }
};

}  // namespace backplane::interp::sse_test
