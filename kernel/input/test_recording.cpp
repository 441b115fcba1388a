#include <unistd.h>
#include <xxhash.h>
#include <catch2/catch.hpp>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "kernel/config/error.hpp"
#include "kernel/input/input_log.hpp"

using namespace backplane;
using namespace backplane::kernel;
using Catch::Contains;

namespace {

std::span<const u8> bytes(std::string_view text) { return {reinterpret_cast<const u8*>(text.data()), text.size()}; }
std::string text(std::span<const u8> bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

struct File {
    std::filesystem::path path;
    File() {
        std::string name = (std::filesystem::temp_directory_path() / "backplane-input-XXXXXX").string();
        const int fd = ::mkstemp(name.data());
        if (fd >= 0) ::close(fd);
        path = name;
    }
    ~File() {
        std::error_code ignored;
        std::filesystem::remove(path, ignored);
    }
    std::vector<u8> contents() const {
        std::ifstream in(path, std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }
};

const MachineIdentity kMachine{"board", {{"device a", 1}, {"contents of b", 2}}};

// Two channels, three events, an end.
std::vector<u8> session(const File& file, bool ended = true) {
    InputLog log;
    log.record_to(file.path, kMachine);
    REQUIRE(log.recording());
    CHECK(log.record({10, 0, 100}, "line", bytes("ab")));
    CHECK(log.record({10, 1, 120}, "keys", bytes(std::string_view("\0\1", 2))));
    CHECK(log.record({4'000'000'000'000, 7, 1'500'000'000}, "line", bytes("c")));
    if (ended) {
        CHECK(log.record_end({{4'000'000'000'001, 9, 1'600'000'000}, 2, -3, "quit"}));
        CHECK_FALSE(log.recording());
    }
    return file.contents();
}

std::string failure(std::vector<u8> file) {
    try {
        Recording::parse(std::move(file), "file");
    } catch (const Error& e) {
        return e.what();
    }
    return "";
}

}  // namespace

TEST_CASE("a recorded session comes back event by event, each at its own point only") {
    File file;
    session(file);
    InputLog log;
    log.replay_from(file.path, kMachine);
    REQUIRE(log.replaying());
    CHECK(log.next() == InputStamp{10, 0, 100});
    CHECK_FALSE(log.take({9, 0, 90}));
    CHECK_FALSE(log.take({10, 0, 120}));
    const auto first = log.take({10, 0, 100});
    REQUIRE(first);
    CHECK(first->channel == "line");
    CHECK(text(first->bytes) == "ab");
    CHECK_FALSE(log.take({10, 0, 100}));
    const auto second = log.take({10, 1, 120});
    REQUIRE(second);
    CHECK(second->channel == "keys");
    CHECK(text(second->bytes) == std::string("\0\1", 2));
    CHECK_FALSE(log.end());
    REQUIRE(log.take({4'000'000'000'000, 7, 1'500'000'000}));
    REQUIRE(log.end());
    CHECK(log.next() == log.end()->at);
    CHECK(log.end()->at == InputStamp{4'000'000'000'001, 9, 1'600'000'000});
    CHECK(log.end()->reason == 2);
    CHECK(log.end()->code == -3);
    CHECK(log.end()->text == "quit");
    CHECK_FALSE(log.exhausted());
}

TEST_CASE("input longer than one event keeps its order") {
    File file;
    std::string all;
    for (int i = 0; i < 200'000; ++i) all += static_cast<char>('a' + i % 23);
    {
        InputLog log;
        log.record_to(file.path, kMachine);
        CHECK(log.record({1, 1, 1}, "line", bytes(all)));
    }
    InputLog log;
    log.replay_from(file.path, kMachine);
    std::string got;
    while (const auto event = log.take({1, 1, 1})) got += text(event->bytes);
    CHECK(got == all);
    CHECK(log.exhausted());
}

TEST_CASE("a replay that has passed its next event says where, and what was missed") {
    File file;
    session(file);
    InputLog log;
    log.replay_from(file.path, kMachine);
    CHECK(log.divergence({9, 0, 90}).empty());
    CHECK(log.divergence({10, 0, 100}).empty());
    const std::string text = log.divergence({11, 0, 110});
    CHECK_THAT(text, Contains(file.path.string()));
    CHECK_THAT(text, Contains("event 1 of 3 (2 bytes for line) belongs at instruction 10, timer 0"));
    CHECK_THAT(text, Contains("the machine is at instruction 11, timer 0, 0.000000110 s"));
    // The same instruction with a timer too many, or at another time, is another run as well.
    CHECK_FALSE(log.divergence({10, 1, 100}).empty());
    CHECK_FALSE(log.divergence({10, 0, 101}).empty());
}

TEST_CASE("a recording of another board or device is refused by name") {
    File file;
    session(file);
    const auto refused = [&](const MachineIdentity& here) {
        InputLog log;
        try {
            log.replay_from(file.path, here);
        } catch (const Error& e) {
            CHECK_FALSE(log.replaying());
            return std::string(e.what());
        }
        return std::string();
    };
    CHECK_THAT(refused({"other", kMachine.parts}), Contains("recorded on the board board, this one is other"));
    CHECK_THAT(refused({"board", {{"device a", 1}, {"contents of b", 3}}}), Contains("a difference in: contents of b"));
    CHECK_THAT(refused({"board", {{"device a", 1}}}), Contains("contents of b (not here)"));
    CHECK_THAT(refused({"board", {{"device a", 1}, {"contents of b", 2}, {"device c", 0}}}),
               Contains("device c (not there)"));
    CHECK(refused(kMachine).empty());
}

TEST_CASE("what a killed process leaves is a recording without an end") {
    File file;
    const std::vector<u8> whole = session(file, false);
    const Recording all = Recording::parse(whole, "file");
    REQUIRE(all.events.size() == 3);
    CHECK_FALSE(all.end);
    // Cut anywhere, it is either no recording yet or a prefix of the events.
    std::size_t before = 0;
    for (std::size_t size = 0; size <= whole.size(); ++size) {
        const std::vector<u8> part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
        if (const std::string error = failure(part); !error.empty()) {
            CHECK(before == 0);
            continue;
        }
        const Recording r = Recording::parse(part, "file");
        CHECK(r.events.size() >= before);
        CHECK(r.events.size() <= before + 1);
        before = r.events.size();
        for (std::size_t i = 0; i < before; ++i) CHECK(text(r.events[i].bytes) == text(all.events[i].bytes));
    }
    CHECK(before == 3);
}

TEST_CASE("a damaged recording is refused with the place") {
    File file;
    const std::vector<u8> whole = session(file);
    REQUIRE(failure(whole).empty());
    CHECK_THAT(failure({}), Contains("is no recording"));
    std::vector<u8> newer = whole;
    newer[8] = 2;
    CHECK_THAT(failure(newer), Contains("version 2"));
    // Every single byte counts.
    for (std::size_t at = 0; at < whole.size(); ++at) {
        std::vector<u8> mutated = whole;
        mutated[at] ^= 0x41;
        const std::string error = failure(mutated);
        if (!error.empty()) continue;
        // A length that grew beyond the file looks like an unfinished event; nothing wrong is believed.
        CHECK(Recording::parse(mutated, "file").events.size() < 4);
        CHECK_FALSE(Recording::parse(mutated, "file").end);
    }
    std::vector<u8> more = whole;
    more.insert(more.end(), whole.end() - 60, whole.end());
    CHECK_THAT(failure(more), Contains("damaged at offset"));
}

TEST_CASE("events that are exchanged, left out or out of order are refused") {
    const InputStamp early{1, 1, 1}, late{2, 2, 2};
    const auto join = [](std::initializer_list<std::string> parts) {
        std::vector<u8> out;
        for (const std::string& p : parts) out.insert(out.end(), p.begin(), p.end());
        return out;
    };
    RecordingWriter w;
    const std::string header = w.header(kMachine), channel = w.channel(0, "line"),
                      one = w.input(early, 0, bytes("one")), two = w.input(late, 0, bytes("two"));
    CHECK(failure(join({header, channel, one, two})).empty());
    CHECK_THAT(failure(join({header, channel, two})), Contains("checksum"));
    CHECK_THAT(failure(join({header, channel, two, one})), Contains("checksum"));
    {
        RecordingWriter v;
        CHECK_THAT(failure(join({v.header(kMachine), v.channel(0, "line"), v.input(late, 0, bytes("x")),
                                 v.input(early, 0, bytes("y"))})),
                   Contains("lies before"));
    }
    {
        RecordingWriter v;
        CHECK_THAT(failure(join({v.header(kMachine), v.input(early, 0, bytes("x"))})), Contains("not introduced"));
    }
    {
        RecordingWriter v;
        CHECK_THAT(failure(join({v.header(kMachine), v.channel(1, "line")})), Contains("not in order"));
    }
    {
        RecordingWriter v;
        CHECK_THAT(failure(join({v.header(kMachine), v.end({early, 0, 0, ""}), v.end({late, 0, 0, ""})})),
                   Contains("behind the end"));
    }
}

namespace {

// Makes all checksums right again, as somebody would who wants the parser to look at what is behind them.
void reseal(std::vector<u8>& file) {
    const auto value = [&](std::size_t at) {
        return static_cast<std::size_t>(file[at] | file[at + 1] << 8 | file[at + 2] << 16) +
               (std::size_t{file[at + 3]} << 24);
    };
    u64 checksum = 0;
    for (std::size_t at = 0, head = 16; at + head <= file.size(); head = 8) {
        const std::size_t size = head + value(at + head - 4);
        if (size + 8 > file.size() - at) return;
        checksum = ::XXH64(&file[at], size, checksum);
        for (unsigned i = 0; i < 8; ++i) file[at + size + i] = static_cast<u8>(checksum >> (8 * i));
        at += size + 8;
    }
}

}  // namespace

TEST_CASE("random damage never does more than refuse a recording") {
    File file;
    const std::vector<u8> whole = session(file);
    std::mt19937 random(1);
    unsigned accepted = 0, reasons = 0;
    for (int round = 0; round < 20'000; ++round) {
        std::vector<u8> mutated = whole;
        for (unsigned n = 1 + random() % 4; n > 0 && !mutated.empty(); --n) {
            const std::size_t at = random() % mutated.size();
            const auto place = mutated.begin() + static_cast<std::ptrdiff_t>(at);
            switch (random() % 8) {
                case 0: mutated.erase(place); break;
                case 1: mutated.insert(place, static_cast<u8>(random())); break;
                case 2: mutated.resize(at); break;
                default: *place = static_cast<u8>(random()); break;
            }
        }
        if (round % 2) reseal(mutated);
        const std::string error = failure(std::move(mutated));
        accepted += error.empty();
        reasons += !error.empty() && error.find("checksum") == std::string::npos;
    }
    // Both the checks behind the checksums and what they let through were reached.
    CHECK(accepted > 100);
    CHECK(reasons > 1000);
}

TEST_CASE("a full disk ends the recording with a reason and leaves the machine alone") {
    if (!std::filesystem::exists("/dev/full")) return;
    InputLog log;
    CHECK_THROWS_WITH(log.record_to("/dev/full", kMachine), Contains("/dev/full: the recording ends here"));
    CHECK_FALSE(log.recording());
    CHECK_FALSE(log.record({1, 1, 1}, "line", bytes("x")));
    CHECK_THROWS_WITH(log.record_to("/nonexistent/file", kMachine), Contains("/nonexistent/file: cannot be written"));
    CHECK_THROWS_WITH(log.replay_from("/nonexistent/file", kMachine), Contains("/nonexistent/file: cannot be read"));
}
