// Loads of segment registers, LDTR and TR: every check with its vector and error code (SDM 2, MOV, LLDT, LTR).
#include <catch2/catch.hpp>

#include "test_system_host.hpp"

using namespace backplane::interp;

namespace {

// Descriptors of the tables below, behind the standard ones.
constexpr u16 kReadOnly3 = 0x38, kExecOnly3 = 0x40, kConforming0 = 0x48, kAbsent3 = 0x50, kAbsent0 = 0x58,
              kDown0 = 0x60, kFreeTss = 0x68, kAbsentTss = 0x70, kAbsentLdt = 0x78, kGate0 = 0x80, kFree16Tss = 0x88,
              kOutside = 0x100;

void fill(Bench& b) {
    b.gdt(kReadOnly3, Bench::segment(0, 0xffff, 0x90 | kRing3));
    b.gdt(kExecOnly3, Bench::segment(0, 0xffff, 0x98 | kRing3));
    b.gdt(kConforming0, Bench::segment(0, 0xffff, 0x9e));
    b.gdt(kAbsent3, Bench::segment(0, 0xffff, (kData | kRing3) & ~kNotPresent));
    b.gdt(kAbsent0, Bench::segment(0, 0xffff, kData & ~kNotPresent));
    b.gdt(kDown0, Bench::segment(0, 0xfff, 0x96));
    b.gdt(kFreeTss, Bench::segment(Bench::kTss, 0x67, 0x89, 0));
    b.gdt(kAbsentTss, Bench::segment(Bench::kTss, 0x67, 0x09, 0));
    b.gdt(kAbsentLdt, Bench::segment(Bench::kLdt, 0x7f, 0x02, 0));
    b.gdt(kGate0, Bench::gate(Bench::kCode0, 0, 0x8c));
    b.gdt(kFree16Tss, Bench::segment(Bench::kTss, 0x2b, 0x81, 0));
    b.ldt(0x0c, Bench::segment(0, 0xffff, kData | kRing3));
}

struct Load {
    const char* what;
    unsigned cpl;
    Seg seg;
    u16 selector;
    Outcome expected;
};

}  // namespace

TEST_CASE("a load of a data segment register is checked in protected mode") {
    const Load load = GENERATE(values<Load>({
        {"flat data", 0, kDs, Bench::kData0, kFine},
        {"null selector", 3, kDs, 0, kFine},
        {"null selector with RPL", 3, kEs, 3, kFine},
        {"outside the GDT", 0, kDs, kOutside, fault(kGp, kOutside)},
        {"RPL is no part of the error code", 3, kDs, kOutside | 3, fault(kGp, kOutside)},
        {"through the LDT", 3, kFs, 0x0f, kFine},
        {"outside the LDT", 3, kFs, 0x87, fault(kGp, 0x84)},
        {"DPL 0 from ring 3", 3, kDs, Bench::kData0, fault(kGp, Bench::kData0)},
        {"DPL 0 with RPL 3 from ring 0", 0, kDs, Bench::kData0 | 3, fault(kGp, Bench::kData0)},
        {"DPL 3 from ring 0", 0, kGs, Bench::kData3, kFine},
        {"read-only data", 3, kDs, kReadOnly3 | 3, kFine},
        {"readable code", 3, kDs, Bench::kCode3, kFine},
        {"code that cannot be read", 3, kDs, kExecOnly3 | 3, fault(kGp, kExecOnly3)},
        {"conforming code of any privilege", 3, kDs, kConforming0 | 3, kFine},
        {"system segment", 0, kDs, Bench::kTssSel, fault(kGp, Bench::kTssSel)},
        {"not present", 3, kDs, kAbsent3 | 3, fault(kNp, kAbsent3)},
        {"not present and not accessible", 3, kDs, kAbsent0, fault(kGp, kAbsent0)},
    }));
    Bench b;
    b.protect(load.cpl);
    fill(b);
    INFO(load.what);
    const u16 before = b.cpu.seg[load.seg].selector;
    REQUIRE(b.outcome([&] { b.cpu.load_segment(load.seg, load.selector); }) == load.expected);
    REQUIRE(b.cpu.seg[load.seg].selector == (load.expected == kFine ? load.selector : before));
}

