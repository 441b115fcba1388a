// System registers, privileged instructions, flags by privilege, I/O permission, MSRs, CPUID, debug registers.
#include <catch2/catch.hpp>

#include "test_system_host.hpp"

using namespace backplane::interp;

TEST_CASE("privileged instructions fault in ring 3") {
    Bench b;
    b.protect(3);
    Cpu& c = b.cpu;
    REQUIRE(b.outcome([&] { c.lgdt(0, 0, 4); }) == fault(kGp, 0));
    REQUIRE(b.outcome([&] { c.lidt(0, 0, 4); }) == fault(kGp, 0));
    REQUIRE(b.outcome([&] { c.lmsw(0); }) == fault(kGp, 0));
    REQUIRE(b.outcome([&] { c.clts(); }) == fault(kGp, 0));
    REQUIRE(b.outcome([&] { (void)c.mov_from_cr(0); }) == fault(kGp, 0));
    REQUIRE(b.outcome([&] { c.mov_to_cr(3, 0); }) == fault(kGp, 0));
    REQUIRE(b.outcome([&] { (void)c.mov_from_dr(0); }) == fault(kGp, 0));
    REQUIRE(b.outcome([&] { c.mov_to_dr(7, 0); }) == fault(kGp, 0));
    REQUIRE(b.outcome([&] { c.invlpg(0); }) == fault(kGp, 0));
    REQUIRE(b.outcome([&] { c.rdmsr(); }) == fault(kGp, 0));
    REQUIRE(b.outcome([&] { c.wrmsr(); }) == fault(kGp, 0));
    REQUIRE(b.outcome([&] { c.wbinvd(); }) == fault(kGp, 0));
    REQUIRE(b.outcome([&] { c.halt(); }) == fault(kGp, 0));
    REQUIRE(b.outcome([&] { c.sysexit(); }) == fault(kGp, 0));
    REQUIRE(b.outcome([&] { c.rdpmc(); }) == fault(kGp, 0));
    REQUIRE(b.outcome([&] { c.rdtsc(); }) == kFine);
    c.cr4 |= kCr4Tsd;
    REQUIRE(b.outcome([&] { c.rdtsc(); }) == fault(kGp, 0));
}

TEST_CASE("CR0 refuses combinations that do not exist") {
    struct Row {
        u32 value;
        Outcome expected;
        u32 result;
    };
    const Row r = GENERATE(values<Row>({
        {0x00000001, kFine, 0x11},
        {0x80000001, kFine, 0x80000011},
        {0x80000000, fault(kGp, 0), 0},
        {0x20000001, fault(kGp, 0), 0},
        {0x60000001, kFine, 0x60000011},
        {0x0005003f, kFine, 0x5003f},
        {0x1ff8ffc1, kFine, 0x11},  // reserved bits are dropped
    }));
    Bench b;
    b.protect();
    b.poke<u32>(0xf0000, 0xf1007);
    b.cpu.cr3 = 0xf0000;
    const u32 before = b.cpu.cr0;
    REQUIRE(b.outcome([&] { b.cpu.mov_to_cr(0, r.value); }) == r.expected);
    REQUIRE(b.cpu.cr0 == (r.expected == kFine ? r.result : before));
}

TEST_CASE("LMSW can set PE but not clear it") {
    Bench b;
    REQUIRE(b.outcome([&] { b.cpu.lmsw(0xffff); }) == kFine);
    REQUIRE(b.cpu.cr0 == 0x6000001f);
    REQUIRE(b.outcome([&] { b.cpu.lmsw(0); }) == kFine);
    REQUIRE(b.cpu.cr0 == 0x60000011);
}

