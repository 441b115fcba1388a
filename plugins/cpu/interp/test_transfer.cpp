// Far JMP, CALL, RET and IRET in protected mode (SDM 2, operation sections).
#include <catch2/catch.hpp>

#include "test_system_host.hpp"

using namespace backplane::interp;
using V = std::vector<u32>;

namespace {

constexpr u16 kConforming0 = 0x38, kAbsentCode = 0x40, kSmallCode = 0x48, kGate32 = 0x50, kGate16 = 0x58,
              kConforming3 = 0x60, kOutside = 0x100;

void fill(Bench& b) {
    b.gdt(kConforming0, Bench::segment(0, 0xfffff, 0x9e, kBig | k4K));
    b.gdt(kConforming3, Bench::segment(0, 0xfffff, 0xfe, kBig | k4K));
    b.gdt(kAbsentCode, Bench::segment(0, 0xfffff, 0x1a));
    b.gdt(kSmallCode, Bench::segment(0, 0xfff, kCode));
}

struct Row {
    const char* what;
    unsigned cpl;
    u16 selector;
    Outcome jump, call;
    u16 cs;
};

}  // namespace

TEST_CASE("direct far JMP and CALL are checked alike") {
    const Row r = GENERATE(values<Row>({
        {"same level", 0, Bench::kCode0, kFine, kFine, 0x08},
        {"same level, RPL becomes CPL", 3, 0x18, kFine, kFine, 0x1b},
        {"null", 0, 3, fault(kGp, 0), fault(kGp, 0), 0},
        {"outside", 0, kOutside, fault(kGp, kOutside), fault(kGp, kOutside), 0},
        {"data", 0, Bench::kData0, fault(kGp, 0x10), fault(kGp, 0x10), 0},
        {"RPL above CPL", 0, Bench::kCode0 | 3, fault(kGp, 8), fault(kGp, 8), 0},
        {"inner level", 3, Bench::kCode0, fault(kGp, 8), fault(kGp, 8), 0},
        {"outer level", 0, 0x18, fault(kGp, 0x18), fault(kGp, 0x18), 0},
        {"conforming from ring 3 keeps CPL", 3, kConforming0, kFine, kFine, kConforming0 | 3},
        {"conforming of an outer level", 0, kConforming3, fault(kGp, kConforming3), fault(kGp, kConforming3), 0},
        {"absent", 0, kAbsentCode, fault(kNp, kAbsentCode), fault(kNp, kAbsentCode), 0},
        {"beyond the limit", 0, kSmallCode, fault(kGp, 0), fault(kGp, 0), 0},
        {"LDT descriptor", 0, Bench::kLdtSel, fault(kGp, 0x30), fault(kGp, 0x30), 0},
    }));
    INFO(r.what);
    for (const bool call : {false, true}) {
        Bench b;
        b.protect(r.cpl);
        fill(b);
        const u32 esp = b.cpu.r32(kEsp);
        const u16 old_cs = b.cpu.seg[kCs].selector;
        const Outcome o = b.outcome([&] {
            if (call)
                b.cpu.far_call(r.selector, 0x2000, 4);
            else
                b.cpu.far_jump(r.selector, 0x2000, 4);
        });
        REQUIRE(o == (call ? r.call : r.jump));
        REQUIRE(b.cpu.eip == (o == kFine ? 0x2000 : 0x7000));
        REQUIRE(b.cpu.r32(kEsp) == (o == kFine && call ? esp - 8 : esp));
        REQUIRE(b.cpu.seg[kCs].selector == (o == kFine ? r.cs : old_cs));
        REQUIRE(b.cpu.cpl == r.cpl);
        if (o == kFine && call) REQUIRE(b.dwords(esp - 8, 2) == V{0x7000, old_cs});
    }
}