TEST_CASE("a load of SS wants writable data of exactly the current privilege") {
    const Load load = GENERATE(values<Load>({
        {"flat data", 0, kSs, Bench::kData0, kFine},
        {"ring 3", 3, kSs, Bench::kData3, kFine},
        {"null selector", 0, kSs, 0, fault(kGp, 0)},
        {"null selector with RPL", 3, kSs, 3, fault(kGp, 0)},
        {"outside the GDT", 0, kSs, kOutside, fault(kGp, kOutside)},
        {"RPL differs", 0, kSs, Bench::kData0 | 3, fault(kGp, Bench::kData0)},
        {"DPL differs", 0, kSs, 0x20, fault(kGp, 0x20)},
        {"read-only", 3, kSs, kReadOnly3 | 3, fault(kGp, kReadOnly3)},
        {"code", 0, kSs, Bench::kCode0, fault(kGp, Bench::kCode0)},
        {"not present is a stack fault", 3, kSs, kAbsent3 | 3, fault(kSsFault, kAbsent3)},
        {"expand-down", 0, kSs, kDown0, kFine},
    }));
    Bench b;
    b.protect(load.cpl);
    fill(b);
    INFO(load.what);
    REQUIRE(b.outcome([&] { b.cpu.load_segment(kSs, load.selector); }) == load.expected);
}

TEST_CASE("a load sets the accessed bit in memory and takes base, limit and size") {
    Bench b;
    b.protect();
    b.gdt(Bench::kFree, Bench::segment(0x12345678, 0xabcde, kData, k4K));
    REQUIRE(b.outcome([&] { b.cpu.load_segment(kFs, Bench::kFree); }) == kFine);
    REQUIRE(b.cpu.seg[kFs].base == 0x12345678);
    REQUIRE(b.cpu.seg[kFs].limit == 0xabcdefff);
    REQUIRE_FALSE(b.cpu.seg[kFs].big());
    REQUIRE(b.ram[Bench::kGdt + Bench::kFree + 5] == 0x93);
}

TEST_CASE("a descriptor on a page that is not present faults before anything changes") {
    Bench b;
    b.protect();
    b.enable_paging();
    b.page_bits(Bench::kGdt, 0);
    const Outcome o = b.outcome([&] { b.cpu.load_segment(kDs, Bench::kData3); });
    REQUIRE(o == fault(kPage, 0));
    REQUIRE(b.cpu.cr2 == Bench::kGdt + 0x20);
    REQUIRE(b.cpu.seg[kDs].selector == Bench::kData0);
}

TEST_CASE("a table is read with supervisor rights from ring 3") {
    Bench b;
    b.protect(3);
    b.enable_paging();
    b.page_bits(Bench::kGdt, 3);
    REQUIRE(b.outcome([&] { b.cpu.load_segment(kDs, Bench::kData3); }) == kFine);
}

