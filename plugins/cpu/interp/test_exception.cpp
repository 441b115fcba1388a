// Delivery of interrupts and exceptions: frames, privilege changes, gates, error codes, double and triple faults
// (SDM 3, chapter 6 and 20).
#include <catch2/catch.hpp>

#include "test_system_host.hpp"

using namespace backplane::interp;
using SoftInt = Cpu::SoftInt;
using V = std::vector<u32>;

namespace {

constexpr u32 kIntGate = 0x8e, kTrapGate = 0x8f, kIntGate16 = 0x86, kTaskGate = 0x85;

}  // namespace

TEST_CASE("in real mode an interrupt pushes FLAGS, CS and IP and clears IF and TF") {
    Bench b;
    b.cpu.set_segment_real(kSs, 0x900);
    b.cpu.set_segment_real(kCs, 0x123);
    b.cpu.r32(kEsp) = 0xabcd0100;
    b.cpu.set_flags(kFixed1 | kIf | kCf | kAc);
    b.poke<u32>(0x21 * 4, 0x56781234);
    b.at(0x4567);
    REQUIRE(b.outcome([&] { b.cpu.software_interrupt(0x21, SoftInt::kIntN); }) == kFine);
    REQUIRE(b.words(0x9000 + 0xfa, 3) == V{0x4567, 0x123, 0x203});
    REQUIRE(b.cpu.r32(kEsp) == 0xabcd00fa);
    REQUIRE(b.cpu.seg[kCs].selector == 0x5678);
    REQUIRE(b.cpu.eip == 0x1234);
    REQUIRE((b.cpu.flags() & (kIf | kTf | kAc | kCf)) == kCf);
}

TEST_CASE("a vector beyond the limit of the real-mode table is a general protection fault") {
    Bench b;
    b.cpu.idtr.limit = 0x21 * 4 + 2;
    REQUIRE(b.outcome([&] { b.cpu.software_interrupt(0x21, SoftInt::kIntN); }) == fault(kGp, 0x21 * 8 + 2));
}

TEST_CASE("an interrupt gate of the same privilege keeps the stack") {
    Bench b;
    b.protect();
    b.idt(0x30, Bench::gate(Bench::kCode0, 0x12345, kIntGate));
    b.cpu.set_flags(kFixed1 | kIf | kNt | kTf);
    REQUIRE(b.outcome([&] { b.cpu.external_interrupt(0x30); }) == kFine);
    REQUIRE(b.dwords(Bench::kStack0 - 12, 3) == V{0x7000, Bench::kCode0, 0x4302});
    REQUIRE(b.cpu.r32(kEsp) == Bench::kStack0 - 12);
    REQUIRE(b.cpu.eip == 0x12345);
    REQUIRE(b.cpu.flags() == kFixed1);
}

TEST_CASE("a trap gate leaves IF alone") {
    Bench b;
    b.protect();
    b.idt(3, Bench::gate(Bench::kCode0, 0x1000, kTrapGate | kRing3));
    b.cpu.set_flags(kFixed1 | kIf);
    REQUIRE(b.outcome([&] { b.cpu.software_interrupt(3, SoftInt::kInt3); }) == kFine);
    REQUIRE((b.cpu.flags() & kIf) != 0);
}

TEST_CASE("from ring 3 the frame goes to the stack of the TSS") {
    Bench b;
    b.protect(3);
    b.cpu.set_flags(kFixed1 | kIf);
    b.idt(0x80, Bench::gate(Bench::kCode0, 0x5000, kIntGate | kRing3));
    REQUIRE(b.outcome([&] { b.cpu.software_interrupt(0x80, SoftInt::kIntN); }) == kFine);
    REQUIRE(b.dwords(Bench::kStack0 - 20, 5) == V{0x7000, Bench::kCode3, 0x202, Bench::kStack3, Bench::kData3});
    REQUIRE(b.cpu.cpl == 0);
    REQUIRE(b.cpu.seg[kSs].selector == Bench::kData0);
    REQUIRE(b.cpu.seg[kCs].selector == Bench::kCode0);
    REQUIRE(b.cpu.seg[kDs].selector == Bench::kData3);
    REQUIRE(b.cpu.r32(kEsp) == Bench::kStack0 - 20);
}

TEST_CASE("a 16-bit gate pushes words") {
    Bench b;
    b.protect(3);
    b.cpu.r32(kEsp) = 0x1234b000;
    b.idt(0x80, Bench::gate(Bench::kCode0, 0xffff5000, kIntGate16 | kRing3));
    REQUIRE(b.outcome([&] { b.cpu.software_interrupt(0x80, SoftInt::kIntN); }) == kFine);
    REQUIRE(b.words(Bench::kStack0 - 10, 5) == V{0x7000, Bench::kCode3, 2, 0xb000, Bench::kData3});
    REQUIRE(b.cpu.eip == 0x5000);
}