TEST_CASE("CR4 takes the bits that CPUID announces") {
    Bench b;
    b.protect();
    REQUIRE(b.outcome([&] { b.cpu.mov_to_cr(4, 0x3fc); }) == kFine);
    REQUIRE(b.cpu.cr4 == 0x3fc);
    for (const u32 bad : {0x1u, 0x2u, 0x400u, 0x800u, 0x2000u, 0x80000000u}) {
        REQUIRE(b.outcome([&] { b.cpu.mov_to_cr(4, bad); }) == fault(kGp, 0));
    }
    REQUIRE(b.outcome([&] { b.cpu.mov_to_cr(1, 0); }) == fault(kUd));
    REQUIRE(b.outcome([&] { b.cpu.mov_to_cr(5, 0); }) == fault(kUd));
}

TEST_CASE("a reserved bit in a page-directory pointer refuses PAE") {
    Bench b;
    b.protect();
    b.enable_paging();
    b.poke<u64>(0xe0000, 0xe1001);
    b.cpu.cr3 = 0xe0000;
    REQUIRE(b.outcome([&] { b.cpu.mov_to_cr(4, kCr4Pae); }) == kFine);
    b.poke<u64>(0xd0008, 0xe1003);
    REQUIRE(b.outcome([&] { b.cpu.mov_to_cr(3, 0xd0000); }) == fault(kGp, 0));
    REQUIRE(b.cpu.cr3 == 0xe0000);
}

TEST_CASE("debug registers: aliases, fixed bits and general detect") {
    Bench b;
    Cpu& c = b.cpu;
    REQUIRE(b.outcome([&] { c.mov_to_dr(4, 0); }) == kFine);
    REQUIRE(c.dr6 == 0xffff0ff0);
    REQUIRE(b.outcome([&] { c.mov_to_dr(6, 0xffffffff); }) == kFine);
    REQUIRE(c.dr6 == 0xffffefff);
    REQUIRE(b.outcome([&] { c.mov_to_dr(5, 0xffffdfff); }) == kFine);
    REQUIRE(c.dr7 == 0xffff07ff);
    c.cr4 |= kCr4De;
    REQUIRE(b.outcome([&] { (void)c.mov_from_dr(4); }) == fault(kUd));
    REQUIRE(b.outcome([&] { c.mov_to_dr(7, 0x2000); }) == kFine);
    REQUIRE(b.outcome([&] { (void)c.mov_from_dr(0); }) == fault(kDb));
    REQUIRE((c.dr6 & kDr6Bd) != 0);
    REQUIRE(c.flag(kRf));
}

TEST_CASE("breakpoints match by kind, length and alignment") {
    Bench b;
    Cpu& c = b.cpu;
    c.cr4 |= kCr4De;
    c.dr[0] = 0x1002;
    const auto hits = [&](u32 dr7, u32 address, u32 bytes, bool write) {
        c.dr7 = dr7 | 0x400;
        c.debug_pending = 0;
        c.debug_data(address, bytes, write);
        return c.debug_pending;
    };
    const u32 write2 = 0x50001;  // breakpoint 0: two bytes, writes
    CHECK(hits(write2, 0x1002, 1, true) == 1);
    CHECK(hits(write2, 0x1003, 1, true) == 1);
    CHECK(hits(write2, 0x1004, 1, true) == 0);
    CHECK(hits(write2, 0x1001, 1, true) == 0);
    CHECK(hits(write2, 0x0fff, 4, true) == 1);
    CHECK(hits(write2, 0x1002, 1, false) == 0);
    CHECK(hits(write2 & ~1u, 0x1002, 1, true) == 0);
    CHECK(hits(0x30002, 0x1002, 1, false) == 1);  // one byte, any access
    CHECK(hits(0xf0001, 0x1000, 1, false) == 1);  // four bytes begin at the aligned address
    CHECK(hits(0x00001, 0x1002, 1, true) == 0);
    c.dr7 = 0x401;
    CHECK(c.debug_fetch(0x1002) == 1);
    CHECK(c.debug_fetch(0x1003) == 0);
    c.dr7 = 0x20401;
    c.debug_pending = 0;
    c.debug_io(0x1002, 1);
    CHECK(c.debug_pending == 1);
}