TEST_CASE("call gates") {
    struct GateRow {
        const char* what;
        unsigned cpl;
        u64 gate;
        Outcome jump, call;
        unsigned new_cpl;  // after CALL
    };
    const GateRow r = GENERATE(values<GateRow>({
        {"to an inner level", 3, Bench::gate(Bench::kCode0, 0x2000, 0xec), fault(kGp, 8), kFine, 0},
        {"same level", 0, Bench::gate(Bench::kCode0, 0x2000, 0xec), kFine, kFine, 0},
        {"gate DPL below CPL", 3, Bench::gate(Bench::kCode0, 0x2000, 0x8c), fault(kGp, kGate32), fault(kGp, kGate32),
         0},
        {"absent gate", 3, Bench::gate(Bench::kCode0, 0x2000, 0x6c), fault(kNp, kGate32), fault(kNp, kGate32), 0},
        {"null target", 3, Bench::gate(0, 0x2000, 0xec), fault(kGp, 0), fault(kGp, 0), 0},
        {"target outside", 3, Bench::gate(kOutside, 0x2000, 0xec), fault(kGp, kOutside), fault(kGp, kOutside), 0},
        {"data target", 3, Bench::gate(Bench::kData0, 0x2000, 0xec), fault(kGp, 0x10), fault(kGp, 0x10), 0},
        {"outer target", 0, Bench::gate(Bench::kCode3, 0x2000, 0xec), fault(kGp, 0x18), fault(kGp, 0x18), 0},
        {"absent target", 0, Bench::gate(kAbsentCode, 0x2000, 0xec), fault(kNp, kAbsentCode), fault(kNp, kAbsentCode),
         0},
        {"conforming target keeps the level", 3, Bench::gate(kConforming0, 0x2000, 0xec), kFine, kFine, 3},
        {"offset beyond the limit", 3, Bench::gate(kSmallCode, 0x2000, 0xec), fault(kGp, kSmallCode), fault(kGp, 0), 0},
    }));
    INFO(r.what);
    for (const bool call : {false, true}) {
        Bench b;
        b.protect(r.cpl);
        fill(b);
        b.gdt(kGate32, r.gate);
        const Outcome o = b.outcome([&] {
            if (call)
                b.cpu.far_call(kGate32, 0x99999999, 4);
            else
                b.cpu.far_jump(kGate32, 0x99999999, 4);
        });
        REQUIRE(o == (call ? r.call : r.jump));
        if (o == kFine) REQUIRE(b.cpu.eip == 0x2000);
        REQUIRE(b.cpu.cpl == (o == kFine && call ? r.new_cpl : r.cpl));
    }
}

TEST_CASE("a call gate copies parameters and RETF releases them on both stacks") {
    Bench b;
    b.protect(3);
    const bool wide = GENERATE(true, false);
    b.gdt(kGate32, Bench::gate(Bench::kCode0, 0x2000, wide ? 0xec : 0xe4, 2));
    const u32 item = wide ? 4 : 2;
    if (wide) {
        b.poke<u32>(Bench::kStack3, 0xaaaa);
        b.poke<u32>(Bench::kStack3 + 4, 0xbbbb);
    } else {
        b.poke<u16>(Bench::kStack3, 0xaaaa);
        b.poke<u16>(Bench::kStack3 + 2, 0xbbbb);
    }
    REQUIRE(b.outcome([&] { b.cpu.far_call(kGate32, 0, 4); }) == kFine);
    const V expected{0x7000, Bench::kCode3, 0xaaaa, 0xbbbb, Bench::kStack3, Bench::kData3};
    REQUIRE((wide ? b.dwords(Bench::kStack0 - 24, 6) : b.words(Bench::kStack0 - 12, 6)) == expected);
    REQUIRE(b.cpu.r32(kEsp) == Bench::kStack0 - 6 * item);
    REQUIRE(b.outcome([&] { b.cpu.far_return(item, 2 * item); }) == kFine);
    REQUIRE(b.cpu.cpl == 3);
    REQUIRE(b.cpu.eip == 0x7000);
    REQUIRE(b.cpu.r32(kEsp) == Bench::kStack3 + 2 * item);
    REQUIRE(b.cpu.seg[kSs].selector == Bench::kData3);
}

