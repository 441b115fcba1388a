// XSETBV, XSAVE and XRSTOR, and CPUID's leaf about them.
#include <catch2/catch.hpp>

#include "block.hpp"
#include "test_vex_machine.hpp"

namespace backplane::interp::sse_test {

TEST_CASE("XSETBV takes what the processor has, and CPUID tells of it", "[vex]") {
    VexMachine m;
    struct Row {
        u32 ecx, eax, edx;
        int vector;
    };
    for (const Row& row : {Row{0, 1, 0, -1},
                           {0, 3, 0, -1},
                           {0, 7, 0, -1},
                           {0, 5, 0, kGp},
                           {0, 2, 0, kGp},
                           {0, 6, 0, kGp},
                           {0, 15, 0, kGp},
                           {0, 7, 1, kGp},
                           {1, 7, 0, kGp},
                           {0, 0, 0, kGp}}) {
        INFO(row.ecx << ' ' << row.eax << ' ' << row.edx);
        m.cpu.sse.xcr0 = 1;
        m.cpu.r32(kEcx) = row.ecx;
        m.cpu.r32(kEax) = row.eax;
        m.cpu.r32(kEdx) = row.edx;
        CHECK(m.go(kXsetbv) == row.vector);
        if (row.vector != -1) continue;
        CHECK(m.cpu.sse.xcr0 == row.eax);
        m.leaf(0xd, 0);
        CHECK(m.cpu.r32(kEax) == 7);
        CHECK(m.cpu.r32(kEbx) == (row.eax == 7 ? 832u : 576u));
        CHECK(m.cpu.r32(kEcx) == 832);
    }
    m.cpu.r32(kEcx) = 1;
    CHECK(m.go(kXgetbv) == kGp);
    m.leaf(0xd, 1);
    CHECK(m.cpu.r32(kEax) == 1);  // XSAVEOPT
    m.leaf(0xd, 2);
    CHECK(m.cpu.r32(kEax) == 256);
    CHECK(m.cpu.r32(kEbx) == 576);
    m.leaf(1);
    CHECK((m.cpu.r32(kEcx) & 1u << 27) != 0);
    m.cpu.cr4 &= ~kCr4Osxsave;
    m.leaf(1);
    CHECK((m.cpu.r32(kEcx) & 1u << 27) == 0);

    VexMachine user("max", 3);
    user.cpu.r32(kEcx) = user.cpu.r32(kEdx) = 0;
    user.cpu.r32(kEax) = 7;
    user.code(kXsetbv);
    CHECK(user.refused_to_user());
    user.enter(3);
    user.cpu.r32(kEcx) = 0;
    user.code(kXgetbv);
    CHECK(!user.refused_to_user());

    VexMachine small("max,-avx,-avx2,-fma,-f16c");
    small.cpu.r32(kEcx) = small.cpu.r32(kEdx) = 0;
    small.cpu.r32(kEax) = 7;
    CHECK(small.go(kXsetbv) == kGp);
    small.leaf(0xd, 0);
    CHECK(small.cpu.r32(kEcx) == 576);
}

TEST_CASE("XSAVE writes the components asked for, and says which are in use", "[vex]") {
    VexMachine m;
    Cpu& c = m.cpu;
    const auto save = [&](u32 mask) {
        for (u32 n = 0; n < 1024; n += 4) m.poke<u32>(kArea + n, 0xcccccccc);
        m.poke<u64>(kArea + 512, 0x5);
        c.r32(kEax) = mask;
        c.r32(kEdx) = 0;
        REQUIRE(m.go(kXsaveArea) == -1);
        return m.peek<u64>(kArea + 512);
    };
    c.fpu = FpuState{};
    c.fpu.init();
    for (VectorRegister& v : c.sse.ymm) v = VectorRegister{};
    set_mxcsr(&c, kMxcsrDefault);
    CHECK(save(7) == 0);
    CHECK(m.peek<u16>(kArea) == 0x37f);
    CHECK(m.peek<u32>(kArea + 24) == kMxcsrDefault);
    CHECK(m.peek<u32>(kArea + 28) == 0xffff);
    CHECK(m.peek<u32>(kArea + 160) == 0);
    CHECK(m.peek<u32>(kArea + 576) == 0);
    CHECK(m.peek<u32>(kArea + 832) == 0xcccccccc);
    std::memset(m.ymm(3), 0x33, 32);
    CHECK(save(7) == 6);
    CHECK(m.peek<u32>(kArea + 160 + 48) == 0x33333333);
    CHECK(m.peek<u32>(kArea + 576 + 48) == 0x33333333);
    CHECK(m.peek<u32>(kArea + 160 + 16 * 8) == 0xcccccccc);  // there are eight registers outside 64-bit mode
    // What is not asked for keeps its bit and its bytes; MXCSR goes with both parts of the registers.
    CHECK(save(2) == 7);
    CHECK(m.peek<u16>(kArea) == 0xcccc);
    CHECK(m.peek<u32>(kArea + 576) == 0xcccccccc);
    CHECK(save(4) == 5);
    CHECK(m.peek<u32>(kArea + 24) == kMxcsrDefault);
    CHECK(m.peek<u32>(kArea + 160) == 0xcccccccc);
    CHECK(save(1) == 4);
    CHECK(m.peek<u32>(kArea + 24) == 0xcccccccc);
    // What XCR0 does not have is not saved.
    c.sse.xcr0 = 3;
    c.mode_changed();
    CHECK(save(7) == 6);
    CHECK(m.peek<u32>(kArea + 576) == 0xcccccccc);
    c.sse.xcr0 = 7;
    c.mode_changed();
    std::memset(m.ymm(3), 0, 32);
    set_mxcsr(&c, 0x9f80);
    CHECK(save(7) == 2);  // MXCSR alone
}

TEST_CASE("XRSTOR loads what is there and resets what is not", "[vex]") {
    VexMachine m;
    Cpu& c = m.cpu;
    const auto prepare = [&](u64 header) {
        for (u32 n = 0; n < 1024; n += 4) m.poke<u32>(kArea + n, 0x77777777);
        m.poke<u16>(kArea, 0x37f);
        m.poke<u16>(kArea + 2, 0);
        m.poke<u32>(kArea + 24, 0x3f80);
        m.poke<u64>(kArea + 512, header);
        for (u32 n = 8; n < 64; n += 8) m.poke<u64>(kArea + 512 + n, 0);
        for (unsigned n = 0; n < 8; ++n) std::memset(m.ymm(n), 0x11, 32);
        set_mxcsr(&c, kMxcsrDefault);
        c.fpu = FpuState{};
        c.fpu.init();
        c.fpu.regs[2].mantissa = 5;
    };
    const auto restore = [&](u32 mask) {
        c.r32(kEax) = mask;
        c.r32(kEdx) = 0;
        return m.go(kXrstorArea);
    };
    prepare(7);
    CHECK(restore(7) == -1);
    CHECK(m.ymm(7)[0] == 0x77);
    CHECK(m.ymm(7)[31] == 0x77);
    CHECK(mxcsr_value(&c) == 0x3f80);
    CHECK(c.fpu.regs[2].mantissa == 0x7777777777777777ull);
    prepare(0);
    CHECK(restore(7) == -1);
    CHECK(m.ymm(7)[0] == 0);
    CHECK(m.ymm(7)[31] == 0);
    CHECK(c.fpu.regs[2].mantissa == 0);
    CHECK(mxcsr_value(&c) == 0x3f80);  // it comes from memory whatever the header says
    prepare(2);
    CHECK(restore(4) == -1);  // only the upper halves, which are not there
    CHECK(m.ymm(7)[0] == 0x11);
    CHECK(m.ymm(7)[31] == 0);
    CHECK(c.fpu.regs[2].mantissa == 5);
    prepare(7);
    CHECK(restore(1) == -1);
    CHECK(mxcsr_value(&c) == kMxcsrDefault);
    CHECK(m.ymm(7)[0] == 0x11);

    // The header and MXCSR are checked, and then nothing has changed.
    const auto refused = [&](u32 at, u64 value, u32 mask) {
        prepare(7);
        m.poke<u64>(kArea + at, value);
        CHECK(restore(mask) == kGp);
        CHECK(m.ymm(7)[0] == 0x11);
        CHECK(c.fpu.regs[2].mantissa == 5);
        CHECK(mxcsr_value(&c) == kMxcsrDefault);
    };
    refused(512, 15, 7);
    refused(512, 1ull << 63, 0);
    refused(520, 1ull << 63, 7);
    refused(520, 1, 0);
    refused(528, 1, 7);
    refused(24, 0x10000, 4);
    prepare(7);
    m.poke<u64>(kArea + 536, 1);  // the rest of the header is free
    CHECK(restore(7) == -1);
    c.sse.xcr0 = 3;
    c.mode_changed();
    prepare(7);
    CHECK(restore(3) == kGp);  // a component that XCR0 does not have
    c.sse.xcr0 = 7;
    c.mode_changed();
    c.r32(kEsi) = kArea + 16;
    CHECK(restore(7) == kGp);
    CHECK(m.go(kXsaveArea) == kGp);
}

}  // namespace backplane::interp::sse_test