TEST_CASE("INT n is checked against the gate, in the order of the manual") {
    struct Row {
        const char* what;
        u64 gate;
        Outcome soft, external;
    };
    const u16 code0 = Bench::kCode0;
    const Row r = GENERATE_COPY(values<Row>({
        {"DPL 0", Bench::gate(code0, 0, kIntGate), fault(kGp, 0x50 * 8 + 2), kFine},
        {"DPL 3", Bench::gate(code0, 0, kIntGate | kRing3), kFine, kFine},
        {"empty entry", 0, fault(kGp, 0x50 * 8 + 2), fault(kGp, 0x50 * 8 + 3)},
        {"call gate", Bench::gate(code0, 0, 0xec), fault(kGp, 0x50 * 8 + 2), fault(kGp, 0x50 * 8 + 3)},
        {"not present", Bench::gate(code0, 0, 0x6e), fault(kNp, 0x50 * 8 + 2), fault(kNp, 0x50 * 8 + 3)},
        {"null selector", Bench::gate(0, 0, 0xee), fault(kGp, 0), fault(kGp, 1)},
        {"selector outside", Bench::gate(0x100, 0, 0xee), fault(kGp, 0x100), fault(kGp, 0x101)},
        {"selector of data", Bench::gate(Bench::kData0, 0, 0xee), fault(kGp, 0x10), fault(kGp, 0x11)},
        {"absent code", Bench::gate(Bench::kFree, 0, 0xee), fault(kNp, 0x38), fault(kNp, 0x39)},
        {"EIP beyond the limit", Bench::gate(0x40, 0x1000, 0xee), fault(kGp, 0), fault(kGp, 1)},
        {"conforming code stays in ring 3", Bench::gate(0x48, 0, 0xee), kFine, kFine},
    }));
    Bench b;
    INFO(r.what);
    for (const bool soft : {true, false}) {
        b.protect(3);
        b.gdt(Bench::kFree, Bench::segment(0, 0xfffff, kCode & ~kNotPresent));
        b.gdt(0x40, Bench::segment(0, 0xfff, kCode));
        b.gdt(0x48, Bench::segment(0, 0xfffff, 0x9e));
        b.idt(0x50, r.gate);
        const Outcome o = b.outcome([&] {
            if (soft)
                b.cpu.software_interrupt(0x50, SoftInt::kIntN);
            else
                b.cpu.external_interrupt(0x50);
        });
        REQUIRE(o == (soft ? r.soft : r.external));
        if (o == kFine) continue;
        REQUIRE(b.cpu.cpl == 3);
        REQUIRE(b.cpu.eip == 0x7000);
        REQUIRE(b.cpu.r32(kEsp) == Bench::kStack3);
        REQUIRE(b.cpu.seg[kSs].selector == Bench::kData3);
    }
}

TEST_CASE("the DPL of the gate does not hold up INT1, but INT3 and INTO") {
    Bench b;
    b.protect(3);
    for (const u8 v : {u8{kDb}, u8{kBp}, u8{kOfTrap}}) b.idt(v, Bench::gate(Bench::kCode0, 0x100, kIntGate));
    REQUIRE(b.outcome([&] { b.cpu.software_interrupt(3, SoftInt::kInt3); }) == fault(kGp, 3 * 8 + 2));
    REQUIRE(b.outcome([&] { b.cpu.software_interrupt(4, SoftInt::kInto); }) == fault(kGp, 4 * 8 + 2));
    REQUIRE(b.outcome([&] { b.cpu.software_interrupt(1, SoftInt::kIcebp); }) == kFine);
}

