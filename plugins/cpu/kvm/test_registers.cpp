// bp_x86_state to KVM's structures and back, without a host that has KVM.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <vector>

#include "registers.hpp"

namespace backplane::kvm {
namespace {

// 64-bit mode, with a value of its own in every register that KVM keeps.
bp_x86_state filled() {
    bp_x86_state s{};
    s.size = sizeof s;
    for (unsigned n = 0; n < 16; ++n) s.gpr[n] = 0x1111111111111111ull * n + 0x0123456789ull;
    s.rip = 0xffffffff81000000ull;
    s.rflags = 0x246;
    for (unsigned n = 0; n < 6; ++n)
        s.segment[n] = {0x100000000ull * n, 0xffffffffu, static_cast<std::uint16_t>(8 * n + 8), 0xc093};
    s.segment[BP_X86_CS].attributes = 0xa09b;
    s.ldtr = {0x5000, 0x27, 0x48, 0x82};
    s.tr = {0xfffffe0000003000ull, 0x206f, 0x40, 0x8b};
    s.gdtr = {0xfffffe0000001000ull, 0x7f, 0};
    s.idtr = {0xfffffe0000000000ull, 0xfff, 0};
    s.cr0 = 0x80050033, s.cr2 = 0x7fff12345678, s.cr3 = 0x1234000, s.cr4 = 0x406f0, s.cr8 = 3;
    s.efer = 0xd01;
    s.xcr0 = 7;
    for (unsigned n = 0; n < 4; ++n) s.dr[n] = 0x401000 + n;
    s.dr6 = 0xffff0ff0, s.dr7 = 0x455;
    for (unsigned n = 0; n < 8; ++n) s.st[n] = {0x8000000000000000ull + n, static_cast<std::uint16_t>(0x3fff + n), {}};
    s.fcw = 0x37f, s.fsw = 0x2900, s.ftw = 0xe0, s.fop = 0x5d9, s.fip = 0x401234, s.fdp = 0x7fff0000;
    s.mxcsr = 0x1fa0;
    for (unsigned n = 0; n < 16; ++n)
        for (unsigned b = 0; b < 32; ++b) s.ymm[n][b] = static_cast<std::uint8_t>(32 * n + b);
    s.apic_base = 0xfee00900;
    s.events = BP_X86_NMI_BLOCKED | BP_X86_SHADOW_STI;
    return s;
}

}  // namespace

TEST_CASE("what KVM is given comes back from it") {
    const bp_x86_state before = filled();
    Registers r;
    to_kvm(before, r);
    bp_x86_state after{};
    after.size = sizeof after;
    from_kvm(r, after);
    CHECK(std::memcmp(before.gpr, after.gpr, sizeof before.gpr) == 0);
    CHECK(after.rip == before.rip);
    CHECK(after.rflags == before.rflags);
    for (unsigned n = 0; n < 6; ++n) {
        CHECK(after.segment[n].base == before.segment[n].base);
        CHECK(after.segment[n].limit == before.segment[n].limit);
        CHECK(after.segment[n].selector == before.segment[n].selector);
        CHECK(after.segment[n].attributes == before.segment[n].attributes);
    }
    CHECK(std::memcmp(&after.ldtr, &before.ldtr, sizeof after.ldtr) == 0);
    CHECK(std::memcmp(&after.tr, &before.tr, sizeof after.tr) == 0);
    CHECK(std::memcmp(&after.gdtr, &before.gdtr, sizeof after.gdtr) == 0);
    CHECK(std::memcmp(&after.idtr, &before.idtr, sizeof after.idtr) == 0);
    CHECK(after.cr0 == before.cr0);
    CHECK(after.cr2 == before.cr2);
    CHECK(after.cr3 == before.cr3);
    CHECK(after.cr4 == before.cr4);
    CHECK(after.cr8 == before.cr8);
    CHECK(after.efer == before.efer);
    CHECK(after.xcr0 == before.xcr0);
    CHECK(std::memcmp(after.dr, before.dr, sizeof before.dr) == 0);
    CHECK(after.dr6 == before.dr6);
    CHECK(after.dr7 == before.dr7);
    CHECK(std::memcmp(after.st, before.st, sizeof before.st) == 0);
    CHECK(after.fcw == before.fcw);
    CHECK(after.fsw == before.fsw);
    CHECK(after.ftw == before.ftw);
    CHECK(after.fop == before.fop);
    CHECK(after.fip == before.fip);
    CHECK(after.fdp == before.fdp);
    CHECK(after.mxcsr == before.mxcsr);
    CHECK(std::memcmp(after.ymm, before.ymm, sizeof before.ymm) == 0);
    CHECK(after.apic_base == before.apic_base);
    CHECK(after.events == before.events);
    CHECK(after.cpl == before.cpl);
}

TEST_CASE("without AVX in XCR0 the upper halves are the interpreter's to keep") {
    bp_x86_state s = filled();
    s.xcr0 = 3;
    Registers r;
    to_kvm(s, r);
    std::uint64_t xstate_bv = 0;
    std::memcpy(&xstate_bv, r.xsave.data() + 512, sizeof xstate_bv);
    CHECK(xstate_bv == 3);
    bp_x86_state after = s;
    from_kvm(r, after);
    CHECK(std::memcmp(after.ymm, s.ymm, sizeof s.ymm) == 0);
}

TEST_CASE("KVM takes the privilege level from SS, with a null selector as well") {
    bp_x86_state s = filled();
    s.cpl = 3;
    s.segment[BP_X86_SS] = {0, 0, 0, 0};
    Registers r;
    to_kvm(s, r);
    CHECK(r.sregs.ss.dpl == 3);
    CHECK(r.sregs.ss.unusable == 1);
    bp_x86_state after{};
    from_kvm(r, after);
    CHECK(after.cpl == 3);
    CHECK((after.segment[BP_X86_SS].attributes & 0x80) == 0);
}

TEST_CASE("a processor of Intel finds its task register busy and its granularities right") {
    bp_x86_state s{};
    s.tr = {0, 0xffff, 0, 0x82};
    s.segment[BP_X86_DS] = {0, 0xffffffffu, 0, 0x93};  // a large segment that a program took to real mode
    Registers r;
    to_kvm(s, r);
    CHECK(r.sregs.tr.type == 11);
    CHECK(r.sregs.tr.present == 1);
    CHECK(r.sregs.ds.g == 1);
}

TEST_CASE("page-directory pointers go along with PAE paging and with nothing else") {
    bp_x86_state s{};
    s.cr0 = 0x80000001, s.cr4 = 0x20;
    for (unsigned n = 0; n < 4; ++n) s.pdpte[n] = 0x1001 + 0x1000 * n;
    Registers r;
    to_kvm(s, r);
    CHECK(r.sregs.flags == KVM_SREGS2_FLAGS_PDPTRS_VALID);
    CHECK(r.sregs.pdptrs[3] == 0x4001);
    s.efer = 0x500;
    to_kvm(s, r);
    CHECK(r.sregs.flags == 0);
}

TEST_CASE("edges that wait and HLT are not KVM's business") {
    bp_x86_state s{};
    s.events = BP_X86_HALTED | BP_X86_INIT_PENDING | BP_X86_SMI_PENDING | BP_X86_NMI_PENDING;
    Registers r;
    to_kvm(s, r);
    CHECK(r.events.nmi.pending == 0);
    from_kvm(r, s);
    CHECK(s.events == (BP_X86_HALTED | BP_X86_INIT_PENDING | BP_X86_SMI_PENDING | BP_X86_NMI_PENDING));
}

TEST_CASE("every MSR of the list has a field of its own") {
    bp_x86_state s{};
    std::vector<u64*> seen;
    for (const u32 index : state_msrs()) {
        u64* field = msr_field(s, index);
        REQUIRE(field != nullptr);
        CHECK(std::find(seen.begin(), seen.end(), field) == seen.end());
        seen.push_back(field);
    }
    CHECK(msr_field(s, 0x10) == nullptr);
    CHECK(msr_field(s, 0x12345) == nullptr);
}

TEST_CASE("an event that KVM has begun to deliver is handed on, and one that is executed once more is not") {
    kvm_vcpu_events e{};
    CHECK(unfinished(e).kind == Unfinished::Kind::kNone);
    e.interrupt.injected = 1, e.interrupt.nr = 0x30;
    CHECK(unfinished(e).kind == Unfinished::Kind::kInterrupt);
    CHECK(unfinished(e).vector == 0x30);
    e.interrupt.soft = 1;
    CHECK(unfinished(e).kind == Unfinished::Kind::kNone);
    e.exception.injected = 1, e.exception.nr = 14, e.exception.has_error_code = 1, e.exception.error_code = 6;
    CHECK(unfinished(e).kind == Unfinished::Kind::kException);
    CHECK(unfinished(e).error == 6);
    e.exception.nr = 3;
    CHECK(unfinished(e).kind == Unfinished::Kind::kNone);
}

}  // namespace backplane::kvm
