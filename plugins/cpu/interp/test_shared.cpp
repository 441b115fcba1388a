// What processors with one memory owe each other (SDM 3, 8.1 to 8.3): locked instructions, the order of loads and
// stores, code that another processor writes, accessed and dirty bits.
#include "test_shared.hpp"

namespace backplane::interp::shared_test {
namespace {

// How much of everything; 1 is about two seconds.
constexpr u64 kEffort = 1;
// For what two processors do in turn: how many rounds that makes depends on how much else the host has to do.
constexpr std::chrono::milliseconds kTime(400 * kEffort);

// Every locked instruction. rdi: data, esi: number of the processor. Counts rounds in rcx, until [rdi+512] is set.
//   loop: lock inc dword [rdi]; lock add qword [rdi+8], 3; mov eax, 1; lock xadd [rdi+16], eax; mov eax, [rdi+24];
//   again: lea edx, [rax+1]; lock cmpxchg [rdi+24], edx; jnz again; bitl: lock bts dword [rdi+28], 3; jnc gotbit;
//   pause; jmp bitl; gotbit: inc qword [rdi+32]; lock btr dword [rdi+28], 3; xl: mov edx, 1; xchg [rdi+40], edx; test
//   edx, edx; jz gotx; pause; jmp xl; gotx: inc qword [rdi+48]; mov dword [rdi+40], 0; mov eax, 1; lock xadd
//   [rdi+56], eax; tw: cmp [rdi+60], eax; je gott; pause; jmp tw; gott: inc qword [rdi+64]; inc dword [rdi+60]; lock
//   inc dword [rdi+126]; lock dec qword [rdi+4092]; mov eax, 1; xchg ecx, esi; shl eax, cl; xchg ecx, esi; lock xor
//   word [rdi+72], ax; lock or byte [rdi+74], al; mov edx, eax; not edx; lock and byte [rdi+74], dl; lock sub dword
//   [rdi+76], 2; lock not dword [rdi+80]; lock neg dword [rdi+84]; stc; lock adc word [rdi+88], 0; stc; lock sbb
//   qword [rdi+96], 1; lock btc dword [rdi+104], esi; push rcx; mov rax, [rdi+112]; mov edx, [rdi+116]; c8: lea ebx,
//   [rax+1]; mov ecx, edx; test ebx, ebx; jnz c8n; inc ecx; c8n: lock cmpxchg8b [rdi+112]; jnz c8; pop rcx; inc rcx;
//   cmp dword [rdi+512], 0; je near loop; hlt
constexpr std::string_view kAtomics =
    "f0ff07f04883470803b801000000f00fc147108b47188d5001f00fb1571875f6f00fba6f1c037304f390ebf448ff4720f00fba771c03"
    "ba0100000087572885d27404f390ebf048ff4730c7472800000000b801000000f00fc1473839473c7404f390ebf748ff4740ff473cf0"
    "ff477ef048ff8ffc0f0000b80100000087ced3e087cef066314748f008474a89c2f7d2f020574af0836f4c02f0f75750f0f75f54f9f0"
    "6683575800f9f048835f6001f00fbb776851488b47708b57748d580189d185db7502ffc1f00fc74f7075ee5948ffc183bf0002000000"
    "0f8422fffffff4";
// A stack of nodes: takes one, counts in it, puts it back. r8: head and tag, r9: rounds.
//   loop: mov rax, [r8]; mov rdx, [r8+8]; pop1: test rax, rax; jnz some; pause; jmp loop; some: mov rbx, [rax]; lea
//   rcx, [rdx+1]; lock cmpxchg16b [r8]; jnz pop1; inc qword [rax+8]; mov rbx, rax; mov rax, [r8]; mov rdx, [r8+8];
//   push1: mov [rbx], rax; lea rcx, [rdx+1]; lock cmpxchg16b [r8]; jnz push1; dec r9; jnz loop; hlt
constexpr std::string_view kStack =
    "498b00498b50084885c07504f390ebf0488b18488d4a01f0490fc70875e948ff40084889c3498b00498b5008488903488d4a01f0490f"
    "c70875f249ffc975c1f4";
// rdi: a device's register, rcx: rounds.
//   loop: lock inc qword [rdi]; mov eax, 1; lock xadd [rdi], rax; dec rcx; jnz loop; hlt
constexpr std::string_view kDevice = "f048ff07b801000000f0480fc10748ffc975edf4";
// rdi, rsi: value and flag, rcx: rounds.
//   loop: inc rax; mov [rdi], rax; mov [rsi], rax; cmp rax, rcx; jne loop; hlt
constexpr std::string_view kSender = "48ffc04889074889064839c875f2f4";
// The flag must never be ahead of the value.
//   loop: mov rax, [rsi]; mov rdx, [rdi]; cmp rdx, rax; jb bad; cmp rax, rcx; jne loop; hlt; bad: inc rbx; hlt
constexpr std::string_view kReceiver = "488b06488b174839c272064839c875f0f448ffc3f4";
// rdi, rsi: mine and the other's, rcx: rounds, rbp: what was seen of the other's.
//   loop: inc rax; mov [rdi], rax; mfence; mov rdx, [rsi]; mov [rbp+rax*8], rdx; cmp rax, rcx; jne loop; hlt
constexpr std::string_view kBufferMfence = "48ffc04889070faef0488b16488954c5004839c875eaf4";
//   loop: inc rax; mov [rdi], rax; lock or dword [rsp],0; mov rdx, [rsi]; mov [rbp+rax*8], rdx; cmp rax, rcx; jne
//   loop; hlt
constexpr std::string_view kBufferLock = "48ffc0488907f0830c2400488b16488954c5004839c875e8f4";
//   loop: inc rax; mov [rdi], rax; xchg [rsp],r10; mov rdx, [rsi]; mov [rbp+rax*8], rdx; cmp rax, rcx; jne loop; hlt
constexpr std::string_view kBufferXchg = "48ffc04889074c871424488b16488954c5004839c875e9f4";
// Writes r10d into functions that the other one runs for the first time about now, in the middle of a long block. rdi:
// functions, rsi: flags.
//   fninit; loop: inc rax; mov byte [rdi+64], al; mov [rsi+64], rax; mov edx, eax; and edx, 1023; jz nodelay; delay:
//   dec edx; jnz delay; nodelay: fld1; 14 times fsin; mov [rdi+1], r10d; mov [rsi], rax; 24 times fsin; fstp st0; w:
//   cmp [rsi+128], rax; je next; pause; jmp w; next: add rdi, 4096; cmp rax, rcx; jne loop; hlt
constexpr std::string_view kPatchMany =
    "dbe348ffc08847404889464089c281e2ff0300007404ffca75fcd9e8d9fed9fed9fed9fed9fed9fed9fed9fed9fed9fed9fed9fed9fe"
    "d9fe44895701488906d9fed9fed9fed9fed9fed9fed9fed9fed9fed9fed9fed9fed9fed9fed9fed9fed9fed9fed9fed9fed9fed9fed9"
    "fed9feddd8483986800000007404f390ebf34881c7001000004839c80f8574fffffff4";
//   loop: inc r8; w0: cmp [rsi+64], r8; je early; pause; jmp w0; early: call rdi; w: cmp [rsi], r8; je go; pause; jmp
//   w; go: push rcx; xor eax, eax; cpuid; pop rcx; call rdi; cmp eax, r10d; jne bad; mov [rsi+128], r8; add rdi,
//   4096; cmp r8, rcx; jne loop; hlt; bad: inc r9; mov [rsi+128], r8; add rdi, 4096; cmp r8, rcx; jne loop; hlt
constexpr std::string_view kRunMany =
    "49ffc04c3946407404f390ebf6ffd74c39067404f390ebf75131c00fa259ffd74439d075144c8986800000004881c7001000004939c8"
    "75c8f449ffc14c8986800000004881c7001000004939c875b1f4";
// rdi: function, rsi: flags, rcx: rounds.
//   loop: inc rax; mov [rdi+1], eax; mov [rsi], rax; w: cmp [rsi+128], rax; je next; pause; jmp w; next: cmp rax,
//   rcx; jne loop; hlt
constexpr std::string_view kPatchOne = "48ffc0894701488906483986800000007404f390ebf34839c875e5f4";
//   loop: inc r8; w: cmp [rsi], r8; je go; pause; jmp w; go: push rcx; xor eax, eax; cpuid; pop rcx; call rdi; cmp
//   eax, r8d; je good; inc r9; good: mov [rsi+128], r8; cmp r8, rcx; jne loop; hlt
constexpr std::string_view kRunOne =
    "49ffc04c39067404f390ebf75131c00fa259ffd74439c0740349ffc14c8986800000004939c875d8f4";
// rdi: page.
//   loop: invlpg [rdi]; mov eax, [rdi]; mov [rdi], ecx; dec rcx; jnz loop; hlt
constexpr std::string_view kUsePage = "0f013f8b07890f48ffc975f4f4";
// rdi: the page's entry. Nobody else changes bit 9.
//   loop: mov rdx, [rdi]; lock xor qword [rdi], 0x200; lock and qword [rdi], ~0x60; mov rax, [rdi]; xor rax, rdx;
//   test eax, 0x200; jnz good; inc rbx; good: dec rcx; jnz loop; hlt
constexpr std::string_view kChangeEntry =
    "488b17f048813700020000f04883279f488b074831d0a900020000750348ffc348ffc975dbf4";

constexpr u64 kOther = Machine::kCode + 0x1000;

}  // namespace

TEST_CASE("locked instructions of several processors lose nothing") {
    const unsigned count = GENERATE(2u, 4u);
    Machine m(count);
    m.code(Machine::kCode, kAtomics);
    const u64 d = Machine::kData;
    m.poke<u32>(d + 80, 0x12345678);
    m.poke<u32>(d + 84, 77);
    for (unsigned n = 0; n < count; ++n) {
        m.begin(n, Machine::kCode);
        m.cpu(n).gpr[kEdi] = d;
        m.cpu(n).gpr[kEsi] = n;
    }
    m.run(kTime, d + 512);
    u64 all = 0;
    u32 odd = 0;
    for (unsigned n = 0; n < count; ++n) {
        all += m.cpu(n).gpr[kEcx];
        odd |= static_cast<u32>(m.cpu(n).gpr[kEcx] & 1u) << n;
    }
    const bool twice = all % 2 == 0;
    CHECK(m.peek<u32>(d) == static_cast<u32>(all));                     // INC
    CHECK(m.peek<u64>(d + 8) == 3 * all);                               // ADD
    CHECK(m.peek<u32>(d + 16) == static_cast<u32>(all));                // XADD
    CHECK(m.peek<u32>(d + 24) == static_cast<u32>(all));                // CMPXCHG
    CHECK(m.peek<u64>(d + 32) == all);                                  // under a lock by BTS and BTR
    CHECK(m.peek<u64>(d + 48) == all);                                  // by XCHG
    CHECK(m.peek<u64>(d + 64) == all);                                  // by tickets
    CHECK(m.peek<u32>(d + 126) == static_cast<u32>(all));               // INC across a cache line
    CHECK(m.peek<u64>(d + 4092) == 0 - all);                            // DEC across a page
    CHECK(m.peek<u16>(d + 72) == odd);                                  // XOR
    CHECK(m.peek<u8>(d + 74) == 0);                                     // OR, AND
    CHECK(m.peek<u32>(d + 76) == static_cast<u32>(0 - 2 * all));        // SUB
    CHECK(m.peek<u32>(d + 80) == (twice ? 0x12345678 : ~0x12345678u));  // NOT
    CHECK(m.peek<u32>(d + 84) == static_cast<u32>(twice ? 77 : -77));   // NEG
    CHECK(m.peek<u16>(d + 88) == static_cast<u16>(all));                // ADC
    CHECK(m.peek<u64>(d + 96) == 0 - 2 * all);                          // SBB
    CHECK(m.peek<u32>(d + 104) == odd);                                 // BTC
    CHECK(m.peek<u64>(d + 112) == all);                                 // CMPXCHG8B
}

TEST_CASE("a stack by CMPXCHG16B loses no node") {
    constexpr unsigned kCount = 3, kNodes = 4;
    const u64 rounds = 50000 * kEffort;
    Machine m(kCount);
    m.code(Machine::kCode, kStack);
    const u64 head = Machine::kData, nodes = Machine::kData + 0x1000;
    m.poke<u64>(head, nodes);
    for (u64 n = 0; n < kNodes; ++n) m.poke<u64>(nodes + 64 * n, n + 1 < kNodes ? nodes + 64 * (n + 1) : 0);
    for (unsigned n = 0; n < kCount; ++n) {
        m.begin(n, Machine::kCode);
        m.cpu(n).gpr[kR8] = head;
        m.cpu(n).gpr[kR9] = rounds;
    }
    m.run();
    u64 uses = 0, there = 0;
    for (u64 n = 0; n < kNodes; ++n) uses += m.peek<u64>(nodes + 64 * n + 8);
    for (u64 at = m.peek<u64>(head); at != 0 && there <= kNodes; at = m.peek<u64>(at)) ++there;
    CHECK(uses == rounds * kCount);
    CHECK(there == kNodes);
    CHECK(m.peek<u64>(head + 8) == 2 * rounds * kCount);
}

TEST_CASE("locked instructions on a device's register are one access to the others") {
    const u64 rounds = 20000 * kEffort;
    Machine m(2);
    m.code(Machine::kCode, kDevice);
    for (unsigned n = 0; n < 2; ++n) {
        m.begin(n, Machine::kCode);
        m.cpu(n).gpr[kEdi] = Machine::kSize + 8;
        m.cpu(n).gpr[kEcx] = rounds;
    }
    m.run();
    CHECK(register_of(m) == 4 * rounds);
}

TEST_CASE("a value is visible before the flag that announces it") {
    const u64 rounds = 3'000'000 * kEffort;
    Machine m(2);
    m.code(Machine::kCode, kSender);
    m.code(kOther, kReceiver);
    for (unsigned n = 0; n < 2; ++n) {
        m.begin(n, n == 0 ? Machine::kCode : kOther);
        m.cpu(n).gpr[kEdi] = Machine::kData;
        m.cpu(n).gpr[kEsi] = Machine::kData + 0x200;
        m.cpu(n).gpr[kEcx] = rounds;
    }
    m.run();
    CHECK(m.cpu(1).gpr[kEbx] == 0);
}

TEST_CASE("MFENCE and locked instructions keep a load behind the stores before it") {
    const std::string_view program = GENERATE(kBufferMfence, kBufferLock, kBufferXchg);
    constexpr u64 rounds = 500'000;  // what there is memory for
    Machine m(2);
    m.code(Machine::kCode, program);
    const u64 seen[2] = {4u << 20, 10u << 20};
    for (unsigned n = 0; n < 2; ++n) {
        m.begin(n, Machine::kCode);
        m.cpu(n).gpr[kEdi] = Machine::kData + n * 0x200;
        m.cpu(n).gpr[kEsi] = Machine::kData + (1 - n) * 0x200;
        m.cpu(n).gpr[kEcx] = rounds;
        m.cpu(n).gpr[kEbp] = seen[n];
    }
    m.run();
    // Who saw the other one's value v in its round k has stored k before the other one stored v + 1, which therefore
    // saw k or more behind it.
    u64 passed = 0, overlaps = 0;
    for (const unsigned n : {0u, 1u}) {
        for (u64 k = 1; k <= rounds; ++k) {
            const u64 v = m.peek<u64>(seen[n] + 8 * k);
            if (v == rounds) continue;
            if (m.peek<u64>(seen[1 - n] + 8 * (v + 1)) < k) ++passed;
            if (v != 0) ++overlaps;
        }
    }
    INFO(overlaps << " rounds at the same time");
    CHECK(passed == 0);
}

TEST_CASE("code that another processor has changed is run after a serializing instruction, from the first time on") {
    constexpr u64 kFunctions = 8u << 20, kPages = 1500;
    Machine m(2);
    m.code(Machine::kCode, kPatchMany);
    m.code(kOther, kRunMany);
    const auto until = std::chrono::steady_clock::now() + kTime;
    for (u64 pass = 1; std::chrono::steady_clock::now() < until; ++pass) {
        m.forget_code();
        for (u64 k = 0; k < kPages; ++k) m.code(kFunctions + (k << 12), "b800000000c3");  // mov eax, 0; ret
        std::memset(m.memory(Machine::kData), 0, 0x1000);
        for (unsigned n = 0; n < 2; ++n) {
            m.begin(n, n == 0 ? Machine::kCode : kOther);
            m.cpu(n).gpr[kEax] = m.cpu(n).gpr[kR8] = m.cpu(n).gpr[kR9] = 0;
            m.cpu(n).gpr[kEdi] = kFunctions;
            m.cpu(n).gpr[kEsi] = Machine::kData;
            m.cpu(n).gpr[kEcx] = kPages;
            m.cpu(n).gpr[kR10] = pass;
        }
        m.run(kTime);
        CHECK(m.cpu(1).gpr[kR8] > 1);
        CHECK(m.cpu(1).gpr[kR9] == 0);
    }
    CHECK(m.told_written > 0);
}

// The same step by step: the one that writes is in the middle of a block of instructions and has heard of nothing yet.
TEST_CASE("a store that nobody has told of yet is seen after a serializing instruction") {
    Machine m(2);
    const u64 function = 8u << 20;
    m.code(function, "b801000000c3");  // mov eax, 1; ret
    m.code(Machine::kCode, "ffd7f4");  // call rdi; hlt
    m.code(kOther, "31c00fa2ffd7f4");  // xor eax, eax; cpuid; call rdi; hlt
    Cpu& writer = m.cpu(0);
    Cpu& reader = m.cpu(1);
    enter_shared(&writer);
    writer.lin_write<u32>(function + 64, 0, false);  // the page may be written by the fast way
    const auto result = [&](u64 at) {
        m.begin(1, at);
        reader.gpr[kEdi] = function;
        REQUIRE(reader.run() == BP_EXIT_HALT);
        return reader.r32(kEax);
    };
    CHECK(result(Machine::kCode) == 1);
    CHECK((writer.vcpu->attention & BP_ATTENTION_CODE) != 0);
    writer.lin_write<u32>(function + 1, 2, false);
    CHECK(result(Machine::kCode) == 1);  // as the manual allows it
    CHECK(m.told_written == 0);
    CHECK(result(kOther) == 2);
    SECTION("the end of the block tells, and later stores tell at once") {
        notice_foreign_code(&writer);
        CHECK(m.told_written == 1);
        CHECK((writer.vcpu->attention & BP_ATTENTION_CODE) == 0);
        writer.lin_write<u32>(function + 1, 3, false);
        CHECK(m.told_written == 2);
        CHECK(result(Machine::kCode) == 3);
    }
    SECTION("so does whatever makes it forget that it could store") {
        writer.lin_write<u32>(function + 1, 3, false);
        switch (GENERATE(0, 1, 2)) {
            case 0: writer.tlb_flush(true); break;
            case 1: writer.tlb_flush_page(function); break;
            default: leave_shared(&writer); break;
        }
        CHECK(m.told_written == 1);
        CHECK(result(Machine::kCode) == 3);
    }
}

TEST_CASE("a function that another processor writes anew each time is never the old one") {
    Machine m(2);
    m.code(Machine::kCode, kPatchOne);
    m.code(kOther, kRunOne);
    const u64 function = 8u << 20;
    m.code(function, "b800000000c3");
    for (unsigned n = 0; n < 2; ++n) {
        m.begin(n, n == 0 ? Machine::kCode : kOther);
        m.cpu(n).gpr[kEdi] = function;
        m.cpu(n).gpr[kEsi] = Machine::kData;
        m.cpu(n).gpr[kEcx] = ~0u;
    }
    m.run(kTime);
    CHECK(m.cpu(1).gpr[kR8] > 1);
    CHECK(m.cpu(1).gpr[kR9] == 0);
}

TEST_CASE("accessed and dirty bits are set without undoing what another processor writes to the entry") {
    Machine m(2);
    m.code(Machine::kCode, kUsePage);
    m.code(kOther, kChangeEntry);
    const u64 page = Machine::kSmallPages + 0x5000, entry = Machine::kTable + 5 * 8;
    m.begin(0, Machine::kCode);
    m.begin(1, kOther);
    m.cpu(0).gpr[kEdi] = page;
    m.cpu(1).gpr[kEdi] = entry;
    m.run(kTime);
    CHECK(m.cpu(1).gpr[kEbx] == 0);
    CHECK((m.peek<u64>(entry) & ~0x260ull) == (page | 7u));
    CHECK(m.peek<u32>(page) != 0);
}

TEST_CASE("a page's flag has a bit for each processor that caches code from it, and the last one clears it") {
    Machine m(2);
    const u64 function = 8u << 20;
    m.code(function, "f4");
    m.code(Machine::kCode, "f4");
    m.begin(0, function);
    m.begin(1, Machine::kCode);
    m.run();
    CHECK(m.flag(function) == 1);
    m.begin(0, Machine::kCode);
    m.begin(1, function);
    m.run();
    CHECK(m.flag(function) == 3);
    m.cpu(0).cache->flush(&m.cpu(0));
    CHECK(m.flag(function) == 2);
    m.cpu(1).cache->flush(&m.cpu(1));
    CHECK(m.flag(function) == 0);
}

}  // namespace backplane::interp::shared_test
