// Files that are no sound snapshots are refused with the place and the reason.
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>

#include "kernel/state/test_parts.hpp"
#include "kernel/state/testing.hpp"

using namespace backplane;
using namespace backplane::kernel;
using namespace backplane::kernel::testing;

namespace {

std::string sound_bytes() {
    static const std::string bytes = [] {
        const Folder folder;
        Sample(true).write(folder.file("a"));
        return read_bytes(folder.file("a"));
    }();
    return bytes;
}
std::string refusal(const std::string& bytes) {
    return error_of([&] { SnapshotFile(bytes, "x"); });
}
long resident_kib() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

}  // namespace

TEST_CASE("a part that is taken to pieces and put together again is the same") {
    CHECK((Parts(sound_bytes()).bytes() == sound_bytes()));
    CHECK(Spots(Parts(sound_bytes())).list.size() > 150);
}

TEST_CASE("what is no snapshot is called so") {
    const Folder folder;
    CHECK(refusal("") == "x: not a snapshot");
    CHECK(refusal("\x89"
                  "BPSNAP\n") == "x: not a snapshot");
    CHECK(refusal(std::string(1000, 'x')) == "x: not a snapshot");
    write_bytes(folder.file("empty"), "");
    CHECK(error_of([&] { SnapshotFile(folder.file("empty")); }) == folder.file("empty") + ": not a snapshot");
    CHECK(error_of([&] { SnapshotFile(folder.path()); }) == folder.path() + ": not a file");
    CHECK(error_of([&] { SnapshotFile("/dev/zero"); }) == "/dev/zero: not a file");
    CHECK(error_of([&] { SnapshotFile(folder.file("none")); }) == folder.file("none") + ": No such file or directory");
    REQUIRE(::mkfifo(folder.file("pipe").c_str(), 0600) == 0);
    CHECK(error_of([&] { SnapshotFile(folder.file("pipe")); }) == folder.file("pipe") + ": not a file");
}

TEST_CASE("a file of another format version is named") {
    std::string bytes = sound_bytes();
    bytes[8] = 2;
    CHECK(refusal(bytes) == "x: offset 0x0: the file header does not match its checksum");
    format::set_u32(&bytes[12], format::checksum(std::string_view(bytes).substr(0, 12)));
    CHECK(refusal(bytes) == "x: offset 0x8: format version 2, but this program reads 1");
}

TEST_CASE("a file that ends early or late is refused, wherever") {
    const std::string bytes = sound_bytes();
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        const std::string error = refusal(bytes.substr(0, size));
        INFO(size << ": " << error);
        REQUIRE(error.starts_with("x: "));
    }
    CHECK(refusal(bytes + "x").ends_with("1 bytes follow the end"));
    CHECK(refusal(bytes.substr(0, 40)) == "x: offset 0x10: a section is expected, but 24 bytes are left");
    CHECK(refusal(bytes.substr(0, 100)).find("section `machine` has") != std::string::npos);
}

TEST_CASE("a section that is not known is skipped, unless it is required") {
    Parts parts(sound_bytes());
    Part extra;
    extra.header.name = "extra";
    extra.content = "whatever";
    SECTION("at the beginning") { parts.list.insert(parts.list.begin(), extra); }
    SECTION("in between") { parts.list.insert(parts.list.begin() + 4, extra); }
    SECTION("before the end") { parts.list.insert(parts.list.end() - 1, extra); }
    CHECK(SnapshotFile(parts.bytes(), "x").snapshot() == Sample(true).snapshot);
    std::string damaged = parts.bytes();
    damaged[damaged.find("whatever")] = 'W';
    CHECK(refusal(damaged).ends_with("section `extra` does not match its checksum"));
    parts.named("extra").header.flags = format::kRequired;
    CHECK(refusal(parts.bytes()).ends_with("section `extra` is needed and not known: the file is of a later version"));
    parts.named("extra").header.flags = 8;
    CHECK(refusal(parts.bytes()).ends_with("section `extra`: flags 0x8 are not known"));
    parts.named("extra").header.flags = 0;
    parts.named("extra").header.name = "e\x1b[m";
    CHECK(refusal(parts.bytes()).ends_with("the section has no proper name"));
}

TEST_CASE("there is one way to write a section header") {
    std::string bytes = sound_bytes();
    SECTION("the reserved number") { bytes[16 + 48] = 1; }
    SECTION("what pads the name") { bytes[16 + 8 + 15] = 'x'; }
    format::set_u32(&bytes[16 + 52], format::checksum(std::string_view(bytes).substr(16, 52)));
    CHECK(refusal(bytes) == "x: offset 0x10: section `machine`: reserved bytes are not zero");
}

