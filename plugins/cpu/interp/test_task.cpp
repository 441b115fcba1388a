// Hardware task switches (SDM 3, chapter 7).
#include <catch2/catch.hpp>

#include "test_system_host.hpp"

using namespace backplane::interp;

namespace {

constexpr u16 kNewTss = Bench::kFree, kTaskGate = Bench::kFree + 8, kOther = Bench::kFree + 16;
constexpr u32 kNew = 0x5000;

struct NewTask {
    u32 eip = 0x6000, flags = kFixed1, cs = Bench::kCode0, ss = Bench::kData0, ds = Bench::kData0, es = Bench::kData0,
        fs = Bench::kData0, gs = Bench::kData0, ldt = Bench::kLdtSel;
};

void write_tss32(Bench& b, const NewTask& t, u32 type = 0x89) {
    b.gdt(kNewTss, Bench::segment(kNew, 0x67, type, 0));
    b.gdt(kTaskGate, Bench::gate(kNewTss, 0, 0xe5));
    b.poke<u32>(kNew + 0x20, t.eip);
    b.poke<u32>(kNew + 0x24, t.flags);
    for (u32 i = 0; i < 8; ++i) b.poke<u32>(kNew + 0x28 + 4 * i, 0x11111111 * (i + 1));
    b.poke<u32>(kNew + 0x38, 0xc000);
    b.poke<u32>(kNew + 0x48, t.es);
    b.poke<u32>(kNew + 0x4c, t.cs);
    b.poke<u32>(kNew + 0x50, t.ss);
    b.poke<u32>(kNew + 0x54, t.ds);
    b.poke<u32>(kNew + 0x58, t.fs);
    b.poke<u32>(kNew + 0x5c, t.gs);
    b.poke<u32>(kNew + 0x60, t.ldt);
    b.poke<u32>(kNew + 0x64, 0x680000);
}

u8 type_byte(const Bench& b, u16 selector) { return b.ram[Bench::kGdt + (selector & 0xfff8u) + 5]; }

}  // namespace

TEST_CASE("JMP to a TSS saves the old task, frees it and loads the new one") {
    Bench b;
    b.protect();
    write_tss32(b, {});
    b.cpu.r32(kEbx) = 0xbbbb;
    b.cpu.set_flags(kFixed1 | kCf);
    b.cpu.dr7 = 0x400 | 0x55 | 0xaa;
    REQUIRE(b.outcome([&] { b.cpu.far_jump(kNewTss, 0x99999, 4); }) == kFine);
    REQUIRE(b.peek<u32>(Bench::kTss + 0x20) == 0x7000);
    REQUIRE(b.peek<u32>(Bench::kTss + 0x24) == 3);
    REQUIRE(b.peek<u32>(Bench::kTss + 0x34) == 0xbbbb);
    REQUIRE(b.peek<u16>(Bench::kTss + 0x4c) == Bench::kCode0);
    REQUIRE(type_byte(b, Bench::kTssSel) == 0x89);
    REQUIRE(type_byte(b, kNewTss) == 0x8b);
    REQUIRE(b.cpu.tr.selector == kNewTss);
    REQUIRE(b.cpu.eip == 0x6000);
    REQUIRE(b.cpu.r32(kEdi) == 0x88888888);
    REQUIRE(b.cpu.r32(kEsp) == 0xc000);
    REQUIRE((b.cpu.cr0 & kCr0Ts) != 0);
    REQUIRE_FALSE(b.cpu.flag(kNt));
    REQUIRE(b.cpu.ldtr.base == Bench::kLdt);
    REQUIRE(b.cpu.dr7 == (0x400 | 0xaa));
}

