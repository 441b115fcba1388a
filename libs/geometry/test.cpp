#include <array>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "geometry/geometry.hpp"

using namespace backplane::geometry;

namespace {

using Sector = std::array<std::uint8_t, 512>;

Sector blank() { return {}; }
Sector signed_only() {
    Sector s{};
    s[510] = 0x55, s[511] = 0xaa;
    return s;
}
void set_entry(Sector& s, unsigned index, std::uint8_t end_head, std::uint8_t end_sector, std::uint32_t count = 1000) {
    std::uint8_t* e = &s[0x1be + 16 * index];
    e[5] = end_head, e[6] = end_sector;
    for (unsigned i = 0; i < 4; ++i) e[12 + i] = static_cast<std::uint8_t>(count >> (8 * i));
}
// A table with one entry that ends at the last head and sector of heads/sectors.
Sector chs(unsigned heads, unsigned sectors) {
    Sector s = signed_only();
    set_entry(s, 0, static_cast<std::uint8_t>(heads - 1), static_cast<std::uint8_t>(sectors));
    return s;
}
Sector protective() {
    Sector s = signed_only();
    set_entry(s, 0, 0xff, 0xff, 0xffffffff);
    return s;
}
Sector rejected_then_128() {
    Sector s = signed_only();
    set_entry(s, 0, 0, 63);
    set_entry(s, 1, 127, 63);
    return s;
}

struct Row {
    const char* name;
    std::uint64_t sectors;
    Sector first;
    Settings settings;
    Chs physical;
    Translation translation;
    Chs logical;
};

constexpr auto kNone = Translation::kNone;
constexpr auto kLba = Translation::kLba;
constexpr auto kLarge = Translation::kLarge;
constexpr auto kRechs = Translation::kRechs;

Settings given(std::optional<Chs> c, std::optional<Translation> t = std::nullopt) { return {c, t}; }

const std::vector<Row>& table() {
    static const std::vector<Row> rows = {
        {"1 1.44 MB blank", 2880, blank(), {}, {2, 16, 63}, kNone, {2, 16, 63}},
        {"2 10 MiB blank", 20480, blank(), {}, {20, 16, 63}, kNone, {20, 16, 63}},
        {"3 60 cylinders LBA", 60480, chs(255, 63), {}, {60, 16, 63}, kLarge, {60, 16, 63}},
        {"4 40 MiB CHS 5/17", 81920, chs(5, 17), {}, {963, 5, 17}, kNone, {963, 5, 17}},
        {"5 504 MiB blank", 1032192, blank(), {}, {1024, 16, 63}, kNone, {1024, 16, 63}},
        {"6 1025 cylinders blank", 1033200, blank(), {}, {1025, 16, 63}, kLba, {1024, 16, 63}},
        {"7 1025 cylinders LBA", 1033200, chs(255, 63), {}, {1025, 16, 63}, kLarge, {512, 32, 63}},
        {"8 1025 cylinders CHS 16/63", 1033200, chs(16, 63), {}, {1025, 16, 63}, kNone, {1024, 16, 63}},
        {"9 1 GiB CHS 8/32", 2097152, chs(8, 32), {}, {8192, 8, 32}, kNone, {1024, 8, 32}},
        {"10 1 GiB LBA", 2097152, chs(255, 63), {}, {2080, 16, 63}, kLarge, {520, 64, 63}},
        {"11 2 GiB blank", 4194304, blank(), {}, {4161, 16, 63}, kLba, {520, 128, 63}},
        {"12 2 GiB LBA", 4194304, chs(255, 63), {}, {4161, 16, 63}, kLarge, {520, 128, 63}},
        {"13 2 GiB CHS 16/63", 4194304, chs(16, 63), {}, {4161, 16, 63}, kNone, {1024, 16, 63}},
        {"14 2 GiB CHS 8/32, rejected", 4194304, chs(8, 32), {}, {4161, 16, 63}, kLba, {520, 128, 63}},
        {"15 2 GiB empty table", 4194304, signed_only(), {}, {4161, 16, 63}, kLba, {520, 128, 63}},
        {"16 2 GiB second entry", 4194304, rejected_then_128(), {}, {4161, 16, 63}, kLarge, {520, 128, 63}},
        {"17 8192 cylinders LBA", 8257536, chs(255, 63), {}, {8192, 16, 63}, kLarge, {1024, 128, 63}},
        {"18 8193 cylinders LBA", 8258544, chs(255, 63), {}, {8193, 16, 63}, kLba, {1024, 128, 63}},
        {"19 4 GiB blank", 8388608, blank(), {}, {8322, 16, 63}, kLba, {522, 255, 63}},
        {"19 4 GiB LBA", 8388608, chs(255, 63), {}, {8322, 16, 63}, kLba, {522, 255, 63}},
        {"20 4 GiB CHS 16/63", 8388608, chs(16, 63), {}, {8322, 16, 63}, kNone, {1024, 16, 63}},
        {"21 16383 cylinders CHS 16/63", 16514064, chs(16, 63), {}, {16383, 16, 63}, kNone, {1024, 16, 63}},
        {"22 8 GiB blank", 16777216, blank(), {}, {16383, 16, 63}, kLba, {1024, 255, 63}},
        {"23 8 GiB CHS 16/63, rejected", 16777216, chs(16, 63), {}, {16383, 16, 63}, kLba, {1024, 255, 63}},
        {"24 10 GiB blank", 20971520, blank(), {}, {16383, 16, 63}, kLba, {1024, 255, 63}},
        {"24 10 GiB LBA", 20971520, chs(255, 63), {}, {16383, 16, 63}, kLba, {1024, 255, 63}},
        {"24 10 GiB 240/63", 20971520, chs(240, 63), {}, {16383, 16, 63}, kLba, {1024, 255, 63}},
        {"25 10 GiB GPT", 20971520, protective(), {}, {16383, 16, 63}, kLba, {1024, 255, 63}},
        {"26 128 GiB blank", 268435456, blank(), {}, {16383, 16, 63}, kLba, {1024, 255, 63}},
        {"27 2 TiB blank", 4294967296, blank(), {}, {16383, 16, 63}, kLba, {1024, 255, 63}},
        {"27 2 TiB LBA", 4294967296, chs(255, 63), {}, {16383, 16, 63}, kLba, {1024, 255, 63}},
        {"28 2 TiB - 512 blank", 4294967295, blank(), {}, {16383, 16, 63}, kLba, {1024, 255, 63}},
        {"29 10 GiB none", 20971520, blank(), given({}, kNone), {16383, 16, 63}, kNone, {1024, 16, 63}},
        {"30 10 GiB large", 20971520, blank(), given({}, kLarge), {16383, 16, 63}, kLarge, {1024, 128, 63}},
        {"31 10 GiB rechs", 20971520, blank(), given({}, kRechs), {16383, 16, 63}, kRechs, {1024, 240, 63}},
        {"32 2 GiB LBA, CHS given",
         4194304,
         chs(255, 63),
         given(Chs{4161, 16, 63}),
         {4161, 16, 63},
         kLba,
         {520, 128, 63}},
        {"33 2 GiB LBA, 1000/8/32",
         4194304,
         chs(255, 63),
         given(Chs{1000, 8, 32}),
         {1000, 8, 32},
         kNone,
         {1000, 8, 32}},
        {"34 1 GiB large", 2097152, blank(), given(Chs{2080, 16, 63}, kLarge), {2080, 16, 63}, kLarge, {520, 64, 63}},
        {"35 1 GiB rechs", 2097152, blank(), given(Chs{2080, 16, 63}, kRechs), {2080, 16, 63}, kRechs, {554, 60, 63}},
        {"36 2 GiB rechs", 4194304, blank(), given({}, kRechs), {4161, 16, 63}, kRechs, {554, 120, 63}},
    };
    return rows;
}

}  // namespace

