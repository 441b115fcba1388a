// Availability, faults and their order, MXCSR, FXSAVE: what no single result shows.
#include <catch2/catch.hpp>
#include <cmath>

#include "block.hpp"
#include "test_sse_machine.hpp"

namespace backplane::interp::sse_test {
namespace {

constexpr u32 kOperand = 0x20000;
constexpr u32 kUnmasked = 0;

void single(Cpu& c, unsigned n, float value) { std::memcpy(c.sse.ymm[n].bytes, &value, 4); }
u64 low(const Cpu& c, unsigned n) {
    u64 v;
    std::memcpy(&v, c.sse.ymm[n].bytes, 8);
    return v;
}

}  // namespace

TEST_CASE("SSE instructions are undefined or not available as CR0 and CR4 say", "[sse]") {
    Machine m;
    m.cpu.r32(kEsi) = kOperand;
    struct Row {
        u32 cr0;
        bool osfxsr;
        int xmm, mmx, general;  // ADDPS and LDMXCSR; PAVGB mm; MOVNTI
    };
    const Row rows[] = {{0, true, -1, -1, -1},        {kCr0Ts, true, kNm, kNm, -1},
                        {kCr0Em, true, kUd, kUd, -1}, {kCr0Em | kCr0Ts, true, kUd, kUd, -1},
                        {0, false, kUd, -1, -1},      {kCr0Ts, false, kUd, kNm, -1}};
    m.poke<u32>(kOperand, kMxcsrDefault);
    for (const Row& row : rows) {
        m.cpu.cr0 = (m.cpu.cr0 & ~(kCr0Ts | kCr0Em)) | row.cr0;
        m.cpu.cr4 = row.osfxsr ? m.cpu.cr4 | kCr4Osfxsr : m.cpu.cr4 & ~kCr4Osfxsr;
        m.cpu.mode_changed();
        INFO("cr0 " << row.cr0 << " osfxsr " << row.osfxsr);
        CHECK(m.go({0x0f, 0x58, 0xc1}) == row.xmm);
        CHECK(m.go({0x0f, 0x58, 0x06}) == row.xmm);
        CHECK(m.go({0x0f, 0x29, 0x06}) == row.xmm);
        m.poke<u32>(kOperand, kMxcsrDefault);
        CHECK(m.go({0x66, 0x0f, 0xfc, 0xc1}) == row.xmm);
        CHECK(m.go({0xf3, 0x0f, 0x11, 0x06}) == row.xmm);
        m.poke<u32>(kOperand, kMxcsrDefault);
        CHECK(m.go({0x0f, 0xae, 0x16}) == row.xmm);
        CHECK(m.go({0x0f, 0xae, 0x1e}) == row.xmm);
        CHECK(m.go({0x0f, 0x2d, 0xc1}) == row.xmm);  // CVTPS2PI
        CHECK(m.go({0x0f, 0xe0, 0xc1}) == row.mmx);
        CHECK(m.go({0x0f, 0xc3, 0x06}) == row.general);
        m.poke<u32>(kOperand, kMxcsrDefault);
        CHECK(m.go({0xf3, 0x0f, 0xb8, 0xc1}) == row.general);
        CHECK(m.go({0x0f, 0xae, 0xf8}) == row.general);  // SFENCE
        CHECK(m.go({0x0f, 0xae, 0x3e}) == row.general);  // CLFLUSH
    }
}

TEST_CASE("a block that was decoded before CR0.TS was set raises all the same", "[sse]") {
    Machine m;
    m.code({0x0f, 0x58, 0xc1});
    CHECK(m.go() == -1);
    m.cpu.cr0 |= kCr0Ts;
    m.cpu.mode_changed();
    CHECK(m.go() == kNm);
    m.cpu.cr0 &= ~kCr0Ts;
    m.cpu.mode_changed();
    CHECK(m.go() == -1);
}

TEST_CASE("without its feature bit an instruction of the SSE family is undefined", "[sse]") {
    CpuModel bare = *find_model("pentium2");
    Machine m;
    m.cpu.model = &bare;
    const std::initializer_list<u8> all[] = {{0x0f, 0x58, 0xc1},
                                             {0x66, 0x0f, 0x58, 0xc1},
                                             {0xf2, 0x0f, 0x7c, 0xc1},
                                             {0x0f, 0xe0, 0xc1},
                                             {0x0f, 0xd4, 0xc1},
                                             {0x0f, 0x38, 0x00, 0xc1},
                                             {0x66, 0x0f, 0x38, 0x10, 0xc1},
                                             {0xf3, 0x0f, 0xb8, 0xc1},
                                             {0x0f, 0x0f, 0xc1, 0x9e},
                                             {0x0f, 0xae, 0xf8},
                                             {0x0f, 0xae, 0x16},
                                             {0x0f, 0xc3, 0x06},
                                             {0x0f, 0x01, 0xc8},
                                             {0x66, 0x0f, 0x38, 0xdc, 0xc1},
                                             {0xdf, 0x0e}};
    for (const auto& bytes : all) {
        m.code(bytes);
        INFO("second byte " << unsigned{bytes.begin()[1]});
        CHECK(m.go() == kUd);
    }
    m.cpu.r32(kEcx) = 0x10;
    CHECK(m.go({0xf3, 0x0f, 0xbd, 0xc1}) == -1);  // BSR, not LZCNT
    CHECK(m.cpu.r32(kEax) == 4);
    CHECK((m.cpu.cr4_writable() & kCr4Osxmmexcpt) == 0);
    m.cpu.model = &full_model();
    CHECK((m.cpu.cr4_writable() & kCr4Osxmmexcpt) != 0);
    CHECK(m.go({0xf0, 0x0f, 0x58, 0x06}) == kUd);  // LOCK
}

TEST_CASE("segment limit, alignment and page faults of 16-byte operands come in this order", "[sse]") {
    Machine m;
    m.enable_paging();
    m.page_bits(0x20000, 0);
    m.page_bits(0x22000, 0);
    m.cpu.r32(kEsi) = 0x20001;
    CHECK(m.go({0x0f, 0x58, 0x06}) == kGp);  // not a page fault
    CHECK(m.go({0x0f, 0x29, 0x06}) == kGp);
    CHECK(m.go({0x0f, 0x10, 0x06}) == kPage);
    CHECK(m.cpu.cr2 == 0x20001);
    m.cpu.r32(kEsi) = 0x20010;
    CHECK(m.go({0x0f, 0x58, 0x06}) == kPage);
    m.cpu.r32(kEsi) = 0x21ff8;  // into a missing page
    m.poke<u64>(0x21ff8, 5);
    CHECK(m.go({0x0f, 0x11, 0x06}) == kPage);
    CHECK(m.cpu.cr2 == 0x22000);
    CHECK(m.peek<u64>(0x21ff8) == 5);  // nothing written
    CHECK(m.go({0x0f, 0x10, 0x06}) == kPage);
    m.cpu.r32(kEsp) = 0x8001;
    CHECK(m.go({0x0f, 0x58, 0x04, 0x24}) == kGp);  // #GP although the segment is SS
    m.cpu.r32(kEsp) = Bench::kStack0;
    m.cpu.set_segment(kDs, 0x10, 0, 0x1fff7, 0x4093);
    m.cpu.r32(kEsi) = 0x1fff0;
    CHECK(m.go({0x0f, 0x58, 0x06}) == kGp);  // beyond the limit
    m.cpu.r32(kEsi) = 0x1ffe0;
    CHECK(m.go({0x0f, 0x58, 0x06}) == -1);
}

TEST_CASE("unmasked exceptions raise #XM before anything is written", "[sse]") {
    Machine m;
    Cpu& c = m.cpu;
    single(c, 0, 1.0f);
    single(c, 1, 0.0f);
    const u64 before = low(c, 0);
    set_mxcsr(&c, kUnmasked);
    CHECK(m.go({0xf3, 0x0f, 0x5e, 0xc1}) == kXm);
    CHECK(low(c, 0) == before);
    CHECK(c.sse.mxcsr == kMxcsrZeroDivide);
    // The flag is sticky and raises nothing by itself.
    CHECK(m.go({0xf3, 0x0f, 0x58, 0xc1}) == -1);
    c.cr4 &= ~kCr4Osxmmexcpt;
    CHECK(m.go({0xf3, 0x0f, 0x5e, 0xc1}) == kUd);
    c.cr4 |= kCr4Osxmmexcpt;
    set_mxcsr(&c, kMxcsrDefault);
    CHECK(m.go({0xf3, 0x0f, 0x5e, 0xc1}) == -1);
    CHECK(c.sse.mxcsr == (kMxcsrDefault | kMxcsrZeroDivide));
}

TEST_CASE("MXCSR is composed when it is read, and its reserved bits are checked", "[sse]") {
    Machine m;
    Cpu& c = m.cpu;
    c.r32(kEsi) = kOperand;
    single(c, 0, 1.0f);
    single(c, 1, 3.0f);
    m.poke<u32>(kOperand, 0x7f80);
    // ldmxcsr [esi]; divss xmm0, xmm1; stmxcsr [esi]
    CHECK(m.go({0x0f, 0xae, 0x16, 0xf3, 0x0f, 0x5e, 0xc1, 0x0f, 0xae, 0x1e}) == -1);
    CHECK(m.peek<u32>(kOperand) == 0x7fa0);
    CHECK(static_cast<u32>(low(c, 0)) == 0x3eaaaaaa);  // rounded towards zero
    m.poke<u32>(kOperand, 0x10000);
    CHECK(m.go({0x0f, 0xae, 0x16}) == kGp);
    CHECK(c.sse.mxcsr == 0x7fa0);
    CpuModel no_daz = full_model();
    no_daz.features_edx &= ~kFeatSse2;
    c.model = &no_daz;
    m.poke<u32>(kOperand, kMxcsrDefault | kMxcsrDaz);
    CHECK(m.go({0x0f, 0xae, 0x16}) == kGp);
}

TEST_CASE("devices run under the host's MXCSR and leave the guest's alone", "[sse]") {
    static u32 seen;
    Machine m;
    Cpu& c = m.cpu;
    c.bus.port_read = [](void*, u32, u32) -> u64 {
        seen = _mm_getcsr();
        volatile double x = 1.0;
        volatile double zero = 0.0;
        x = x / zero;
        return 0;
    };
    const u32 outside = _mm_getcsr();
    set_mxcsr(&c, 0xff80);
    single(c, 0, 1.0f);
    single(c, 1, 3.0f);
    // in al, dx; divss xmm0, xmm1
    CHECK(m.go({0xec, 0xf3, 0x0f, 0x5e, 0xc1}) == -1);
    CHECK(((seen ^ outside) & ~kMxcsrFlags) == 0);
    CHECK(c.sse.mxcsr == (0xff80 | kMxcsrPrecision));
    CHECK((_mm_getcsr() & ~kMxcsrFlags) == (outside & ~kMxcsrFlags));
}

TEST_CASE("FXSAVE and FXRSTOR carry MXCSR and the XMM registers if CR4 says so", "[sse]") {
    Machine m;
    Cpu& c = m.cpu;
    c.r32(kEsi) = kOperand;
    for (unsigned n = 0; n < 8; ++n) std::memset(c.sse.ymm[n].bytes, static_cast<int>(n + 1), 16);
    set_mxcsr(&c, 0x1fa2);
    std::memset(&m.ram[kOperand], 0xee, 512);
    CHECK(m.go({0x0f, 0xae, 0x06}) == -1);
    CHECK(m.peek<u32>(kOperand + 24) == 0x1fa2);
    CHECK(m.peek<u32>(kOperand + 28) == 0xffff);
    CHECK(m.peek<u64>(kOperand + 160) == 0x0101010101010101ull);
    CHECK(m.peek<u64>(kOperand + 160 + 7 * 16 + 8) == 0x0808080808080808ull);
    CHECK(m.peek<u64>(kOperand + 288) == 0xeeeeeeeeeeeeeeeeull);
    sse_reset(&c);
    CHECK(m.go({0x0f, 0xae, 0x0e}) == -1);
    CHECK(c.sse.mxcsr == 0x1fa2);
    CHECK(low(c, 7) == 0x0808080808080808ull);
    m.poke<u32>(kOperand + 24, 0x80001f80);
    c.fpu.cw = 0x27f;
    CHECK(m.go({0x0f, 0xae, 0x0e}) == kGp);
    CHECK(c.fpu.cw == 0x27f);
    m.poke<u32>(kOperand + 24, 0x1f80);
    c.cr4 &= ~kCr4Osfxsr;
    c.mode_changed();
    sse_reset(&c);
    CHECK(m.go({0x0f, 0xae, 0x0e}) == -1);
    CHECK(low(c, 7) == 0);
    std::memset(&m.ram[kOperand], 0xee, 512);
    CHECK(m.go({0x0f, 0xae, 0x06}) == -1);
    CHECK(m.peek<u32>(kOperand + 24) == 0xeeeeeeee);
}

TEST_CASE("unaligned 16-byte operands meet the alignment check", "[sse]") {
    Machine m(3);
    Cpu& c = m.cpu;
    c.cr0 |= kCr0Am;
    c.mode_changed();
    const auto with_ac = [&](u32 address, std::initializer_list<u8> bytes) {
        m.enter(3);
        c.set_flags(kFixed1 | kAc);
        c.r32(kEsi) = address;
        return m.go(bytes);
    };
    CHECK(with_ac(kOperand, {0x0f, 0x10, 0x06}) == kGp);  // HLT at level 3: the instruction itself was fine
    CHECK(c.eip - 1 == Machine::kHandlers + 0x10 * kGp);
    CHECK(m.peek<u32>(c.r32(kEsp) + 4) == Machine::kAt + 3);
    CHECK(with_ac(kOperand + 8, {0x0f, 0x10, 0x06}) == kAcFault);
    CHECK(with_ac(kOperand + 8, {0x0f, 0x11, 0x06}) == kAcFault);
    CHECK(with_ac(kOperand + 8, {0xf2, 0x0f, 0x10, 0x06}) == kGp);
    CHECK(m.peek<u32>(c.r32(kEsp) + 4) == Machine::kAt + 4);
    CHECK(with_ac(kOperand + 4, {0xf2, 0x0f, 0x10, 0x06}) == kAcFault);
    CHECK(with_ac(kOperand + 8, {0x0f, 0x28, 0x06}) == kGp);  // #GP comes first
    CHECK(m.peek<u32>(c.r32(kEsp) + 4) == Machine::kAt);
}

TEST_CASE("handlers of the SSE family use up no stack, fast or slow", "[sse]") {
    Machine m;
    Cpu& c = m.cpu;
    for (const u32 mxcsr : {kMxcsrDefault, kMxcsrDefault & ~(kMxcsrInvalid << kMxcsrMaskShift)}) {
        set_mxcsr(&c, mxcsr);
        for (VectorRegister& v : c.sse.ymm) v = VectorRegister{};
        c.r32(kEcx) = 400000;
        c.r32(kEsi) = kOperand + 1;
        c.r32(kEdi) = kOperand + 0x100;
        // loop: addps xmm0, xmm1; addss xmm0, [esi]; movups [esi], xmm2; movaps xmm3, [edi]; ucomisd xmm0, [esi];
        // cvttss2si eax, xmm1; pinsrw xmm4, eax, 3; pextrw edx, xmm4, 3;
        // cmpps xmm5, xmm4, 0; movd [esi], xmm5; dpps xmm6, xmm1, 0ffh; pavgb mm0, mm1; cvtps2pi mm0, xmm1; dec ecx;
        // jnz
        CHECK(m.go({0x0f, 0x58, 0xc1, 0xf3, 0x0f, 0x58, 0x06, 0x0f, 0x11, 0x16, 0x0f, 0x28, 0x1f, 0x66,
                    0x0f, 0x2e, 0x06, 0xf3, 0x0f, 0x2c, 0xc1, 0x66, 0x0f, 0xc4, 0xe0, 0x03, 0x66, 0x0f,
                    0xc5, 0xd4, 0x03, 0x0f, 0xc2, 0xec, 0x00, 0x66, 0x0f, 0x7e, 0x2e, 0x66, 0x0f, 0x3a,
                    0x40, 0xf1, 0xff, 0x0f, 0xe0, 0xc1, 0x0f, 0x2d, 0xc1, 0x49, 0x75, 0xca}) == -1);
        CHECK(c.r32(kEcx) == 0);
    }
}

TEST_CASE("MONITOR and MWAIT exist where they are announced, for level 0", "[sse]") {
    Machine m;
    m.cpu.r32(kEax) = kOperand;
    CHECK(m.go({0x0f, 0x01, 0xc8}) == -1);
    CHECK(m.go({0x0f, 0x01, 0xc9}) == -1);
    m.cpu.r32(kEcx) = 2;
    CHECK(m.go({0x0f, 0x01, 0xc8}) == kGp);
    CHECK(m.go({0x0f, 0x01, 0xc9}) == kGp);
    m.enter(3);
    CHECK(m.go({0x0f, 0x01, 0xc8}) == kUd);
}

TEST_CASE("FISTTP truncates whatever the rounding control says", "[sse]") {
    Machine m;
    Cpu& c = m.cpu;
    c.r32(kEsi) = kOperand;
    c.fpu.init();
    c.fpu.cw = 0xb7f;  // up
    c.fpu.in_use = 0xff;
    c.fpu.regs[0] = {0xe000000000000000, 0x3fff};  // 1.75
    c.fpu.regs[1] = {0xe000000000000000, 0xc000};  // -3.5
    m.poke<u64>(kOperand, ~0ull);
    CHECK(m.go({0xdf, 0x0e}) == -1);
    CHECK(m.peek<u64>(kOperand) == 0xffffffffffff0001ull);
    CHECK(m.go({0xdd, 0x0e}) == -1);
    CHECK(m.peek<u64>(kOperand) == 0xfffffffffffffffdull);
    CHECK(c.fpu.top == 2);
}

TEST_CASE("MASKMOV stores only the chosen bytes and sees no others", "[sse]") {
    Machine m;
    Cpu& c = m.cpu;
    m.enable_paging();
    m.page_bits(0x21000, 0);
    c.r32(kEdi) = 0x20ff8;
    std::memset(c.sse.ymm[0].bytes, 0x55, 16);
    std::memset(c.sse.ymm[1].bytes, 0, 16);
    c.sse.ymm[1].bytes[1] = c.sse.ymm[1].bytes[7] = 0x80;
    m.poke<u64>(0x20ff8, 0);
    CHECK(m.go({0x66, 0x0f, 0xf7, 0xc1}) == -1);
    CHECK(m.peek<u64>(0x20ff8) == 0x5500000000005500ull);
    c.sse.ymm[1].bytes[8] = 0x80;
    CHECK(m.go({0x66, 0x0f, 0xf7, 0xc1}) == kPage);
    CHECK(c.cr2 == 0x21000);
}

TEST_CASE("3DNow! computes, saturates and moves", "[sse]") {
    Machine m;
    Cpu& c = m.cpu;
    const auto pair = [](float a, float b) {
        u32 x, y;
        std::memcpy(&x, &a, 4);
        std::memcpy(&y, &b, 4);
        return x | static_cast<u64>(y) << 32;
    };
    const auto run = [&](u8 suffix, u64 a, u64 b) {
        c.fpu.regs[0].mantissa = a;
        c.fpu.regs[1].mantissa = b;
        CHECK(m.go({0x0f, 0x0f, 0xc1, suffix}) == -1);
        return c.fpu.regs[0].mantissa;
    };
    CHECK(run(0x9e, pair(1, 2), pair(3, 4)) == pair(4, 6));
    CHECK(run(0x9a, pair(1, 2), pair(3, 5)) == pair(-2, -3));
    CHECK(run(0xaa, pair(1, 2), pair(3, 5)) == pair(2, 3));
    CHECK(run(0xb4, pair(1.5f, 2), pair(3, -4)) == pair(4.5f, -8));
    CHECK(run(0xb4, pair(1e30f, 1e-30f), pair(1e30f, 1e-30f)) == 0x000000007f7fffffull);
    CHECK(run(0xae, pair(1, 2), pair(3, 4)) == pair(3, 7));
    CHECK(run(0x8a, pair(1, 2), pair(3, 5)) == pair(-1, -2));
    CHECK(run(0x8e, pair(1, 2), pair(3, 4)) == pair(-1, 7));
    CHECK(run(0x90, pair(1, 2), pair(1, 3)) == 0x00000000ffffffffull);
    CHECK(run(0xa0, pair(1, 4), pair(1, 3)) == 0xffffffff00000000ull);
    CHECK(run(0xb0, pair(1, 4), pair(1, 3)) == 0x00000000ffffffffull);
    CHECK(run(0x94, pair(1, 4), pair(2, 3)) == pair(1, 3));
    CHECK(run(0xa4, pair(1, 4), pair(2, 3)) == pair(2, 4));
    CHECK(run(0x0d, 0, 0xfffffffe00000003ull) == pair(3, -2));
    CHECK(run(0x1d, 0, pair(-3.9f, 5e9f)) == 0x7ffffffffffffffdull);
    CHECK(run(0x1c, 0, pair(-40000, 7.9f)) == 0x00000007ffff8000ull);
    CHECK(run(0x0c, 0, 0x12340002aaaaffffull) == pair(-1, 2));
    CHECK(run(0x96, 0, pair(4, 9)) == pair(0.25f, 0.25f));
    CHECK(run(0x97, 0, pair(16, 9)) == pair(0.25f, 0.25f));
    CHECK(run(0xb7, 0x7fff800000020003ull, 0x7fff800040000003ull) == 0x3fff400000010000ull);
    CHECK(run(0xbb, 0, 0x1122334455667788ull) == 0x5566778811223344ull);
    CHECK(run(0xbf, 0x00ff0102030405ffull, 0x01ff0304050607feull) == 0x01ff0203040506ffull);
    CHECK(m.go({0x0f, 0x0f, 0xc1, 0x00}) == kUd);
    CHECK(m.go({0x0f, 0x0e}) == -1);  // FEMMS
    CHECK(c.fpu.in_use == 0);
    CHECK(c.sse.mxcsr == kMxcsrDefault);
}

TEST_CASE("a loop of SSE instructions runs at the interpreter's speed", "[.][sse-bench]") {
    Machine m;
    m.cpu.r32(kEcx) = 20000000;
    m.cpu.r32(kEsi) = kOperand;
    SECTION("packed") {
        // loop: mulps xmm0, xmm1; addps xmm2, xmm0; paddd xmm3, [esi]; movaps [esi+16], xmm3; pshufd xmm4, xmm3, 1Bh;
        // pxor xmm5, xmm4; dec ecx; jnz
        m.go({0x0f, 0x59, 0xc1, 0x0f, 0x58, 0xd0, 0x66, 0x0f, 0xfe, 0x1e, 0x0f, 0x29, 0x5e,
              0x10, 0x66, 0x0f, 0x70, 0xe3, 0x1b, 0x66, 0x0f, 0xef, 0xec, 0x49, 0x75, 0xe6});
    }
    SECTION("integer") {
        // loop: imul eax, ebx; add edx, eax; add edi, [esi]; mov [esi+16], edi; rol edi, 1; xor ebp, edi; dec ecx; jnz
        m.go({0x0f, 0xaf, 0xc3, 0x01, 0xc2, 0x03, 0x3e, 0x89, 0x7e, 0x10, 0xd1, 0xc7, 0x31, 0xfd, 0x49, 0x75, 0xef});
    }
}

}  // namespace backplane::interp::sse_test
