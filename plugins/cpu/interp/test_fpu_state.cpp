// What the comparison with the host cannot show: reset values, real-mode
// images, when an exception is pending, faults in the middle of a transfer,
// the opcode map, FXSAVE.
#include <catch2/catch.hpp>
#include <csetjmp>

#include "test_fpu_random.hpp"

namespace backplane::interp::fpu_test {
namespace {

constexpr Float80 kOne{0x8000000000000000, 0x3fff};
constexpr Float80 kIndefinite{0xc000000000000000, 0xffff};

struct Machine {
    FpuState fpu;
    Buffer buffer;
    FpuInsn insn;

    Machine() { fpu.init(); }

    // Executes `opcode modrm`; false: no such instruction.
    bool run(unsigned opcode, unsigned modrm) {
        const FpuEntry entry = fpu_lookup(static_cast<std::uint8_t>(opcode), static_cast<std::uint8_t>(modrm));
        if (entry.handler == nullptr) return false;
        insn.opcode = static_cast<std::uint16_t>((opcode & 7) << 8 | modrm);
        entry.handler(fpu, insn, buffer.mem());
        return true;
    }
    std::uint16_t word(unsigned offset) { return Buffer::read<std::uint16_t>(&buffer, buffer.base + offset); }
    std::uint32_t dword(unsigned offset) { return Buffer::read<std::uint32_t>(&buffer, buffer.base + offset); }
    std::uint64_t qword(unsigned offset) { return Buffer::read<std::uint64_t>(&buffer, buffer.base + offset); }
};

bool waits(unsigned opcode, unsigned modrm) {
    return (fpu_lookup(static_cast<std::uint8_t>(opcode), static_cast<std::uint8_t>(modrm)).traits & kFpuWaits) != 0;
}

TEST_CASE("power-on and FNINIT leave their documented states", "[fpu]") {
    FpuState fpu;
    fpu.regs[3] = kOne;
    fpu.reset();
    CHECK(fpu.cw == 0x0040);
    CHECK(fpu.status_word() == 0);
    CHECK(fpu.tag_word() == 0x5555);
    CHECK(fpu.regs[3] == Float80{});

    fpu.regs[3] = kOne;
    fpu.fip = 0x1234;
    fpu.top = 5;
    fpu.init();
    CHECK(fpu.cw == 0x037f);
    CHECK(fpu.status_word() == 0);
    CHECK(fpu.tag_word() == 0xffff);
    CHECK(fpu.fip == 0);
    CHECK(fpu.regs[3] == kOne);  // contents stay
}

TEST_CASE("an unmasked exception stays pending and keeps its operands", "[fpu]") {
    Machine m;
    REQUIRE(m.run(0xd9, 0xe8));      // FLD1
    REQUIRE(m.run(0xd9, 0xee));      // FLDZ
    m.fpu.set_control_word(0x037b);  // unmask zero divide
    m.insn.eip = 0x00401000;
    m.insn.cs = 0x1b;
    REQUIRE(m.run(0xdc, 0xf9));  // FDIV ST(1), ST(0)
    CHECK(m.fpu.error_pending());
    CHECK(m.fpu.status_word() == (0x8084 | 6 << 11));
    CHECK(m.fpu.regs[7] == kOne);
    CHECK(m.fpu.fip == 0x00401000);
    CHECK(m.fpu.fcs == 0x1b);
    CHECK(m.fpu.fop == 0x4f9);

    REQUIRE(m.run(0xdf, 0xe0));  // FNSTSW AX shows it without clearing it
    CHECK(m.insn.ax == m.fpu.status_word());
    CHECK(m.fpu.fop == 0x4f9);
    REQUIRE(m.run(0xdb, 0xe2));  // FNCLEX
    CHECK_FALSE(m.fpu.error_pending());
    CHECK((m.fpu.sw & 0x80ff) == 0);
}

TEST_CASE("unmasking a flag that is already set makes it pending", "[fpu]") {
    Machine m;
    REQUIRE(m.run(0xd9, 0xe8));
    REQUIRE(m.run(0xd9, 0xee));
    REQUIRE(m.run(0xde, 0xf9));  // 1 / 0, masked: infinity
    CHECK(m.fpu.regs[7] == Float80{0x8000000000000000, 0x7fff});
    CHECK_FALSE(m.fpu.error_pending());
    Buffer::write<std::uint16_t>(&m.buffer, 0, 0x037b);
    REQUIRE(m.run(0xd9, 0x2a));  // FLDCW
    CHECK(m.fpu.error_pending());
    Buffer::write<std::uint16_t>(&m.buffer, 0, 0x037f);
    REQUIRE(m.run(0xd9, 0x2a));
    CHECK_FALSE(m.fpu.error_pending());
}

TEST_CASE("the control forms without wait do not report a pending exception", "[fpu]") {
    for (const unsigned modrm : {0xe0u, 0xe1u, 0xe2u, 0xe3u, 0xe4u}) CHECK_FALSE(waits(0xdb, modrm));
    CHECK_FALSE(waits(0xdf, 0xe0));  // FNSTSW AX
    CHECK_FALSE(waits(0xd9, 0x30));  // FNSTENV
    CHECK_FALSE(waits(0xd9, 0x38));  // FNSTCW
    CHECK_FALSE(waits(0xdd, 0x30));  // FNSAVE
    CHECK_FALSE(waits(0xdd, 0x38));  // FNSTSW
    CHECK(waits(0xd9, 0x20));        // FLDENV
    CHECK(waits(0xd9, 0x28));        // FLDCW
    CHECK(waits(0xdd, 0x20));        // FRSTOR
    CHECK(waits(0xd9, 0xd0));        // FNOP
    CHECK(waits(0xd8, 0xc1));
    CHECK((mmx_lookup(0x77, 0).traits & kFpuWaits) != 0);
}

TEST_CASE("reserved escape encodings are not found", "[fpu]") {
    unsigned register_forms = 0;
    unsigned memory_forms = 0;
    for (unsigned opcode = 0xd8; opcode <= 0xdf; ++opcode) {
        for (unsigned modrm = 0; modrm <= 0xff; ++modrm) {
            const bool found =
                fpu_lookup(static_cast<std::uint8_t>(opcode), static_cast<std::uint8_t>(modrm)).handler != nullptr;
            if (found) ++(modrm < 0xc0 ? memory_forms : register_forms);
        }
    }
    // Register forms per escape D8..DF.
    CHECK(register_forms == 64 + 52 + 33 + 53 + 64 + 48 + 57 + 49);
    // Each /reg has 24 memory encodings; missing are D9 /1, DB /4 /6, DD /5. FISTTP (/1) is for models with SSE3.
    CHECK(memory_forms == 24 * (64 - 4));
    CHECK(fpu_lookup(0xd7, 0xc0).handler == nullptr);
}

TEST_CASE("FCOMI leaves the other flags and FCMOV follows them", "[fpu]") {
    Machine m;
    REQUIRE(m.run(0xd9, 0xe8));  // 1
    REQUIRE(m.run(0xd9, 0xee));  // 0
    m.insn.eflags = 0x00203ed7;
    REQUIRE(m.run(0xdb, 0xf1));  // FCOMI: 0 < 1
    CHECK(m.insn.eflags == 0x00203603);
    REQUIRE(m.run(0xdb, 0xc1));  // FCMOVNB: CF set, no move
    CHECK(m.fpu.regs[6] == Float80{});
    REQUIRE(m.run(0xda, 0xc1));  // FCMOVB
    CHECK(m.fpu.regs[6] == kOne);
}

TEST_CASE("environment images have the four layouts", "[fpu]") {
    Machine m;
    m.fpu.set_control_word(0x0272);
    m.fpu.set_status_word(0x2900);  // TOP 5
    m.fpu.fop = 0x5a3;
    m.fpu.fcs = 0x1234;
    m.fpu.fip = 0x00005678;  // linear 179b8
    m.fpu.fds = 0xf000;
    m.fpu.fdp = 0x0000fff0;  // linear ffff0
    const FpuState saved = m.fpu;

    SECTION("32-bit protected") {
        m.insn.operand_size_32 = m.insn.protected_mode = true;
        REQUIRE(m.run(0xd9, 0x32));
        CHECK(m.dword(0) == 0xffff0272);
        CHECK(m.dword(4) == 0xffff2900);
        CHECK(m.dword(8) == 0xffffffff);
        CHECK(m.dword(12) == 0x5678);
        CHECK(m.dword(16) == 0x05a31234);
        CHECK(m.dword(20) == 0xfff0);
        CHECK(m.dword(24) == 0xfffff000);
        CHECK(m.buffer.writes == 7);
        CHECK(m.fpu.cw == 0x027f);  // all masked afterwards
    }
    SECTION("32-bit real") {
        m.insn.operand_size_32 = true;
        REQUIRE(m.run(0xd9, 0x32));
        CHECK(m.dword(12) == 0xffff79b8);
        CHECK(m.dword(16) == 0x000015a3);
        CHECK(m.dword(20) == 0xfffffff0);
        CHECK(m.dword(24) == 0x0000f000);
    }
    SECTION("16-bit protected") {
        m.insn.protected_mode = true;
        REQUIRE(m.run(0xd9, 0x32));
        CHECK(m.word(0) == 0x0272);
        CHECK(m.word(2) == 0x2900);
        CHECK(m.word(4) == 0xffff);
        CHECK(m.word(6) == 0x5678);
        CHECK(m.word(8) == 0x1234);
        CHECK(m.word(10) == 0xfff0);
        CHECK(m.word(12) == 0xf000);
        CHECK(m.word(14) == 0);
    }
    SECTION("16-bit real") {
        REQUIRE(m.run(0xd9, 0x32));
        CHECK(m.word(6) == 0x79b8);
        CHECK(m.word(8) == 0x15a3);
        CHECK(m.word(10) == 0xfff0);
        CHECK(m.word(12) == 0xf000);
    }
    SECTION("a real-mode image loads back to the same linear addresses") {
        m.insn.operand_size_32 = GENERATE(false, true);
        REQUIRE(m.run(0xd9, 0x32));
        m.fpu.init();
        REQUIRE(m.run(0xd9, 0x22));
        CHECK(m.fpu.cw == saved.cw);
        CHECK(m.fpu.status_word() == saved.status_word());
        CHECK(m.fpu.fop == saved.fop);
        CHECK(m.fpu.fip == 0x179b8);
        CHECK(m.fpu.fdp == 0xffff0);
        CHECK(m.fpu.fcs == 0);
    }
}

TEST_CASE("FNSAVE and FRSTOR round-trip every layout", "[fpu]") {
    Random random(7);
    const bool wide = GENERATE(false, true);
    const bool protected_mode = GENERATE(false, true);
    for (unsigned n = 0; n < 50; ++n) {
        Machine m;
        m.fpu = random.state(false);
        m.insn.operand_size_32 = wide;
        m.insn.protected_mode = protected_mode;
        const FpuState saved = m.fpu;
        REQUIRE(m.run(0xdd, 0x32));  // FNSAVE
        CHECK(m.fpu.tag_word() == 0xffff);
        CHECK(m.fpu.cw == kFpuControlDefault);
        CHECK(m.qword(wide ? 28 : 14) == saved.regs[saved.top].mantissa);  // ST(0) first
        m.fpu.reset();
        REQUIRE(m.run(0xdd, 0x22));  // FRSTOR
        CHECK(m.fpu.cw == saved.cw);
        CHECK(m.fpu.status_word() == saved.status_word());
        CHECK(m.fpu.tag_word() == saved.tag_word());
        for (unsigned i = 0; i < 8; ++i) CHECK(m.fpu.regs[i] == saved.regs[i]);
    }
}

// Guest memory that faults after a number of accesses, the way an engine does:
// by leaving the handler.
struct Faulting {
    std::jmp_buf out;
    unsigned left = 0;