TEST_CASE("the inner stack of the TSS is checked with #TS and #SS") {
    struct Row {
        const char* what;
        u16 ss;
        u32 esp;
        u32 tss_limit;
        Outcome expected;  // for an external interrupt
    };
    const Row r = GENERATE(values<Row>({
        {"good", Bench::kData0, 0x9000, 0x67, kFine},
        {"null", 0, 0x9000, 0x67, fault(kTs, 1)},
        {"outside", 0x100, 0x9000, 0x67, fault(kTs, 0x101)},
        {"RPL", 0x13, 0x9000, 0x67, fault(kTs, 0x11)},
        {"DPL", 0x20, 0x9000, 0x67, fault(kTs, 0x21)},
        {"code", Bench::kCode0, 0x9000, 0x67, fault(kTs, 0x09)},
        {"absent", Bench::kFree, 0x9000, 0x67, fault(kSsFault, 0x39)},
        {"too small", 0x40, 0x0f, 0x67, fault(kSsFault, 0x41)},
        {"just large enough", 0x40, 20, 0x67, kFine},
        {"TSS too small", Bench::kData0, 0x9000, 8, fault(kTs, 0x29)},
    }));
    Bench b;
    b.protect(3);
    INFO(r.what);
    b.gdt(Bench::kFree, Bench::segment(0, 0xfffff, kData & ~kNotPresent));
    b.gdt(0x40, Bench::segment(0x8000, 0xff, kData));
    b.poke<u32>(Bench::kTss + 4, r.esp);
    b.poke<u32>(Bench::kTss + 8, r.ss);
    b.cpu.tr.limit = r.tss_limit;
    b.idt(0x50, Bench::gate(Bench::kCode0, 0x100, kIntGate));
    REQUIRE(b.outcome([&] { b.cpu.external_interrupt(0x50); }) == r.expected);
    REQUIRE(b.cpu.cpl == (r.expected == kFine ? 0 : 3));
}

TEST_CASE("a page fault while the frame is pushed changes no register") {
    Bench b;
    b.protect(3);
    b.enable_paging();
    b.idt(0x50, Bench::gate(Bench::kCode0, 0x100, kIntGate));
    b.poke<u32>(Bench::kTss + 4, 0xa008);  // two items fit on the page
    b.page_bits(0x9000, 0);
    REQUIRE(b.outcome([&] { b.cpu.external_interrupt(0x50); }) == fault(kPage, 2));
    REQUIRE(b.cpu.cr2 == 0x9ffc);
    REQUIRE(b.cpu.cpl == 3);
    REQUIRE(b.cpu.seg[kCs].selector == Bench::kCode3);
    REQUIRE(b.cpu.seg[kSs].selector == Bench::kData3);
    REQUIRE(b.cpu.r32(kEsp) == Bench::kStack3);
    REQUIRE(b.cpu.eip == 0x7000);
}

TEST_CASE("a fault pushes its error code and RF") {
    Bench b;
    b.protect();
    b.idt(kGp, Bench::gate(Bench::kCode0, 0x100, kIntGate));
    b.deliver(kGp, true, 0xfff8);
    REQUIRE(b.dwords(Bench::kStack0 - 16, 4) == V{0xfff8, 0x7000, Bench::kCode0, 0x10002});
    b.enter(0);
    b.idt(kDb, Bench::gate(Bench::kCode0, 0x100, kIntGate));
    b.deliver(kDb);  // an instruction breakpoint
    REQUIRE(b.dwords(Bench::kStack0 - 12, 3) == V{0x7000, Bench::kCode0, 2});
}

TEST_CASE("two faults in a row combine by their classes") {
    struct Row {
        u8 first, second;
        int handled;
    };
    // The handler of `first` is broken so that `second` comes while it is delivered.
    const Row r = GENERATE(values<Row>({
        {kUd, kNp, kNp},
        {kUd, kGp, kGp},
        {kDe, kNp, kDfault},
        {kGp, kNp, kDfault},
        {kNp, kGp, kDfault},
        {kPage, kGp, kDfault},
        {kPage, kNp, kDfault},
        {kGp, kPage, kPage},
        {kPage, kPage, kDfault},
    }));
    Bench b;
    b.protect();
    b.enable_paging();
    for (const u8 v : {kUd, kDe, kNp, kGp, kPage, kDfault})
        b.idt(v, Bench::gate(Bench::kCode0, 0x10000u + v, kIntGate));
    INFO(int{r.first} << " then " << int{r.second});
    if (r.second == kNp) b.idt(r.first, Bench::gate(Bench::kCode0, 0, 0x0e));
    if (r.second == kGp) b.idt(r.first, Bench::gate(0, 0, kIntGate));
    if (r.second == kPage) {
        // The gate leads to ring 0 on a stack whose page is missing; what handles the second fault is a task.
        b.enter(3);
        b.idt(r.first, Bench::gate(Bench::kCode0, 0, kIntGate));
        const u32 tss2 = 0x5000;
        b.gdt(Bench::kFree, Bench::segment(tss2, 0x67, 0x89, 0));
        b.poke<u32>(tss2 + 0x1c, b.cpu.cr3);
        b.poke<u32>(tss2 + 0x20, 0x10000u + static_cast<u32>(r.handled));
        b.poke<u32>(tss2 + 0x38, 0xc000);
        b.poke<u32>(tss2 + 0x4c, Bench::kCode0);
        b.poke<u32>(tss2 + 0x50, Bench::kData0);
        b.idt(static_cast<u8>(r.handled), Bench::gate(Bench::kFree, 0, kTaskGate));
        b.poke<u32>(Bench::kTss + 4, 0x9004);
        b.page_bits(0x8000, 0);
    }
    b.deliver(r.first, r.first != kUd && r.first != kDe, 0);
    REQUIRE(b.cpu.eip == 0x10000u + static_cast<u32>(r.handled));
    REQUIRE_FALSE(b.cpu.shutdown);
    REQUIRE(b.cpu.delivering == -1);
    if (r.handled == kDfault) REQUIRE(b.cpu.read<u32>(kSs, b.cpu.r32(kEsp)) == 0);
}

