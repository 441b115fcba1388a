// Writing and reading of snapshots that are sound; what is broken is in test_broken.cpp and test_mutations.cpp.
// CHECK((a == b)): megabytes that differ are not printed.
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <cstring>

#include "kernel/state/testing.hpp"

using namespace backplane;
using namespace backplane::kernel;
using namespace backplane::kernel::testing;

namespace {

std::string load(const SnapshotFile& file, std::size_t block, char before, bool zeroed) {
    std::string memory(file.snapshot().memory[block].size, before);
    file.load_memory(block, reinterpret_cast<u8*>(memory.data()), zeroed);
    return memory;
}

std::size_t files_in(const Folder& folder) {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder.path()), {}));
}

}  // namespace

TEST_CASE("a snapshot comes back as it was written") {
    const Folder folder;
    const Sample sample;
    sample.write(folder.file("a"));
    const SnapshotFile file(folder.file("a"));
    CHECK(file.snapshot() == sample.snapshot);
    CHECK(file.file_size() == std::filesystem::file_size(folder.file("a")));
    for (std::size_t i = 0; i < sample.contents.size(); ++i) {
        CHECK((load(file, i, '\x55', false) == sample.contents[i]));
        CHECK((load(file, i, '\0', true) == sample.contents[i]));
    }
    const SnapshotFile again(read_bytes(folder.file("a")), "bytes");
    CHECK(again.snapshot() == sample.snapshot);
    CHECK((load(again, 0, '\x55', false) == sample.contents[0]));
}

TEST_CASE("a snapshot of a machine with nothing in it comes back") {
    const Folder folder;
    write_snapshot(folder.file("a"), {}, [](std::size_t) { return nullptr; });
    CHECK(SnapshotFile(folder.file("a")).snapshot() == Snapshot{});
}

TEST_CASE("memory that is known to be zero is touched only where the snapshot has something") {
    const Folder folder;
    const Sample sample;
    sample.write(folder.file("a"));
    const SnapshotFile file(folder.file("a"));
    const std::string memory = load(file, 0, 'x', true);
    CHECK(memory[0x7c00] == '\x55');
    CHECK(memory[0] == '\0');
    CHECK(memory[kSnapshotChunk] == 'x');
    CHECK(memory.back() == 'e');
}

TEST_CASE("memory is read by pieces, of which equal ones are stored equally") {
    const Folder folder;
    const Sample sample;
    sample.write(folder.file("a"));
    const SnapshotFile file(folder.file("a"));
    REQUIRE(file.chunk_count(0) == 6);
    CHECK(file.chunk_size(0, 4) == kSnapshotChunk);
    CHECK(file.chunk_size(0, 5) == 4096);
    CHECK(file.stored_chunk(0, 1).empty());
    CHECK_FALSE(file.stored_chunk(0, 0).empty());
    for (u64 chunk = 0; chunk < 6; ++chunk) {
        std::string piece(file.chunk_size(0, chunk), 'x');
        file.load_chunk(0, chunk, reinterpret_cast<u8*>(piece.data()));
        CHECK((piece == sample.contents[0].substr(chunk * kSnapshotChunk, piece.size())));
    }
}

TEST_CASE("equal states give equal files, whatever was there before") {
    const Folder folder;
    const Sample sample;
    sample.write(folder.file("a"));
    write_bytes(folder.file("b"), std::string(3'000'000, 'x'));
    sample.write(folder.file("b"));
    CHECK((read_bytes(folder.file("a")) == read_bytes(folder.file("b"))));
    CHECK(files_in(folder) == 2);
}

TEST_CASE("memory that is all zero costs nothing in the file") {
    const Folder folder;
    Snapshot s;
    const std::string zeros(16 * kSnapshotChunk, '\0');
    s.memory = {{"bridge", "ram", zeros.size()}};
    write_snapshot(folder.file("a"), s, [&](std::size_t) { return reinterpret_cast<const u8*>(zeros.data()); });
    CHECK(std::filesystem::file_size(folder.file("a")) < 600);
}

TEST_CASE("the file begins with its magic and its version and belongs to its owner alone") {
    const Folder folder;
    Sample(true).write(folder.file("a"));
    const std::string bytes = read_bytes(folder.file("a"));
    CHECK(bytes.substr(0, 12) == std::string("\x89"
                                             "BPSNAP\n\1\0\0\0",
                                             12));
    CHECK(bytes.substr(16, 4) == "SECT");
    CHECK(bytes.substr(24, 8) == std::string("machine\0", 8));
    struct stat st {};
    REQUIRE(::stat(folder.file("a").c_str(), &st) == 0);
    CHECK((st.st_mode & 0777) == 0600);
}

