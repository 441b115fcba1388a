// Arbitrary bytes as code, in every mode and with arbitrary system registers: the processor may fault, halt or shut
// down, and its promises about counts hold, but nothing of it reaches the host.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <random>

#include "block.hpp"
#include "test_sse_machine.hpp"
#include "test_system_host.hpp"

namespace backplane::interp {
namespace {

struct Chaos : Bench {
    std::mt19937_64 random;
    explicit Chaos(u64 seed) : random(seed) {
        cpu.host.acknowledge = [](void*) { return 0x21; };
        cpu.bus.port_read = [](void* self, u32, u32) -> u64 { return static_cast<Chaos*>(self)->random(); };
        // Code may run from here, and how often it is fetched is not architectural.
        cpu.bus.read = [](void*, u64 address, u32, int) -> u64 { return address * 0x9e3779b97f4a7c15ull >> 20; };
        cpu.bus.self = this;
    }
    u32 below(u32 n) { return static_cast<u32>(random() % n); }

    void fill(u32 at_address, u32 size) {
        cpu.cache->store(at_address, size);
        for (u32 k = 0; k < size; ++k) ram[at_address + k] = static_cast<u8>(random());
    }
    // Plausible tables with some damage, so that transfers and deliveries get far before they fail.
    void tables() {
        protect(below(2) == 0 ? 0 : 3);
        for (u32 v = 0; v < 256; ++v) {
            const u32 type = below(8) == 0 ? static_cast<u32>(random()) & 0xffu : 0x8eu | below(4) << 5;
            idt(static_cast<u8>(v), gate(static_cast<u16>(below(12) * 8 + below(4)), 0x7000 + below(0x800), type));
        }
        for (u16 s = 0x38; s < 0x100; s = static_cast<u16>(s + 8)) {
            gdt(s, segment(below(4) == 0 ? below(0x100000) : 0, below(0x100000),
                           0x80u | static_cast<u32>(random()) % 0x80u, below(16)));
        }
        for (u16 s = 4; s < 0x80; s = static_cast<u16>(s + 8))
            ldt(s, segment(0, 0xfffff, 0x80u | static_cast<u32>(random()) % 0x80u, below(16)));
        fill(kTss + 0x10, 0x60);
    }
};

u64 cases() {
    const char* text = std::getenv("BACKPLANE_RANDOM_CASES");
    return text != nullptr ? std::strtoull(text, nullptr, 0) / 20 : 3000;
}

}  // namespace

TEST_CASE("arbitrary code in every mode leaves the host alone and is counted") {
    Chaos c(42);
    const CpuModel* plain = c.cpu.model;
    for (u64 n = 0; n < cases(); ++n) {
        c.cpu.model = n % 2 == 0 ? plain : &sse_test::full_model();
        c.cpu.reset(true);
        c.cpu.lines = kLineA20;
        c.fill(0x7000, 0x900);
        if (n % 2 != 0) {  // more two-byte opcodes
            for (u32 at = 0; at < 0x900; at += 1 + c.below(12)) c.ram[0x7000 + at] = 0x0f;
            c.cpu.cr4 |= static_cast<u32>(c.random()) & (kCr4Osfxsr | kCr4Osxmmexcpt);
            set_mxcsr(&c.cpu, c.below(2) == 0 ? kMxcsrDefault : static_cast<u32>(c.random()) & 0xffffu);
        }
        c.fill(c.below(0xf0) * 0x1000, 64);
        const u32 mode = c.below(5);
        if (mode == 0) {  // real mode
            c.cpu.set_segment_real(kCs, 0x700);
            c.at(0);
            c.fill(0, 0x400);
        } else {
            c.tables();
            if (mode >= 3) c.enable_paging();
            if (mode == 4) c.virtualize(c.below(4));
            for (u32 k = 0; k < 4 && mode == 3; ++k)
                c.page_bits(0x7000 + c.below(8) * 0x1000, static_cast<u32>(c.random()) & 0xffu);
        }
        for (unsigned k = 0; k < 8; ++k) {
            c.cpu.r32(k) = c.below(3) == 0 ? static_cast<u32>(c.random()) : c.below(0x10000);
        }
        if (c.below(2) == 0) c.cpu.r32(kEsp) = 0xb000;
        c.cpu.set_flags(c.cpu.flags() ^ (static_cast<u32>(c.random()) &
                                         (kArith | kDf | kIf | kNt | kAc | (c.below(8) == 0 ? kTf : 0u))));
        if (c.below(4) == 0) c.cpu.set_line(kLineIntr, true);
        if (c.below(8) == 0) c.cpu.set_line(kLineNmi, true);
        if (c.below(8) == 0) c.cpu.set_line(kLineA20, false);
        if (c.below(8) == 0) c.cpu.cr0 |= kCr0Am;
        c.cpu.mode_changed();
        const u64 start = c.cpu.count;
        const u64 budget = 1 + c.below(3000);
        c.vcpu.deadline = start + budget;
        u32 why = BP_EXIT_HALT;
        for (unsigned k = 0; k < 4 && why == BP_EXIT_HALT; ++k) {
            why = c.cpu.run();
            c.cpu.set_line(kLineNmi, false);
            c.cpu.set_line(kLineNmi, true);
        }
        REQUIRE((why == BP_EXIT_HALT || why == BP_EXIT_SHUTDOWN || why == BP_EXIT_DEADLINE));
        REQUIRE(c.vcpu.instructions <= start + budget);
        if (why == BP_EXIT_DEADLINE) REQUIRE(c.vcpu.instructions == start + budget);
        REQUIRE(c.cpu.gpr[Cpu::kZeroReg] == 0);
    }
}

TEST_CASE("a run cut into pieces by the deadline is the same run") {
    for (u64 seed = 0; seed < cases() / 10; ++seed) {
        Chaos whole(seed);
        Chaos pieces(seed);
        for (Chaos* c : {&whole, &pieces}) {
            c->tables();
            c->fill(0x7000, 0x900);
            c->cpu.host.log = nullptr;
            c->vcpu.deadline = 2000;
        }
        const u32 why = whole.cpu.run();
        u32 last = BP_EXIT_DEADLINE;
        std::mt19937_64 steps(seed);
        while (last == BP_EXIT_DEADLINE && pieces.cpu.count < 2000) {
            pieces.vcpu.deadline = std::min<u64>(2000, pieces.cpu.count + 1 + steps() % 17);
            last = pieces.cpu.run();
        }
        INFO("seed " << seed);
        REQUIRE(last == why);
        REQUIRE(pieces.vcpu.instructions == whole.vcpu.instructions);
        REQUIRE(pieces.cpu.eip == whole.cpu.eip);
        REQUIRE(pieces.cpu.flags() == whole.cpu.flags());
        REQUIRE(std::memcmp(pieces.cpu.gpr, whole.cpu.gpr, sizeof whole.cpu.gpr) == 0);
        REQUIRE(pieces.ram == whole.ram);
    }
}

}  // namespace backplane::interp