TEST_CASE("a fault in the delivery of a double fault shuts the processor down") {
    Bench b;
    b.protect();
    b.cpu.idtr.limit = 0;
    b.deliver(kGp, true, 0);
    REQUIRE(b.cpu.shutdown);
    Bench real;
    real.cpu.idtr.limit = 0;
    real.deliver(kUd);
    REQUIRE(real.cpu.shutdown);
}

TEST_CASE("an interrupt leaves virtual-8086 mode with all segment registers on the stack") {
    Bench b;
    b.protect();
    b.virtualize(0);
    b.idt(0x50, Bench::gate(Bench::kCode0, 0x100, kIntGate));
    REQUIRE(b.outcome([&] { b.cpu.external_interrupt(0x50); }) == kFine);
    REQUIRE(b.dwords(Bench::kStack0 - 36, 9) == V{0x7000, 0, kVm | kIf | 2, 0x100, 0xb00, 0x111, 0x222, 0x333, 0x444});
    REQUIRE_FALSE(b.cpu.v86());
    REQUIRE(b.cpu.cpl == 0);
    for (const Seg s : {kEs, kDs, kFs, kGs}) REQUIRE(b.cpu.seg[s].selector == 0);
    SECTION("and IRET goes back") {
        REQUIRE(b.outcome([&] { b.cpu.interrupt_return(4); }) == kFine);
        REQUIRE(b.cpu.v86());
        REQUIRE(b.cpu.cpl == 3);
        REQUIRE(b.cpu.seg[kGs].selector == 0x444);
        REQUIRE(b.cpu.seg[kSs].base == 0xb000);
        REQUIRE(b.cpu.r32(kEsp) == 0x100);
        REQUIRE(b.cpu.eip == 0x7000);
    }
}

TEST_CASE("a handler outside ring 0 cannot serve virtual-8086 mode") {
    Bench b;
    b.protect();
    b.virtualize(3);
    b.idt(0x50, Bench::gate(Bench::kCode3, 0x100, kIntGate | kRing3));
    REQUIRE(b.outcome([&] { b.cpu.software_interrupt(0x50, SoftInt::kIntN); }) == fault(kGp, 0x18));
    b.gdt(Bench::kFree, Bench::segment(0, 0xfffff, 0x9e));
    b.idt(0x51, Bench::gate(Bench::kFree, 0x100, kIntGate | kRing3));
    REQUIRE(b.outcome([&] { b.cpu.software_interrupt(0x51, SoftInt::kIntN); }) == fault(kGp, Bench::kFree));
}

TEST_CASE("INT n in virtual-8086 mode depends on IOPL, INT3 does not") {
    Bench b;
    b.protect();
    for (const u8 v : {u8{3}, u8{0x50}}) b.idt(v, Bench::gate(Bench::kCode0, 0x100, kIntGate | kRing3));
    b.virtualize(2);
    REQUIRE(b.outcome([&] { b.cpu.software_interrupt(0x50, SoftInt::kIntN); }) == fault(kGp, 0));
    REQUIRE(b.outcome([&] { b.cpu.software_interrupt(3, SoftInt::kInt3); }) == kFine);
    b.virtualize(3);
    REQUIRE(b.outcome([&] { b.cpu.software_interrupt(0x50, SoftInt::kIntN); }) == kFine);
    REQUIRE(b.cpu.cpl == 0);
}