TEST_CASE("CLI and STI depend on IOPL, VME and PVI") {
    struct Row {
        const char* what;
        unsigned cpl, iopl;
        bool v86;
        u32 cr4;
        Outcome expected;
        u32 flag;  // what STI sets
    };
    const Row r = GENERATE(values<Row>({
        {"ring 0", 0, 0, false, 0, kFine, kIf},
        {"ring 3, IOPL 3", 3, 3, false, 0, kFine, kIf},
        {"ring 3, IOPL 2", 3, 2, false, 0, fault(kGp, 0), 0},
        {"ring 3 with PVI", 3, 0, false, kCr4Pvi, kFine, kVif},
        {"V86, IOPL 3", 3, 3, true, 0, kFine, kIf},
        {"V86, IOPL 0", 3, 0, true, kCr4Pvi, fault(kGp, 0), 0},
        {"V86, VME", 3, 0, true, kCr4Vme, kFine, kVif},
    }));
    Bench b;
    b.protect(r.cpl);
    INFO(r.what);
    if (r.v86) b.virtualize(r.iopl);
    b.cpu.cr4 = r.cr4;
    b.cpu.set_flags(r.iopl << kIoplShift, kIopl | kIf);
    REQUIRE(b.outcome([&] { b.cpu.sti(); }) == r.expected);
    REQUIRE((b.cpu.flags() & (kIf | kVif)) == r.flag);
    REQUIRE(b.cpu.inhibit_interrupts == (r.flag == kIf));
    REQUIRE(b.outcome([&] { b.cpu.cli(); }) == r.expected);
    REQUIRE((b.cpu.flags() & (kIf | kVif)) == 0);
    if (r.flag != kVif) return;
    b.cpu.set_flags(kVip, kVip);
    REQUIRE(b.outcome([&] { b.cpu.sti(); }) == fault(kGp, 0));
}

TEST_CASE("POPF changes what the privilege allows") {
    struct Row {
        const char* what;
        unsigned cpl, iopl;
        bool v86;
        u32 bytes, value, result;
        Outcome expected;
    };
    const Row r = GENERATE(values<Row>({
        {"ring 0, all", 0, 0, false, 4, 0xffffffff, 0x247fd7, kFine},
        {"ring 0, 16 bits", 0, 0, false, 2, 0xffff, 0x7fd7, kFine},
        {"ring 3 keeps IF and IOPL", 3, 0, false, 4, 0xffffffff, 0x244dd7, kFine},
        {"ring 3, IOPL 3 keeps IOPL", 3, 3, false, 4, 0x200, 0x3202, kFine},
        {"V86, IOPL 3", 3, 3, true, 2, 0xffff, 0x27fd7, kFine},
        {"V86, IOPL 3, IOPL stays", 3, 3, true, 4, 0, 0x23002, kFine},
        {"V86, IOPL 0", 3, 0, true, 2, 0, 0x20202, fault(kGp, 0)},
    }));
    Bench b;
    b.protect(r.cpl);
    INFO(r.what);
    if (r.v86)
        b.virtualize(r.iopl);
    else
        b.cpu.set_flags(kFixed1 | r.iopl << kIoplShift | kRf);
    REQUIRE(b.outcome([&] { b.cpu.pop_flags_value(r.bytes, r.value); }) == r.expected);
    REQUIRE(b.cpu.flags() == r.result);
}

