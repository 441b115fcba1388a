// What the engine promises beyond single instructions: exact self-modification, exact counts and deadlines, events
// between instructions, translation, devices behind memory and ports.
#include <array>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <initializer_list>

#include "block.hpp"
#include "test_system_host.hpp"

namespace backplane::interp {
namespace {

constexpr u32 kAt = 0x7000;

struct Machine : Bench {
    Machine() {
        protect(0);
        // Every exception ends in HLT at 5000h + 10h * vector.
        for (u32 v = 0; v < 64; ++v) {
            idt(static_cast<u8>(v), gate(kCode0, 0x5000 + 0x10 * v, 0x8e));
            poke<u8>(0x5000 + 0x10 * v, 0xf4);
        }
        cpu.host.acknowledge = [](void*) { return 0x20; };
    }
    void code(std::initializer_list<int> bytes, u32 at_address = kAt) {
        cpu.cache->store(at_address, bytes.size());
        for (int b : bytes) poke<u8>(at_address++, static_cast<u8>(b));
    }
    u32 go(u32 eip = kAt) {
        at(eip);
        cpu.halted = false;
        return cpu.run();
    }
    // Vector of the handler that the processor halted in, -1 if it halted elsewhere.
    [[nodiscard]] int vector() const {
        const u32 at_handler = cpu.eip - 1;
        return at_handler >= 0x5000 && at_handler < 0x5400 && at_handler % 16 == 0
                   ? static_cast<int>((at_handler - 0x5000) / 16)
                   : -1;
    }
    Reg32 r(unsigned n) { return cpu.r32(n); }
};

}  // namespace

TEST_CASE("a store changes the very next instruction") {
    Machine m;
    // mov byte [next], 43h (inc ebx); next: inc eax; hlt
    m.code({0xc6, 0x05, 0x07, 0x70, 0, 0, 0x43, 0x40, 0xf4});
    REQUIRE(m.go() == BP_EXIT_HALT);
    CHECK(m.r(kEax) == 0);
    CHECK(m.r(kEbx) == 1);
    SECTION("again, now that the block is known") {
        m.code({0x40}, 0x7007);
        m.cpu.invalidate(0x7007, 1);
        __atomic_fetch_or(&m.vcpu.attention, BP_ATTENTION_INVALIDATE, __ATOMIC_RELEASE);
        m.go();
        CHECK(m.r(kEbx) == 2);
        CHECK(m.r(kEax) == 0);
    }
}

TEST_CASE("REP STOS, PUSH and an aliased page change code ahead of the instruction") {
    Machine m;
    m.r(kEdi) = 0x7002;
    m.r(kEcx) = 3;
    m.r(kEax) = 0x43;
    m.code({0xf3, 0xaa, 0x40, 0x40, 0x40, 0xf4});
    m.go();
    CHECK(m.r(kEbx) == 3);
    CHECK(m.r(kEax) == 0x43);

    m.code({0x52, 0x90, 0x40, 0x40, 0xf4});  // push edx over the two increments
    m.r(kEsp) = 0x7006;
    m.r(kEdx) = 0xf44b4b90;
    m.go();
    CHECK(m.r(kEbx) == 1);

    m.enable_paging();
    m.page_bits(0x30000, 0);
    m.poke<u32>(0xf1000 + 0x30 * 4, 0x7000 | 7);
    m.cpu.tlb_flush(true);
    m.code({0xc6, 0x05, 0x07, 0, 3, 0, 0x43, 0x40, 0xf4});  // through 30007h
    m.cpu.cache->store(0x7000, 16);
    m.r(kEbx) = 0;
    m.go();
    CHECK(m.r(kEbx) == 1);
}

TEST_CASE("a loop that patches itself sees each new value") {
    Machine m;
    // loop: add eax, imm32; inc byte [imm]; dec ecx; jnz loop; hlt
    m.code({0x05, 1, 0, 0, 0, 0xfe, 0x05, 0x01, 0x70, 0, 0, 0x49, 0x75, 0xf2, 0xf4});
    m.r(kEcx) = 50;
    m.go();
    CHECK(m.r(kEax) == 50 * 51 / 2);
    CHECK(m.cpu.count == 50 * 4 + 1);
}

TEST_CASE("data beside code is written without dropping the code") {
    Machine m;
    // loop: inc dword [7800h]; dec ecx; jnz loop; hlt
    m.code({0xff, 0x05, 0x00, 0x78, 0, 0, 0x49, 0x75, 0xf7, 0xf4});
    m.r(kEcx) = 1000;
    m.go();
    CHECK(m.peek<u32>(0x7800) == 1000);
    CHECK(m.cpu.cache->decoded < 10);
}

TEST_CASE("run() stops at exactly the deadline") {
    Machine m;
    // loop: inc eax; add ebx, 2; push eax; pop edx; jmp loop
    m.code({0x40, 0x83, 0xc3, 0x02, 0x50, 0x5a, 0xeb, 0xf8});
    m.at(kAt);
    u64 total = 0;
    for (u64 step : {1ull, 1ull, 1ull, 2ull, 3ull, 4ull, 5ull, 6ull, 7ull, 100ull, 101ull, 1ull, 9999ull}) {
        total += step;
        m.vcpu.deadline = total;
        REQUIRE(m.cpu.run() == BP_EXIT_DEADLINE);
        CHECK(m.vcpu.instructions == total);
        CHECK(m.r(kEax) == (total + 4) / 5);
        CHECK(m.r(kEbx) == (total + 3) / 5 * 2);
    }
}

TEST_CASE("each iteration of REP counts, and the deadline may fall between two") {
    Machine m;
    m.code({0xf3, 0xa4, 0xf4});
    m.r(kEsi) = 0x10000;
    m.r(kEdi) = 0x20000;
    m.r(kEcx) = 10000;
    for (u32 k = 0; k < 10000; ++k) m.ram[0x10000 + k] = static_cast<u8>(k * 7);
    m.at(kAt);
    m.vcpu.deadline = 6123;
    REQUIRE(m.cpu.run() == BP_EXIT_DEADLINE);
    CHECK(m.vcpu.instructions == 6123);
    CHECK(m.r(kEcx) == 10000 - 6123);
    CHECK(m.r(kEdi) == 0x20000 + 6123);
    CHECK(m.cpu.eip == kAt);
    CHECK(m.ram[0x20000 + 6122] == m.ram[0x10000 + 6122]);
    CHECK(m.ram[0x20000 + 6123] == 0);
    m.vcpu.deadline = ~0ull;
    REQUIRE(m.cpu.run() == BP_EXIT_HALT);
    CHECK(m.vcpu.instructions == 10001);
    m.r(kEcx) = 0;
    m.go();
    CHECK(m.vcpu.instructions == 10003);
}

TEST_CASE("a faulting instruction counts, and its state is that before it") {
    Machine m;
    m.code({0x40, 0xf7, 0xf1, 0x43, 0xf4});  // inc eax; div ecx; inc ebx; hlt
    m.go();
    CHECK(m.vector() == 0);
    CHECK(m.cpu.count == 3);  // inc, div, hlt of the handler
    CHECK(m.r(kEax) == 1);
    CHECK(m.peek<u32>(Bench::kStack0 - 12) == kAt + 1);
}

TEST_CASE("an interrupt waits for the instruction after STI, MOV SS and POP SS") {
    Machine m;
    m.cpu.set_line(kLineIntr, true);
    SECTION("STI") {
        m.code({0xfb, 0x43, 0x43, 0xf4});
        m.go();
        CHECK(m.r(kEbx) == 1);
        CHECK(m.vector() == 0x20);
    }
    SECTION("MOV SS") {
        m.r(kEax) = Bench::kData0;
        m.cpu.set_flags(kIf | kFixed1);
        m.cpu.inhibit_all = true;  // as if after an earlier one
        m.code({0x8e, 0xd0, 0x43, 0x43, 0xf4});
        m.go();
        CHECK(m.r(kEbx) == 1);
        CHECK(m.vector() == 0x20);
    }
    SECTION("STI; CLI lets none in") {
        m.code({0xfb, 0xfa, 0x43, 0xf4});
        m.r(kEbx) = 0;
        m.cpu.set_flags(kFixed1);
        m.go();
        CHECK(m.r(kEbx) == 1);
        CHECK(m.vector() == -1);
    }
}

TEST_CASE("HLT ends the run and an interrupt or NMI ends HLT") {
    Machine m;
    m.code({0xfb, 0xf4, 0x43, 0xf4});
    REQUIRE(m.go() == BP_EXIT_HALT);
    CHECK(m.cpu.eip == kAt + 2);
    REQUIRE(m.cpu.run() == BP_EXIT_HALT);
    CHECK(m.cpu.eip == kAt + 2);
    SECTION("interrupt") {
        m.cpu.set_line(kLineIntr, true);
        m.cpu.run();
        CHECK(m.vector() == 0x20);
        CHECK(m.peek<u32>(Bench::kStack0 - 12) == kAt + 2);
    }
    SECTION("NMI, once per edge and not inside its handler") {
        m.cpu.set_line(kLineNmi, true);
        m.cpu.run();
        CHECK(m.vector() == 2);
        m.cpu.set_line(kLineNmi, false);
        m.cpu.set_line(kLineNmi, true);
        REQUIRE(m.cpu.run() == BP_EXIT_HALT);
        CHECK(m.cpu.eip == 0x5021);
    }
}

TEST_CASE("single step traps after each instruction, INT n excepted") {
    Machine m;
    m.code({0x40, 0x43, 0xf4});
    m.cpu.set_flags(kTf | kFixed1);
    m.go();
    CHECK(m.vector() == 1);
    CHECK(m.r(kEax) == 1);
    CHECK(m.r(kEbx) == 0);
    CHECK((m.cpu.dr6 & 0x4000u) != 0);
    CHECK(m.peek<u32>(Bench::kStack0 - 12) == kAt + 1);
    SECTION("REP traps after each iteration") {
        m.code({0xf3, 0xab, 0xf4});
        m.r(kEsp) = Bench::kStack0;
        m.r(kEcx) = 5;
        m.r(kEdi) = 0x20000;
        m.cpu.set_flags(kTf | kFixed1);
        m.go();
        CHECK(m.r(kEcx) == 4);
        CHECK(m.peek<u32>(Bench::kStack0 - 12) == kAt);
    }
    SECTION("INT n enters its handler without a trap") {
        m.code({0xcd, 0x30});
        m.cpu.set_flags(kTf | kFixed1);
        m.go();
        CHECK(m.vector() == 0x30);
    }
}

TEST_CASE("debug registers watch instructions and data") {
    Machine m;
    m.code({0x40, 0x43, 0xa3, 0x00, 0, 2, 0, 0x41, 0xf4});  // inc eax; inc ebx; mov [20000h], eax; inc ecx; hlt
    SECTION("an instruction, before it runs") {
        m.cpu.dr[0] = kAt + 1;
        m.cpu.mov_to_dr(7, 0x402 | 1);
        m.go();
        CHECK(m.vector() == 1);
        CHECK(m.r(kEax) == 1);
        CHECK(m.r(kEbx) == 0);
        CHECK((m.cpu.dr6 & 1u) != 0);
    }
    SECTION("a store, after it") {
        m.cpu.dr[2] = 0x20000;
        m.cpu.mov_to_dr(7, 0x400 | 0x20 | 0xd000000);
        m.go();
        CHECK(m.vector() == 1);
        CHECK(m.r(kEcx) == 0);
        CHECK(m.peek<u32>(0x20000) == 1);
        CHECK((m.cpu.dr6 & 4u) != 0);
        CHECK(m.peek<u32>(Bench::kStack0 - 12) == kAt + 7);
    }
}

TEST_CASE("a triple fault shuts the processor down, INIT revives it") {
    Machine m;
    m.cpu.idtr.limit = 0;
    m.code({0x0f, 0x0b});
    REQUIRE(m.go() == BP_EXIT_SHUTDOWN);
    REQUIRE(m.cpu.run() == BP_EXIT_SHUTDOWN);
    m.cpu.set_line(kLineInit, true);
    m.vcpu.deadline = m.cpu.count;
    CHECK(m.cpu.run() == BP_EXIT_DEADLINE);
}

TEST_CASE("translations are cached until they are flushed, and set A and D bits") {
    Machine m;
    m.enable_paging();
    m.code({0xa1, 0x00, 0, 3, 0, 0xf4});  // mov eax, [30000h]
    m.poke<u32>(0x30000, 1);
    m.poke<u32>(0x31000, 2);
    m.page_bits(0x30000, 7);
    m.go();
    CHECK(m.r(kEax) == 1);
    CHECK((m.peek<u32>(0xf1000 + 0x30 * 4) & 0x60u) == 0x20);
    m.poke<u32>(0xf1000 + 0x30 * 4, 0x31000 | 7);
    m.go();
    CHECK(m.r(kEax) == 1);
    m.cpu.invlpg(0x30000);
    m.go();
    CHECK(m.r(kEax) == 2);
    m.code({0xa3, 0x00, 0, 3, 0, 0xf4}, 0x7100);  // mov [30000h], eax
    m.go(0x7100);
    CHECK((m.peek<u32>(0xf1000 + 0x30 * 4) & 0x60u) == 0x60);
}

TEST_CASE("page faults tell the address and why") {
    Machine m;
    m.enable_paging();
    m.code({0xa1, 0x10, 0, 3, 0, 0xf4});
    m.code({0xa3, 0x10, 0, 3, 0, 0xf4}, 0x7100);
    const auto error = [&] { return m.peek<u32>(m.r(kEsp)); };
    m.page_bits(0x30000, 0);
    m.go();
    CHECK(m.vector() == 14);
    CHECK(m.cpu.cr2 == 0x30010);
    CHECK(error() == 0);
    m.page_bits(0x30000, 5);
    m.go(0x7100);
    CHECK(m.vector() == -1);  // supervisor without WP
    m.cpu.cr0 |= kCr0Wp;
    m.cpu.tlb_flush(true);
    m.go(0x7100);
    CHECK(m.vector() == 14);
    CHECK(error() == 3);
    m.page_bits(0x30000, 3);
    m.enter(3);
    m.go();
    CHECK(m.vector() == 14);
    CHECK(error() == 5);
}

TEST_CASE("large pages and PAE") {
    Machine m;
    m.code({0xa1, 0x00, 0, 0x43, 0, 0xf4});  // mov eax, [430000h]
    m.poke<u32>(0x30000, 77);
    SECTION("4M") {
        m.enable_paging();
        m.cpu.cr4 |= kCr4Pse;
        m.poke<u32>(0xf0004, 0x00000087);
        m.cpu.tlb_flush(true);
        m.go();
        CHECK(m.r(kEax) == 77);
        m.code({0xa1, 0x00, 0, 0x44, 0, 0xf4}, 0x7100);  // mov eax, [440000h]
        m.poke<u32>(0x40000, 88);
        m.go(0x7100);
        CHECK(m.r(kEax) == 88);
        m.poke<u32>(0xf0004, 0);
        m.cpu.invlpg(0x430000);  // drops the whole 4M
        m.go(0x7100);
        CHECK(m.vector() == 14);
        m.poke<u32>(0xf0004, 0x00200087);  // a reserved bit
        m.cpu.tlb_flush(true);
        m.go();
        CHECK(m.vector() == 14);
        CHECK(m.peek<u32>(m.r(kEsp)) == 9);
    }
    SECTION("PAE, 2M and 4K") {
        m.poke<u64>(0xf0000, 0xf1001);                // PDPTE
        m.poke<u64>(0xf1000, 0x0000000000000087ull);  // 0..2M
        m.poke<u64>(0xf1010, 0xf2007);                // 4M..6M: a table
        m.poke<u64>(0xf2000 + 0x30 * 8, 0x30007);
        m.cpu.cr3 = 0xf0000;
        m.cpu.cr4 |= kCr4Pae;
        REQUIRE(m.cpu.load_pdptes(0xf0000));
        m.cpu.cr0 |= kCr0Pg;
        m.cpu.tlb_flush(true);
        m.go();
        CHECK(m.r(kEax) == 77);
        m.poke<u64>(0xf2000 + 0x30 * 8, 0x8000000000030007ull);
        m.cpu.tlb_flush(true);
        m.go();
        CHECK(m.vector() == 14);
        CHECK(m.peek<u32>(m.r(kEsp)) == 9);
    }
}

TEST_CASE("an instruction across two pages follows the second page's mapping") {
    Machine m;
    m.enable_paging();
    m.code({0xb8, 0x11, 0x11}, 0x13ffd);  // mov eax, imm32 with two bytes on the next page
    m.code({0x11, 0x11, 0xf4}, 0x14000);
    m.code({0x22, 0x22, 0xf4}, 0x12000);
    m.go(0x13ffd);
    CHECK(m.r(kEax) == 0x11111111);
    m.poke<u32>(0xf1000 + 0x14 * 4, 0x12000 | 7);
    m.cpu.invlpg(0x14000);
    m.go(0x13ffd);
    CHECK(m.r(kEax) == 0x22221111);
    m.poke<u8>(0x12001, 0x33);
    m.cpu.cache->store(0x12001, 1);
    m.go(0x13ffd);
    CHECK(m.r(kEax) == 0x33221111);
    m.page_bits(0x14000, 0);
    m.go(0x13ffd);
    CHECK(m.vector() == 14);
    CHECK(m.cpu.cr2 == 0x14000);
    CHECK(m.peek<u32>(m.r(kEsp) + 4) == 0x13ffd);
}

TEST_CASE("devices see the exact count and instruction pointer") {
    static u64 seen_count, seen_pointer, seen_port;
    Machine m;
    m.cpu.bus.read = [](void* self, u64, u32, int) -> u64 {
        seen_count = static_cast<Bench*>(self)->vcpu.instructions;
        seen_pointer = static_cast<Bench*>(self)->vcpu.instruction_pointer;
        return 0x12345678;
    };
    m.cpu.bus.port_read = [](void* self, u32 port, u32) -> u64 {
        seen_port = port;
        seen_count = static_cast<Bench*>(self)->vcpu.instructions;
        return 0x5a;
    };
    m.code({0x40, 0x40, 0xa1, 0, 0, 0, 0xff, 0x40, 0x40, 0xe4, 0x71, 0x40, 0xf4});
    m.go();
    CHECK(seen_pointer == kAt + 2);
    CHECK(seen_port == 0x71);
    CHECK(seen_count == 5);
    CHECK((m.r(kEax) & 0xffu) == 0x5b);
    CHECK(m.cpu.count == 8);
}

TEST_CASE("A20 folds the second megabyte onto the first") {
    Machine m;
    m.code({0xa0, 0x00, 0, 0x12, 0, 0xf4});  // mov al, [120000h]
    m.poke<u8>(0x20000, 0x42);
    m.cpu.set_line(kLineA20, false);
    m.go();
    CHECK((m.r(kEax) & 0xffu) == 0x42);
    m.cpu.set_line(kLineA20, true);
    m.go();
    CHECK((m.r(kEax) & 0xffu) == 0xff);
}

TEST_CASE("an unmasked x87 error raises FERR# while CR0.NE is 0, #MF while it is 1") {
    static int level;
    level = -1;
    Machine m;
    m.cpu.host.set_ferr = [](void*, int l) { level = l; };
    m.cpu.fpu.init();
    m.cpu.fpu.set_control_word(0x37b);  // zero divide unmasked
    m.code({0xd9, 0xe8, 0xd9, 0xee, 0xde, 0xf9, 0x43, 0xd9, 0xe8, 0x43,
            0xf4});  // fld1; fldz; fdivp; inc ebx; fld1; inc ebx
    SECTION("FERR#") {
        m.cpu.cr0 &= ~kCr0Ne;
        REQUIRE(m.go() == BP_EXIT_HALT);
        CHECK(level == 1);
        CHECK(m.r(kEbx) == 1);
        CHECK(m.cpu.eip == kAt + 7);  // stopped before the next waiting instruction
        m.cpu.set_line(kLineIntr, true);
        m.cpu.set_flags(kIf | kFixed1);
        m.cpu.run();
        CHECK(m.vector() == 0x20);
    }
    SECTION("#MF") {
        m.cpu.cr0 |= kCr0Ne;
        m.go();
        CHECK(m.vector() == 16);
        CHECK(m.peek<u32>(Bench::kStack0 - 12) == kAt + 7);
        CHECK(level == -1);
    }
}

TEST_CASE("a segment with a base, with and without the full limit") {
    Machine m;
    m.code({0x64, 0xa1, 0x00, 0, 2, 0, 0x64, 0x89, 0x05, 0x04, 0, 2, 0,
            0xf4});  // mov eax, fs:[20000h]; mov fs:[20004h], eax
    m.poke<u32>(0x21000, 0x1234);
    m.cpu.set_segment(kFs, 0x10, 0x1000, 0xffffffff, 0xc093);
    m.go();
    CHECK(m.r(kEax) == 0x1234);
    CHECK(m.peek<u32>(0x21004) == 0x1234);
    m.cpu.set_segment(kFs, 0x10, 0x1000, 0x20003, 0x4093);
    m.poke<u32>(0x21000, 0x77);
    m.go();
    CHECK(m.r(kEax) == 0x77);
    CHECK(m.vector() == 13);
    CHECK(m.peek<u32>(0x21004) == 0x1234);
    m.cpu.set_segment(kFs, 0x10, 0x1000, 0xffffffff, 0xc091);  // read-only
    m.go();
    CHECK(m.vector() == 13);
    CHECK(m.peek<u32>(0x21004) == 0x1234);
}

TEST_CASE("handlers follow one another without using up the host's stack") {
    // The host's stack pointer as a device sees it, at the begin and the end of a long run through many families.
    static std::array<const char*, 2> seen;
    static unsigned reads;
    reads = 0;
    Machine m;
    m.cpu.bus.port_read = [](void*, u32, u32) -> u64 {
        seen[reads++ & 1] = static_cast<const char*>(__builtin_frame_address(0));
        return 0;
    };
    m.cpu.fpu.init();
    m.r(kEdi) = 0x20000;
    m.code({0xec});                                                      // in al, dx
    m.code({0xb9, 0x00, 0x10, 0, 0}, kAt + 1);                           // mov ecx, 1000h
    m.code({0x9c, 0x58, 0x60, 0x61, 0x0f, 0x02, 0xc2,                    // pushf; pop eax; pusha; popa; lar eax, dx
            0xd9, 0xe8, 0xdd, 0xd8, 0x9b,                                // fld1; fstp st0; fwait
            0x0f, 0xef, 0xc0, 0x0f, 0x77,                                // pxor mm0, mm0; emms
            0xa5, 0x8d, 0x77, 0xfc, 0x8d, 0x7f, 0xfc,                    // movsd; lea esi, [edi-4]; lea edi, [edi-4]
            0xf0, 0x0f, 0xb1, 0x1d, 0,    0,    3,    0,                 // lock cmpxchg [30000h], ebx
            0x66, 0xd3, 0x25, 4,    0,    3,    0,                       // shl word [30004h], cl
            0xe8, 0,    0,    0,    0,    0x58, 0xc8, 8,    0, 1, 0xc9,  // call next; pop eax; enter 8, 1; leave
            0x0f, 0xa2, 0xb9, 1,    0,    0,    0,                       // cpuid; mov ecx, 1
            0xff, 0x05, 8,    0,    3,    0,                             // inc dword [30008h]
            0x81, 0x3d, 8,    0,    3,    0,    0x00, 0x08, 0, 0,        // cmp dword [30008h], 800h
            0x75, 0xb5, 0xec, 0xf4},                                     // jne loop; in al, dx; hlt
           kAt + 6);
    m.go();
    REQUIRE(m.vector() == -1);
    REQUIRE(m.peek<u32>(0x30008) == 0x800);
    REQUIRE(reads == 2);
    CHECK(std::abs(seen[0] - seen[1]) < 4096);
}

TEST_CASE("undefined and overlong instructions fault") {
    Machine m;
    m.code({0x0f, 0x0b});
    m.go();
    CHECK(m.vector() == 6);
    m.code({0xf0, 0x40});  // LOCK INC EAX
    m.cpu.cache->store(kAt, 16);
    m.go();
    CHECK(m.vector() == 6);
    for (u32 k = 0; k < 15; ++k) m.poke<u8>(kAt + k, 0x66);
    m.poke<u8>(kAt + 15, 0x90);
    m.cpu.cache->store(kAt, 16);
    m.go();
    CHECK(m.vector() == 13);
    for (u32 k = 0; k < 14; ++k) m.poke<u8>(kAt + k, 0x3e);
    m.poke<u8>(kAt + 14, 0xf4);
    m.cpu.cache->store(kAt, 16);
    m.go();
    CHECK(m.vector() == -1);
}

}  // namespace backplane::interp