TEST_CASE("a snapshot that cannot be written leaves everything as it was") {
    const Folder folder;
    const std::string path = folder.file("a");
    write_bytes(path, "precious");
    Sample sample(true);
    SECTION("the model breaks a rule of the format") {
        sample.snapshot.devices[1].name = "clock0";
        CHECK_THROWS_AS(sample.write(path), Error);
    }
    SECTION("the memory cannot be had") {
        CHECK_THROWS_AS(
            write_snapshot(path, sample.snapshot, [](std::size_t) -> const u8* { throw Error("no memory"); }), Error);
    }
    SECTION("the disk is full") {
        const auto before = std::signal(SIGXFSZ, SIG_IGN);
        rlimit limit{};
        ::getrlimit(RLIMIT_FSIZE, &limit);
        const rlimit small{1000, limit.rlim_max};
        ::setrlimit(RLIMIT_FSIZE, &small);
        const std::string error = error_of([&] { sample.write(path); });
        ::setrlimit(RLIMIT_FSIZE, &limit);
        std::signal(SIGXFSZ, before);
        CHECK(error.find("/a: cannot be written: File too large") != std::string::npos);
    }
    CHECK(read_bytes(path) == "precious");
    CHECK(files_in(folder) == 1);
}

TEST_CASE("a snapshot goes where a link leads, and replaces nothing but files") {
    const Folder folder;
    const Sample sample(true);
    write_bytes(folder.file("a"), "old");
    std::filesystem::create_symlink("a", folder.file("link"));
    sample.write(folder.file("link"));
    CHECK(std::filesystem::is_symlink(folder.file("link")));
    CHECK(SnapshotFile(folder.file("a")).snapshot() == sample.snapshot);

    std::filesystem::create_symlink("nowhere", folder.file("loose"));
    CHECK(error_of([&] { sample.write(folder.file("loose")); }).find("leads nowhere") != std::string::npos);
    std::filesystem::create_directory(folder.file("folder"));
    CHECK(error_of([&] { sample.write(folder.file("folder")); }).find("not a file") != std::string::npos);
    CHECK(error_of([&] { sample.write("/dev/null"); }) == "/dev/null: exists and is not a file");
    CHECK(error_of([&] { sample.write(folder.file("none/a")); }).find("No such file") != std::string::npos);
    CHECK(files_in(folder) == 4);
}

TEST_CASE("what a reader would refuse is not written") {
    const Folder folder;
    Sample sample(true);
    Snapshot& s = sample.snapshot;
    DeviceState& d = s.devices[0];
    const char* expected = nullptr;
    SECTION("a size that differs from the value's") { d.fields[0].bytes += 'x', expected = ""; }
    SECTION("a kind") { d.fields[0].kind = 6, expected = "field `index`: kind 6 is not known"; }
    SECTION("a width") { d.fields[2].element_size = 3, expected = "elements of 3 bytes"; }
    SECTION("a wide truth value") {
        d.fields[1].element_size = 4, d.fields[1].bytes.resize(4), expected = "elements of 4 bytes";
    }
    SECTION("a truth value") { d.fields[1].bytes = "\2", expected = "a truth value is 2"; }
    SECTION("a name") { d.fields[0].name = "a\nb", expected = "name of a field is not UTF-8 text of one line"; }
    SECTION("no name") { d.lines[0].first = "", expected = "name of a line is empty"; }
    SECTION("a long name") { d.timers[0].name = std::string(257, 'x'), expected = "has 257 bytes, more than 256"; }
    SECTION("a field twice") { d.fields[1].name = "index", expected = "device `clock0`: field `index` appears twice"; }
    SECTION("a line twice") { d.lines[1].first = "irq", expected = "line `irq` appears twice"; }
    SECTION("a timer twice") { d.timers[1].name = "tick", expected = "timer `tick` appears twice"; }
    SECTION("a property twice") { d.properties[1].first = "period", expected = "property `period` appears twice"; }
    SECTION("a time") { d.timers[0].due = -1, expected = "expiry of a timer is -1 ns, out of range"; }
    SECTION("a fact twice") { s.facts[1].key = "0", expected = "fact `test.rate`"; }
    SECTION("a block twice") { s.memory[2].name = "empty", expected = "appears twice"; }
    SECTION("too much memory") { s.memory[1].size = u64{64} << 30, expected = "more than 64G in all"; }
    SECTION("too many vCPUs") { s.instructions.resize(1025), expected = "count of vCPUs is 1025"; }
    REQUIRE(expected);
    CHECK(error_of([&] { sample.write(folder.file("a")); }).find(std::string("/a: cannot be written")) !=
          std::string::npos);
    CHECK_THAT(error_of([&] { sample.write(folder.file("a")); }), Catch::Contains(expected));
    CHECK(files_in(folder) == 0);
}