TEST_CASE("sections must be there once and in their order") {
    Parts parts(sound_bytes());
    SECTION("one is missing") {
        parts.list.erase(parts.list.begin() + 1);
        CHECK(refusal(parts.bytes()).ends_with("section `facts` where `devices` is expected"));
    }
    SECTION("one is there twice") {
        parts.list.insert(parts.list.begin() + 1, parts.list[1]);
        CHECK(refusal(parts.bytes()).ends_with("section `devices` where `facts` is expected"));
    }
    SECTION("memory is missing") {
        parts.list.erase(parts.list.end() - 2);
        CHECK(refusal(parts.bytes()).ends_with("section `end` where `ram` is expected"));
    }
    SECTION("there is more memory") {
        parts.list.insert(parts.list.end() - 1, parts.list[4]);
        CHECK(refusal(parts.bytes()).ends_with("section `ram` where `end` is expected"));
    }
    SECTION("the end is missing") {
        parts.list.pop_back();
        CHECK(refusal(parts.bytes()).ends_with("a section is expected, but 0 bytes are left"));
    }
    SECTION("the end counts wrongly") {
        parts.repair_end = false;
        parts.list.back().content[0] = 9;
        CHECK_THAT(refusal(parts.bytes()), Catch::EndsWith("9 sections, but there are 7"));
    }
    SECTION("a section of another snapshot") {
        parts.repair_end = false;
        parts.named("machine").content[4] ^= 1;
        CHECK_THAT(refusal(parts.bytes()), Catch::EndsWith("the sections do not match their checksum"));
    }
}

TEST_CASE("memory that is not what it says is refused") {
    Parts parts(sound_bytes());
    Part& ram = parts.named("ram");
    const auto set = [&](std::size_t at, u32 value) { format::set_u32(&ram.content[at], value); };
    const u32 size = format::get_u32(&ram.content[4]);
    const char* expected = "";
    SECTION("a piece beyond the block") { set(0, 2), expected = "piece 2 is out of order or beyond the block"; }
    SECTION("a piece twice") {
        ram.content += ram.content.substr(0, 8 + size), expected = "piece 0 is out of order or beyond the block";
    }
    SECTION("a large piece") { set(4, 0xffffffff), expected = "piece 0 cannot have 4294967295 bytes"; }
    SECTION("an empty piece") { set(4, 0), expected = "piece 0 is not compressed memory of 1048576 bytes"; }
    SECTION("half a piece") { ram.content.resize(ram.content.size() - 1), expected = "cannot have"; }
    SECTION("half a header") { ram.content += "1234", expected = "the section ends within a piece"; }
    SECTION("a piece of another size") {
        ram.content = ram.content.substr(8 + size), set(0, 0);
        expected = "piece 0 is not compressed memory of 1048576 bytes";
    }
    SECTION("something else") { ram.content[8] = 'x', expected = "piece 0 is not compressed memory"; }
    SECTION("a damaged piece") {
        // The first block's type becomes the reserved one.
        ram.content[8 + 9] = static_cast<char>(ram.content[8 + 9] | 6), expected = "piece 0";
    }
    SECTION("a block of another size") {
        ram.header.raw_size = 4096, expected = "4096 bytes, but the block has 1052672";
    }
    CHECK_THAT(refusal(parts.bytes()),
               Catch::Contains(expected) && Catch::StartsWith("x: `ram` of `bridge`: offset 0x"));
}

TEST_CASE("counts and sizes beyond the file allocate nothing") {
    const long before = resident_kib();
    Parts parts(sound_bytes());
    std::string& devices = parts.named("devices").content;
    SECTION("devices") { format::set_u32(&devices[0], 60000); }
    SECTION("a name") { format::set_u32(&devices[4], 0xfffffff0); }
    SECTION("elements") {
        const std::size_t at = devices.find("buffer") + 6 + 16;
        devices.replace(at, 8, std::string("\0\0\0\0\0\0\0\x40", 8));
    }
    SECTION("a section") {
        parts.named("devices").lie_about_size = true;
        parts.named("devices").header.stored_size = parts.named("devices").header.raw_size = ~u64{0} - 100;
    }
    SECTION("a section's raw size") {
        parts.named("devices").lie_about_size = true;
        parts.named("devices").header.raw_size = u64{1} << 40;
    }
    SECTION("memory") {
        std::string& memory = parts.named("memory").content;
        memory.replace(memory.find("ram") + 3, 8, std::string("\0\0\0\0\0\x10\0\0", 8));
    }
    CHECK(refusal(parts.bytes()).find("offset 0x") != std::string::npos);
    CHECK(resident_kib() - before < 100'000);
}

TEST_CASE("a huge file that is no snapshot is not read") {
    const Folder folder;
    write_bytes(folder.file("a"), sound_bytes().substr(0, 200));
    REQUIRE(::truncate(folder.file("a").c_str(), off_t{100} << 30) == 0);
    const long before = resident_kib();
    CHECK_THAT(error_of([&] { SnapshotFile(folder.file("a")); }), Catch::Contains("offset 0x"));
    // The content of a block of memory may be as large as it likes, but must be compressed memory from its beginning.
    std::string bytes;
    Parts parts(sound_bytes());
    parts.list.resize(5);
    parts.list[4].content.clear();
    parts.list[4].lie_about_size = true;
    parts.list[4].header.stored_size = u64{60} << 30;
    write_bytes(folder.file("a"), parts.bytes());
    REQUIRE(::truncate(folder.file("a").c_str(), off_t{100} << 30) == 0);
    CHECK_THAT(error_of([&] { SnapshotFile(folder.file("a")); }), Catch::Contains("piece 0 is not compressed memory"));
    CHECK(resident_kib() - before < 100'000);
}
