// The state that all engines share: nothing is lost on the way out and back.
#include <catch2/catch.hpp>
#include <cstring>

#include "breakpoints.hpp"
#include "test_system_host.hpp"

namespace backplane::interp {
namespace {

bool same(const bp_x86_state& a, const bp_x86_state& b) { return std::memcmp(&a, &b, sizeof a) == 0; }

// Something in every register that a program of this processor can set.
void fill(Bench& b) {
    Cpu& c = b.cpu;
    b.protect(3);
    b.enable_paging();
    for (unsigned n = 0; n < 8; ++n) c.r32(n) = 0x11111111u * (n + 1);
    c.eip = c.prev_eip = 0x7001;
    c.set_flags(kCf | kAf | kOf | kIf | kNt | kId | kFixed1);
    for (unsigned n = 0; n < 4; ++n) c.dr[n] = 0x1000 + n;
    c.dr6 = 0xffff0ff1;
    c.dr7 = 0x455;
    c.cr2 = 0xdeadbeef;
    c.fpu.init();
    c.fpu.top = 5;
    c.fpu.in_use = 0xe0;
    for (unsigned n = 0; n < 8; ++n)
        c.fpu.regs[n] = {0x8000000000000000ull + n, static_cast<std::uint16_t>(0x4000 + n)};
    c.fpu.fip = 0x1234;
    c.fpu.fcs = 0x1b;
    c.fpu.fop = 0x155;
    c.msr.sysenter_eip = 0xc0100000;
    c.msr.mtrr_variable[3] = 0xff0000800;
    c.msr.mc_bank[17] = 9;
    c.tsc_hz = 3'000'000'000;
    c.tsc_offset = 77;
    c.nmi_blocked = true;
    c.inhibit_interrupts = true;
    c.set_line(kLineNmi, true);
    c.debug_pending = 1u << 14;
    c.smbase = 0xa0000;
    c.mode_changed();
}

}  // namespace

TEST_CASE("a state that was taken and set is the same state, on the same processor and on another one") {
    Bench first, second;
    fill(first);
    bp_x86_state taken, again;
    export_state(first.cpu, taken);
    REQUIRE(import_state(first.cpu, taken) == nullptr);
    export_state(first.cpu, again);
    CHECK(same(taken, again));

    second.cpu.tsc_hz = first.cpu.tsc_hz;
    REQUIRE(import_state(second.cpu, taken) == nullptr);
    export_state(second.cpu, again);
    CHECK(same(taken, again));
    CHECK(second.cpu.r32(kEdi) == 0x88888888);
    CHECK(second.cpu.flags() == first.cpu.flags());
    CHECK(second.cpu.fpu.regs[0] == first.cpu.fpu.regs[0]);
    CHECK(second.cpu.tsc_offset == 77);
    CHECK(second.cpu.user());
    CHECK((second.cpu.lines & kLineNmi) != 0);
    CHECK(second.cpu.seg[kDs].write_end == 1ull << 32);
}

TEST_CASE("what a 64-bit processor has besides goes out and in as well") {
    Bench first, second;
    for (Bench* b : {&first, &second}) b->cpu.model = find_model("qemu64");
    Cpu& c = first.cpu;
    for (unsigned n = 0; n < 16; ++n) c.gpr[n] = 0x0101010101010101ull * (n + 1);
    c.msr.efer = kEferSce | kEferNxe;
    c.msr.star = 0x0023001000000000;
    c.msr.lstar = 0xffffffff81000000;
    c.msr.kernel_gs_base = 0xffff888000000000;
    c.msr.tsc_aux = 3;
    c.cr4 |= kCr4Osfxsr;
    c.sse.mxcsr = 0x1fa0;
    c.sse.ymm[15].bytes[7] = 0x77;
    bp_x86_state taken, again;
    export_state(c, taken);
    CHECK(taken.gpr[15] == 0x1010101010101010);
    CHECK(taken.ymm[15][7] == 0x77);
    CHECK(taken.mxcsr == 0x1fa0);
    CHECK(taken.lstar == 0xffffffff81000000);
    CHECK((debug_features(*c.model) & BP_CPU_HAS_LONG_MODE) != 0);
    REQUIRE(import_state(second.cpu, taken) == nullptr);
    export_state(second.cpu, again);
    CHECK(same(taken, again));
}

TEST_CASE("the export is what the processor has") {
    Bench b;
    fill(b);
    bp_x86_state s;
    export_state(b.cpu, s);
    CHECK(s.gpr[BP_X86_RBX] == 0x44444444);
    CHECK(s.rip == 0x7001);
    CHECK((s.rflags & 0xed5) == (kCf | kAf | kOf | kIf));
    CHECK(s.segment[BP_X86_CS].selector == 0x1b);
    CHECK(s.segment[BP_X86_CS].attributes == 0xc0fb);
    CHECK(s.segment[BP_X86_CS].limit == 0xffffffff);
    CHECK(s.cpl == 3);
    CHECK(s.fsw >> 11 == 5);
    CHECK(s.st[0].sign_exponent == 0x4005);
    CHECK(s.ftw == 0xe0);
    CHECK(s.events == (BP_X86_NMI_BLOCKED | BP_X86_SHADOW_STI | BP_X86_NMI_PENDING));
    CHECK(s.tsc == 77);
    CHECK(s.xcr0 == 1);
}

TEST_CASE("the counter goes on from the time at which the state was taken") {
    Bench b;
    b.cpu.tsc_hz = 2'000'000'000;
    static i64 now = 0;
    b.bus.now = [](void*) -> i64 { return now; };
    b.cpu.attach(&b.vcpu, &b.bus);
    now = 500;
    bp_x86_state s;
    export_state(b.cpu, s);
    CHECK(s.tsc == 1000);
    now = 600;
    REQUIRE(import_state(b.cpu, s) == nullptr);
    CHECK(b.cpu.read_tsc() == 1200);
}

TEST_CASE("the vector registers and XCR0 of a processor with AVX go out and in") {
    Bench b;
    b.cpu.model = find_model("max");
    b.cpu.sse.xcr0 = 7;
    std::memset(b.cpu.sse.ymm[9].bytes, 0x19, 32);
    bp_x86_state s;
    export_state(b.cpu, s);
    CHECK(s.xcr0 == 7);
    CHECK(s.ymm[9][31] == 0x19);
    CHECK((debug_features(*b.cpu.model) & BP_CPU_HAS_AVX) != 0);
    CHECK((debug_features(*find_model("qemu64")) & BP_CPU_HAS_AVX) == 0);
    b.cpu.sse.xcr0 = 1;
    b.cpu.sse.ymm[9] = VectorRegister{};
    REQUIRE(import_state(b.cpu, s) == nullptr);
    CHECK(b.cpu.sse.xcr0 == 7);
    CHECK(b.cpu.sse.ymm[9].bytes[31] == 0x19);
    s.xcr0 = 5;
    CHECK(import_state(b.cpu, s) != nullptr);
    s.xcr0 = 0;  // of an engine that does not know of it
    REQUIRE(import_state(b.cpu, s) == nullptr);
    CHECK(b.cpu.sse.xcr0 == 1);
}

TEST_CASE("a state that no processor can be in is refused and changes nothing") {
    Bench b;
    fill(b);
    bp_x86_state before, after;
    export_state(b.cpu, before);
    bp_x86_state wrong = before;
    wrong.gpr[0] = 99;
    SECTION("paging without protection") { wrong.cr0 = 0x80000000; }
    SECTION("bits of CR4") { wrong.cr4 = 1ull << 31; }
    SECTION("a high half of CR0") { wrong.cr0 |= 1ull << 32; }
    SECTION("level") { wrong.cpl = 4; }
    SECTION("virtual-8086 mode in ring 0") { wrong.rflags |= kVm, wrong.cpl = 0; }
    SECTION("64-bit mode that the model has not") { wrong.efer = 0x500; }
    SECTION("components of a state that the model has not") { wrong.xcr0 = 7; }
    SECTION("attributes") { wrong.segment[0].attributes = 0x0f93; }
    CHECK(import_state(b.cpu, wrong) != nullptr);
    export_state(b.cpu, after);
    CHECK(same(before, after));
}

}  // namespace backplane::interp