TEST_CASE("PUSHF hides VM and RF, and shows VIF as IF under VME") {
    Bench b;
    b.protect();
    b.virtualize(3);
    b.cpu.set_flags(kRf, kRf);
    u32 v = 0;
    REQUIRE(b.outcome([&] { b.cpu.push_flags_value(4, v); }) == kFine);
    REQUIRE(v == 0x3202);
    b.virtualize(0);
    REQUIRE(b.outcome([&] { b.cpu.push_flags_value(2, v); }) == fault(kGp, 0));
    b.cpu.cr4 = kCr4Vme;
    b.cpu.set_flags(kVif, kVif | kIf);
    REQUIRE(b.outcome([&] { b.cpu.push_flags_value(2, v); }) == kFine);
    REQUIRE((v & 0xffff) == 0x3202);
    REQUIRE(b.outcome([&] { b.cpu.push_flags_value(4, v); }) == fault(kGp, 0));
    REQUIRE(b.outcome([&] { b.cpu.pop_flags_value(2, 0x3000); }) == kFine);
    REQUIRE_FALSE(b.cpu.flag(kVif));
    REQUIRE(b.cpu.iopl() == 0);
    b.cpu.set_flags(kVip, kVip);
    REQUIRE(b.outcome([&] { b.cpu.pop_flags_value(2, kIf); }) == fault(kGp, 0));
    REQUIRE(b.outcome([&] { b.cpu.pop_flags_value(2, kTf); }) == fault(kGp, 0));
}

TEST_CASE("a port's permission follows the task state segment and its page") {
    Bench b;
    b.protect(3);
    Cpu& c = b.cpu;
    b.enable_paging();
    std::memset(&b.ram[Bench::kTss + 0x68], 0, 0x2000);
    const auto open = [&] { return b.outcome([&] { c.check_io(0x71, 1); }) == kFine; };
    REQUIRE(open());
    REQUIRE(open());
    const u32 byte = Bench::kTss + 0x68 + 0x71 / 8;
    SECTION("a bit of the map is set in memory") {
        b.poke<u8>(byte, 0x02);
        REQUIRE_FALSE(open());
        b.poke<u8>(byte, 0x01);  // port 70
        REQUIRE(open());
    }
    SECTION("the map moves") {
        b.poke<u8>(byte + 8, 0xff);
        b.poke<u16>(Bench::kTss + 0x66, 0x70);
        REQUIRE_FALSE(open());
    }
    SECTION("another port is asked for") {
        b.poke<u8>(byte + 1, 0xff);
        REQUIRE(b.outcome([&] { c.check_io(0x79, 1); }) == fault(kGp, 0));
        REQUIRE(open());
    }
    SECTION("another task is loaded") {
        c.tr.base += 0x10;
        b.poke<u16>(Bench::kTss + 0x76, 0x68);
        b.poke<u8>(byte + 0x10, 0xff);
        REQUIRE_FALSE(open());
    }
    SECTION("the page is mapped elsewhere") {
        constexpr u32 kElsewhere = 0x30000;
        std::memcpy(&b.ram[kElsewhere], &b.ram[Bench::kTss], 0x1000);
        b.poke<u8>(kElsewhere + (byte & 0xfffu), 0xff);
        b.poke<u32>(0xf1000 + (Bench::kTss >> 12) * 4, kElsewhere | 7u);
        REQUIRE(open());  // as before until it is invalidated
        c.tlb_flush_page(Bench::kTss);
        REQUIRE_FALSE(open());
    }
}

