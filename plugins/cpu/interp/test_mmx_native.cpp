// Every MMX instruction against the host's own, on random states and operands.
#include <catch2/catch.hpp>
#include <iomanip>
#include <sstream>
#include <string>

#include "test_fpu_random.hpp"

namespace backplane::interp::fpu_test {
namespace {

std::string describe(const FsaveImage& image) {
    std::ostringstream out;
    out << std::hex << std::setfill('0') << "sw " << image.sw << " tag " << image.tag << '\n';
    for (const auto& reg : image.stack) {
        out << "  ";
        for (int n = 9; n >= 0; --n) out << std::setw(2) << unsigned{reg[n]};
        out << '\n';
    }
    return out.str();
}

// Lanes that saturate and compare equal are rare among random bits.
std::uint64_t operand(Random& random) {
    constexpr std::uint16_t kEdges[] = {0x0000, 0x0001, 0x7f7f, 0x7fff, 0x8000, 0x8080, 0xff00, 0xffff};
    std::uint64_t value = 0;
    for (unsigned n = 0; n < 4; ++n) {
        const std::uint64_t lane = random.chance(50) ? kEdges[random.below(8)] : random.bits() & 0xffff;
        value |= lane << (16 * n);
    }
    return random.chance(20) ? random.below(70) : value;  // also a shift count
}

constexpr std::uint8_t kNop = 0x90;

void forget_undefined(FsaveImage& image) {
    image.cw_reserved = image.sw_reserved = image.tag_reserved = image.fds_reserved = 0;
    image.fip = image.fdp = 0;  // what MMX leaves in the x87 pointers is not defined
    image.fcs = image.fds = image.fop = 0;
}

void compare_encoding(std::uint8_t opcode, std::uint8_t modrm, unsigned cases) {
    const FpuEntry entry = mmx_lookup(opcode, modrm);
    if (entry.handler == nullptr) return;
    const bool immediate = (entry.traits & kMmxImmediate) != 0;
    alignas(16) static std::uint8_t host_memory[sizeof(Buffer::bytes)];
    Random random(opcode * 256u + modrm);
    FpuInsn insn;
    if (immediate) insn.imm8 = static_cast<std::uint8_t>(random.below(80));
    // EMMS has no modrm and only the shift groups an immediate: a NOP instead.
    const HostStub stub{0x0f, opcode, opcode == 0x77 ? kNop : modrm, immediate ? insn.imm8 : kNop};

    for (unsigned n = 0; n < cases; ++n) {
        FpuState fpu = random.state(true);
        for (Float80& reg : fpu.regs) reg.mantissa = operand(random);
        Buffer buffer;
        random.memory(buffer.bytes, sizeof buffer.bytes);
        const std::uint64_t source = operand(random);
        std::memcpy(buffer.bytes, &source, 8);
        std::memcpy(host_memory, buffer.bytes, sizeof host_memory);

        HostFrame frame;
        frame.state = to_image(fpu);
        frame.memory = host_memory;
        frame.rax = random.bits();
        const FsaveImage before = frame.state;
        insn.opcode = static_cast<std::uint16_t>(opcode << 8 | modrm);
        insn.gpr = static_cast<std::uint32_t>(frame.rax);

        stub.run(frame);
        entry.handler(fpu, insn, buffer.mem());

        FsaveImage ours = to_image(fpu);
        forget_undefined(ours);
        forget_undefined(frame.state);
        const bool same = std::memcmp(&ours, &frame.state, sizeof ours) == 0 &&
                          std::memcmp(buffer.bytes, host_memory, sizeof host_memory) == 0 &&
                          static_cast<std::uint32_t>(insn.gpr) == static_cast<std::uint32_t>(frame.rax);
        if (!same) {
            FAIL_CHECK(std::hex << "0f " << unsigned{opcode} << ' ' << unsigned{modrm} << " imm " << unsigned{insn.imm8}
                                << "\nbefore " << describe(before) << "source " << source << "\nhost "
                                << describe(frame.state) << "ours " << describe(ours));
            return;
        }
    }
    SUCCEED();
}

TEST_CASE("every MMX instruction gives the host's result", "[mmx]") {
    const unsigned cases = random_cases(20);
    for (unsigned opcode = 0; opcode <= 0xff; ++opcode) {
        const bool gpr = opcode == 0x6e || opcode == 0x7e;  // rm = eax in the stub
        for (unsigned modrm = 0; modrm <= 0xff; ++modrm) {
            const bool usable = modrm < 0xc0 ? (modrm & 0xc7) == 2 : !gpr || (modrm & 7) == 0;  // [rdx]
            if (usable) compare_encoding(static_cast<std::uint8_t>(opcode), static_cast<std::uint8_t>(modrm), cases);
        }
    }
}

TEST_CASE("immediate shifts match the host for every count", "[mmx]") {
    for (const std::uint8_t opcode : {std::uint8_t{0x71}, std::uint8_t{0x72}, std::uint8_t{0x73}}) {
        for (const unsigned operation : {2u, 4u, 6u}) {
            const auto modrm = static_cast<std::uint8_t>(0xc1 | operation << 3);
            const FpuEntry entry = mmx_lookup(opcode, modrm);
            if (entry.handler == nullptr) continue;  // 73 /4 does not exist
            for (unsigned count = 0; count < 256; ++count) {
                Random random(count);
                FpuState fpu = random.state(true);
                HostFrame frame;
                frame.state = to_image(fpu);
                FpuInsn insn;
                insn.opcode = static_cast<std::uint16_t>(opcode << 8 | modrm);
                insn.imm8 = static_cast<std::uint8_t>(count);
                HostStub{{0x0f, opcode, modrm, insn.imm8}}.run(frame);
                Buffer unused;
                entry.handler(fpu, insn, unused.mem());
                const FsaveImage ours = to_image(fpu);
                INFO("opcode " << unsigned{opcode} << " /" << operation << " count " << count);
                REQUIRE(std::memcmp(ours.stack, frame.state.stack, sizeof ours.stack) == 0);
            }
        }
    }
}

TEST_CASE("opcodes outside the Pentium II's MMX set are not found", "[mmx]") {
    unsigned found = 0;
    for (unsigned opcode = 0; opcode <= 0xff; ++opcode) {
        if (mmx_lookup(static_cast<std::uint8_t>(opcode), 0xd1).handler != nullptr) ++found;
    }
    // 44 packed opcodes, two MOVD, two MOVQ, EMMS, three shift groups (D1 is /2).
    CHECK(found == 52);
    CHECK(mmx_lookup(0x71, 0x11).handler == nullptr);  // shift groups have no memory form
    CHECK(mmx_lookup(0x73, 0xe1).handler == nullptr);  // no PSRAQ
    for (const unsigned sse : {0x70u, 0xc4u, 0xc5u, 0xd4u, 0xd7u, 0xdau, 0xdeu, 0xe0u, 0xe4u, 0xe7u, 0xeau, 0xf6u}) {
        CHECK(mmx_lookup(static_cast<std::uint8_t>(sse), 0xd1).handler == nullptr);
    }
}

}  // namespace
}  // namespace backplane::interp::fpu_test
