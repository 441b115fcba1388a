// Each plugin of tests/sdk/wrong is wrong in one way, and lint says which.
#include <elf.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "kernel/config/error.hpp"
#include "kernel/plugin/lint.hpp"
#include "kernel/plugin/lint_rules.hpp"

using namespace backplane;
using namespace backplane::kernel;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
namespace fs = std::filesystem;

namespace {

std::string file(const std::string& name) { return std::string(WRONG_PLUGINS) + "/" + name + ".so"; }

std::string bytes_of(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    REQUIRE(in);
    return {std::istreambuf_iterator<char>(in), {}};
}

struct Folder {
    std::string path = fs::temp_directory_path() / ("bp-lint-" + std::to_string(::getpid()));
    Folder() { fs::create_directories(path); }
    ~Folder() { fs::remove_all(path); }
    std::string write(const std::string& name, const std::string& bytes) const {
        std::ofstream(path + "/" + name, std::ios::binary) << bytes;
        return path + "/" + name;
    }
};

// Everything that is held against the plugin, one finding a line; "" if nothing is.
std::string found(const std::string& path) {
    std::string out;
    const LintReport report = lint_plugin(path);
    for (const LintFinding& f : report.findings)
        if (!f.note) out += f.what + ": " + f.why + "\n";
    CHECK(report.clean() == out.empty());
    return out;
}
std::string wrong(const std::string& name) { return found(file(name)); }

std::string notes(const std::string& name) {
    std::string out;
    for (const LintFinding& f : lint_plugin(file(name)).findings)
        if (f.note) out += f.what + ": " + f.why + "\n";
    return out;
}

template <class Header>
std::vector<Header> headers(const std::string& bytes, std::size_t table_at, std::size_t count_at) {
    u64 offset = 0;
    u16 count = 0;
    std::memcpy(&offset, bytes.data() + table_at, sizeof offset);
    std::memcpy(&count, bytes.data() + count_at, sizeof count);
    std::vector<Header> list(count);
    std::memcpy(list.data(), bytes.data() + offset, count * sizeof(Header));
    return list;
}

}  // namespace

TEST_CASE("a plugin that keeps its word has nothing against it") {
    CHECK(wrong("plain") == "");
    CHECK(wrong("keeps_word") == "");
    CHECK(lint_plugin(file("keeps_word")).manifest.kind == "backend");
}

TEST_CASE("a device must not touch the host's files") {
    CHECK_THAT(wrong("opens_file"), StartsWith("open: opens or changes host files; a device reaches the host only"));
    const std::string stream = wrong("writes_stream");
    CHECK_THAT(stream, Contains("std::filesystem (_ZNSt10filesystem") && Contains("std::ofstream ("));
}

TEST_CASE("a device must not look at the host's clock, randomness or environment") {
    const std::string clock = wrong("reads_clock");
    CHECK_THAT(clock, Contains("clock_gettime: reads the host's clock") &&
                          Contains("std::chrono::system_clock::now (_ZNSt6chrono"));
    const std::string random = wrong("takes_random");
    CHECK_THAT(random, Contains("rand: takes random numbers from the host") && Contains("std::random_device ("));
    CHECK_THAT(wrong("asks_environment"), StartsWith("getenv: depends on the host's environment"));
}

TEST_CASE("a device must neither print nor end the process") {
    const std::string prints = wrong("prints");
    CHECK_THAT(prints, Contains("puts: uses the terminal") && Contains("std::cout (_ZSt4cout): uses the terminal"));
    CHECK_THAT(wrong("ends_process"), StartsWith("abort: ends the whole process"));
}

TEST_CASE("a back end does what it says that it needs, and no more") {
    CHECK_THAT(wrong("starts_thread"),
               Contains("std::thread (") && Contains("the plugin does not say that it needs `threads`"));
    CHECK_THAT(wrong("opens_socket"),
               StartsWith("socket: ") && Contains("the plugin does not say that it needs `network`"));
    CHECK_THAT(wrong("runs_program"), StartsWith("system: starts other programs"));
    CHECK_THAT(notes("runs_program"), Contains("needs `network`: nothing that it imports would need it"));
}

TEST_CASE("needs are known words, and a device has none") {
    CHECK_THAT(wrong("needs_odd"), StartsWith("needs `printer`: means nothing"));
    CHECK_THAT(wrong("needs_device"), StartsWith("needs: a plugin of kind device needs nothing of the host"));
}

TEST_CASE("what keeps a library in memory is found") {
    CHECK_THAT(wrong("unique_symbol"), Contains("is a unique symbol") && Contains("-fno-gnu-unique"));
    CHECK_THAT(wrong("thread_local"), StartsWith("__cxa_thread_atexit: keeps the library in memory for ever"));
    CHECK_THAT(wrong("not_deletable"), StartsWith("-z nodelete: "));
}

TEST_CASE("exports besides the plugin's symbol are found") {
    const std::string text = wrong("exports_more");
    CHECK_THAT(text, Contains("helper: is exported"));
    CHECK_THAT("\n" + text, !Contains("\nbackplane_plugin: is exported"));
}