TEST_CASE("CALL nests the new task and IRET returns to the old one") {
    Bench b;
    b.protect();
    write_tss32(b, {});
    const u16 through = GENERATE(kNewTss, kTaskGate);
    REQUIRE(b.outcome([&] { b.cpu.far_call(through, 0, 4); }) == kFine);
    REQUIRE(b.peek<u16>(kNew) == Bench::kTssSel);
    REQUIRE(b.cpu.flag(kNt));
    REQUIRE(type_byte(b, Bench::kTssSel) == 0x8b);
    REQUIRE(type_byte(b, kNewTss) == 0x8b);
    b.at(0x6010);
    REQUIRE(b.outcome([&] { b.cpu.interrupt_return(4); }) == kFine);
    REQUIRE(b.cpu.tr.selector == Bench::kTssSel);
    REQUIRE(b.cpu.eip == 0x7000);
    REQUIRE(type_byte(b, Bench::kTssSel) == 0x8b);
    REQUIRE(type_byte(b, kNewTss) == 0x89);
    REQUIRE(b.peek<u32>(kNew + 0x20) == 0x6010);
    REQUIRE((b.peek<u32>(kNew + 0x24) & kNt) == 0);
}

TEST_CASE("the TSS that a switch leads to is checked in the old task") {
    struct Row {
        const char* what;
        u16 selector;
        u64 descriptor;  // of kNewTss
        unsigned cpl;
        Outcome expected;
    };
    const Row r = GENERATE(values<Row>({
        {"available", kNewTss, Bench::segment(kNew, 0x67, 0x89, 0), 0, kFine},
        {"busy", kNewTss, Bench::segment(kNew, 0x67, 0x8b, 0), 0, fault(kGp, kNewTss)},
        {"busy by gate", kTaskGate, Bench::segment(kNew, 0x67, 0x8b, 0), 0, fault(kGp, kNewTss)},
        {"absent", kNewTss, Bench::segment(kNew, 0x67, 0x09, 0), 0, fault(kNp, kNewTss)},
        {"short", kNewTss, Bench::segment(kNew, 0x66, 0x89, 0), 0, fault(kTs, kNewTss)},
        {"short, 16 bits", kNewTss, Bench::segment(kNew, 0x2a, 0x81, 0), 0, fault(kTs, kNewTss)},
        {"privileged", kNewTss, Bench::segment(kNew, 0x67, 0x89, 0), 3, fault(kGp, kNewTss)},
        {"privileged, by a gate for all", kTaskGate, Bench::segment(kNew, 0x67, 0x89, 0), 3, kFine},
        {"no TSS", kTaskGate, Bench::segment(kNew, 0x67, kData, 0), 0, fault(kGp, kNewTss)},
        {"absent gate", kOther, Bench::segment(kNew, 0x67, 0x89, 0), 0, fault(kNp, kOther)},
    }));
    Bench b;
    b.protect(r.cpl);
    write_tss32(b, {});
    b.gdt(kNewTss, r.descriptor);
    b.gdt(kOther, Bench::gate(kNewTss, 0, 0x65));
    INFO(r.what);
    REQUIRE(b.outcome([&] { b.cpu.far_jump(r.selector, 0, 4); }) == r.expected);
    if (r.expected == kFine) return;
    REQUIRE(b.cpu.tr.selector == Bench::kTssSel);
    REQUIRE(b.cpu.eip == 0x7000);
    REQUIRE(type_byte(b, Bench::kTssSel) == 0x8b);
}

TEST_CASE("IRET with NT wants a busy TSS in the GDT as its back link") {
    struct Row {
        u16 link;
        u32 type;
        Outcome expected;
    };
    const Row r = GENERATE(values<Row>({
        {kNewTss, 0x8b, kFine},
        {kNewTss, 0x89, fault(kTs, kNewTss)},
        {kNewTss, 0x0b, fault(kNp, kNewTss)},
        {0x100, 0x8b, fault(kTs, 0x100)},
        {kNewTss | 4, 0x8b, fault(kTs, kNewTss | 4)},
    }));
    Bench b;
    b.protect();
    write_tss32(b, {}, r.type);
    b.poke<u16>(Bench::kTss, r.link);
    b.cpu.set_flags(kNt, kNt);
    REQUIRE(b.outcome([&] { b.cpu.interrupt_return(4); }) == r.expected);
}