TEST_CASE("limits are kept by expand-up and expand-down segments") {
    struct Access {
        const char* what;
        u64 descriptor;
        u32 offset;
        bool write;
        Outcome expected;
    };
    const Access a = GENERATE(values<Access>({
        {"last dword", Bench::segment(0, 0xfff, kData), 0xffc, false, kFine},
        {"one beyond", Bench::segment(0, 0xfff, kData), 0xffd, false, fault(kGp, 0)},
        {"wrap at 4G", Bench::segment(0, 0xfff, kData), 0xfffffffe, false, fault(kGp, 0)},
        {"below an expand-down limit", Bench::segment(0, 0xfff, 0x96), 0xfff, false, fault(kGp, 0)},
        {"above an expand-down limit", Bench::segment(0, 0xfff, 0x96), 0x1000, true, kFine},
        {"16-bit expand-down ends at 64K", Bench::segment(0, 0xfff, 0x96, 0), 0xfffd, false, fault(kGp, 0)},
        {"16-bit expand-down, last dword", Bench::segment(0, 0xfff, 0x96, 0), 0xfffc, false, kFine},
        {"32-bit expand-down passes 64K", Bench::segment(0, 0xfff, 0x96), 0xfffd, false, kFine},
        {"write to read-only data", Bench::segment(0, 0xfff, 0x90), 0, true, fault(kGp, 0)},
        {"write to code", Bench::segment(0, 0xfff, kCode), 0, true, fault(kGp, 0)},
        {"read of code", Bench::segment(0, 0xfff, kCode), 0, false, kFine},
    }));
    Bench b;
    b.protect();
    b.gdt(Bench::kFree, a.descriptor);
    INFO(a.what);
    REQUIRE(b.outcome([&] { b.cpu.load_segment(kDs, Bench::kFree); }) == kFine);
    const Outcome o = b.outcome([&] {
        if (a.write)
            b.cpu.write<u32>(kDs, a.offset, 1);
        else
            (void)b.cpu.read<u32>(kDs, a.offset);
    });
    REQUIRE(o == a.expected);
}

TEST_CASE("an access through a null selector faults, beyond the stack's limit with #SS") {
    Bench b;
    b.protect();
    REQUIRE(b.outcome([&] { b.cpu.load_segment(kDs, 0); }) == kFine);
    REQUIRE(b.outcome([&] { (void)b.cpu.read<u8>(kDs, 0); }) == fault(kGp, 0));
    b.gdt(Bench::kFree, Bench::segment(0, 0xfff, kData));
    REQUIRE(b.outcome([&] { b.cpu.load_segment(kSs, Bench::kFree); }) == kFine);
    REQUIRE(b.outcome([&] { (void)b.cpu.read<u32>(kSs, 0x1000); }) == fault(kSsFault, 0));
}

TEST_CASE("LLDT and LTR check selector, type and presence") {
    struct Row {
        const char* what;
        bool ltr;
        unsigned cpl;
        u16 selector;
        Outcome expected;
    };
    const Row r = GENERATE(values<Row>({
        {"LLDT", false, 0, Bench::kLdtSel, kFine},
        {"LLDT null", false, 0, 0, kFine},
        {"LLDT in ring 3", false, 3, Bench::kLdtSel, fault(kGp, 0)},
        {"LLDT local", false, 0, 0x0c, fault(kGp, 0x0c)},
        {"LLDT outside", false, 0, kOutside, fault(kGp, kOutside)},
        {"LLDT of data", false, 0, Bench::kData0, fault(kGp, Bench::kData0)},
        {"LLDT of a TSS", false, 0, kFreeTss, fault(kGp, kFreeTss)},
        {"LLDT not present", false, 0, kAbsentLdt, fault(kNp, kAbsentLdt)},
        {"LTR", true, 0, kFreeTss, kFine},
        {"LTR 16-bit", true, 0, kFree16Tss, kFine},
        {"LTR null", true, 0, 0, fault(kGp, 0)},
        {"LTR in ring 3", true, 3, kFreeTss, fault(kGp, 0)},
        {"LTR local", true, 0, 0x0c, fault(kGp, 0x0c)},
        {"LTR outside", true, 0, kOutside, fault(kGp, kOutside)},
        {"LTR busy", true, 0, Bench::kTssSel, fault(kGp, Bench::kTssSel)},
        {"LTR of an LDT", true, 0, Bench::kLdtSel, fault(kGp, Bench::kLdtSel)},
        {"LTR not present", true, 0, kAbsentTss, fault(kNp, kAbsentTss)},
    }));
    Bench b;
    b.protect(r.cpl);
    fill(b);
    INFO(r.what);
    const Outcome o = b.outcome([&] {
        if (r.ltr)
            b.cpu.load_tr(r.selector);
        else
            b.cpu.load_ldtr(r.selector);
    });
    REQUIRE(o == r.expected);
    if (o == kFine) {
        REQUIRE((r.ltr ? b.cpu.tr : b.cpu.ldtr).selector == r.selector);
        if (r.ltr) REQUIRE((b.ram[Bench::kGdt + r.selector + 5] & 2) != 0);
    }
}

