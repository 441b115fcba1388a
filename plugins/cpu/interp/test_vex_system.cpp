// VEX: availability and modes, faults and their order; RDRAND, FSGSBASE, SMEP, UMIP.
#include <catch2/catch.hpp>

#include "block.hpp"
#include "test_long_bench.hpp"
#include "test_vex_machine.hpp"

namespace backplane::interp::sse_test {
namespace {

constexpr u32 kOperand = 0x20000;

}  // namespace

TEST_CASE("VEX instructions are undefined or not available as CR0, CR4 and XCR0 say", "[vex]") {
    VexMachine m;
    m.cpu.r32(kEsi) = kOperand;
    struct Row {
        u32 cr0;
        bool osxsave;
        u64 xcr0;
        int vector, general, control;  // VADDPS and the like; ANDN; XGETBV
    };
    const Row rows[] = {{0, true, 7, -1, -1, -1},       {kCr0Ts, true, 7, kNm, -1, -1},   {kCr0Em, true, 7, -1, -1, -1},
                        {0, false, 7, kUd, -1, kUd},    {kCr0Ts, false, 7, kUd, -1, kUd}, {0, true, 3, kUd, -1, -1},
                        {kCr0Ts, true, 3, kUd, -1, -1}, {0, true, 1, kUd, -1, -1}};
    m.cpu.cr4 &= ~kCr4Osfxsr;  // it does not matter
    for (const Row& row : rows) {
        m.cpu.cr0 = (m.cpu.cr0 & ~(kCr0Ts | kCr0Em)) | row.cr0;
        m.cpu.cr4 = row.osxsave ? m.cpu.cr4 | kCr4Osxsave : m.cpu.cr4 & ~kCr4Osxsave;
        m.cpu.sse.xcr0 = row.xcr0;
        m.cpu.mode_changed();
        INFO("cr0 " << row.cr0 << " osxsave " << row.osxsave << " xcr0 " << row.xcr0);
        CHECK(m.go({0xc5, 0xf4, 0x58, 0xc2}) == row.vector);         // VADDPS ymm
        CHECK(m.go({0xc5, 0xf4, 0x58, 0x06}) == row.vector);         // its memory form
        CHECK(m.go({0xc5, 0xfc, 0x11, 0x06}) == row.vector);         // VMOVUPS store
        CHECK(m.go({0xc5, 0xf8, 0x77}) == row.vector);               // VZEROUPPER
        CHECK(m.go({0xc4, 0xe2, 0x75, 0x98, 0xc2}) == row.vector);   // VFMADD132PS
        CHECK(m.go({0xc5, 0xf9, 0x7e, 0xc0}) == row.vector);         // VMOVD
        CHECK(m.go({0xc5, 0xfd, 0xd7, 0xc1}) == row.vector);         // VPMOVMSKB
        CHECK(m.go({0xc4, 0xe2, 0x7d, 0x2e, 0x06}) == row.vector);   // VMASKMOVPS store
        CHECK(m.go({0xc5, 0xf8, 0xae, 0x1e}) == row.vector);         // VSTMXCSR
        CHECK(m.go({0xc4, 0xe2, 0x78, 0xf2, 0xc1}) == row.general);  // ANDN
        m.cpu.r32(kEcx) = 0;
        CHECK(m.go(kXgetbv) == row.control);
        m.cpu.r32(kEsi) = kArea;
        CHECK(m.go(kXsaveArea) == (row.control == kUd ? int{kUd} : (row.cr0 & kCr0Ts) != 0 ? int{kNm} : -1));
        m.cpu.r32(kEsi) = kOperand;
    }
}

TEST_CASE("C4 and C5 stay LES and LDS with memory, and VEX is unknown in real and virtual-8086 mode", "[vex]") {
    VexMachine m;
    m.cpu.r32(kEsi) = kOperand;
    m.poke<u32>(kOperand, 0x1234);
    m.poke<u16>(kOperand + 4, Bench::kData0);
    CHECK(m.go({0xc5, 0x06}) == -1);  // LDS EAX, [ESI]
    CHECK(m.cpu.r32(kEax) == 0x1234);
    CHECK(m.go({0xc4, 0x1e}) == -1);  // LES EBX, [ESI]
    CHECK(m.cpu.r32(kEbx) == 0x1234);
    // Registers beyond the eighth do not exist: VEX.B and the top of VEX.vvvv are ignored.
    std::memset(m.ymm(1), 0x11, 32);
    std::memset(m.ymm(2), 0x22, 32);
    CHECK(m.go({0xc4, 0xc1, 0x35, 0xef, 0xc2}) == -1);  // VPXOR ymm0, ymm9 (1), ymm10 (2)
    CHECK(m.ymm(0)[31] == 0x33);

    // In real mode the same bytes with a register are no instruction.
    Cpu& c = m.cpu;
    c.cr0 &= ~kCr0Pe;
    c.idtr = {0, 0x3ff};
    m.poke<u16>(6 * 4, 0x5060);
    m.poke<u16>(6 * 4 + 2, 0);
    c.set_segment(kCs, 0, 0, 0xffff, 0x9b);
    for (const Seg s : {kSs, kDs, kEs}) c.set_segment(s, 0, 0, 0xffff, 0x93);
    c.mode_changed();
    c.gpr[kEsp] = 0x9000;
    CHECK(m.go({0xc5, 0xf4, 0x58, 0xc2}) == kUd);
    c.gpr[kEsp] = 0x9000;
    CHECK(m.go({0xc4, 0xe2, 0x78, 0xf2, 0xc1}) == kUd);  // ANDN
}

TEST_CASE("a model has the instructions that it announces", "[vex]") {
    struct Row {
        const char* model;
        std::vector<u8> bytes;
        int vector;
    };
    const Row r = GENERATE(values<Row>({
        {"max", {0xc5, 0xf5, 0xfe, 0xc2}, -1},  // VPADDD ymm
        {"max,-avx2", {0xc5, 0xf5, 0xfe, 0xc2}, kUd},
        {"max,-avx2", {0xc5, 0xf1, 0xfe, 0xc2}, -1},         // xmm
        {"max,-avx2", {0xc4, 0xe2, 0x7d, 0x18, 0xc1}, kUd},  // VBROADCASTSS from a register
        {"max,-avx2", {0xc4, 0xe2, 0x7d, 0x18, 0x06}, -1},   // from memory
        {"max,-avx2,-fma,-f16c,-avx", {0xc5, 0xf1, 0xfe, 0xc2}, kUd},
        {"max,-fma", {0xc4, 0xe2, 0x75, 0x98, 0xc2}, kUd},
        {"max,-f16c", {0xc4, 0xe2, 0x7d, 0x13, 0xc1}, kUd},
        {"max,-aes", {0xc4, 0xe2, 0x71, 0xdc, 0xc2}, kUd},
        {"max", {0xc4, 0xe2, 0x71, 0xdc, 0xc2}, -1},
        {"max", {0xc4, 0xe2, 0x75, 0xdc, 0xc2}, kUd},  // 256 bits of AES are another feature
        {"max,-bmi1", {0xc4, 0xe2, 0x78, 0xf2, 0xc1}, kUd},
        {"max,-bmi2", {0xc4, 0xe2, 0x79, 0xf7, 0xc1}, kUd},
        {"max,-adx", {0x66, 0x0f, 0x38, 0xf6, 0xc1}, kUd},
        {"max,-rdrand", {0x0f, 0xc7, 0xf0}, kUd},
        {"max,-rdseed", {0x0f, 0xc7, 0xf8}, kUd},
        {"max", {0x0f, 0xc7, 0xf8}, -1},
        {"max,-xsaveopt", {0x0f, 0xae, 0x36}, kUd},
        {"max", {0x0f, 0xae, 0x36}, -1},
        {"max,-avx,-avx2,-fma,-f16c,-xsaveopt,-xsave", {0x0f, 0xae, 0x26}, kUd},
        {"qemu64", {0xc5, 0xf1, 0xfe, 0xc2}, kUd},
        {"qemu64", {0xc4, 0xe2, 0x78, 0xf2, 0xc1}, kUd},
    }));
    VexMachine m(r.model);
    m.code(r.bytes.data(), r.bytes.size());
    INFO(r.model << ' ' << std::hex << int{r.bytes[0]} << ' ' << int{r.bytes[1]} << ' ' << int{r.bytes[2]});
    CHECK(m.go() == r.vector);
}

TEST_CASE("a store of 32 bytes into the next page faults before anything is written", "[vex]") {
    VexMachine m;
    Cpu& c = m.cpu;
    // Segment limit in the middle of the operand.
    c.set_segment(kDs, Bench::kData0, 0, kOperand + 15, 0x4093);
    c.r32(kEsi) = kOperand;
    std::memset(m.ymm(0), 0x5a, 32);
    m.poke<u64>(kOperand, 1);
    CHECK(m.go({0xc5, 0xfc, 0x11, 0x06}) == kGp);
    CHECK(m.peek<u64>(kOperand) == 1);
    CHECK(m.go({0xc5, 0xf8, 0x11, 0x06}) == -1);  // 16 bytes of it
    CHECK(m.peek<u8>(kOperand + 15) == 0x5a);
    // A mask that leaves the rest out.
    std::memset(m.ymm(1), 0, 32);
    std::memset(m.ymm(1), 0xff, 16);
    CHECK(m.go({0xc4, 0xe2, 0x75, 0x2e, 0x06}) == -1);
    CHECK(m.go({0xc4, 0xe2, 0x75, 0x2c, 0x16}) == -1);
    CHECK(m.ymm(2)[15] == 0x5a);
    CHECK(m.ymm(2)[16] == 0);
    m.ymm(1)[31] = 0x80;
    CHECK(m.go({0xc4, 0xe2, 0x75, 0x2c, 0x1e}) == kGp);
}

TEST_CASE("handlers of VEX instructions use up no stack, fast or slow", "[vex]") {
    VexMachine m;
    // All instructions of a block go by jumps; calls would have used up the host's stack long before.
    std::vector<u8> code;
    for (unsigned n = 0; n < 8; ++n) {
        for (const std::initializer_list<u8>& i : {std::initializer_list<u8>{0xc5, 0xf4, 0x58, 0xc2},
                                                   {0xc5, 0xfc, 0x10, 0x06},
                                                   {0xc5, 0xfc, 0x11, 0x06},
                                                   {0xc4, 0xe2, 0x75, 0x36, 0xc2},
                                                   {0xc4, 0xe2, 0x75, 0x98, 0x06}}) {
            code.insert(code.end(), i.begin(), i.end());
        }
    }
    code.insert(code.end(), {0x49, 0x75, 0x00});  // DEC ECX; JNZ
    code.back() = static_cast<u8>(-static_cast<int>(code.size()));
    if (code.size() > 126) {  // a near jump
        code.resize(code.size() - 2);
        const i32 back = -static_cast<i32>(code.size() + 6);
        code.insert(code.end(), {0x0f, 0x85, 0, 0, 0, 0});
        std::memcpy(&code[code.size() - 4], &back, 4);
    }
    for (const u32 mxcsr : {kMxcsrDefault, 0u}) {
        for (VectorRegister& v : m.cpu.sse.ymm) v = VectorRegister{};
        std::memset(&m.ram[kOperand], 0, 64);
        set_mxcsr(&m.cpu, mxcsr);
        m.cpu.r32(kEsi) = kOperand;
        m.cpu.r32(kEcx) = 100000;
        m.code(code.data(), code.size());
        CHECK(m.go() == -1);
        CHECK(m.cpu.r32(kEcx) == 0);
    }
}

TEST_CASE("RDRAND takes the machine's numbers", "[vex]") {
    VexMachine m;
    static u64 next = 0;
    next = 0x1122334455667788ull;
    m.cpu.host.random = [](void*) { return next; };
    m.cpu.gpr[kEax] = ~0ull;
    m.cpu.set_flags(kArith | kFixed1);
    CHECK(m.go({0x0f, 0xc7, 0xf0}) == -1);
    CHECK(m.cpu.gpr[kEax] == 0x55667788);
    CHECK((m.cpu.flags() & kArith) == kCf);
    CHECK(m.go({0x66, 0x0f, 0xc7, 0xf8}) == -1);
    CHECK(m.cpu.gpr[kEax] == 0x55667788);
    next = 1;
    CHECK(m.go({0x66, 0x0f, 0xc7, 0xf8}) == -1);
    CHECK(m.cpu.gpr[kEax] == 0x55660001);
}

TEST_CASE("UMIP leaves the tables' addresses to the supervisor", "[vex]") {
    const std::vector<std::vector<u8>> all{
        {0x0f, 0x01, 0x06}, {0x0f, 0x01, 0x0e}, {0x0f, 0x00, 0xc0}, {0x0f, 0x00, 0xc8}, {0x0f, 0x01, 0xe0}};
    for (const unsigned level : {0u, 3u}) {
        for (const bool on : {false, true}) {
            VexMachine m("max", level);
            if (on) m.cpu.cr4 |= kCr4Umip;
            for (const std::vector<u8>& bytes : all) {
                m.cpu.r32(kEsi) = kOperand;
                m.code(bytes.data(), bytes.size());
                INFO(level << ' ' << on << ' ' << int{bytes[1]} << ' ' << int{bytes[2]});
                if (level == 0) CHECK(m.go() == -1);
                if (level == 0) continue;
                CHECK(m.refused_to_user() == on);
                m.enter(3);
            }
        }
    }
}

TEST_CASE("with SMEP the supervisor runs no code of users' pages", "[vex]") {
    for (const bool on : {false, true}) {
        VexMachine m;
        m.enable_paging();
        for (u32 n = 0; n < 256; ++n) {
            if (n != Machine::kAt >> 12) m.poke<u32>(0xf1000 + 4 * n, n << 12 | 3u);
        }
        m.cpu.mov_to_cr(4, m.cpu.cr4 | (on ? kCr4Smep : 0u));
        CHECK(m.go({0x90}) == (on ? int{kPage} : -1));
        if (on) CHECK(m.peek<u32>(Bench::kStack0 - 16) == 0x11);
        // Users may.
        VexMachine user("max", 3);
        user.enable_paging();
        user.cpu.cr4 |= on ? kCr4Smep : 0u;
        for (u32 n = 0; n < 256; ++n) {
            if (n != Machine::kAt >> 12) user.poke<u32>(0xf1000 + 4 * n, n << 12 | 3u);
        }
        CHECK(user.go({0x90}) == kGp);  // the HLT behind it
    }
    VexMachine old("max,-smep");
    CHECK(old.outcome([&] { old.cpu.mov_to_cr(4, old.cpu.cr4 | kCr4Smep); }) == fault(kGp, 0));
}

TEST_CASE("programs read and write the bases of FS and GS if CR4 allows it", "[vex]") {
    using test::LongBench, test::LongState, test::LowMemory;
    constexpr u32 code_at = 0x10000000;
    LowMemory memory(code_at, 0x1000, PROT_READ | PROT_WRITE);
    LongBench b;
    b.cpu.model = find_model("max");
    b.map(code_at, memory.data(), 0x1000, true);
    // WRFSBASE RAX; WRGSBASE EBX; RDFSBASE ECX; RDGSBASE RDX; INT3
    constexpr u8 kBytes[] = {0xf3, 0x48, 0x0f, 0xae, 0xd0, 0xf3, 0x0f, 0xae, 0xdb, 0xf3,
                             0x0f, 0xae, 0xc1, 0xf3, 0x48, 0x0f, 0xae, 0xca, 0xcc};
    std::memcpy(memory.data(), kBytes, sizeof kBytes);
    LongState s;
    const auto run = [&](u64 rax) {
        s = LongState{};
        s.rip = code_at;
        s.gpr[kEax] = rax;
        s.gpr[kEbx] = 0xffffffff12345678ull;
        s.gpr[kEcx] = s.gpr[kEdx] = ~0ull;
        b.run(s);
        return s.vector;
    };
    CHECK(run(0) == kUd);
    b.more_cr4 = kCr4Fsgsbase;
    REQUIRE(run(0x00007fff89abcdefull) == kBp);
    CHECK(b.cpu.seg[kFs].base == 0x00007fff89abcdefull);
    CHECK(s.gpr[kEcx] == 0x89abcdef);
    CHECK(s.gpr[kEdx] == 0x12345678);
    CHECK(run(0x0000800000000000ull) == kGp);
    b.cpu.model = find_model("qemu64");
    b.touched(code_at, 64);
    CHECK(run(0) == kUd);
}

}  // namespace backplane::interp::sse_test