TEST_CASE("faults in the state of the new task are the new task's") {
    struct Row {
        const char* what;
        NewTask task;
        Outcome expected;
    };
    NewTask bad_ldt;
    bad_ldt.ldt = Bench::kData0;
    NewTask local_ldt;
    local_ldt.ldt = 0x34;
    NewTask no_cs;
    no_cs.cs = 0;
    NewTask data_cs;
    data_cs.cs = Bench::kData0;
    NewTask cs_rpl;
    cs_rpl.cs = Bench::kCode0 | 3;
    NewTask absent_cs;
    absent_cs.cs = kOther;
    NewTask no_ss;
    no_ss.ss = 0;
    NewTask ss_dpl;
    ss_dpl.ss = Bench::kData3;
    NewTask code_ss;
    code_ss.ss = Bench::kCode0;
    NewTask ds_outside;
    ds_outside.ds = 0x100;
    NewTask null_ds;
    null_ds.ds = 0;
    NewTask ring3_ds;
    ring3_ds.cs = Bench::kCode3;
    ring3_ds.ss = Bench::kData3;
    NewTask high_eip;
    high_eip.cs = kOther + 8;
    high_eip.eip = 0x10000;
    const Row r = GENERATE_COPY(values<Row>({
        {"LDT of another type", bad_ldt, fault(kTs, Bench::kData0)},
        {"LDT in the LDT", local_ldt, fault(kTs, 0x34)},
        {"null CS", no_cs, fault(kTs, 0)},
        {"data CS", data_cs, fault(kTs, Bench::kData0)},
        {"CS with RPL above DPL", cs_rpl, fault(kTs, Bench::kCode0)},
        {"absent CS", absent_cs, fault(kNp, kOther)},
        {"null SS", no_ss, fault(kTs, 0)},
        {"SS of another privilege", ss_dpl, fault(kTs, 0x20)},
        {"code SS", code_ss, fault(kTs, Bench::kCode0)},
        {"DS outside", ds_outside, fault(kTs, 0x100)},
        {"null DS", null_ds, kFine},
        {"ring 0 data in a ring 3 task", ring3_ds, fault(kTs, Bench::kData0)},
        {"EIP beyond the limit", high_eip, fault(kGp, 0)},
    }));
    Bench b;
    b.protect();
    write_tss32(b, r.task);
    b.gdt(kOther, Bench::segment(0, 0xfffff, kCode & ~kNotPresent));
    b.gdt(kOther + 8, Bench::segment(0, 0xffff, kCode));
    INFO(r.what);
    REQUIRE(b.outcome([&] { b.cpu.far_jump(kNewTss, 0, 4); }) == r.expected);
    REQUIRE(b.cpu.tr.selector == kNewTss);
    REQUIRE(b.cpu.eip == r.task.eip);
    REQUIRE(b.cpu.prev_eip == r.task.eip);
    REQUIRE(b.cpu.seg[kCs].selector == r.task.cs);
}