TEST_CASE("RETF and IRET check what they return to") {
    struct ReturnRow {
        const char* what;
        u32 cs, eip, ss;
        Outcome expected;
    };
    const ReturnRow r = GENERATE(values<ReturnRow>({
        {"same level", Bench::kCode0, 0x2000, 0, kFine},
        {"outer level", Bench::kCode3, 0x2000, Bench::kData3, kFine},
        {"null CS", 0, 0x2000, 0, fault(kGp, 0)},
        {"CS outside", kOutside, 0x2000, 0, fault(kGp, kOutside)},
        {"data CS", Bench::kData0, 0x2000, 0, fault(kGp, 0x10)},
        {"DPL below RPL", Bench::kCode0 | 3, 0x2000, Bench::kData3, fault(kGp, 8)},
        {"absent CS", kAbsentCode, 0x2000, 0, fault(kNp, kAbsentCode)},
        {"conforming, outer RPL", kConforming0 | 3, 0x2000, Bench::kData3, kFine},
        {"conforming above RPL", kConforming3, 0x2000, 0, fault(kGp, kConforming3)},
        {"EIP beyond the limit", kSmallCode, 0x2000, 0, fault(kGp, 0)},
        {"null SS", Bench::kCode3, 0x2000, 0, fault(kGp, 0)},
        {"SS of ring 0", Bench::kCode3, 0x2000, Bench::kData0, fault(kGp, 0x10)},
        {"SS with RPL 0", Bench::kCode3, 0x2000, 0x20, fault(kGp, 0x20)},
        {"absent SS", Bench::kCode3, 0x2000, 0x6b, fault(kSsFault, 0x68)},
    }));
    INFO(r.what);
    for (const bool iret : {false, true}) {
        Bench b;
        b.protect(0);
        fill(b);
        b.gdt(0x68, Bench::segment(0, 0xfffff, 0x72));
        const u32 esp = 0x8f00;
        b.cpu.r32(kEsp) = esp;
        b.poke<u32>(esp, r.eip);
        b.poke<u32>(esp + 4, r.cs);
        if (iret) b.poke<u32>(esp + 8, 0x3202);
        const u32 outer = esp + (iret ? 12 : 8);
        b.poke<u32>(outer, 0xb000);
        b.poke<u32>(outer + 4, r.ss);
        const Outcome o = b.outcome([&] {
            if (iret)
                b.cpu.interrupt_return(4);
            else
                b.cpu.far_return(4, 0);
        });
        REQUIRE(o == r.expected);
        if (o == kFine) {
            REQUIRE(b.cpu.eip == r.eip);
            REQUIRE(b.cpu.seg[kCs].selector == r.cs);
            const bool inner = (r.cs & 3) == 0;
            REQUIRE(b.cpu.r32(kEsp) == (inner ? outer : 0xb000));
            REQUIRE(b.cpu.seg[kDs].selector == (inner ? Bench::kData0 : 0));  // ring 0 data must not leak
            if (iret) REQUIRE(b.cpu.flags() == 0x3202);
        } else {
            REQUIRE(b.cpu.eip == 0x7000);
            REQUIRE(b.cpu.r32(kEsp) == esp);
            REQUIRE(b.cpu.cpl == 0);
        }
    }
}

TEST_CASE("a return to an outer level must not go inwards, and keeps IF and IOPL for ring 3") {
    Bench b;
    b.protect(3);
    b.poke<u32>(Bench::kStack3, 0x2000);
    b.poke<u32>(Bench::kStack3 + 4, Bench::kCode0);
    REQUIRE(b.outcome([&] { b.cpu.far_return(4, 0); }) == fault(kGp, 8));
    b.poke<u32>(Bench::kStack3 + 4, Bench::kCode3);
    b.poke<u32>(Bench::kStack3 + 8, 0xffffffff & ~kNt);
    b.cpu.set_flags(kFixed1);
    REQUIRE(b.outcome([&] { b.cpu.interrupt_return(4); }) == kFine);
    REQUIRE(b.cpu.flags() == 0x250dd7);  // VM, IF, IOPL, VIF and VIP untouched
}

TEST_CASE("a return to a 16-bit stack leaves the upper half of ESP") {
    Bench b;
    b.protect();
    b.gdt(0x68, Bench::segment(0, 0xffff, kData | kRing3, 0));
    const u32 esp = 0x8f00;
    b.cpu.r32(kEsp) = esp;
    b.poke<u32>(esp, 0x2000);
    b.poke<u32>(esp + 4, Bench::kCode3);
    b.poke<u32>(esp + 8, 0x1234b000);
    b.poke<u32>(esp + 12, 0x6b);
    REQUIRE(b.outcome([&] { b.cpu.far_return(4, 0); }) == kFine);
    REQUIRE(b.cpu.r32(kEsp) == 0xb000);
}

TEST_CASE("IRET in virtual-8086 mode needs IOPL 3") {
    Bench b;
    b.protect();
    b.virtualize(0);
    REQUIRE(b.outcome([&] { b.cpu.interrupt_return(2); }) == fault(kGp, 0));
    b.virtualize(3);
    b.poke<u16>(0xb100, 0x1234);
    b.poke<u16>(0xb102, 0x5678);
    b.poke<u16>(0xb104, 0x0000);
    REQUIRE(b.outcome([&] { b.cpu.interrupt_return(2); }) == kFine);
    REQUIRE(b.cpu.seg[kCs].base == 0x56780);
    REQUIRE(b.cpu.eip == 0x1234);
    REQUIRE(b.cpu.flags() == (kVm | 0x3002));
    REQUIRE(b.cpu.r32(kEsp) == 0x106);
}

TEST_CASE("real mode: offsets beyond the limit of CS fault before the stack moves") {
    Bench b;
    b.cpu.r32(kEsp) = 0x100;
    REQUIRE(b.outcome([&] { b.cpu.far_call(0x1000, 0x12345, 4); }) == fault(kGp, 0));
    REQUIRE(b.cpu.r32(kEsp) == 0x100);
    REQUIRE(b.outcome([&] { b.cpu.far_call(0x1000, 0x12345, 2); }) == kFine);
    REQUIRE(b.cpu.eip == 0x2345);
    REQUIRE(b.cpu.seg[kCs].base == 0x10000);
    REQUIRE(b.words(0xfc, 2) == V{0xfff0, 0xf000});
}