TEST_CASE("ports are open by IOPL or by the bitmap of the TSS") {
    Bench b;
    b.protect(3);
    Cpu& c = b.cpu;
    std::memset(&b.ram[Bench::kTss + 0x68], 0xff, 0x2000);
    b.poke<u8>(Bench::kTss + 0x68 + 0x3f8 / 8, 0x00);  // 3F8-3FF
    CHECK(b.outcome([&] { c.check_io(0x3f8, 1); }) == kFine);
    CHECK(b.outcome([&] { c.check_io(0x3fc, 4); }) == kFine);
    CHECK(b.outcome([&] { c.check_io(0x3fe, 4); }) == fault(kGp, 0));
    CHECK(b.outcome([&] { c.check_io(0x3f7, 2); }) == fault(kGp, 0));
    CHECK(b.outcome([&] { c.check_io(0x400, 1); }) == fault(kGp, 0));
    c.set_flags(kIopl, kIopl);
    CHECK(b.outcome([&] { c.check_io(0x400, 1); }) == kFine);
    b.virtualize(3);
    CHECK(b.outcome([&] { c.check_io(0x400, 1); }) == fault(kGp, 0));
    CHECK(b.outcome([&] { c.check_io(0x3f8, 1); }) == kFine);
    c.tr.limit = 0x67 + 0x3f8 / 8 + 1;  // the second byte lies outside
    CHECK(b.outcome([&] { c.check_io(0x3f8, 1); }) == fault(kGp, 0));
    c.tr.attr = 0x83;
    CHECK(b.outcome([&] { c.check_io(0x3f8, 1); }) == fault(kGp, 0));
    b.protect(0);
    c.set_flags(kFixed1);
    CHECK(b.outcome([&] { c.check_io(0x400, 1); }) == kFine);
}

TEST_CASE("SYSENTER and SYSEXIT") {
    Bench b;
    Cpu& c = b.cpu;
    REQUIRE(b.outcome([&] { c.sysenter(); }) == fault(kGp, 0));
    b.protect(3);
    REQUIRE(b.outcome([&] { c.sysenter(); }) == fault(kGp, 0));
    c.msr.sysenter_cs = Bench::kCode0;
    c.msr.sysenter_esp = 0x9000;
    c.msr.sysenter_eip = 0x1234;
    c.set_flags(kFixed1 | kIf);
    REQUIRE(b.outcome([&] { c.sysenter(); }) == kFine);
    REQUIRE(c.cpl == 0);
    REQUIRE(c.seg[kCs].selector == 0x08);
    REQUIRE(c.seg[kSs].selector == 0x10);
    REQUIRE(c.r32(kEsp) == 0x9000);
    REQUIRE(c.eip == 0x1234);
    REQUIRE(c.flags() == kFixed1);
    c.r32(kEcx) = 0xb000;
    c.r32(kEdx) = 0x7000;
    REQUIRE(b.outcome([&] { c.sysexit(); }) == kFine);
    REQUIRE(c.cpl == 3);
    REQUIRE(c.seg[kCs].selector == 0x1b);
    REQUIRE(c.seg[kSs].selector == 0x23);
    REQUIRE(c.r32(kEsp) == 0xb000);
    REQUIRE(c.eip == 0x7000);
}

TEST_CASE("MSRs keep what the manual lets them keep") {
    struct Row {
        const char* what;
        u32 address;
        u64 value;
        bool accepted;
    };
    const Row r = GENERATE(values<Row>({
        {"SYSENTER_CS", 0x174, 8, true},
        {"PAT", 0x277, 0x0007010600070406, true},
        {"PAT with a reserved type", 0x277, 2, false},
        {"MTRR base", 0x200, 0xf00000006, true},
        {"MTRR base, type 2", 0x200, 2, false},
        {"MTRR mask", 0x20f, 0xff0000800, true},
        {"MTRR mask beyond 36 bits", 0x201, 1ull << 36, false},
        {"fixed MTRR", 0x26f, 0x0606060606060606, true},
        {"fixed MTRR, type 7", 0x250, 7, false},
        {"default type", 0x2ff, 0xc06, true},
        {"default type, reserved bit", 0x2ff, 0x100, false},
        {"MTRR capabilities", 0xfe, 0, false},
        {"machine check status, cleared", 0x401, 0, true},
        {"machine check status, set", 0x401, 1, false},
        {"machine check control", 0x400, ~0ull, true},
        {"a sixth bank", 0x414, 0, false},
        {"extended features", 0xc0000080, 0, false},
        {"x2APIC", 0x800, 0, false},
    }));
    Bench b;
    INFO(r.what);
    Cpu& c = b.cpu;
    c.r32(kEcx) = r.address;
    c.r32(kEax) = static_cast<u32>(r.value);
    c.r32(kEdx) = static_cast<u32>(r.value >> 32);
    REQUIRE(b.outcome([&] { c.wrmsr(); }) == (r.accepted ? kFine : fault(kGp, 0)));
    if (!r.accepted) return;
    c.r32(kEax) = c.r32(kEdx) = 0xdeadbeef;
    REQUIRE(b.outcome([&] { c.rdmsr(); }) == kFine);
    REQUIRE((static_cast<u64>(c.r32(kEdx)) << 32 | c.r32(kEax)) == r.value);
}