TEST_CASE("a 16-bit TSS holds words and knows no FS, GS or CR3") {
    Bench b;
    b.protect();
    b.gdt(kNewTss, Bench::segment(kNew, 0x2b, 0x81, 0));
    b.poke<u16>(kNew + 0x0e, 0x6000);
    b.poke<u16>(kNew + 0x10, 3);
    for (u32 i = 0; i < 8; ++i) b.poke<u16>(kNew + 0x12 + 2 * i, static_cast<u16>(0x1111 * (i + 1)));
    b.poke<u16>(kNew + 0x22, Bench::kData0);
    b.poke<u16>(kNew + 0x24, Bench::kCode0);
    b.poke<u16>(kNew + 0x26, Bench::kData0);
    b.poke<u16>(kNew + 0x28, Bench::kData0);
    REQUIRE(b.outcome([&] { b.cpu.far_call(kNewTss, 0, 4); }) == kFine);
    REQUIRE(b.cpu.eip == 0x6000);
    REQUIRE(b.cpu.r16(kEcx) == 0x2222);
    REQUIRE(b.cpu.flag(kCf));
    REQUIRE(b.cpu.flag(kNt));
    REQUIRE(b.cpu.seg[kFs].selector == 0);
    REQUIRE(b.peek<u16>(kNew) == Bench::kTssSel);
    b.at(0x6002);
    b.cpu.r32(kEcx) = 0x7777;
    REQUIRE(b.outcome([&] { b.cpu.interrupt_return(4); }) == kFine);
    REQUIRE(b.peek<u16>(kNew + 0x0e) == 0x6002);
    REQUIRE(b.peek<u16>(kNew + 0x14) == 0x7777);
    REQUIRE(b.cpu.seg[kFs].selector == Bench::kData0);
}

TEST_CASE("a task may begin in virtual-8086 mode") {
    Bench b;
    b.protect();
    NewTask t;
    t.flags = kVm | kFixed1;
    t.cs = 0x123;
    t.ss = 0x900;
    t.ds = 0x456;
    write_tss32(b, t);
    REQUIRE(b.outcome([&] { b.cpu.far_jump(kNewTss, 0, 4); }) == kFine);
    REQUIRE(b.cpu.v86());
    REQUIRE(b.cpu.cpl == 3);
    REQUIRE(b.cpu.seg[kDs].base == 0x4560);
    REQUIRE(b.cpu.seg[kCs].base == 0x1230);
}

TEST_CASE("paging: the new CR3 is loaded, and a page that cannot be written faults in the old task") {
    Bench b;
    b.protect();
    b.enable_paging();
    write_tss32(b, {});
    constexpr u32 other = 0xe0000;
    std::memcpy(&b.ram[other], &b.ram[0xf0000], 0x1000);
    b.poke<u32>(kNew + 0x1c, other);
    SECTION("loaded") {
        REQUIRE(b.outcome([&] { b.cpu.far_jump(kNewTss, 0, 4); }) == kFine);
        REQUIRE(b.cpu.cr3 == other);
    }
    SECTION("old TSS read-only") {
        b.cpu.cr0 |= kCr0Wp;
        b.page_bits(Bench::kTss, 5);
        REQUIRE(b.outcome([&] { b.cpu.far_jump(kNewTss, 0, 4); }) == fault(kPage, 3));
        REQUIRE(b.cpu.tr.selector == Bench::kTssSel);
        REQUIRE(type_byte(b, kNewTss) == 0x89);
    }
    SECTION("new TSS absent") {
        b.page_bits(kNew, 0);
        REQUIRE(b.outcome([&] { b.cpu.far_jump(kNewTss, 0, 4); }) == fault(kPage, 0));
        REQUIRE(type_byte(b, Bench::kTssSel) == 0x8b);
        REQUIRE(b.cpu.eip == 0x7000);
    }
}

TEST_CASE("the T bit of a TSS causes a debug trap after the switch") {
    Bench b;
    b.protect();
    write_tss32(b, {});
    b.poke<u32>(kNew + 0x64, 0x680001);
    REQUIRE(b.outcome([&] { b.cpu.far_jump(kNewTss, 0, 4); }) == kFine);
    REQUIRE(b.cpu.debug_pending == kDr6Bt);
    b.idt(kDb, Bench::gate(Bench::kCode0, 0x100, 0x8e));
    REQUIRE(b.outcome([&] { b.cpu.deliver_debug_trap(); }) == kFine);
    REQUIRE((b.cpu.dr6 & kDr6Bt) != 0);
    REQUIRE(b.peek<u32>(0xbff4) == 0x6000);
}
