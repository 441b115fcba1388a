// INIT and STARTUP: how an application processor comes to life (SDM 3, 8.4 and 9.1).
#include <catch2/catch.hpp>

#include "breakpoints.hpp"
#include "test_system_host.hpp"

namespace backplane::interp {
namespace {

// A processor beside a local APIC, with HLT wherever it may begin.
struct Machine : Bench {
    i64 apic_base = 0xfee00800;  // no bootstrap processor
    Machine() {
        cpu.host.self = this;
        cpu.host.apic_base = [](void* self) { return static_cast<Machine*>(self)->apic_base; };
        poke<u32>(0x9a000, 0xf4);
        poke<u32>(0x98000, 0xf4);
        cpu.reset(true);
    }
    void pulse(LineBit line) {
        cpu.set_line(line, true);
        cpu.set_line(line, false);
    }
    // Where it halted, -1: it waits for STARTUP.
    i64 run() {
        vcpu.deadline = vcpu.instructions + 1000;
        REQUIRE(cpu.run() == BP_EXIT_HALT);
        return cpu.wait_for_sipi ? -1 : static_cast<i64>(cpu.code_address(cpu.eip));
    }
};

}  // namespace

TEST_CASE("an application processor begins where STARTUP says") {
    Machine m;
    CHECK(m.run() == -1);
    CHECK(m.vcpu.instructions == 0);
    m.cpu.startup(0x9a);
    CHECK(m.run() == 0x9a001);
    CHECK(m.cpu.seg[kCs].selector == 0x9a00);
    CHECK(m.cpu.seg[kCs].limit == 0xffff);
    CHECK(m.cpu.eip == 1);
    SECTION("and ignores the next one") {
        m.cpu.startup(0x98);
        CHECK(m.run() == 0x9a001);
        m.poke<u8>(0x9a001, 0xf4);
        CHECK(m.run() == 0x9a001);
    }
    SECTION("again after INIT") {
        m.cpu.startup(0x98);  // ignored: it is not waiting
        m.pulse(kLineInit);
        CHECK(m.run() == -1);
        m.cpu.startup(0x98);
        m.cpu.startup(0x9a);  // the first one counts
        CHECK(m.run() == 0x98001);
    }
    SECTION("with INIT and STARTUP both waiting for it to look") {
        m.pulse(kLineInit);
        m.cpu.startup(0x98);
        CHECK(m.run() == 0x98001);
    }
}

TEST_CASE("the bootstrap processor and one without local APIC begin by themselves") {
    Machine m;
    m.apic_base = GENERATE(i64{0xfee00900}, i64{-1});
    m.cpu.reset(true);
    m.vcpu.deadline = 1;
    CHECK(m.cpu.run() == BP_EXIT_DEADLINE);
    CHECK_FALSE(m.cpu.wait_for_sipi);
    m.pulse(kLineInit);
    m.vcpu.deadline = 2;
    CHECK(m.cpu.run() == BP_EXIT_DEADLINE);
    CHECK_FALSE(m.cpu.wait_for_sipi);
}

TEST_CASE("which processor is the first one may become known after the processor was reset") {
    Machine m;
    m.apic_base = 0xfee00900;
    m.cpu.reset(false);
    m.apic_base = 0xfee00800;
    CHECK(m.run() == -1);
}

TEST_CASE("SMI, NMI and interrupts wait for STARTUP, and address line 20 does not") {
    Machine m;
    m.protect();
    m.cpu.reset(true);
    CHECK(m.run() == -1);
    m.pulse(kLineSmi);
    m.pulse(kLineNmi);
    m.cpu.set_line(kLineIntr, true);
    m.cpu.set_line(kLineA20, false);
    CHECK(m.run() == -1);
    CHECK_FALSE(m.cpu.smm);
    CHECK(m.cpu.a20_mask == ~(1ull << 20));
    m.poke<u32>(0x38000, 0xaa0f);  // RSM
    m.poke<u16>(8, 0);             // the vector of NMI
    m.poke<u16>(10, 0x9800);
    m.cpu.startup(0x9a);
    CHECK(m.run() == 0x98001);  // SMI, RSM, NMI
    CHECK(m.cpu.nmi_blocked);
}

TEST_CASE("INIT keeps what the manual's table says, and resets the rest") {
    Machine m;
    Cpu& c = m.cpu;
    m.protect();
    c.cr0 |= kCr0Cd | kCr0Nw | kCr0Wp;
    c.cr2 = 5;
    c.cr4 = kCr4Pse;
    c.gpr[kEbx] = 7;
    c.dr[1] = 1;
    c.msr.sysenter_eip = 0x1234;
    c.msr.mtrr_def_type = 0xc06;
    c.msr.pat = 0x0101;
    c.tsc_offset = 99;
    c.smbase = 0xa0000;
    c.fpu.cw = 0x27f;
    c.fpu.regs[3].mantissa = 5;
    c.sse.ymm[2].bytes[1] = 6;
    m.pulse(kLineInit);
    CHECK(m.run() == -1);
    CHECK(c.cr0 == (kCr0Cd | kCr0Nw | kCr0Et));
    CHECK(c.cr2 == 0);
    CHECK(c.cr4 == 0);
    CHECK(c.gpr[kEbx] == 0);
    CHECK(c.gpr[kEdx] == c.model->version);
    CHECK(c.dr[1] == 0);
    CHECK(c.flags() == kFixed1);
    CHECK(c.gdtr.limit == 0xffff);
    CHECK(c.msr.sysenter_eip == 0x1234);
    CHECK(c.msr.mtrr_def_type == 0xc06);
    CHECK(c.msr.pat == 0x0101);
    CHECK(c.tsc_offset == 99);
    CHECK(c.smbase == 0xa0000);
    CHECK(c.fpu.cw == 0x27f);
    CHECK(c.fpu.regs[3].mantissa == 5);
    CHECK(c.sse.ymm[2].bytes[1] == 6);
}

TEST_CASE("a STARTUP interrupt that waits goes out and in with the state") {
    Machine m, other;
    m.run();
    m.pulse(kLineInit);
    m.cpu.startup(0x98);
    bp_x86_state s;
    export_state(m.cpu, s);
    CHECK(s.events == (BP_X86_WAIT_FOR_SIPI | BP_X86_INIT_PENDING | BP_X86_SIPI_PENDING));
    CHECK(s.sipi_vector == 0x98);
    other.cpu.startup(0x9a);
    REQUIRE(import_state(other.cpu, s) == nullptr);
    CHECK(other.run() == 0x98001);
}

TEST_CASE("STARTUP is lost on a processor in system management mode") {
    Machine m;
    m.apic_base = -1;
    m.cpu.reset(true);
    m.poke<u32>(0x38000, 0xaa0ff4);  // HLT; RSM
    m.pulse(kLineSmi);
    CHECK(m.run() == 0x38001);
    m.apic_base = 0xfee00800;
    m.pulse(kLineInit);
    m.cpu.startup(0x98);
    CHECK(m.run() == 0x38001);
    m.cpu.halted = false;
    CHECK(m.run() == -1);
}

}  // namespace backplane::interp
