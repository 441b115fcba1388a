#include <catch2/catch.hpp>

#include "doctor/testkit.hpp"

using namespace backplane::doctor;
using test::Disk;
using test::put;

namespace {
Layout layout(Disk& d) { return read_layout(d.subject().reader, d.sectors); }
}  // namespace

TEST_CASE("entries tell the geometry that they were written under") {
    for (const Tracks t : {Tracks{255, 63}, {240, 63}, {16, 63}, {15, 63}, {43, 63}, {64, 32}, {5, 17}}) {
        Disk d{4000000};
        d.entry(1, t.sectors, t.heads * t.sectors * 20 - t.sectors, t);
        d.entry(2, t.heads * t.sectors * 20, t.heads * t.sectors * 40, t, false);
        const Layout l = layout(d);
        INFO(t.heads << "/" << t.sectors);
        REQUIRE(l.table);
        CHECK(*l.table == t);
        CHECK(l.partitions.size() == 2);
    }
}

TEST_CASE("entries that no geometry explains say so") {
    Disk d;
    d.entry(1, 63, 100000, {255, 63});
    put(&d.content[0][0x1be + 8], 64, 4);
    CHECK(layout(d).partitions[0].agreeing.empty());
    CHECK_FALSE(layout(d).table);
}

TEST_CASE("an entry that agrees with many geometries names none") {
    Disk d{40000000};
    // From the second track to far beyond cylinder 1023: 32 sectors a track, and any number of heads.
    d.entry(1, 32, 39000000, {16, 32});
    put(&d.content[0][0x1be + 5], 0xfffffe, 3);
    const Layout l = layout(d);
    CHECK(l.partitions[0].agreeing.size() > 10);
    CHECK_FALSE(l.table);
}

TEST_CASE("logical partitions are found along their chain") {
    Disk d;
    d.entry(1, 63, 100000, {255, 63});
    d.entry(2, 160650, 1000000, {255, 63}, false, 0x0f);
    d.entry(1, 63, 5000, {255, 63}, false, 7, 160650, 160650);
    d.entry(2, 160650, 20000, {255, 63}, false, 5, 160650, 160650);
    d.entry(1, 63, 6000, {255, 63}, false, 0x83, 321300, 321300);
    const Layout l = layout(d);
    REQUIRE(l.partitions.size() == 4);
    CHECK(l.partitions[2].number == 5);
    CHECK(l.partitions[2].start == 160713);
    CHECK(l.partitions[3].number == 6);
    CHECK(l.partitions[3].start == 321363);
    CHECK(l.chain.empty());
}

TEST_CASE("a chain that comes back, leads nowhere or never ends is cut and named") {
    Disk loop;
    loop.entry(1, 1000, 100000, {255, 63}, false, 5);
    loop.entry(1, 63, 100, {255, 63}, false, 7, 1000, 1000);
    loop.entry(2, 0, 100, {255, 63}, false, 5, 1000, 1000);
    REQUIRE(layout(loop).chain.size() == 1);
    CHECK(layout(loop).chain[0].find("comes back to sector 1000") != std::string::npos);

    Disk nowhere;
    nowhere.entry(1, 1000, 100000, {255, 63}, false, 5);
    REQUIRE(layout(nowhere).chain.size() == 1);
    CHECK(layout(nowhere).chain[0].find("no partition table at sector 1000") != std::string::npos);

    Disk endless;
    endless.entry(1, 1000, 100000, {255, 63}, false, 5);
    for (std::uint32_t i = 0; i < 500; ++i) {
        endless.entry(1, 1, 1, {255, 63}, false, 7, 1000 + 2 * i, 1000 + 2 * i);
        endless.entry(2, 2 * i + 2, 1, {255, 63}, false, 5, 1000 + 2 * i, 1000);
    }
    REQUIRE(layout(endless).chain.size() == 1);
    CHECK(layout(endless).partitions.size() < 200);

    Disk beyond{2000};
    beyond.entry(1, 4000000000u, 100000, {255, 63}, false, 5);
    CHECK(layout(beyond).chain[0].find("cannot be read") != std::string::npos);
}

TEST_CASE("boot sectors and their copies") {
    Disk d = test::windows({255, 63}, {255, 63});
    Layout l = layout(d);
    REQUIRE(l.partitions[0].volume);
    CHECK(l.partitions[0].volume->backup->equal);
    const auto copy = l.partitions[0].volume->backup->lba;
    CHECK(copy == l.partitions[0].end() - 1);
    d.content[copy][0x1a] = 16;
    CHECK_FALSE(layout(d).partitions[0].volume->backup->equal);
    CHECK(layout(d).partitions[0].volume->backup->present);
    d.content.erase(copy);
    CHECK_FALSE(layout(d).partitions[0].volume->backup->present);
    d.sectors = copy;
    CHECK_FALSE(layout(d).partitions[0].volume->backup->readable);
}

TEST_CASE("GPT: headers, checksums, the backup in the primary's place") {
    CHECK(crc32(std::array<std::uint8_t, 9>{'1', '2', '3', '4', '5', '6', '7', '8', '9'}) == 0xcbf43926u);
    Disk d{10000};
    d.entry(1, 1, 9999, {255, 63}, false, 0xee);
    const auto make = [&](std::uint64_t lba, std::uint64_t entries, std::uint64_t other) {
        Sector table{};
        table[0] = 0xaf, put(&table[32], 2048, 8), put(&table[40], 4095, 8), table[56] = 'r', table[58] = 'o';
        d.content[entries] = table;
        std::vector<std::uint8_t> all(128 * 128);
        std::copy(table.begin(), table.end(), all.begin());
        Sector s{};
        Disk::text(s, 0, "EFI PART");
        put(&s[12], 92, 4), put(&s[24], lba, 8), put(&s[32], other, 8), put(&s[72], entries, 8), put(&s[80], 128, 4);
        put(&s[84], 128, 4), put(&s[88], crc32(all), 4);
        put(&s[16], crc32(std::span<const std::uint8_t>(s.data(), 92)), 4);
        d.content[lba] = s;
    };
    make(1, 2, 9999), make(9999, 9967, 1);
    Layout l = layout(d);
    REQUIRE(l.gpt);
    CHECK(l.gpt->primary.checksum_ok);
    CHECK(l.gpt->backup.entries_ok);
    REQUIRE(l.gpt->partitions.size() == 1);
    CHECK(l.gpt->partitions[0].first == 2048);
    CHECK(l.gpt->partitions[0].name == "ro");
    CHECK(l.gpt->partitions[0].type.substr(0, 8) == "000000AF");
    d.content[1][40] ^= 1;
    l = layout(d);
    CHECK_FALSE(l.gpt->primary.checksum_ok);
    CHECK(l.gpt->partitions.size() == 1);
    d.content[9967][33] ^= 1;
    CHECK_FALSE(layout(d).gpt->backup.entries_ok);
    CHECK(layout(d).gpt->partitions.empty());
    put(&d.content[1][80], 0xffffffff, 4), put(&d.content[1][84], 0xffffffff, 4);
    CHECK_FALSE(layout(d).gpt->primary.entries_ok);
}

TEST_CASE("a disk without a table, and one that cannot be read") {
    Disk d{10000};
    CHECK(layout(d).readable);
    CHECK_FALSE(layout(d).signature);
    d.ntfs(0, 10000, {64, 32}, 0);
    CHECK(layout(d).whole);
    CHECK(layout(d).partitions.empty());
    CHECK_FALSE(read_layout([](std::uint64_t, std::span<std::uint8_t>) { return false; }, 100).readable);
    CHECK_FALSE(read_layout(d.subject().reader, 0).readable);
}
