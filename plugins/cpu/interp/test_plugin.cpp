// The engine as a device: properties, lines, the CPU interface and declared state.
#include <unistd.h>

#include <algorithm>
#include <backplane/testkit/bench.hpp>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>

#include "model.hpp"

namespace backplane {
namespace {

// Guest memory for a processor in its slot.
struct Socket {
    std::vector<u8> ram = std::vector<u8>(1 << 20);
    std::vector<u8> code_flags = std::vector<u8>(256);
    bp_vcpu vcpu{};
    bp_cpu_bus bus{};
    testkit::Board board;
    const bp_cpu* cpu = nullptr;
    void* engine = nullptr;

    explicit Socket(testkit::Properties p = {}) : board(&DeviceType<InterpCpu>::value, std::move(p), {}) {
        bus.size = sizeof bus;
        bus.self = this;
        bus.page = [](void* self, uint64_t address, int, bp_page* page) {
            auto* s = static_cast<Socket*>(self);
            *page = bp_page{};
            // The top of the address space shows the last 64K of RAM, as a ROM would be.
            const u64 at = address >= 0xffff0000u ? address - 0xfff00000u : address;
            if (at >= s->ram.size()) return;
            page->read = page->write = &s->ram[at & ~u64{0xfff}];
            page->code_flag = &s->code_flags[at >> 12];
        };
        bus.read = [](void*, uint64_t, uint32_t, int) -> uint64_t { return ~0ull; };
        bus.write = [](void*, uint64_t, uint32_t, uint64_t, int) {};
        bus.port_read = [](void*, uint32_t, uint32_t) -> uint64_t { return ~0ull; };
        bus.port_write = [](void*, uint32_t, uint32_t, uint64_t) {};
        bus.lock = bus.unlock = [](void*) {};
        bus.now = [](void*) -> int64_t { return 0; };
    }
    void power_on() {
        REQUIRE(board.start() == BP_OK);
        const bp_interface i = board.offer(BP_CPU_ID);
        cpu = static_cast<const bp_cpu*>(i.table);
        engine = i.instance;
        REQUIRE(cpu->attach(engine, &vcpu, &bus) == BP_OK);
        board.reset(Reset::kPowerOn);
    }
    void code(std::initializer_list<int> bytes) {
        u32 at = 0xffff0;
        for (int b : bytes) ram[at++] = static_cast<u8>(b);
    }
    u32 run(u64 count) {
        vcpu.deadline = vcpu.instructions + count;
        return cpu->run(engine);
    }
};

}  // namespace

TEST_CASE("an unknown CPU model is refused with the known ones") {
    Socket s(testkit::Properties{{"model", "pentium9"}});
    CHECK(s.board.start() == BP_ERR_INVALID);
    CHECK(s.board.failure.find("pentium9") != std::string::npos);
    CHECK(s.board.failure.find("pentium2") != std::string::npos);
}

TEST_CASE("the processor starts at the reset vector in real mode") {
    Socket s;
    s.code({0xb8, 0x34, 0x12, 0xf4});  // mov ax, 1234h; hlt
    s.power_on();
    CHECK(s.run(100) == BP_EXIT_HALT);
    CHECK(s.vcpu.instructions == 2);
    char text[2048];
    const std::size_t n = s.cpu->where(s.engine, text, sizeof text);
    const std::string where(text, n);
    CHECK(where.find("f000:0000fff4") != std::string::npos);
    CHECK(where.find("eax=00001234") != std::string::npos);
    CHECK(s.cpu->where(s.engine, text, 10) == 10);
}

TEST_CASE("a processor restored from another's state goes on where that one was") {
    Socket first;
    // inc ax; imul bx, ax, 77; push bx; adc cx, bx; loop start
    first.code({0x40, 0x69, 0xd8, 77, 0, 0x53, 0x11, 0xd9, 0xe2, 0xf6, 0xf4});
    first.power_on();
    first.run(777);
    Socket second;
    second.power_on();
    second.ram = first.ram;
    second.vcpu.instructions = first.vcpu.instructions;
    REQUIRE(second.board.load(first.board.save()) == BP_OK);
    const u32 why = first.run(5000);
    CHECK(second.run(5000) == why);
    CHECK(second.board.save() == first.board.save());
    const bool same_memory = second.ram == first.ram;
    CHECK(same_memory);
}

TEST_CASE("a processor saved in system management mode goes on there, and older snapshots have none") {
    Socket first;
    first.code({0x40, 0xf4});
    std::fill_n(first.ram.begin() + 0x38000, 4, 0x90);
    first.power_on();
    first.board.drive("smi", true);
    first.board.drive("smi", false);
    first.run(1);
    auto fields = first.board.save();
    CHECK(fields["smm.active"][0] == 1);
    Socket second;
    second.power_on();
    SECTION("of this version") {
        second.ram = first.ram;
        second.ram[0x38001] = 0xf4;
        REQUIRE(second.board.load(fields) == BP_OK);
        CHECK(second.run(10) == BP_EXIT_HALT);
        char text[2048];
        const std::string where(text, second.cpu->where(second.engine, text, sizeof text));
        CHECK(where.find("3000:00008002") != std::string::npos);
        CHECK(where.find("system management") != std::string::npos);
    }
    SECTION("of version 1") {
        for (const char* name : {"smm.active", "smm.base", "smm.nmi_blocked", "smm.debug_pending"})
            REQUIRE(fields.fields.erase(name) == 1);
        fields.version = 1;
        REQUIRE(second.board.load(fields) == BP_OK);
        const auto now = second.board.save();
        CHECK(now.fields.at("smm.active").bytes == std::string(1, '\0'));
        CHECK(now.fields.at("smm.base").bytes == std::string("\0\0\3\0", 4));
    }
}

TEST_CASE("a state that no processor can have is refused") {
    Socket s;
    s.power_on();
    auto fields = s.board.save();
    fields["cpl"] = "\x07";
    CHECK(s.board.load(fields) == BP_ERR_INVALID);
}

TEST_CASE("a guest keeps the features that it has been shown") {
    // mov eax, 1; cpuid; mov esi, ecx; popcnt ax, cx; hlt
    const auto program = {0x66, 0xb8, 1, 0, 0, 0, 0x0f, 0xa2, 0x66, 0x89, 0xce, 0xf3, 0x0f, 0xb8, 0xc1, 0xf4};
    constexpr u32 popcnt = 1u << 23;
    const auto cpu_state = [](Socket& s) {
        return static_cast<const bp_cpu_state*>(s.board.offer(BP_CPU_STATE_ID).table);
    };
    const auto state_of = [&](Socket& s) {
        bp_x86_state state{};
        state.size = sizeof state;
        REQUIRE(cpu_state(s)->get(s.engine, &state) == BP_OK);
        return state;
    };
    Socket all(testkit::Properties{{"model", "qemu64"}}), fewer(testkit::Properties{{"model", "qemu64,-popcnt,-abm"}});
    for (Socket* s : {&all, &fewer}) s->code(program), s->power_on();

    SECTION("and is not taken over by a processor that lacks one") {
        const bp_x86_state before = state_of(fewer);
        const bp_x86_state other = state_of(all);
        CHECK((other.cpuid_features[1] & popcnt) != 0);
        CHECK(cpu_state(fewer)->set(fewer.engine, &other) == BP_ERR_INVALID);
        CHECK(fewer.board.failure.find("popcnt") != std::string::npos);
        const bp_x86_state after = state_of(fewer);
        CHECK(std::memcmp(&before, &after, sizeof after) == 0);
        CHECK(fewer.board.load(all.board.save()) == BP_ERR_INVALID);
    }
    SECTION("and sees no others on a processor that has more") {
        const bool by_snapshot = GENERATE(false, true);
        if (by_snapshot) {
            REQUIRE(all.board.load(fewer.board.save()) == BP_OK);
        } else {
            const bp_x86_state other = state_of(fewer);
            REQUIRE(cpu_state(all)->set(all.engine, &other) == BP_OK);
        }
        all.run(3);
        CHECK((state_of(all).gpr[BP_X86_RSI] & popcnt) == 0);
        CHECK(state_of(all).rip == 0xfffb);
        all.run(1);
        CHECK(state_of(all).segment[BP_X86_CS].selector == 0);  // at the vector of #UD, which is 0:0
        // Then one that had been shown all of them is welcome all the same.
        Socket third(testkit::Properties{{"model", "qemu64"}});
        third.power_on();
        const bp_x86_state full = state_of(third);
        CHECK(cpu_state(all)->set(all.engine, &full) == BP_OK);
        CHECK((state_of(all).cpuid_features[1] & popcnt) != 0);
    }
    SECTION("and who does not tell of them is believed") {
        bp_x86_state old = state_of(all);
        std::fill(std::begin(old.cpuid_features), std::end(old.cpuid_features), 0u);
        CHECK(cpu_state(fewer)->set(fewer.engine, &old) == BP_OK);
    }
}

TEST_CASE("a guest keeps the frequency of the time-stamp counter that it has measured") {
    Socket first(testkit::Properties{{"tsc-frequency", "2000000000"}}), second;
    for (Socket* s : {&first, &second}) s->power_on();
    if (GENERATE(false, true)) {
        REQUIRE(second.board.load(first.board.save()) == BP_OK);
    } else {
        const auto* states = static_cast<const bp_cpu_state*>(first.board.offer(BP_CPU_STATE_ID).table);
        bp_x86_state state{};
        state.size = sizeof state;
        REQUIRE(states->get(first.engine, &state) == BP_OK);
        CHECK(state.tsc_frequency == 2'000'000'000);
        REQUIRE(states->set(second.engine, &state) == BP_OK);
        state.tsc_frequency = 5;  // none that a counter has
        REQUIRE(states->set(second.engine, &state) == BP_OK);
    }
    CHECK(second.board.save()["tsc_frequency"] == first.board.save()["tsc_frequency"]);
}

TEST_CASE("a trace has a line for each instruction") {
    Socket s;
    s.code({0x40, 0x43, 0xf4});
    s.power_on();
    char name[] = "/tmp/backplane-trace-XXXXXX";
    const int fd = mkstemp(name);
    REQUIRE(fd >= 0);
    REQUIRE(s.cpu->trace_instructions(s.engine, to_bp(name)) == BP_OK);
    s.run(100);
    REQUIRE(s.cpu->trace_instructions(s.engine, to_bp("")) == BP_OK);
    std::string text(4096, '\0');
    text.resize(static_cast<std::size_t>(std::max<ssize_t>(0, read(fd, text.data(), text.size()))));
    close(fd);
    unlink(name);
    CHECK(std::count(text.begin(), text.end(), '\n') == 3);
    CHECK(text.find("inc ax") != std::string::npos);
    CHECK(text.find("hlt") != std::string::npos);
    CHECK(s.cpu->trace_instructions(s.engine, to_bp("/nonexistent/x")) == BP_ERR_IO);
    CHECK(s.board.failure.find("/nonexistent/x") != std::string::npos);
}

}  // namespace backplane