TEST_CASE("every row of the worked table comes out as measured") {
    for (const Row& row : table()) {
        INFO(row.name);
        const Geometry g = resolve({row.sectors, row.first, row.settings});
        CHECK(text(g.physical) == text(row.physical));
        CHECK(name(g.translation) == name(row.translation));
        CHECK(text(g.logical) == text(row.logical));
        CHECK(g.sectors == row.sectors);
        CHECK_FALSE(g.reason.empty());
    }
}

TEST_CASE("a first sector that cannot be read counts as no partition table") {
    const Geometry g = resolve({4194304, {}, {}});
    CHECK(text(g.physical) == "4161/16/63");
    CHECK(g.translation == kLba);
    CHECK(g.reason.find("could not be read") != std::string::npos);
}

TEST_CASE("without the signature the table is not looked at") {
    Sector s = chs(5, 17);
    s[511] = 0;
    CHECK(text(resolve({81920, s, {}}).physical) == "81/16/63");
}

TEST_CASE("entries without count, end head or end sector are passed over") {
    Sector s = signed_only();
    set_entry(s, 0, 254, 63, 0);
    set_entry(s, 1, 0, 63);
    set_entry(s, 2, 15, 0xc0);  // only cylinder bits in the sector byte
    set_entry(s, 3, 4, 0xc0 | 17);
    unsigned entry = 0;
    const auto guess = guess_from_partition_table(81920, s, &entry);
    REQUIRE(guess);
    CHECK(text(*guess) == "963/5/17");
    CHECK(entry == 4);
}