TEST_CASE("virtual-8086 mode extensions redirect INT n through the program's own table") {
    Bench b;
    b.protect();
    b.cpu.cr4 |= kCr4Vme;
    b.poke<u16>(Bench::kTss + 0x66, 0x88);  // redirection bitmap at 68h, all zero
    b.poke<u8>(Bench::kTss + 0x68 + 0x51 / 8, 1u << (0x51 % 8));
    b.poke<u32>(0x50 * 4, 0x12340567);
    b.virtualize(0);
    b.cpu.set_flags(kVif, kVif | kIf);
    REQUIRE(b.outcome([&] { b.cpu.software_interrupt(0x50, SoftInt::kIntN); }) == kFine);
    REQUIRE(b.cpu.v86());
    REQUIRE(b.cpu.seg[kCs].selector == 0x1234);
    REQUIRE(b.cpu.eip == 0x567);
    REQUIRE(b.words(0xb000 + 0xfa, 3) == V{0x7000, 0, 0x3202});  // IF shows VIF, IOPL shows 3
    REQUIRE_FALSE(b.cpu.flag(kVif));
    REQUIRE(b.outcome([&] { b.cpu.software_interrupt(0x51, SoftInt::kIntN); }) == fault(kGp, 0));
}

TEST_CASE("NMI blocks further NMIs until IRET") {
    Bench b;
    b.protect();
    b.idt(kNmi, Bench::gate(Bench::kCode0, 0x100, kIntGate));
    REQUIRE(b.outcome([&] { b.cpu.deliver_nmi(); }) == kFine);
    REQUIRE(b.cpu.nmi_blocked);
    REQUIRE(b.outcome([&] { b.cpu.interrupt_return(4); }) == kFine);
    REQUIRE_FALSE(b.cpu.nmi_blocked);
    REQUIRE(b.cpu.eip == 0x7000);
}

TEST_CASE("an interrupt through a task gate pushes the error code on the new stack") {
    Bench b;
    b.protect();
    constexpr u32 tss2 = 0x5000;
    b.gdt(Bench::kFree, Bench::segment(tss2, 0x67, 0x89, 0));
    b.poke<u32>(tss2 + 0x20, 0x6000);
    b.poke<u32>(tss2 + 0x38, 0xc000);
    b.poke<u32>(tss2 + 0x4c, Bench::kCode0);
    b.poke<u32>(tss2 + 0x50, Bench::kData0);
    b.idt(kGp, Bench::gate(Bench::kFree, 0, kTaskGate));
    b.deliver(kGp, true, 0x1234);
    REQUIRE(b.cpu.eip == 0x6000);
    REQUIRE(b.peek<u32>(0xbffc) == 0x1234);
    REQUIRE(b.peek<u32>(Bench::kTss + 0x20) == 0x7000);
    REQUIRE((b.peek<u32>(Bench::kTss + 0x24) & kRf) != 0);
    REQUIRE(b.cpu.flag(kNt));
}

TEST_CASE("an interrupt line that stays up cannot stop the count of instructions") {
    Bench b;
    b.protect();
    b.cpu.host.acknowledge = [](void*) { return 0x30; };
    b.idt(0x30, Bench::gate(Bench::kCode0, 0x7000, kTrapGate));  // leaves IF set
    b.gdt(Bench::kFree, Bench::segment(0x10000, 0xffff, kData, 0));
    REQUIRE(b.outcome([&] { b.cpu.load_segment(kSs, Bench::kFree); }) == kFine);  // 16 bits: it wraps for ever
    b.poke<u16>(0x7000, 0xfeeb);                                                  // jmp to itself
    b.cpu.set_flags(kFixed1 | kIf);
    b.cpu.set_line(kLineIntr, true);
    b.vcpu.deadline = b.cpu.count + 10;
    REQUIRE(b.cpu.run() == BP_EXIT_DEADLINE);
    REQUIRE(b.cpu.seg[kCs].selector == Bench::kCode0);
}

TEST_CASE("a halted CPU hears an interrupt however often it was looked at before") {
    for (const unsigned looks : {1u, 511u, 512u, 513u, 1024u}) {
        Bench b;
        b.protect();
        b.cpu.host.acknowledge = [](void*) { return 0x30; };
        b.idt(0x30, Bench::gate(Bench::kCode0, 0x7100, kIntGate));
        b.poke<u8>(0x7000, 0xf4);     // hlt
        b.poke<u16>(0x7100, 0xfeeb);  // jmp to itself
        b.cpu.set_flags(kFixed1 | kIf);
        b.vcpu.deadline = b.cpu.count + 10;
        for (unsigned i = 0; i < looks; ++i) REQUIRE(b.cpu.run() == BP_EXIT_HALT);
        b.cpu.set_line(kLineIntr, true);
        REQUIRE(b.cpu.run() == BP_EXIT_DEADLINE);
        REQUIRE(b.cpu.eip == 0x7100);
    }
}
