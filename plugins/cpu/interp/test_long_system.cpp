// Long mode beyond what user code shows: events, IRET, system calls, paging, control registers (SDM 3, 4.5, 5.8, 6.14;
// SDM 2 for each instruction).
#include <catch2/catch.hpp>

#include "test_system_host.hpp"

namespace backplane::interp {
namespace {

constexpr u32 kTop = 0xe0000, kPointers = 0xe1000, kDirectory = 0xe2000, kPages = 0xe3000;
constexpr u16 kCode64 = 0x08, kUserCode64 = 0x1b, kCompat = 0x40, kUserCompat = 0x4b, kGate = 0x50;
constexpr u64 kHole = 0x0000800000000000ull;  // the first address that is not canonical
constexpr unsigned kPhysicalBits = 40;        // of the model that the tests use

struct LongMachine : Bench {
    CpuModel model = *find_model("qemu64");

    explicit LongMachine(unsigned level = 0) {
        cpu.model = &model;
        gdt(kCode64, segment(0, 0xfffff, kCode, 0x2 | k4K));
        gdt(kData0, segment(0, 0xfffff, kData, kBig | k4K));
        gdt(kUserCode64, segment(0, 0xfffff, kCode | kRing3, 0x2 | k4K));
        gdt(kData3, segment(0, 0xfffff, kData | kRing3, kBig | k4K));
        gdt(kCompat, segment(0, 0xfffff, kCode, kBig | k4K));
        gdt(kUserCompat, segment(0, 0xfffff, kCode | kRing3, kBig | k4K));
        poke<u64>(kTss + 4, kStack0);
        poke<u64>(kTss + 0x24, 0xa008);  // IST1, not aligned
        poke<u16>(kTss + 0x66, 0x68);
        poke<u64>(kTop, kPointers | 7);
        poke<u64>(kPointers, kDirectory | 7);
        poke<u64>(kDirectory, kPages | 7);
        for (u32 n = 0; n < 256; ++n) poke<u64>(kPages + 8 * n, n << 12 | 7u);
        cpu.gdtr = {kGdt, 0xff};
        cpu.idtr = {kIdt, 0xfff};
        cpu.tr.selector = kTssSel;
        cpu.tr.base = kTss;
        cpu.tr.limit = 0x67;
        cpu.tr.attr = 0x8b;
        cpu.msr.efer = kEferLme | kEferLma | kEferSce | kEferNxe;
        cpu.cr4 = kCr4Pae;
        cpu.cr3 = kTop;
        cpu.cr0 |= kCr0Pe | kCr0Pg | kCr0Wp;
        go_to(level);
        cpu.tlb_flush(true);
    }
    void go_to(unsigned level) {
        const u16 dpl = static_cast<u16>(level << 5);
        cpu.set_cpl(level);
        cpu.set_segment(kCs, level == 0 ? kCode64 : kUserCode64, 0, 0xffffffff, static_cast<u16>(0xa09b | dpl));
        for (const Seg s : {kEs, kSs, kDs})
            cpu.set_segment(s, level == 0 ? kData0 : kData3, 0, 0xffffffff, static_cast<u16>(0xc093 | dpl));
        cpu.gpr[kEsp] = level == 0 ? kStack0 : kStack3;
        at(0x7000);
    }
    void gate64(u8 vector, u16 selector, u64 offset, u32 access, unsigned ist = 0) {
        poke<u64>(kIdt + vector * 16u, gate(selector, static_cast<u32>(offset), access, ist));
        poke<u64>(kIdt + vector * 16u + 8, offset >> 32);
    }
    [[nodiscard]] std::vector<u64> stack(unsigned count) const {
        std::vector<u64> v;
        for (unsigned n = 0; n < count; ++n) v.push_back(peek<u64>(static_cast<u32>(cpu.gpr[kEsp]) + 8 * n));
        return v;
    }
    void push_all(std::initializer_list<u64> values) {  // the last one comes out first
        for (const u64 v : values) {
            cpu.gpr[kEsp] -= 8;
            poke<u64>(static_cast<u32>(cpu.gpr[kEsp]), v);
        }
    }
    Outcome load(u64 address, Seg s = kDs) {
        return outcome([&] { (void)cpu.read<u64>(s, address); });
    }
    Outcome store(u64 address) {
        return outcome([&] { cpu.write<u64>(kDs, address, 1); });
    }
    Outcome wrmsr(u32 number, u64 value) {
        cpu.gpr[kEcx] = number;
        cpu.gpr[kEax] = static_cast<u32>(value);
        cpu.gpr[kEdx] = value >> 32;
        return outcome([&] { cpu.wrmsr(); });
    }
};

}  // namespace

TEST_CASE("an exception of a program goes to the stack of the inner level with a frame of eight-byte items") {
    LongMachine m(3);
    m.gate64(kGp, kCode64, 0xffffffff81000000ull, 0x8e);
    m.cpu.set_flags(kFixed1 | kIf | kCf);
    m.deliver(kGp, true, 0x1234);
    REQUIRE(m.cpu.eip == 0xffffffff81000000ull);
    REQUIRE(m.cpu.cpl == 0);
    REQUIRE(m.cpu.mode64);
    REQUIRE(m.cpu.seg[kSs].selector == 0);
    REQUIRE((m.cpu.flags() & kIf) == 0);
    REQUIRE(m.cpu.gpr[kEsp] == Bench::kStack0 - 48);
    REQUIRE(m.stack(6) ==
            std::vector<u64>{0x1234, 0x7000, kUserCode64, kFixed1 | kIf | kCf | kRf, Bench::kStack3, Bench::kData3});
}

TEST_CASE("an entry of the interrupt stack table is used at every level, aligned to sixteen bytes") {
    LongMachine m(0);
    m.gate64(kNmi, kCode64, 0x5000, 0x8e, 1);
    m.cpu.gpr[kEsp] = 0x8123;
    m.cpu.deliver_nmi();
    REQUIRE(m.cpu.gpr[kEsp] == 0xa000 - 40);
    REQUIRE(m.stack(5) == std::vector<u64>{0x7000, kCode64, m.cpu.flags(), 0x8123, Bench::kData0});
}

TEST_CASE("without a change of level the old stack is aligned before the frame") {
    LongMachine m(0);
    m.gate64(0x40, kCode64, 0x5000, 0x8e);
    m.cpu.gpr[kEsp] = 0x8128;
    m.cpu.external_interrupt(0x40);
    REQUIRE(m.cpu.gpr[kEsp] == 0x8120 - 40);
    REQUIRE(m.stack(4)[3] == 0x8128);
}

TEST_CASE("gates of long mode are refused as the manual says") {
    LongMachine m(3);
    const auto interrupt = [&](u8 v) { return m.outcome([&] { m.cpu.software_interrupt(v, Cpu::SoftInt::kIntN); }); };
    m.gate64(0x30, kCode64, 0x5000, 0x8e);
    REQUIRE(interrupt(0x30) == fault(kGp, 0x30 * 8 + 2));  // DPL 0
    m.gate64(0x31, kCode64, 0x5000, 0x85 | 0x60);
    REQUIRE(interrupt(0x31) == fault(kGp, 0x31 * 8 + 2));  // a task gate
    m.gate64(0x32, kCode64, 0x5000, 0x6e);
    REQUIRE(interrupt(0x32) == fault(kNp, 0x32 * 8 + 2));
    m.gate64(0x33, kCompat, 0x5000, 0xee);
    REQUIRE(interrupt(0x33) == fault(kGp, kCompat));  // not 64-bit code
    m.gate64(0x34, 0, 0x5000, 0xee);
    REQUIRE(interrupt(0x34) == fault(kGp, 0));
    m.gate64(0x35, kCode64, kHole, 0xee);
    REQUIRE(interrupt(0x35) == fault(kGp, 0));
    m.cpu.idtr.limit = 0x36 * 16 + 14;
    m.gate64(0x36, kCode64, 0x5000, 0xee);
    REQUIRE(interrupt(0x36) == fault(kGp, 0x36 * 8 + 2));
    m.gate64(0x30, kCode64, 0x5000, 0xee);
    m.poke<u64>(Bench::kTss + 4, kHole);
    REQUIRE(interrupt(0x30) == fault(kSsFault, 0));
    REQUIRE(m.cpu.cpl == 3);
    REQUIRE(m.cpu.eip == 0x7000);
}

TEST_CASE("IRET in 64-bit mode pops the stack pointer always and takes a null stack segment below level 3") {
    LongMachine m(0);
    SECTION("to a program") {
        m.push_all({Bench::kData3, 0x7fff12345678ull, kFixed1 | kIf, kUserCode64, 0x400123});
        REQUIRE(m.outcome([&] { m.cpu.interrupt_return(8); }) == kFine);
        REQUIRE(m.cpu.cpl == 3);
        REQUIRE(m.cpu.eip == 0x400123);
        REQUIRE(m.cpu.gpr[kEsp] == 0x7fff12345678ull);
        REQUIRE((m.cpu.flags() & kIf) != 0);
    }
    SECTION("to a 32-bit program") {
        m.push_all({Bench::kData3, 0xffff5678, kFixed1, kUserCompat, 0x400123});
        REQUIRE(m.outcome([&] { m.cpu.interrupt_return(8); }) == kFine);
        REQUIRE_FALSE(m.cpu.mode64);
        REQUIRE(m.cpu.long_mode());
    }
    SECTION("to the same level with a null stack segment") {
        m.push_all({0, 0x8000, kFixed1, kCode64, 0x6000});
        REQUIRE(m.outcome([&] { m.cpu.interrupt_return(8); }) == kFine);
        REQUIRE(m.cpu.gpr[kEsp] == 0x8000);
        REQUIRE(m.cpu.seg[kSs].selector == 0);
    }
    SECTION("not to level 3 with one") {
        m.push_all({3, 0x8000, kFixed1, kUserCode64, 0x6000});
        REQUIRE(m.outcome([&] { m.cpu.interrupt_return(8); }) == fault(kGp, 0));
        REQUIRE(m.cpu.cpl == 0);
    }
    SECTION("not to an address that is not canonical") {
        m.push_all({Bench::kData3, 0x8000, kFixed1, kUserCode64, kHole});
        REQUIRE(m.outcome([&] { m.cpu.interrupt_return(8); }) == fault(kGp, 0));
    }
    SECTION("not with NT set") {
        m.cpu.set_flags(kFixed1 | kNt);
        REQUIRE(m.outcome([&] { m.cpu.interrupt_return(8); }) == fault(kGp, 0));
    }
}

TEST_CASE("SYSCALL and SYSRET use the selectors and the mask of their registers") {
    LongMachine m(3);
    m.cpu.msr.star = 0x0013000800000000ull;
    m.cpu.msr.lstar = 0xffffffff80001000ull;
    m.cpu.msr.cstar = 0xffffffff80002000ull;
    m.cpu.msr.sfmask = kIf | kDf;
    m.cpu.set_flags(kFixed1 | kIf | kDf | kZf);
    REQUIRE(m.outcome([&] { m.cpu.syscall(); }) == kFine);
    REQUIRE(m.cpu.eip == 0xffffffff80001000ull);
    REQUIRE(m.cpu.gpr[kEcx] == 0x7000);
    REQUIRE(m.cpu.gpr[kR11] == (kFixed1 | kIf | kDf | kZf));
    REQUIRE((m.cpu.flags() & (kIf | kDf | kZf)) == kZf);
    REQUIRE(m.cpu.cpl == 0);
    REQUIRE(m.cpu.seg[kCs].selector == 8);
    REQUIRE(m.cpu.seg[kSs].selector == 0x10);
    REQUIRE(m.outcome([&] { m.cpu.sysret(8); }) == kFine);
    REQUIRE(m.cpu.eip == 0x7000);
    REQUIRE(m.cpu.cpl == 3);
    REQUIRE(m.cpu.mode64);
    REQUIRE(m.cpu.seg[kCs].selector == 0x23);
    REQUIRE(m.cpu.seg[kSs].selector == 0x1b);
    REQUIRE(m.cpu.flags() == (kFixed1 | kIf | kDf | kZf));
    REQUIRE(m.outcome([&] { m.cpu.sysret(8); }) == fault(kGp, 0));  // from level 3
    m.go_to(0);
    m.cpu.gpr[kEcx] = kHole;
    REQUIRE(m.outcome([&] { m.cpu.sysret(8); }) == fault(kGp, 0));
    REQUIRE(m.outcome([&] { m.cpu.sysret(4); }) == kFine);  // takes 32 bits of RCX
    REQUIRE_FALSE(m.cpu.mode64);
    REQUIRE(m.outcome([&] { m.cpu.syscall(); }) == kFine);  // from compatibility mode
    REQUIRE(m.cpu.eip == 0xffffffff80002000ull);
    m.cpu.msr.efer &= ~kEferSce;
    REQUIRE(m.outcome([&] { m.cpu.syscall(); }) == fault(kUd));
}

TEST_CASE("SWAPGS exchanges the base of GS at level 0 only") {
    LongMachine m(0);
    m.cpu.set_segment_base(kGs, 0x1111);
    m.cpu.msr.kernel_gs_base = 0xffff888000000000ull;
    REQUIRE(m.outcome([&] { m.cpu.swapgs(); }) == kFine);
    REQUIRE(m.cpu.seg[kGs].base == 0xffff888000000000ull);
    REQUIRE(m.cpu.msr.kernel_gs_base == 0x1111);
    m.go_to(3);
    REQUIRE(m.outcome([&] { m.cpu.swapgs(); }) == fault(kGp, 0));
}

TEST_CASE("every level of the page tables takes part in permissions") {
    for (const u32 entry : {kTop, kPointers, kDirectory, kPages + 8 * 0x20}) {
        LongMachine m(3);
        const u64 full = m.peek<u64>(entry);
        const auto with = [&](u64 bits) {
            m.poke<u64>(entry, bits);
            m.cpu.tlb_flush(true);
        };
        CAPTURE(entry);
        REQUIRE(m.store(0x20000) == kFine);
        with(full & ~1ull);
        REQUIRE(m.load(0x20000) == fault(kPage, 4));
        with(full & ~2ull);
        REQUIRE(m.load(0x20000) == kFine);
        REQUIRE(m.store(0x20000) == fault(kPage, 7));
        REQUIRE(m.cpu.cr2 == 0x20000);
        with(full & ~4ull);
        REQUIRE(m.load(0x20000) == fault(kPage, 5));
        with(full | 1ull << 63);
        REQUIRE(m.load(0x20000) == kFine);
        REQUIRE(m.outcome([&] { (void)fetch_translate(&m.cpu, 0x20000); }) == fault(kPage, 0x15));
        with(full | 1ull << kPhysicalBits);
        REQUIRE(m.load(0x20000) == fault(kPage, 0xd));
        with(full | 1ull << 52);  // free for software
        REQUIRE(m.load(0x20000) == kFine);
        m.cpu.msr.efer &= ~kEferNxe;
        with(full | 1ull << 63);  // reserved then
        REQUIRE(m.load(0x20000) == fault(kPage, 0xd));
    }
}

TEST_CASE("walks of four levels set accessed and dirty bits and find large pages") {
    LongMachine m(0);
    for (const u32 entry : {kTop, kPointers, kDirectory}) m.poke<u64>(entry, m.peek<u64>(entry) & ~0x20ull);
    REQUIRE(m.load(0x20000) == kFine);
    for (const u32 entry : {kTop, kPointers, kDirectory, kPages + 8 * 0x20})
        REQUIRE((m.peek<u64>(entry) & 0x60u) == 0x20);
    REQUIRE(m.store(0x20000) == kFine);
    REQUIRE((m.peek<u64>(kPages + 8 * 0x20) & 0x60u) == 0x60);

    m.poke<u64>(kDirectory + 8, 0x87);  // 2M at 200000h: the same memory again
    m.poke<u64>(0x20010, 0x1122334455667788ull);
    REQUIRE(m.outcome([&] { REQUIRE(m.cpu.read<u64>(kDs, 0x220010) == 0x1122334455667788ull); }) == kFine);
    m.poke<u64>(kDirectory + 16, 0x2087);  // a reserved bit of a large page
    REQUIRE(m.load(0x400000) == fault(kPage, 9));
    m.poke<u64>(kPointers + 8, 0x87);  // 1G
    REQUIRE(m.load(0x40020010) == fault(kPage, 9));
    m.model.extended_edx |= kFeatPage1G;
    m.cpu.tlb_flush(true);
    REQUIRE(m.outcome([&] { REQUIRE(m.cpu.read<u64>(kDs, 0x40020010) == 0x1122334455667788ull); }) == kFine);
    m.poke<u64>(kPointers + 8, 0);
    m.cpu.invlpg(0x40000000);
    REQUIRE(m.load(0x40020010) == fault(kPage, 0));
}

TEST_CASE("addresses that are not canonical fault before paging") {
    LongMachine m(0);
    REQUIRE(m.load(kHole) == fault(kGp, 0));
    REQUIRE(m.load(kHole, kSs) == fault(kSsFault, 0));
    REQUIRE(m.load(kHole - 4) == fault(kGp, 0));  // reaches into the hole
    REQUIRE(m.load(0xffff7fffffffffffull) == fault(kGp, 0));
    REQUIRE(m.load(0xffff800000000000ull) == fault(kPage, 0));
    m.cpu.set_segment_base(kFs, kHole - 0x1000);
    REQUIRE(m.load(0x1000, kFs) == fault(kGp, 0));
    REQUIRE(m.load(0x10, kFs) == fault(kPage, 0));
}

TEST_CASE("long mode is entered and left in the order of the manual only") {
    LongMachine m(0);
    REQUIRE(m.outcome([&] { m.cpu.mov_to_cr(0, m.cpu.cr0 & ~u64{kCr0Pg}); }) == fault(kGp, 0));  // in 64-bit mode
    REQUIRE(m.outcome([&] { m.cpu.mov_to_cr(4, 0); }) == fault(kGp, 0));
    REQUIRE(m.outcome([&] { m.cpu.mov_to_cr(3, 1ull << kPhysicalBits); }) == fault(kGp, 0));
    REQUIRE(m.outcome([&] { m.cpu.mov_to_cr(0, 1ull << 32); }) == fault(kGp, 0));
    REQUIRE(m.wrmsr(0xc0000080, kEferSce) == fault(kGp, 0));  // LME with paging on
    REQUIRE(m.wrmsr(0xc0000080, kEferLme | kEferSce | 2) == fault(kGp, 0));
    REQUIRE(m.wrmsr(0xc0000080, kEferLme) == kFine);
    REQUIRE((m.cpu.msr.efer & kEferLma) != 0);
    REQUIRE(m.wrmsr(0xc0000082, kHole) == fault(kGp, 0));
    m.cpu.set_segment(kCs, kCompat, 0, 0xffffffff, 0xc09b);
    REQUIRE(m.outcome([&] { m.cpu.mov_to_cr(0, m.cpu.cr0 & ~u64{kCr0Pg}); }) == kFine);
    REQUIRE_FALSE(m.cpu.long_mode());
    REQUIRE(m.outcome([&] { m.cpu.mov_to_cr(4, 0); }) == kFine);
    REQUIRE(m.outcome([&] { m.cpu.mov_to_cr(0, m.cpu.cr0 | kCr0Pg); }) == fault(kGp, 0));  // without PAE
    REQUIRE(m.outcome([&] { m.cpu.mov_to_cr(4, kCr4Pae); }) == kFine);
    REQUIRE(m.outcome([&] { m.cpu.mov_to_cr(0, m.cpu.cr0 | kCr0Pg); }) == kFine);
    REQUIRE(m.cpu.long_mode());
}

TEST_CASE("system descriptors have sixteen bytes in long mode") {
    LongMachine m(0);
    m.gdt(kGate, Bench::segment(Bench::kTss, 0x67, 0x89, 0));
    m.poke<u64>(Bench::kGdt + kGate + 8, 0xffff8880);
    REQUIRE(m.outcome([&] { m.cpu.load_tr(kGate); }) == kFine);
    REQUIRE(m.cpu.tr.base == 0xffff888000000000ull + Bench::kTss);
    m.gdt(kGate, Bench::segment(Bench::kTss, 0x67, 0x89, 0));
    m.poke<u64>(Bench::kGdt + kGate + 8, 0x0000010000000000ull);  // a type where there must be none
    REQUIRE(m.outcome([&] { m.cpu.load_tr(kGate); }) == fault(kGp, kGate));
    m.gdt(kGate, Bench::segment(Bench::kTss, 0x67, 0x81, 0));  // a 16-bit TSS
    REQUIRE(m.outcome([&] { m.cpu.load_tr(kGate); }) == fault(kGp, kGate));
    m.gdt(kGate, Bench::segment(Bench::kTss, 0x67, 0x89, 0));
    REQUIRE(m.outcome([&] { m.cpu.far_jump(kGate, 0, 4); }) == fault(kGp, kGate));  // no task switches
}

TEST_CASE("a call gate of long mode leads to 64-bit code of an inner level") {
    LongMachine m(3);
    m.gdt(kGate, Bench::gate(kCode64, 0x81005000, 0x8c | 0x60));
    m.poke<u64>(Bench::kGdt + kGate + 8, 0xffffffff);
    REQUIRE(m.outcome([&] { m.cpu.far_call(kGate | 3, 0, 4); }) == kFine);
    REQUIRE(m.cpu.eip == 0xffffffff81005000ull);
    REQUIRE(m.cpu.cpl == 0);
    REQUIRE(m.cpu.gpr[kEsp] == Bench::kStack0 - 32);
    REQUIRE(m.stack(4) == std::vector<u64>{0x7000, kUserCode64, Bench::kStack3, Bench::kData3});
    REQUIRE(m.outcome([&] { m.cpu.far_return(8, 0); }) == kFine);
    REQUIRE(m.cpu.cpl == 3);
    REQUIRE(m.cpu.eip == 0x7000);
    REQUIRE(m.cpu.gpr[kEsp] == Bench::kStack3);
}

TEST_CASE("system management mode saves and brings back all of 64-bit mode in the area of AMD64") {
    LongMachine m(3);
    for (unsigned n = 0; n < 16; ++n) m.cpu.gpr[n] = 0x1111111111111111ull * n;
    m.cpu.set_segment_base(kFs, 0x7f0012345000ull);
    m.cpu.eip = 0x7fff00001234ull;
    m.cpu.set_flags(kFixed1 | kIf | kCf);
    m.cpu.enter_smm();
    constexpr u32 kSaved = 0x38000;
    REQUIRE(m.cpu.eip == 0x8000);
    REQUIRE_FALSE(m.cpu.long_mode());
    REQUIRE(m.peek<u32>(kSaved + 0x7efc) == 0x20064);
    REQUIRE(m.peek<u64>(kSaved + 0x7f78) == 0x7fff00001234ull);
    REQUIRE(m.peek<u64>(kSaved + 0x7f80) == 0xffffffffffffffffull);  // R15
    REQUIRE(m.peek<u64>(kSaved + 0x7ed0) == (kEferLme | kEferLma | kEferSce | kEferNxe));
    REQUIRE(m.peek<u64>(kSaved + 0x7e48) == 0x7f0012345000ull);  // FS
    REQUIRE(m.peek<u32>(kSaved + 0x7e10) == (kUserCode64 | 0xafb0000u));
    m.poke<u64>(kSaved + 0x7ff8, 0xabcd);  // the handler gives RAX
    REQUIRE(m.outcome([&] { m.cpu.resume_from_smm(); }) == kFine);
    REQUIRE_FALSE(m.cpu.shutdown);
    REQUIRE(m.cpu.mode64);
    REQUIRE(m.cpu.cpl == 3);
    REQUIRE(m.cpu.eip == 0x7fff00001234ull);
    REQUIRE(m.cpu.gpr[kEax] == 0xabcd);
    for (unsigned n = 1; n < 16; ++n) REQUIRE(m.cpu.gpr[n] == 0x1111111111111111ull * n);
    REQUIRE(m.cpu.seg[kFs].base == 0x7f0012345000ull);
    REQUIRE(m.cpu.flags() == (kFixed1 | kIf | kCf));
    m.cpu.enter_smm();
    m.poke<u64>(kSaved + 0x7ed0, kEferLme);  // paging on, but not active: no processor can be like that
    REQUIRE(m.outcome([&] { m.cpu.resume_from_smm(); }) == kFine);
    REQUIRE(m.cpu.shutdown);
}

}  // namespace backplane::interp