TEST_CASE("a guess with no whole cylinder or too many cylinders is passed over") {
    CHECK_FALSE(guess_from_partition_table(100, chs(16, 63)));
    CHECK_FALSE(guess_from_partition_table(16 * 63 - 1, chs(16, 63)));
    CHECK(text(guess_from_partition_table(16 * 63, chs(16, 63)).value()) == "1/16/63");
    CHECK(guess_from_partition_table(16383 * 32, chs(2, 16)));
    CHECK_FALSE(guess_from_partition_table(16384 * 32, chs(2, 16)));
}

TEST_CASE("LBA translation takes more heads when more than 16, 32, 64 or 128 would be needed for 1024 cylinders") {
    const auto heads = [](std::uint64_t tracks) { return resolve({tracks * 63, {}, given({}, kLba)}).logical.heads; };
    unsigned now = 16;
    for (const unsigned next : {32u, 64u, 128u, 255u}) {
        CHECK(heads((now + 1) * 1024 - 1) == now);
        CHECK(heads((now + 1) * 1024) == next);
        now = next;
    }
    CHECK(heads(255 * 1024) == 255);
    CHECK(text(resolve({255u * 1024 * 63 + 1, {}, given({}, kLba)}).logical) == "1024/255/63");
}

TEST_CASE("an empty or tiny medium still gets two cylinders") {
    CHECK(text(resolve({0, {}, {}}).physical) == "2/16/63");
    CHECK(text(resolve({1, blank(), {}}).physical) == "2/16/63");
}

TEST_CASE("the largest possible medium does not overflow") {
    for (const auto t : {kNone, kLba, kLarge, kRechs}) {
        const Geometry g = resolve({~0ull, chs(255, 63), given({}, t)});
        CHECK(text(g.physical) == "16383/16/63");
        CHECK(g.logical.cylinders == 1024);
    }
}

TEST_CASE("explicit settings are checked against what an ATA drive can have") {
    CHECK(check({}) == "");
    CHECK(check(given(Chs{16383, 16, 63})) == "");
    CHECK(check(given(Chs{16384, 16, 63})) != "");
    CHECK(check(given(Chs{100, 17, 63})) != "");
    CHECK(check(given(Chs{100, 16, 64})) != "");
    CHECK(check(given(Chs{100, 0, 63})).find("together") != std::string::npos);
}

TEST_CASE("the report names all four results and the reason") {
    const std::string r = report(resolve({2097152, chs(255, 63), {}}));
    for (const char* part : {"2097152", "2080/16/63", "large", "520/64/63", "ends at head 254, sector 63"})
        CHECK(r.find(part) != std::string::npos);
}
