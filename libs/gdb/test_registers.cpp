#include <catch2/catch.hpp>
#include <cstring>
#include <map>

#include "gdb/fake_target.hpp"

namespace backplane::gdb {
namespace {

constexpr u32 kAll = BP_CPU_HAS_X87 | BP_CPU_HAS_SSE | BP_CPU_HAS_AVX | BP_CPU_HAS_LONG_MODE;

std::size_t number_of(const std::vector<Register>& r, const std::string& name) {
    for (std::size_t i = 0; i < r.size(); ++i)
        if (r[i].name == name) return i;
    FAIL("there is no register " << name);
    return 0;
}

}  // namespace

TEST_CASE("registers stand in the order that debuggers take for granted") {
    const auto narrow = registers_of(BP_CPU_HAS_X87);
    CHECK(number_of(narrow, "eax") == 0);
    CHECK(number_of(narrow, "ebx") == 3);
    CHECK(number_of(narrow, "eip") == 8);
    CHECK(number_of(narrow, "gs") == 15);
    CHECK(number_of(narrow, "st0") == 16);
    CHECK(number_of(narrow, "fop") == 31);
    const auto wide = registers_of(kAll);
    CHECK(number_of(wide, "rbx") == 1);
    CHECK(number_of(wide, "rip") == 16);
    CHECK(number_of(wide, "st0") == 24);
    CHECK(number_of(wide, "xmm0") == 40);
    CHECK(number_of(wide, "mxcsr") == 56);
    for (const char* name : {"fs_base", "gs_base", "k_gs_base", "cr0", "cr2", "cr3", "cr4", "cr8", "efer", "ymm15h"})
        number_of(wide, name);
}

TEST_CASE("the description names each register once, and the architecture of the processor") {
    for (const u32 has : {u32{BP_CPU_HAS_X87}, kAll}) {
        const auto registers = registers_of(has);
        const std::string text = description_of(has, registers);
        CHECK(text.find(has == kAll ? ">i386:x86-64<" : ">i386<") != std::string::npos);
        for (const Register& r : registers) {
            const std::string mention = "<reg name=\"" + r.name + "\" bitsize=\"" + std::to_string(r.bits) + "\"";
            CHECK(text.find(mention) != std::string::npos);
            CHECK(text.find(mention) == text.rfind(mention));
        }
        CHECK((text.find("org.gnu.gdb.i386.sse") != std::string::npos) == (has == kAll));
    }
}

TEST_CASE("what is written into a register is read from it, and nothing else changes") {
    for (const Register& r : registers_of(kAll)) {
        bp_x86_state s{};
        s.cr0 = 0x10;
        std::string written(r.bits / 8, '\0'), read(r.bits / 8, '\0');
        written[0] = 0x5a;
        if (r.name == "ftag") continue;
        INFO(r.name);
        REQUIRE(r.write(s, reinterpret_cast<const u8*>(written.data())));
        r.read(s, reinterpret_cast<u8*>(read.data()));
        CHECK(read == written);
        for (const Register& other : registers_of(kAll)) {
            if (other.name == r.name || other.name == "ftag") continue;
            if (r.name.size() == 2 && r.name[1] == 's' && other.name.ends_with("_base")) continue;
            std::string bytes(other.bits / 8, '\0');
            other.read(s, reinterpret_cast<u8*>(bytes.data()));
            const bool zero = bytes.find_first_not_of('\0') == std::string::npos;
            CHECK(zero == (other.name != "cr0"));
        }
    }
}

TEST_CASE("a selector brings its base in real mode and cannot be changed in protected mode") {
    const auto all = registers_of(BP_CPU_HAS_X87);
    const Register& ds = all[number_of(all, "ds")];
    bp_x86_state s{};
    const u8 value[4] = {0x34, 0x12, 0, 0}, too_much[4] = {0, 0, 1, 0};
    CHECK(ds.write(s, value));
    CHECK(s.segment[BP_X86_DS].base == 0x12340);
    CHECK(!ds.write(s, too_much));
    s.cr0 = 1;
    CHECK(ds.write(s, value));  // as it is
    s.segment[BP_X86_DS].selector = 8;
    CHECK(!ds.write(s, value));
    s.rflags |= 1u << 17;
    CHECK(ds.write(s, value));
}

TEST_CASE("the tag word is made of the registers' contents") {
    const auto all = registers_of(BP_CPU_HAS_X87);
    const Register& tag = all[number_of(all, "ftag")];
    bp_x86_state s{};
    u32 word = 0;
    tag.read(s, reinterpret_cast<u8*>(&word));
    CHECK(word == 0xffff);
    s.fsw = 6u << 11;  // two values: physical registers 6 and 7
    s.ftw = 0xc0;
    s.st[0] = {1ull << 63, 0x3fff, {}};  // 1.0
    s.st[1] = {0, 0, {}};
    tag.read(s, reinterpret_cast<u8*>(&word));
    CHECK(word == 0x4fff);
    s.st[1] = {1ull << 63, 0x7fff, {}};  // infinity
    tag.read(s, reinterpret_cast<u8*>(&word));
    CHECK(word == 0x8fff);
    word = 0xfffc;
    tag.write(s, reinterpret_cast<u8*>(&word));
    CHECK(s.ftw == 1);
}

}  // namespace backplane::gdb
