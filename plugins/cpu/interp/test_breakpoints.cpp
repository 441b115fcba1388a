// What a debugger outside the machine gets: breakpoints, watchpoints, single steps, memory without side effects.
#include <catch2/catch.hpp>
#include <initializer_list>

#include "block.hpp"
#include "breakpoints.hpp"
#include "test_system_host.hpp"

namespace backplane::interp {
namespace {

constexpr u32 kAt = 0x7000;

struct Debugged : Bench {
    Debugged() {
        protect(0);
        for (u32 v = 0; v < 64; ++v) {
            idt(static_cast<u8>(v), gate(kCode0, 0x5000 + 0x10 * v, 0x8e));
            poke<u8>(0x5000 + 0x10 * v, 0xcf);  // iret
        }
        cpu.host.acknowledge = [](void* self) {
            static_cast<Cpu*>(self)->set_line(kLineIntr, false);
            return 0x20;
        };
        cpu.host.self = &cpu;
    }
    void code(std::initializer_list<int> bytes, u32 at_address = kAt) {
        cpu.cache->store(at_address, bytes.size());
        for (int b : bytes) poke<u8>(at_address++, static_cast<u8>(b));
        at(kAt);
    }
    Breakpoints& debugger() { return breakpoints(cpu); }
    void add(u32 address) { REQUIRE(debugger().add(cpu, address) == BP_OK); }
    u32 step(u32 mode = BP_STEP_ONE) {
        debugger().request_step(mode);
        return cpu.run();
    }
    // Without a stop after so many instructions: BP_EXIT_DEADLINE.
    u32 run(u64 most = 100000) {
        vcpu.deadline = vcpu.instructions + most;
        return cpu.run();
    }
};

}  // namespace

TEST_CASE("a breakpoint stops before its instruction, each time the program comes there") {
    Debugged m;
    m.code({0x40, 0x43, 0x41, 0xeb, 0xfb});  // inc eax; inc ebx; inc ecx; jmp kAt
    const bool warm = GENERATE(false, true);
    if (warm) m.run(40);  // the loop is decoded already
    const u32 before = m.cpu.r32(kEax);
    m.add(kAt + 2);
    for (u32 n = 1; n < 4; ++n) {
        REQUIRE(m.run() == BP_EXIT_BREAK);
        CHECK(m.cpu.eip == kAt + 2);
        CHECK(m.cpu.r32(kEax) == before + n);
        CHECK(m.cpu.r32(kEbx) == m.cpu.r32(kEax));
        CHECK(m.cpu.r32(kEcx) + 1 == m.cpu.r32(kEax));
        CHECK(m.debugger().last().kind == BP_STOP_BREAKPOINT);
        CHECK(m.debugger().last().address == kAt + 2);
    }
    CHECK(m.vcpu.instructions == 4u * (before + 2) + 2);
    REQUIRE(m.debugger().remove(kAt + 2) == BP_OK);
    CHECK(m.debugger().remove(kAt + 2) == BP_ERR_NOT_FOUND);
    CHECK(m.run(1000) == BP_EXIT_DEADLINE);
    CHECK(m.debugger().last().kind == BP_STOP_NONE);
}

TEST_CASE("a breakpoint is a linear address: the same code somewhere else runs on") {
    Debugged m;
    m.enable_paging();
    m.code({0x40, 0x43, 0xc3});                         // inc eax; inc ebx; ret
    m.poke<u32>(0xf1000 + (0x8000 >> 12) * 4, 0x7007);  // 8000h shows 7000h
    m.cpu.tlb_flush(true);
    m.code({0xe8, 0xfb, 0x17, 0, 0, 0xe8, 0xf6, 0x07, 0, 0, 0xeb, 0xf4}, 0x6800);  // call 8000h; call 7000h; jmp 6800h
    m.at(0x6800);
    m.add(kAt + 1);
    REQUIRE(m.run() == BP_EXIT_BREAK);
    CHECK(m.cpu.r32(kEbx) == 1);
    REQUIRE(m.run() == BP_EXIT_BREAK);
    CHECK(m.cpu.r32(kEbx) == 3);
    CHECK(m.cpu.eip == kAt + 1);
}

TEST_CASE("code that is written again keeps its breakpoint") {
    Debugged m;
    m.code({0x40, 0x43, 0xeb, 0xfc});
    m.add(kAt + 1);
    REQUIRE(m.run() == BP_EXIT_BREAK);
    m.code({0x40, 0x43, 0x43, 0xeb, 0xfb});
    m.at(kAt + 1);
    REQUIRE(m.run() == BP_EXIT_BREAK);
    CHECK(m.cpu.r32(kEbx) == 2);
    CHECK(m.cpu.eip == kAt + 1);
}

TEST_CASE("a program runs as far with breakpoints as without") {
    Debugged plain, stopped;
    for (Debugged* m : {&plain, &stopped}) {
        m->code({0x40, 0x69, 0xd8, 77, 0, 0, 0, 0x01, 0xd9, 0x53, 0x5a, 0xeb, 0xf3});
        for (u32 a : {kAt + 1, kAt + 9, kAt + 11})
            if (m == &stopped) m->add(a);
    }
    plain.vcpu.deadline = stopped.vcpu.deadline = 777;
    REQUIRE(plain.cpu.run() == BP_EXIT_DEADLINE);
    u32 breaks = 0;
    while (stopped.cpu.run() == BP_EXIT_BREAK) ++breaks;
    CHECK(breaks > 300);
    CHECK(plain.vcpu.instructions == stopped.vcpu.instructions);
    for (unsigned n = 0; n < 8; ++n) CHECK(plain.cpu.r32(n) == stopped.cpu.r32(n));
    CHECK(plain.cpu.flags() == stopped.cpu.flags());
    CHECK(plain.cpu.eip == stopped.cpu.eip);
}

TEST_CASE("a step is one instruction, a REP with all its iterations as well") {
    Debugged m;
    m.code({0x40, 0xf3, 0xaa, 0x43, 0xeb, 0xfe});  // inc eax; rep stosb; inc ebx; jmp $
    m.cpu.r32(kEcx) = 10000;
    m.cpu.r32(kEdi) = 0x20000;
    for (const u32 eip : {kAt + 1, kAt + 3, kAt + 4, kAt + 4}) {
        REQUIRE(m.step() == BP_EXIT_BREAK);
        CHECK(m.cpu.eip == eip);
        CHECK(m.debugger().last().kind == BP_STOP_STEP);
    }
    CHECK(m.cpu.r32(kEcx) == 0);
    m.at(kAt + 1);
    m.cpu.r32(kEcx) = 10000;
    m.debugger().request_step(BP_STEP_ONE);
    CHECK(m.run(100) == BP_EXIT_DEADLINE);  // the request outlives a deadline
    CHECK(m.run() == BP_EXIT_BREAK);
    CHECK(m.cpu.eip == kAt + 3);
    CHECK(m.run(100) == BP_EXIT_DEADLINE);  // and ends with the step
}

TEST_CASE("a breakpoint at a REP stops once, even if its iterations are interrupted") {
    Debugged m;
    m.code({0x40, 0xf3, 0xaa, 0xeb, 0xfb});  // inc eax; rep stosb; jmp kAt
    m.cpu.r32(kEcx) = 1000;
    m.cpu.r32(kEdi) = 0x20000;
    m.add(kAt + 1);
    REQUIRE(m.run() == BP_EXIT_BREAK);
    CHECK(m.run(300) == BP_EXIT_DEADLINE);
    CHECK(m.cpu.r32(kEcx) == 700);
    m.cpu.set_flags(kIf, kIf);
    m.cpu.set_line(kLineIntr, true);
    REQUIRE(m.run() == BP_EXIT_BREAK);
    CHECK(m.cpu.r32(kEcx) == 0);
    CHECK(m.cpu.r32(kEax) == 2);
}

TEST_CASE("a step over an instruction that faults ends at the handler") {
    Debugged m;
    m.code({0x0f, 0x0b});
    REQUIRE(m.step() == BP_EXIT_BREAK);
    CHECK(m.cpu.eip == 0x5060);
}

TEST_CASE("an interrupt ends a step at its handler, or waits until the step is done") {
    Debugged m;
    m.code({0x40, 0x40, 0xf4});
    m.cpu.set_flags(kIf);
    m.cpu.set_line(kLineIntr, true);
    SECTION("it comes") {
        REQUIRE(m.step(BP_STEP_ONE) == BP_EXIT_BREAK);
        CHECK(m.cpu.eip == 0x5200);
        CHECK(m.cpu.r32(kEax) == 0);
    }
    SECTION("it waits") {
        REQUIRE(m.step(BP_STEP_ONE_HELD) == BP_EXIT_BREAK);
        CHECK(m.cpu.eip == kAt + 1);
        CHECK(m.run(1) == BP_EXIT_DEADLINE);  // iret of the handler
        CHECK(m.cpu.eip == kAt + 1);
        CHECK(m.cpu.r32(kEax) == 1);
    }
    SECTION("HLT waits for it") {
        m.cpu.set_line(kLineIntr, false);
        m.at(kAt + 2);
        REQUIRE(m.step(BP_STEP_ONE_HELD) == BP_EXIT_BREAK);
        CHECK(m.step(BP_STEP_ONE_HELD) == BP_EXIT_HALT);
        m.cpu.set_line(kLineIntr, true);
        REQUIRE(m.run() == BP_EXIT_BREAK);
        CHECK(m.cpu.eip == 0x5200);
    }
}

TEST_CASE("the program's own single step and breakpoints work beside the debugger's") {
    Debugged m;
    m.code({0x40, 0x43, 0xeb, 0xfe});
    m.add(kAt + 1);
    m.cpu.mov_to_dr(0, kAt + 1);
    m.cpu.mov_to_dr(7, 0x402);
    REQUIRE(m.run() == BP_EXIT_BREAK);
    CHECK(m.cpu.eip == kAt + 1);
    REQUIRE(m.step() == BP_EXIT_BREAK);  // into the handler of the debug exception
    CHECK(m.cpu.eip == 0x5010);
    CHECK((m.cpu.dr6 & 1) == 1);
}

TEST_CASE("a watchpoint stops behind the instruction that touches one of its bytes") {
    Debugged m;
    // inc eax; mov [20001h], ax; inc ebx; mov ecx, [1fffch]; inc ebx; jmp $
    m.code({0x40, 0x66, 0xa3, 1, 0, 2, 0, 0x43, 0x8b, 0x0d, 0xfc, 0xff, 1, 0, 0x43, 0xeb, 0xfe});
    bool warm = GENERATE(false, true);
    if (warm) {
        m.run(20);
        m.at(kAt);
    }
    const u32 before = m.cpu.r32(kEbx);
    Breakpoints& d = m.debugger();
    SECTION("write") {
        REQUIRE(d.watch(m.cpu, 0x20002, 1, BP_WATCH_WRITE) == BP_OK);
        REQUIRE(m.run() == BP_EXIT_BREAK);
        CHECK(m.cpu.eip == kAt + 7);
        CHECK(d.last().kind == BP_STOP_WATCHPOINT);
        CHECK(d.last().address == 0x20002);
        CHECK(d.last().accessed == 0x20001);
        CHECK(d.last().access == BP_WATCH_WRITE);
        CHECK(m.run(1000) == BP_EXIT_DEADLINE);
    }
    SECTION("read, and it begins in the page before") {
        REQUIRE(d.watch(m.cpu, 0x1fffd, 8, BP_WATCH_READ) == BP_OK);
        REQUIRE(m.run() == BP_EXIT_BREAK);
        CHECK(m.cpu.eip == kAt + 14);
        CHECK(m.cpu.r32(kEbx) == before + 1);
        CHECK(d.last().access == BP_WATCH_READ);
    }
    SECTION("either") {
        REQUIRE(d.watch(m.cpu, 0x1fffd, 8, BP_WATCH_READ | BP_WATCH_WRITE) == BP_OK);
        REQUIRE(m.run() == BP_EXIT_BREAK);
        CHECK(m.cpu.eip == kAt + 7);
        REQUIRE(m.run() == BP_EXIT_BREAK);
        CHECK(m.cpu.eip == kAt + 14);
    }
    SECTION("beside it, and after it was removed") {
        REQUIRE(d.watch(m.cpu, 0x20003, 2, BP_WATCH_WRITE) == BP_OK);
        REQUIRE(d.watch(m.cpu, 0x20001, 2, BP_WATCH_WRITE) == BP_OK);
        REQUIRE(d.unwatch(m.cpu, 0x20001, 2, BP_WATCH_WRITE) == BP_OK);
        CHECK(m.run(1000) == BP_EXIT_DEADLINE);
    }
    CHECK(d.watch(m.cpu, 0x20000, 9, BP_WATCH_WRITE) == BP_ERR_INVALID);
    CHECK(d.watch(m.cpu, 0x20000, 0, BP_WATCH_WRITE) == BP_ERR_INVALID);
    CHECK(d.watch(m.cpu, 0x20000, 4, 0) == BP_ERR_INVALID);
    CHECK(d.unwatch(m.cpu, 0x20000, 4, BP_WATCH_READ) == BP_ERR_NOT_FOUND);
}

TEST_CASE("pushes, returns and string instructions meet watchpoints too") {
    Debugged m;
    m.code({0xe8, 2, 0, 0, 0, 0xeb, 0xfe, 0x90, 0xc3});  // call +2; jmp $; nop; ret
    m.cpu.r32(kEsp) = 0x20004;
    REQUIRE(m.debugger().watch(m.cpu, 0x20000, 4, BP_WATCH_READ | BP_WATCH_WRITE) == BP_OK);
    REQUIRE(m.run() == BP_EXIT_BREAK);
    CHECK(m.cpu.eip == kAt + 7);
    REQUIRE(m.run() == BP_EXIT_BREAK);
    CHECK(m.cpu.eip == kAt + 5);
    m.code({0xf3, 0xaa, 0xeb, 0xfe});  // rep stosb
    m.cpu.r32(kEdi) = 0x1ff00;
    m.cpu.r32(kEcx) = 0x1000;
    REQUIRE(m.run() == BP_EXIT_BREAK);
    CHECK(m.cpu.r32(kEdi) == 0x20001);
    CHECK(m.cpu.eip == kAt);
}

TEST_CASE("translation and memory have no side effects") {
    Debugged m;
    m.enable_paging();
    m.page_bits(0x8000, 0);
    m.page_bits(0x9000, 1);
    const std::vector<u8> before = m.ram;
    CHECK(translate_quietly(m.cpu, 0x7123, BP_DEBUG_WRITE | BP_DEBUG_USER) == 0x7123);
    CHECK(translate_quietly(m.cpu, 0x8123, 0) == -1);
    CHECK(translate_quietly(m.cpu, 0x9123, 0) == 0x9123);
    CHECK(translate_quietly(m.cpu, 0x9123, BP_DEBUG_USER) == -1);
    CHECK(translate_quietly(m.cpu, 0x9123, BP_DEBUG_WRITE) == 0x9123);  // CR0.WP is clear
    CHECK(translate_quietly(m.cpu, 0x9123, BP_DEBUG_WRITE | BP_DEBUG_USER) == -1);
    CHECK(translate_quietly(m.cpu, 0x40000000, 0) == -1);
    u8 data[0x2000] = {};
    CHECK(copy_from_guest(m.cpu, 0x7ff0, data, sizeof data, 0) == 0x10);
    CHECK(copy_from_guest(m.cpu, 0x8ff0, data, 1, BP_DEBUG_PHYSICAL) == 1);
    CHECK(copy_from_guest(m.cpu, 0x100000, data, 1, BP_DEBUG_PHYSICAL) == 0);  // no RAM there
    CHECK(m.ram == before);
}

TEST_CASE("what a debugger writes over code is executed") {
    Debugged m;
    m.code({0x40, 0xeb, 0xfd});
    m.run(100);
    const u8 decrement = 0x48;
    CHECK(copy_to_guest(m.cpu, kAt, &decrement, 1, 0) == 1);
    m.at(kAt);
    m.cpu.r32(kEax) = 50;
    m.run(20);
    CHECK(m.cpu.r32(kEax) == 40);
}

}  // namespace backplane::interp
