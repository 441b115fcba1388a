// System management mode (SDM 3, chapter 34): what is saved, what the handler begins with, what RSM brings back, and
// what waits meanwhile.
#include <catch2/catch.hpp>
#include <initializer_list>
#include <map>

#include "block.hpp"
#include "test_system_host.hpp"

namespace backplane::interp {
namespace {

constexpr u32 kAt = 0x7000, kBase = 0x30000, kHandler = kBase + 0x8000;
constexpr u32 kAttrFlat = 0x8093;  // of the handler's segments

struct Machine : Bench {
    std::vector<u8> smram = std::vector<u8>(0x20000);
    std::vector<u8> smram_flags = std::vector<u8>(32);
    std::map<u64, int> seen;     // last view of each page
    bool code_only = false;      // SMRAM is closed to data
    u32 smis_to_come = 0;        // raised by a write to any port
    std::vector<u32> bus_reads;  // views of accesses to no memory

    Machine() {
        cpu.bus.page = [](void* self, u64 address, int view, bp_page* out) {
            auto* m = static_cast<Machine*>(static_cast<Bench*>(self));
            m->seen[address] = view;
            *out = bp_page{};
            if (address >= m->ram.size()) return;
            const bool hidden = address >= 0xa0000 && address < 0xc0000;
            if (hidden && (view == BP_VIEW_SMM_CODE || (view == BP_VIEW_SMM && !m->code_only))) {
                out->read = out->write = &m->smram[address - 0xa0000];
                out->code_flag = &m->smram_flags[(address - 0xa0000) >> 12];
                return;
            }
            out->read = out->write = &m->ram[address & ~0xfffull];
            out->code_flag = &m->code_flags[address >> 12];
        };
        cpu.bus.port_write = [](void* self, u32, u32, u64) {
            auto* m = static_cast<Machine*>(static_cast<Bench*>(self));
            for (; m->smis_to_come != 0; --m->smis_to_come) m->smi();
        };
        cpu.host.acknowledge = [](void*) { return 0x20; };
        put(kHandler, {0x0f, 0xaa});
    }
    void smi() {
        cpu.set_line(kLineSmi, true);
        cpu.set_line(kLineSmi, false);
    }
    void nmi() {
        cpu.set_line(kLineNmi, true);
        cpu.set_line(kLineNmi, false);
    }
    void put(u32 at_address, std::initializer_list<int> bytes) {
        cpu.cache->flush(&cpu);
        for (int b : bytes) poke<u8>(at_address++, static_cast<u8>(b));
    }
    // Runs `count` instructions at most.
    u32 steps(u64 count) {
        vcpu.deadline = vcpu.instructions + count;
        return cpu.run();
    }
    [[nodiscard]] u32 saved(u32 at_offset, u32 base = kBase) const { return peek<u32>(base + 0x8000 + at_offset); }
    void change(u32 at_offset, u32 value) { poke<u32>(kBase + 0x8000 + at_offset, value); }
    // Everything that RSM must bring back, by name.
    [[nodiscard]] std::map<std::string, u64> registers() const {
        std::map<std::string, u64> all;
        for (unsigned n = 0; n < 8; ++n) all["r" + std::to_string(n)] = cpu.r32(n);
        const auto segment = [&](const std::string& name, const Segment& s) {
            all[name] = s.selector;
            all[name + ".base"] = s.base;
            all[name + ".limit"] = s.limit;
            all[name + ".attr"] = s.attr;
            all[name + ".ends"] = s.read_end << 1 ^ s.write_end;
        };
        for (unsigned s = 0; s < kSegCount; ++s) segment("seg" + std::to_string(s), cpu.seg[s]);
        segment("ldtr", cpu.ldtr), segment("tr", cpu.tr);
        all["eip"] = cpu.eip, all["flags"] = cpu.flags(), all["cpl"] = cpu.cpl, all["mode"] = cpu.mode & kModeDecode;
        all["cr0"] = cpu.cr0, all["cr3"] = cpu.cr3, all["cr4"] = cpu.cr4, all["dr6"] = cpu.dr6, all["dr7"] = cpu.dr7;
        all["gdtr"] = cpu.gdtr.base ^ static_cast<u64>(cpu.gdtr.limit) << 32;
        all["idtr"] = cpu.idtr.base ^ static_cast<u64>(cpu.idtr.limit) << 32;
        all["pdpte0"] = cpu.pdpte[0];
        return all;
    }
};

}  // namespace

TEST_CASE("an SMI saves the processor and begins the handler as the manual's tables say") {
    Machine m;
    m.protect(3);
    m.enable_paging();
    m.put(kHandler, {0xf4});
    for (unsigned n = 0; n < 8; ++n) m.cpu.r32(n) = 0x11111111u * (n + 1);
    m.cpu.set_flags(kFixed1 | kCf | kIf | kIopl);
    m.cpu.cr0 |= kCr0Ts | kCr0Em | kCr0Mp | kCr0Ne;
    m.cpu.cr4 = kCr4Pse;
    m.cpu.dr7 = 0x00000500;
    m.cpu.dr6 = 0xffff4ff0;
    const u32 cr0 = m.cpu.cr0;
    m.smi();
    REQUIRE(m.steps(10) == BP_EXIT_HALT);
    Cpu& c = m.cpu;
    CHECK(c.smm);
    CHECK(m.saved(0x7ffc) == cr0);
    CHECK(m.saved(0x7ff8) == c.cr3);
    CHECK(m.saved(0x7ff4) == (kFixed1 | kCf | kIf | kIopl));
    CHECK(m.saved(0x7ff0) == kAt);
    for (unsigned n = 0; n < 8; ++n) CHECK(m.saved(0x7fd0 + 4 * n) == 0x11111111u * (n + 1));
    CHECK(m.saved(0x7fcc) == 0xffff4ff0);
    CHECK(m.saved(0x7fc8) == 0x500);
    CHECK(m.saved(0x7fc4) == Bench::kTssSel);
    CHECK(m.saved(0x7fc0) == Bench::kLdtSel);
    CHECK(m.saved(0x7fac) == Bench::kCode3);
    for (u32 at : {0x7fa8u, 0x7fb0u, 0x7fb4u, 0x7fb8u, 0x7fbcu}) CHECK(m.saved(at) == Bench::kData3);
    CHECK(m.saved(0x7f00) == 0);
    CHECK(m.saved(0x7efc) == 0x00020000);
    CHECK(m.saved(0x7ef8) == kBase);
    // The handler's beginning.
    CHECK(c.eip == 0x8001);
    CHECK(c.cr0 == (cr0 & ~(kCr0Pe | kCr0Em | kCr0Ts | kCr0Pg)));
    CHECK(c.cr4 == 0);
    CHECK(c.dr7 == 0x400);
    CHECK(c.flags() == kFixed1);
    CHECK(c.cpl == 0);
    CHECK(c.seg[kCs].selector == 0x3000);
    CHECK(c.seg[kCs].base == kBase);
    CHECK(c.seg[kCs].limit == 0xffffffff);
    for (const Seg s : {kEs, kSs, kDs, kFs, kGs}) {
        CHECK(c.seg[s].selector == 0);
        CHECK(c.seg[s].base == 0);
        CHECK(c.seg[s].limit == 0xffffffff);
        CHECK(c.seg[s].attr == kAttrFlat);
    }
    CHECK(c.r32(kEdi) == 0x88888888);
}

TEST_CASE("RSM brings back every mode") {
    Machine m;
    const int mode = GENERATE(0, 1, 2, 3, 4);
    if (mode == 0) m.at(kAt), m.cpu.set_segment_real(kCs, 0);
    if (mode > 0) m.protect(mode == 2 ? 3 : 0);
    if (mode == 2) m.enable_paging();
    if (mode == 3) m.virtualize(0), m.enable_paging();
    if (mode == 4) {  // PAE, and the pointers are not what memory holds for another CR3
        constexpr u32 pointers = 0xf2000, directory = 0xf3000;
        m.poke<u64>(pointers, directory | 1u);
        m.poke<u64>(directory, 0x83u);  // 2M
        m.cpu.cr3 = pointers;
        m.cpu.cr4 = kCr4Pae;
        REQUIRE(m.cpu.load_pdptes(pointers));
        m.cpu.cr0 |= kCr0Pg;
        m.cpu.mode_changed();
    }
    m.cpu.dr7 = 0x500;
    for (unsigned n = 0; n < 8; ++n) m.cpu.r32(n) += 0x01020304u * n;
    const auto before = m.registers();
    // lgdt/lidt, other segments, other registers: mov ax, 1234h; mov ds, ax; mov esp, eax; cs lidt [0]; rsm
    m.put(kHandler, {0xb8, 0x34, 0x12, 0x8e, 0xd8, 0x66, 0x89, 0xc4, 0x2e, 0x0f, 0x01, 0x1e, 0, 0, 0x0f, 0xaa});
    m.smi();
    CHECK(m.steps(4) == BP_EXIT_DEADLINE);
    CHECK(m.cpu.smm);
    if (mode == 4) m.cpu.pdpte[0] = 0;
    CHECK(m.registers() != before);
    CHECK(m.steps(1) == BP_EXIT_DEADLINE);
    CHECK_FALSE(m.cpu.smm);
    INFO("mode " << mode);
    CHECK(m.registers() == before);
}

TEST_CASE("the handler changes what RSM loads, and moves its memory") {
    Machine m;
    m.protect();
    m.put(kAt, {0x90, 0x90, 0x90, 0xf4});
    m.smi();
    m.steps(0);
    m.put(kHandler, {0x0f, 0xaa});
    REQUIRE(m.cpu.smm == false);  // no instruction, no boundary
    m.put(kHandler, {0x90, 0x0f, 0xaa});
    REQUIRE(m.steps(1) == BP_EXIT_DEADLINE);
    REQUIRE(m.cpu.smm);
    m.change(0x7fd0, 0xcafe1234);
    m.change(0x7ff0, kAt + 2);
    m.change(0x7ef8, 0x50000);
    REQUIRE(m.steps(1) == BP_EXIT_DEADLINE);
    CHECK(m.cpu.r32(kEax) == 0xcafe1234);
    CHECK(m.cpu.eip == kAt + 2);
    CHECK(m.cpu.smbase == 0x50000);
    m.put(0x58000, {0xf4});
    m.smi();
    REQUIRE(m.steps(10) == BP_EXIT_HALT);
    CHECK(m.cpu.seg[kCs].base == 0x50000);
    CHECK(m.cpu.seg[kCs].selector == 0x5000);
    CHECK(m.saved(0x7ef8, 0x50000) == 0x50000);
    SECTION("INIT leaves it there, a reset does not") {
        m.cpu.smm = false;
        m.cpu.init_signal();
        CHECK(m.cpu.smbase == 0x50000);
        m.cpu.reset(false);
        CHECK(m.cpu.smbase == kBase);
    }
    SECTION("a reset ends the mode") {
        m.cpu.reset(false);
        CHECK_FALSE(m.cpu.smm);
    }
}

TEST_CASE("an SMI out of HLT returns to HLT unless the handler says otherwise") {
    Machine m;
    m.protect();
    m.put(kAt, {0xf4, 0x43, 0xf4});
    m.put(kHandler, {0x90, 0x0f, 0xaa});
    REQUIRE(m.steps(10) == BP_EXIT_HALT);
    m.smi();
    REQUIRE(m.steps(1) == BP_EXIT_DEADLINE);
    CHECK(m.saved(0x7f00) == 0x10000);
    CHECK(m.saved(0x7ff0) == kAt + 1);
    SECTION("back to HLT") {
        CHECK(m.steps(10) == BP_EXIT_HALT);
        CHECK(m.cpu.r32(kEbx) == 0);
        CHECK(m.cpu.eip == kAt + 1);
    }
    SECTION("on behind it") {
        m.change(0x7f00, 0);
        CHECK(m.steps(10) == BP_EXIT_HALT);
        CHECK(m.cpu.r32(kEbx) == 1);
    }
}

TEST_CASE("an SMI is taken behind the instruction that causes it, and one waits while another is served") {
    Machine m;
    m.protect();
    m.put(kAt, {0xe6, 0xb2, 0x43, 0xf4});  // out b2h, al; inc ebx; hlt
    SECTION("behind OUT") {
        m.put(kHandler, {0xf4});
        m.smis_to_come = 1;
        m.steps(10);
        CHECK(m.saved(0x7ff0) == kAt + 2);
        CHECK(m.cpu.r32(kEbx) == 0);
    }
    SECTION("three at once while one is served are one") {
        m.put(kHandler, {0x66, 0xff, 0x06, 0x00, 0x60, 0xe6, 0xb2, 0x0f, 0xaa});  // inc dword [6000h]; out b2h, al; rsm
        m.smi();
        m.smis_to_come = 3;
        CHECK(m.steps(50) == BP_EXIT_HALT);
        CHECK(m.peek<u32>(0x6000) == 2);
        CHECK(m.cpu.r32(kEbx) == 1);
    }
}

TEST_CASE("SMI comes before INIT, debug traps, NMI and interrupts, all of which wait for RSM") {
    Machine m;
    m.protect();
    for (u32 v = 0; v < 64; ++v) {
        m.idt(static_cast<u8>(v), Bench::gate(Bench::kCode0, 0x5000 + 0x10 * v, 0x8e));
        m.poke<u8>(0x5000 + 0x10 * v, 0xf4);
    }
    m.put(kAt, {0x43, 0x43, 0xf4});
    m.put(kHandler, {0x43, 0x43, 0x0f, 0xaa});
    m.smi();
    SECTION("NMI") {
        m.nmi();
        m.steps(2);
        CHECK(m.cpu.smm);
        CHECK(m.cpu.r32(kEbx) == 2);
        m.steps(10);
        CHECK(m.cpu.eip == 0x5021);
        CHECK(m.cpu.nmi_blocked);
    }
    SECTION("an NMI is let in by an IRET of the handler") {
        // push 0; push cs; push 8009h; iret; nop: in real mode, vectors at IDTR, which are protected mode's
        m.cpu.idtr = {0x6000, 0xff};
        m.poke<u32>(0x6000 + 8, 0x00005500);
        m.put(0x5500, {0xf4});
        m.put(kHandler, {0xbc, 0x00, 0x64, 0x6a, 0x00, 0x0e, 0x68, 0x0a, 0x80, 0xcf, 0x90, 0x0f, 0xaa});
        m.nmi();
        CHECK(m.steps(20) == BP_EXIT_HALT);
        CHECK(m.cpu.smm);
        CHECK(m.cpu.eip == 0x5501);
    }
    SECTION("that NMIs were blocked is not forgotten") {
        m.cpu.nmi_blocked = true;
        m.nmi();
        m.steps(20);
        CHECK(m.cpu.nmi_blocked);
        CHECK(m.cpu.eip == kAt + 3);
    }
    SECTION("interrupt") {
        m.cpu.set_flags(kFixed1 | kIf);
        m.cpu.set_line(kLineIntr, true);
        m.steps(2);
        CHECK(m.cpu.smm);
        m.steps(10);
        CHECK(m.cpu.eip == 0x5201);
    }
    SECTION("single step") {
        m.cpu.set_line(kLineSmiLevel, false);
        m.cpu.lines.fetch_and(~static_cast<u32>(kLineSmi));
        m.cpu.set_flags(kFixed1 | kTf);
        m.steps(1);  // the trap waits for the next boundary
        REQUIRE(m.cpu.debug_pending != 0);
        m.smi();
        m.steps(2);
        CHECK(m.cpu.smm);
        CHECK(m.saved(0x7ff0) == kAt + 1);
        m.steps(10);
        CHECK(m.cpu.eip == 0x5011);
        CHECK(m.peek<u32>(Bench::kStack0 - 12) == kAt + 1);
    }
    SECTION("INIT") {
        m.cpu.set_line(kLineInit, true);
        m.steps(2);
        CHECK(m.cpu.smm);
        m.steps(1);
        CHECK_FALSE(m.cpu.smm);
        CHECK(m.cpu.protected_mode());
        m.steps(1);
        CHECK_FALSE(m.cpu.protected_mode());
    }
}

TEST_CASE("an SMI waits for the instruction behind STI and MOV SS") {
    Machine m;
    m.protect();
    m.put(kHandler, {0xf4});
    m.smis_to_come = 1;
    m.smi();
    const bool sti = GENERATE(true, false);
    if (sti) m.cpu.inhibit_interrupts = true;
    if (!sti) m.cpu.inhibit_all = true;
    m.put(kAt, {0x43, 0x43, 0xf4});
    m.steps(10);
    CHECK(m.saved(0x7ff0) == kAt + 1);
    CHECK(m.cpu.r32(kEbx) == 1);
}

TEST_CASE("RSM is undefined outside, and an impossible state shuts down") {
    Machine m;
    m.protect();
    SECTION("outside") {
        m.cpu.insn = nullptr;
        CHECK(m.outcome([&] { m.cpu.resume_from_smm(); }) == fault(kUd));
    }
    struct Bad {
        u32 at, value;
    };
    const Bad bad =
        GENERATE(Bad{0x7ffc, kCr0Pg | kCr0Et}, Bad{0x7ffc, kCr0Nw | kCr0Et | kCr0Pe}, Bad{0x7f14, 1u << 30});
    SECTION("impossible") {
        m.put(kHandler, {0x90, 0x0f, 0xaa});
        m.smi();
        m.steps(1);
        m.change(bad.at, bad.value);
        CHECK(m.steps(5) == BP_EXIT_SHUTDOWN);
        CHECK(m.cpu.smm);
        CHECK(m.cpu.run() == BP_EXIT_SHUTDOWN);
    }
}

TEST_CASE("memory is seen with the mode's eyes, code and data apart") {
    Machine m;
    m.protect();
    m.cpu.smbase = 0xa0000;
    // The same address holds other code and data in SMRAM.
    m.put(0xa8000, {0x43, 0xc3});  // inc ebx; ret
    m.smram[0x8000] = 0xa0;        // mov al, [a000h] with the segment a000h: base 0 here, so by 32-bit address
    const u8 handler[] = {0x67, 0xa0, 0x00, 0x90, 0x0a, 0x00, 0x67, 0xa2, 0x00, 0x60, 0x00, 0x00, 0x0f, 0xaa};
    std::copy(std::begin(handler), std::end(handler), m.smram.begin() + 0x8000);
    m.poke<u8>(0xa9000, 0x11);
    m.smram[0x9000] = 0x22;
    m.put(kAt,
          {0xe8, 0xfb, 0x0f, 0x0a, 0x00, 0xe6, 0xb2, 0xe8, 0xf4, 0x0f, 0x0a, 0x00,  // call a8000h; out; call a8000h
           0xa0, 0x00, 0x90, 0x0a, 0x00, 0xf4});                                    // mov al, [a9000h]; hlt
    m.smis_to_come = 1;
    const bool closed = GENERATE(false, true);
    m.code_only = closed;
    CHECK(m.steps(100) == BP_EXIT_HALT);
    CHECK(m.peek<u8>(0x6000) == (closed ? 0x11 : 0x22));
    CHECK(m.cpu.r32(kEbx) == 2);
    CHECK((m.cpu.r32(kEax) & 0xffu) == 0x11);
    // The save area was written as data.
    CHECK(m.peek<u32>(0xa8000 + 0x7efc) == (closed ? 0x20000u : 0u));
}

TEST_CASE("code decoded outside is not run inside, nor the other way round") {
    Machine m;
    // As the handler will be: 16-bit code, flat data.
    for (const Seg s : {kEs, kSs, kDs}) m.cpu.set_segment(s, 0, 0, 0xffffffff, kAttrFlat);
    m.cpu.set_segment_real(kCs, 0);
    m.at(kAt);
    m.cpu.r32(kEsp) = 0x6000;
    m.cpu.smbase = 0xa0000;
    m.put(0xa8000, {0x43, 0xcb});  // inc bx; retf
    m.smram[0x8000] = 0x0f, m.smram[0x8001] = 0xaa;
    // call a000:8000; out b2h, al; call a000:8000; hlt
    m.put(kAt, {0x9a, 0x00, 0x80, 0x00, 0xa0, 0xe6, 0xb2, 0x9a, 0x00, 0x80, 0x00, 0xa0, 0xf4});
    m.smis_to_come = 1;
    CHECK(m.steps(100) == BP_EXIT_HALT);
    CHECK(m.cpu.eip == kAt + 13);
    CHECK(m.cpu.r32(kEbx) == 2);
    CHECK(m.vcpu.instructions == 2 * 3 + 1 + 1 + 1);  // RSM among them
}

TEST_CASE("a handler that spoils the hidden part of SS leaves virtual-8086 mode at CPL 3") {
    Machine m;
    m.protect();
    m.virtualize(0);
    m.put(kHandler, {0x90, 0x0f, 0xaa});
    m.smi();
    m.steps(1);
    m.change(0x7f9c, 0x93);
    m.steps(1);
    CHECK(m.cpu.v86());
    CHECK(m.cpu.cpl == 3);
}

TEST_CASE("address line 20 passes inside and is masked again outside") {
    Machine m;
    m.protect();
    m.cpu.set_line(kLineA20, false);
    m.cpu.smbase = 0x130000;  // no memory; 30000h with the line masked
    m.put(kHandler, {0xf4});
    m.put(kAt, {0x43, 0xf4});
    m.steps(1);
    REQUIRE(m.cpu.a20_mask == ~(1ull << 20));
    m.smi();
    m.steps(1);
    CHECK(m.cpu.smm);
    CHECK(m.cpu.a20_mask == ~0ull);
    CHECK(m.seen[0x138000] == BP_VIEW_SMM_CODE);
    CHECK(m.saved(0x7efc) == 0);
    m.cpu.set_line(kLineA20, false);
    m.steps(1);
    CHECK(m.cpu.a20_mask == ~0ull);
}

}  // namespace backplane::interp