TEST_CASE("without a local APIC there is no IA32_APIC_BASE and no APIC flag") {
    Bench b;
    Cpu& c = b.cpu;
    c.r32(kEcx) = 0x1b;
    REQUIRE(b.outcome([&] { c.rdmsr(); }) == fault(kGp, 0));
    c.r32(kEax) = 1;
    c.cpuid();
    REQUIRE((c.r32(kEdx) & kFeatApic) == 0);
    c.host.apic_base = [](void*) -> i64 { return 0xfee00900; };
    REQUIRE(b.outcome([&] {
        c.r32(kEcx) = 0x1b;
        c.rdmsr();
    }) == kFine);
    REQUIRE(c.r32(kEax) == 0xfee00900);
}

TEST_CASE("CPUID shows a pentium2") {
    struct Row {
        u32 leaf, eax, ebx, ecx, edx;
    };
    const Row r = GENERATE(values<Row>({
        {0, 2, 0x756e6547, 0x6c65746e, 0x49656e69},
        {1, 0x652, 0x800, 0, 0x0183fbfd},
        {2, 1, 0, 0, 0x002c307d},
        {3, 1, 0, 0, 0x002c307d},
        {0x40000000, 1, 0, 0, 0x002c307d},
        {0x80000000, 1, 0, 0, 0x002c307d},
    }));
    Bench b;
    Cpu& c = b.cpu;
    c.host.apic_base = [](void*) -> i64 { return 0xfee00900; };
    c.r32(kEax) = r.leaf;
    c.cpuid();
    CHECK(c.r32(kEax) == r.eax);
    CHECK(c.r32(kEbx) == r.ebx);
    CHECK(c.r32(kEcx) == r.ecx);
    CHECK(c.r32(kEdx) == r.edx);
}

TEST_CASE("alignment is checked at ring 3 with CR0.AM and EFLAGS.AC") {
    struct Row {
        const char* what;
        unsigned cpl;
        u32 cr0, flags, offset;
        Outcome expected;
    };
    const Row r = GENERATE(values<Row>({
        {"aligned", 3, kCr0Am, kAc, 0x8000, kFine},
        {"not aligned", 3, kCr0Am, kAc, 0x8002, fault(kAcFault, 0)},
        {"without AC", 3, kCr0Am, 0, 0x8002, kFine},
        {"without AM", 3, 0, kAc, 0x8002, kFine},
        {"ring 0", 0, kCr0Am, kAc, 0x8002, kFine},
    }));
    Bench b;
    b.protect(r.cpl);
    INFO(r.what);
    b.cpu.cr0 |= r.cr0;
    b.cpu.set_flags(kFixed1 | r.flags);
    b.cpu.mode_changed();
    REQUIRE(b.outcome([&] { (void)b.cpu.read<u32>(kDs, r.offset); }) == r.expected);
    REQUIRE(b.outcome([&] { b.cpu.write<u32>(kDs, r.offset, 0); }) == r.expected);
}

TEST_CASE("a reset of the processor leaves address line 20 to the board") {
    Bench b;
    b.cpu.set_line(kLineA20, false);
    b.cpu.reset(true);
    REQUIRE((b.cpu.a20_mask & 1u << 20) == 0);
    b.cpu.set_line(kLineA20, true);
    b.cpu.reset(true);
    REQUIRE((b.cpu.a20_mask & 1u << 20) != 0);
}