    template <typename T>
    static T read(void* ctx, std::uint64_t) {
        step(ctx);
        return T{0};
    }
    template <typename T>
    static void write(void* ctx, std::uint64_t, T) {
        step(ctx);
    }
    static void step(void* ctx) {
        auto* self = static_cast<Faulting*>(ctx);
        if (self->left == 0) std::longjmp(self->out, 1);
        --self->left;
    }
    FpuMem mem() {
        return {this,
                &read<std::uint16_t>,
                &read<std::uint32_t>,
                &read<std::uint64_t>,
                &write<std::uint16_t>,
                &write<std::uint32_t>,
                &write<std::uint64_t>};
    }
};

// True if the handler faulted.
bool run_faulting(const FpuEntry& entry, FpuState& fpu, FpuInsn& insn, unsigned accesses) {
    Faulting memory;
    memory.left = accesses;
    if (setjmp(memory.out) != 0) return true;
    entry.handler(fpu, insn, memory.mem());
    return false;
}

TEST_CASE("a memory fault leaves the state unchanged", "[fpu]") {
    Random random(11);
    unsigned faults = 0;
    const auto check = [&](const FpuEntry& entry, unsigned opcode) {
        if (entry.handler == nullptr) return;
        for (unsigned accesses = 0; accesses < 24; ++accesses) {
            const FpuState before = random.state(accesses % 2 == 0);
            FpuState fpu = before;
            FpuInsn insn;
            insn.opcode = static_cast<std::uint16_t>(opcode);
            insn.eip = 0xdeadbeef;
            insn.operand_size_32 = random.chance(50);
            if (!run_faulting(entry, fpu, insn, accesses)) break;
            ++faults;
            INFO(std::hex << "opcode " << opcode << " access " << accesses);
            REQUIRE(std::memcmp(&fpu, &before, sizeof fpu) == 0);
        }
    };
    for (unsigned round = 0; round < 20; ++round) {
        for (unsigned opcode = 0xd8; opcode <= 0xdf; ++opcode) {
            for (unsigned reg = 0; reg < 8; ++reg) {
                const auto modrm = static_cast<std::uint8_t>(reg << 3);
                check(fpu_lookup(static_cast<std::uint8_t>(opcode), modrm), (opcode & 7) << 8 | modrm);
            }
        }
        for (unsigned opcode = 0; opcode <= 0xff; ++opcode) {
            check(mmx_lookup(static_cast<std::uint8_t>(opcode), 0), opcode << 8);
        }
    }
    CHECK(faults > 2000);
}

TEST_CASE("stack faults tell overflow from underflow", "[fpu]") {
    Machine m;
    REQUIRE(m.run(0xd8, 0xc1));  // FADD on an empty stack
    CHECK((m.fpu.sw & 0x02ff) == 0x41);
    CHECK(m.fpu.regs[0] == kIndefinite);
    m.fpu.init();
    for (unsigned n = 0; n < 8; ++n) REQUIRE(m.run(0xd9, 0xe8));
    CHECK(m.fpu.sw == 0);
    REQUIRE(m.run(0xd9, 0xe8));
    CHECK((m.fpu.sw & 0x02ff) == 0x241);
    CHECK(m.fpu.top == 7);
    CHECK(m.fpu.regs[7] == kIndefinite);
}

TEST_CASE("MMX writes alias the x87 registers", "[fpu][mmx]") {
    Machine m;
    m.fpu.top = 3;
    m.insn.gpr = 0x89abcdef;
    m.insn.opcode = 0x6ee8;  // MOVD mm5, eax
    mmx_lookup(0x6e, 0xe8).handler(m.fpu, m.insn, m.buffer.mem());
    CHECK(m.fpu.regs[5] == Float80{0x89abcdef, 0xffff});
    CHECK(m.fpu.top == 0);
    CHECK(m.fpu.in_use == 0xff);
    mmx_lookup(0x77, 0).handler(m.fpu, m.insn, m.buffer.mem());
    CHECK(m.fpu.tag_word() == 0xffff);
}

}  // namespace
}  // namespace backplane::interp::fpu_test
