// A processor with every extension of the SSE family, for tests.
#pragma once

#include <initializer_list>

#include "block.hpp"
#include "sse_ops.hpp"
#include "test_system_host.hpp"

namespace backplane::interp::sse_test {

inline const CpuModel& full_model() {
    static const CpuModel kModel = [] {
        CpuModel m = *find_model("pentium2");
        m.name = "test";
        m.features_edx |= kFeatSse | kFeatSse2 | kFeatClflush;
        m.features_ecx = 1u << 0 | 1u << 1 | 1u << 3 | 1u << 9 | 1u << 19 | 1u << 20 | 1u << 22 | 1u << 23 | 1u << 25;
        m.extended_level = 0x80000001u;
        m.extended_edx = 1u << 22 | 1u << 30 | 1u << 31;
        m.extended_ecx = 1u << 5 | 1u << 6;
        return m;
    }();
    return kModel;
}

struct Machine : Bench {
    static constexpr u32 kAt = 0x7000, kHandlers = 0x5000;

    explicit Machine(unsigned level = 0) {
        cpu.model = &full_model();
        protect(level);
        // Every exception ends in HLT at 5000h + 10h * vector.
        for (u32 v = 0; v < 64; ++v) {
            idt(static_cast<u8>(v), gate(kCode0, kHandlers + 0x10 * v, 0x8e));
            poke<u8>(kHandlers + 0x10 * v, 0xf4);
        }
        cpu.cr4 |= kCr4Osfxsr | kCr4Osxmmexcpt;
        cpu.mode_changed();
    }
    void code(const u8* bytes, std::size_t size) {
        for (std::size_t n = 0; n < size; ++n) poke<u8>(kAt + static_cast<u32>(n), bytes[n]);
        poke<u8>(kAt + static_cast<u32>(size), 0xf4);
        cpu.cache->store(kAt, size + 1);
    }
    void code(std::initializer_list<u8> bytes) { code(bytes.begin(), bytes.size()); }
    // Vector of the exception that it ended in, -1 if none.
    int go() {
        at(kAt);
        cpu.halted = false;
        cpu.run();
        const u32 handler = cpu.eip - 1;
        return handler >= kHandlers && handler < kHandlers + 0x400 ? static_cast<int>((handler - kHandlers) / 16) : -1;
    }
    int go(std::initializer_list<u8> bytes) {
        code(bytes);
        return go();
    }
};

}  // namespace backplane::interp::sse_test
