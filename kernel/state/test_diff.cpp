#include <catch2/catch.hpp>
#include <limits>

#include "kernel/state/diff.hpp"
#include "kernel/state/testing.hpp"

using namespace backplane;
using namespace backplane::kernel;
using namespace backplane::kernel::testing;

namespace {

using Lines = std::vector<std::string>;

Lines lines(const std::vector<Difference>& differences) {
    Lines all;
    for (const Difference& d : differences) all.push_back(d.text());
    return all;
}
Lines compare(const Sample& a, const Sample& b, const DiffOptions& options = {}) {
    return lines(diff(a.snapshot, b.snapshot, options));
}
Lines compare_files(const Sample& a, const Sample& b, const DiffOptions& options = {}) {
    const Folder folder;
    a.write(folder.file("a"));
    b.write(folder.file("b"));
    return lines(diff(SnapshotFile(folder.file("a")), SnapshotFile(folder.file("b")), options));
}

}  // namespace

TEST_CASE("equal snapshots do not differ") { CHECK(compare_files(Sample{}, Sample{}) == Lines{}); }

TEST_CASE("fields, lines, timers, properties and facts that differ are named") {
    const Sample a;
    Sample b;
    DeviceState& d = b.snapshot.devices[0];
    d.fields[0].bytes = "\x0c";
    d.fields[1].bytes[0] = 0;
    d.fields[2].bytes[3] = '\x57';
    d.properties[0].second = "1s";
    d.lines[1].second = true;
    d.timers[0].due = 1'400'000'000;
    d.timers.pop_back();
    b.snapshot.facts[0].fields[0].second = "5";
    b.snapshot.time_ns = 2'000'000'000;
    b.snapshot.instructions[1] = 6;
    CHECK(compare(a, b) == Lines{"machine.time: 1.234567890 s -> 2.000000000 s", "machine.instructions[1]: 5 -> 6",
                                 "clock0.property period: 250ms -> 1s", "clock0.index: 0a -> 0c",
                                 "clock0.on: true -> false", "clock0.channel[1].count[1]: 5678 -> 5778",
                                 "clock0.line lamp: low -> high", "clock0.timer tick: 1.300000000 s -> 1.400000000 s",
                                 "clock0.timer alarm: only in the first", "fact test.rate 0 of clock0: hertz: 4 -> 5"});
}

TEST_CASE("what only one side has is named") {
    const Sample a;
    Sample b;
    b.snapshot.devices[1].name = "bridge2";
    b.snapshot.devices[0].fields.erase(b.snapshot.devices[0].fields.begin());
    b.snapshot.devices[0].fields[0].kind = BP_STATE_UNSIGNED;
    b.snapshot.facts.pop_back();
    b.snapshot.memory[1].size = 4096;
    CHECK(compare(a, b) == Lines{"clock0.index: only in the first",
                                 "clock0.on: bool of 1 byte, 1 element -> unsigned of 1 byte, 1 element",
                                 "bridge: only in the first", "bridge2: only in the second",
                                 "fact test.rate 1 of clock0: only in the first", "empty of clock0: 8K -> 4K"});
}

TEST_CASE("the order of devices matters, that of fields does not") {
    const Sample a;
    Sample b;
    std::swap(b.snapshot.devices[0], b.snapshot.devices[1]);
    std::swap(b.snapshot.devices[1].fields[0], b.snapshot.devices[1].fields[1]);
    CHECK(compare(a, b) == Lines{"machine.devices: their order differs"});
}

TEST_CASE("long arrays are cut") {
    const Sample a;
    Sample b;
    b.snapshot.devices[0].fields[5].bytes = std::string(1000, 'c');
    CHECK(compare(a, b, {.elements = 2}) ==
          Lines{"clock0.buffer[0]: 62 -> 63", "clock0.buffer[1]: 62 -> 63", "clock0.buffer: and 998 more elements"});
}

TEST_CASE("floats that read alike and are not equal differ") {
    Sample a, b;
    std::string nan(8, '\xff');
    a.snapshot.devices[0].fields[4].bytes = nan;
    nan[0] = '\xfe';
    b.snapshot.devices[0].fields[4].bytes = nan;
    CHECK(compare(a, b).size() == 1);
}

TEST_CASE("what is ignored does not count") {
    const Sample a;
    Sample b;
    b.snapshot.program_version = "0.2.0";
    b.snapshot.devices[0].fields[0].bytes = "\x0c";
    b.contents[0][0] = 'x';
    CHECK(compare_files(a, b, {.ignore = {"machine.*", "clock0.ind?x", "ram of *"}}) == Lines{});
    CHECK(compare_files(a, b, {.ignore = {"machine.*", "ram of *"}}) == Lines{"clock0.index: 0a -> 0c"});
    b.snapshot.devices[0].fields[5].bytes[7] = 'c';
    CHECK(compare(a, b, {.ignore = {"machine.*", "clock0.index"}}) == Lines{"clock0.buffer[7]: 62 -> 63"});
    for (const char* pattern : {"clock0.buffer", "clock0.buffer[7]"})
        CHECK(compare(a, b, {.ignore = {"machine.*", "clock0.index", pattern}}) == Lines{});
}

TEST_CASE("memory is compared by ranges") {
    const Sample a;
    Sample b;
    std::string& ram = b.contents[0];
    ram[0x7c00] = 'x', ram[0x7c01] = 'y', ram[0x7c02] = 'z', ram[0x7c03] = 'z';
    ram[kSnapshotChunk - 1] = ram[kSnapshotChunk] = 'j';  // over the border of two pieces
    ram[3 * kSnapshotChunk + 5] = 'k';                    // zero in the first
    b.contents[2][0] = 's';
    CHECK(compare_files(a, b) ==
          Lines{"ram of bridge: differs in 7 bytes (3 ranges)", "rom of clock0: differs in 1 byte (1 range)"});
    CHECK(compare_files(a, b, {.memory = true}) ==
          Lines{"ram of bridge: 0x7c00-0x7c03 (4 bytes)", "ram of bridge: 0xfffff-0x100000 (2 bytes)",
                "ram of bridge: 0x300005 (1 byte)", "rom of clock0: 0x0 (1 byte)"});
    CHECK(compare_files(a, b, {.memory = true, .ranges = 1}) ==
          Lines{"ram of bridge: 0x7c00-0x7c03 (4 bytes)", "ram of bridge: and 2 more ranges; 7 bytes in all",
                "rom of clock0: 0x0 (1 byte)"});
}