TEST_CASE("a null LDTR holds no descriptors") {
    Bench b;
    b.protect();
    REQUIRE(b.outcome([&] { b.cpu.load_ldtr(0); }) == kFine);
    REQUIRE(b.outcome([&] { b.cpu.load_segment(kDs, 0x04); }) == fault(kGp, 0x04));
}

TEST_CASE("LAR, LSL, VERR and VERW answer without faulting") {
    struct Row {
        const char* what;
        unsigned cpl;
        u16 selector;
        i64 lar, lsl;  // -1: ZF clear
        bool verr, verw;
    };
    const Row r = GENERATE(values<Row>({
        {"null", 0, 0, -1, -1, false, false},
        {"outside", 0, kOutside, -1, -1, false, false},
        {"flat code", 0, Bench::kCode0, 0xc09a00, 0xffffffff, true, false},
        {"flat data", 0, Bench::kData0, 0xc09200, 0xffffffff, true, true},
        {"data of an inner level", 3, Bench::kData0, -1, -1, false, false},
        {"data with a weaker RPL", 0, Bench::kData0 | 3, -1, -1, false, false},
        {"conforming code", 3, kConforming0 | 3, 0x409e00, 0xffff, true, false},
        {"execute-only", 3, kExecOnly3 | 3, 0x40f800, 0xffff, false, false},
        {"read-only", 3, kReadOnly3 | 3, 0x40f000, 0xffff, true, false},
        {"absent", 3, kAbsent3 | 3, 0x407200, 0xffff, true, true},
        {"TSS", 0, kFreeTss, 0x008900, 0x67, false, false},
        {"call gate has no limit", 0, kGate0, 0x008c00, -1, false, false},
    }));
    Bench b;
    b.protect(r.cpl);
    fill(b);
    INFO(r.what);
    u32 value = 0;
    REQUIRE((b.cpu.lar(r.selector, value) ? i64{value} : -1) == r.lar);
    REQUIRE((b.cpu.lsl(r.selector, value) ? i64{value} : -1) == r.lsl);
    REQUIRE(b.cpu.verr(r.selector) == r.verr);
    REQUIRE(b.cpu.verw(r.selector) == r.verw);
}

TEST_CASE("outside protected mode selectors are paragraphs and system selectors do not exist") {
    Bench b;
    REQUIRE(b.outcome([&] { b.cpu.load_segment(kDs, 0x1234); }) == kFine);
    REQUIRE(b.cpu.seg[kDs].base == 0x12340);
    REQUIRE(b.outcome([&] { b.cpu.load_ldtr(0); }) == fault(kUd));
    REQUIRE(b.outcome([&] { b.cpu.load_tr(0); }) == fault(kUd));
    REQUIRE(b.outcome([&] { (void)b.cpu.verr(0); }) == fault(kUd));
    b.protect();
    b.virtualize(3);
    REQUIRE(b.outcome([&] { b.cpu.load_segment(kDs, 0x4321); }) == kFine);
    REQUIRE(b.cpu.seg[kDs].base == 0x43210);
    REQUIRE(b.cpu.seg[kDs].limit == 0xffff);
    REQUIRE(b.outcome([&] { (void)b.cpu.verw(0); }) == fault(kUd));
}

TEST_CASE("a segment register that was null in protected mode works again after a load in real mode") {
    Bench b;
    b.protect();
    REQUIRE(b.outcome([&] { b.cpu.load_segment(kEs, 0); }) == kFine);
    REQUIRE(b.outcome([&] { b.cpu.mov_to_cr(0, 0x60000010); }) == kFine);
    REQUIRE(b.outcome([&] { b.cpu.load_segment(kEs, 0x1000); }) == kFine);
    REQUIRE(b.outcome([&] { b.cpu.write<u8>(kEs, 0, 0x5a); }) == kFine);
    REQUIRE(b.ram[0x10000] == 0x5a);
}
