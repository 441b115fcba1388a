#include <catch2/catch.hpp>
#include <stdexcept>

#include "doctor/journal.hpp"
#include "doctor/testkit.hpp"

using namespace backplane::doctor;
using namespace backplane::doctor::test;

namespace {

Plan make(Disk& d, const std::set<Fix>& fixes, std::optional<unsigned> partition = {}, Tracks target = {255, 63}) {
    const auto reader = d.subject().reader;
    return plan(read_layout(reader, d.sectors), reader, fixes, partition, target);
}

}  // namespace

TEST_CASE("bpb: heads and sectors in the boot sector and its copy, and no other byte") {
    Disk d = windows({255, 63}, {16, 32});
    const Plan p = make(d, {Fix::kBpb});
    REQUIRE(p.writes.size() == 2);
    CHECK(p.writes[0].lba == 63);
    CHECK(p.changes.size() == 4);
    for (const Write& w : p.writes) {
        CHECK(w.after[0x18] == 63);
        CHECK(w.after[0x1a] == 255);
        for (std::size_t i = 0; i < 512; ++i)
            if (i < 0x18 || i > 0x1b) CHECK(w.before[i] == w.after[i]);
    }
    d.write(p.writes);
    CHECK(make(d, {Fix::kBpb}).writes.empty());
}

TEST_CASE("hidden: 1Ch becomes the partition's start") {
    Disk d = windows({255, 63}, {255, 63}, 2048, 63);
    const Plan p = make(d, {Fix::kHidden});
    REQUIRE(p.writes.size() == 2);
    CHECK(p.writes[0].after[0x1c] == 0);
    CHECK(p.writes[0].after[0x1d] == 8);
}

TEST_CASE("table: every entry's CHS, and nothing else of the sector") {
    Disk d = windows({16, 63}, {255, 63}, 2048, 2048);
    const Plan p = make(d, {Fix::kTable});
    REQUIRE(p.writes.size() == 1);
    for (std::size_t i = 0; i < 512; ++i)
        if (i < 0x1bf || i > 0x1c5 || i == 0x1c2) CHECK(p.writes[0].before[i] == p.writes[0].after[i]);
    d.write(p.writes);
    CHECK(*read_layout(d.subject().reader, d.sectors).table == Tracks{255, 63});
}

TEST_CASE("repairs that make no sense are refused") {
    Disk d = windows({255, 63}, {16, 63});
    CHECK(make(d, {Fix::kBpb}, 3).refused == "there is no partition 3");
    d.entry(2, 200000, 1000, {255, 63}, false, 0x83);
    CHECK(make(d, {Fix::kBpb}, 2).refused.find("does not begin with") != std::string::npos);
    d.content[0][0x1be] = 0;
    CHECK(make(d, {Fix::kBpb}).refused.find("no partition is active") != std::string::npos);
    CHECK_FALSE(make(d, {Fix::kBpb}, 1).writes.empty());
    Disk blank;
    CHECK_FALSE(make(blank, {Fix::kTable}).refused.empty());
    Disk logical;
    logical.entry(1, 1000, 100000, {255, 63}, false, 5);
    logical.entry(1, 63, 10000, {255, 63}, false, 7, 1000, 1000);
    logical.ntfs(1063, 10000, {16, 63}, 63);
    CHECK(make(logical, {Fix::kHidden}, 5).refused.find("logical") != std::string::npos);
    CHECK(make(logical, {Fix::kBpb}, 5).writes.size() == 2);
}

TEST_CASE("a journal brings back every byte, also after a repair that was cut off") {
    Disk d = windows({255, 63}, {16, 63});
    const Disk original = d;
    const Plan p = make(d, {Fix::kBpb, Fix::kTable});
    const Journal j = parse_journal(text_of({"/x/disk.img", "raw", d.sectors, p.writes}));
    CHECK(j.image == "/x/disk.img");
    for (std::size_t done = 0; done <= p.writes.size(); ++done) {
        Disk part = original;
        part.write({p.writes.begin(), p.writes.begin() + static_cast<std::ptrdiff_t>(done)});
        const Plan back = undo(j, part.subject().reader, part.sectors);
        CHECK(back.refused.empty());
        CHECK(back.writes.size() == done);
        part.write(back.writes);
        CHECK(part.content == original.content);
    }
}

TEST_CASE("undo leaves alone what something else has changed, and disks of another size") {
    Disk d = windows({255, 63}, {16, 63});
    const Plan p = make(d, {Fix::kBpb});
    const Journal j{"disk.img", "raw", d.sectors, p.writes};
    d.write(p.writes);
    d.content[63][100] ^= 1;
    const Plan back = undo(j, d.subject().reader, d.sectors);
    CHECK(back.refused.find("sector 63") != std::string::npos);
    CHECK(back.writes.empty());
    CHECK_FALSE(undo(j, d.subject().reader, d.sectors - 1).refused.empty());
}

TEST_CASE("a damaged journal is refused") {
    Disk d = windows({255, 63}, {16, 63});
    const std::string good = text_of({"disk.img", "raw", d.sectors, make(d, {Fix::kBpb}).writes});
    CHECK_NOTHROW(parse_journal(good));
    for (const std::string& bad : {std::string(), std::string("{}"), std::string("[]"), good.substr(0, good.size() / 2),
                                   std::string(good).replace(good.find("\"old\": \"") + 8, 1, "x"),
                                   std::string(good).replace(good.find("journal\": 1") + 10, 1, "2"),
                                   std::string(good).replace(good.find("\"old\": \"") + 8, 2, "")})
        CHECK_THROWS_AS(parse_journal(bad), std::runtime_error);
}