TEST_CASE("memory that is writable and executable is found") {
    CHECK_THAT(wrong("executable_stack"), StartsWith("stack: it would make the stacks executable"));
    CHECK_THAT(wrong("text_relocation"), StartsWith("text relocations: its code is changed"));
    // Of the code's segment; and the same file without a word about its stack.
    const Folder f;
    const std::string plain = bytes_of(file("plain"));
    std::string writable = plain, silent = plain;
    const auto segments = headers<Elf64_Phdr>(plain, offsetof(Elf64_Ehdr, e_phoff), offsetof(Elf64_Ehdr, e_phnum));
    for (std::size_t i = 0; i < segments.size(); ++i) {
        const std::size_t at = sizeof(Elf64_Ehdr) + i * sizeof(Elf64_Phdr);
        if (segments[i].p_type == PT_LOAD && (segments[i].p_flags & PF_X))
            writable[at + offsetof(Elf64_Phdr, p_flags)] = 7;
        if (segments[i].p_type == PT_GNU_STACK) silent[at] = 0;
    }
    CHECK_THAT(found(f.write("writable.so", writable)), StartsWith("segment: a part of it is writable and executable"));
    CHECK_THAT(found(f.write("silent.so", silent)), StartsWith("stack: it does not say"));
}

TEST_CASE("libraries are judged by the plugin's kind") {
    CHECK_THAT(wrong("own_library"),
               StartsWith("libZydis.so") && Contains("a device links the C and C++ run time alone"));
    CHECK_THAT(wrong("kernels_library"), StartsWith("libfmt.so") && Contains("belongs to the program"));
}

TEST_CASE("imports are matched by name, variant and kind") {
    const auto group_of = [](std::string_view symbol) {
        const auto match = match_import(symbol);
        return match ? std::string(match->group->does) : "";
    };
    for (const char* open : {"open", "open64", "__open_2", "__open64_2", "openat64", "fopen64", "creat64"})
        CHECK_THAT(group_of(open), StartsWith("opens or changes host files"));
    CHECK_THAT(group_of("__printf_chk"), StartsWith("uses the terminal"));
    CHECK_THAT(group_of("__read_chk"), StartsWith("works on descriptors"));
    CHECK_THAT(group_of("mmap64"), StartsWith("maps host memory"));
    for (const char* harmless : {"memcpy", "__memcpy_chk", "__snprintf_chk", "_Znwm", "__cxa_finalize",
                                 "pthread_mutex_lock", "opened", "_ZSt9terminatev", "", "_chk", "__chk", "64"})
        CHECK(group_of(harmless) == "");

    const auto may = [](std::string_view symbol, u32 kind, u32 needs) {
        return allowed(*match_import(symbol)->group, kind, needs);
    };
    CHECK_FALSE(may("open", kKindDevice, kNeedFiles));
    CHECK(may("open", kKindEngine, kNeedFiles));
    CHECK_FALSE(may("open", kKindBackend, kNeedThreads));
    CHECK(may("poll", kKindBackend, kNeedThreads));
    CHECK_FALSE(may("clock_gettime", kKindEngine, kNeedAny));
    CHECK(may("clock_gettime", kKindBackend, 0));
    CHECK(may("mmap", kKindEngine, 0));
    CHECK_FALSE(may("mmap", kKindDevice, 0));
    CHECK_FALSE(may("abort", kKindFrontend, kNeedAny));
    CHECK(may("puts", kKindFrontend, 0));
}

TEST_CASE("a file whose section table hides the symbols that are loaded is refused") {
    const Folder f;
    std::string bytes = bytes_of(file("opens_file"));
    const auto sections = headers<Elf64_Shdr>(bytes, offsetof(Elf64_Ehdr, e_shoff), offsetof(Elf64_Ehdr, e_shnum));
    u64 table = 0;
    std::memcpy(&table, bytes.data() + offsetof(Elf64_Ehdr, e_shoff), sizeof table);
    for (std::size_t i = 0; i < sections.size(); ++i)
        if (sections[i].sh_type == SHT_DYNSYM)
            bytes[table + i * sizeof(Elf64_Shdr) + offsetof(Elf64_Shdr, sh_addr)] ^= 0x40;
    CHECK_THROWS_WITH(lint_plugin(f.write("hidden.so", bytes)),
                      Contains("hidden.so: truncated or damaged: its section table shows another symbol table"));
}

TEST_CASE("no damage to a file makes lint fail otherwise than by an error") {
    const Folder f;
    const std::string bytes = bytes_of(file("plain"));
    const auto sections = headers<Elf64_Shdr>(bytes, offsetof(Elf64_Ehdr, e_shoff), offsetof(Elf64_Ehdr, e_shnum));
    u64 table = 0;
    std::memcpy(&table, bytes.data() + offsetof(Elf64_Ehdr, e_shoff), sizeof table);
    // Where there is structure: headers, program headers, dynamic table, symbols, section table.
    std::vector<std::pair<u64, u64>> places{{0, 64 + 12 * sizeof(Elf64_Phdr)}, {table, bytes.size() - table}};
    for (const Elf64_Shdr& s : sections)
        if (s.sh_type == SHT_DYNSYM || s.sh_type == SHT_DYNAMIC || s.sh_type == SHT_STRTAB)
            places.emplace_back(s.sh_offset, s.sh_size);
    std::mt19937_64 random(2);
    int errors = 0, reports = 0;
    for (int round = 0; round < 3000; ++round) {
        std::string copy = bytes;
        for (u64 changes = 1 + random() % 4; changes > 0; --changes) {
            const auto& [offset, size] = places[random() % places.size()];
            static constexpr unsigned char kEdges[] = {0, 1, 0x7f, 0x80, 0xff};
            copy[(offset + random() % size) % copy.size()] =
                static_cast<char>(random() % 2 ? kEdges[random() % 5] : random());
        }
        try {
            lint_plugin(f.write("flipped.so", copy));
            ++reports;
        } catch (const Error& e) {
            CHECK(e.exit_code == kExitPlugin);
            ++errors;
        }
    }
    CHECK(errors > 100);
    CHECK(reports > 100);
}
