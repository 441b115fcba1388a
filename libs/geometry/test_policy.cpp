// Policy `auto`, drives that show a wanted logical geometry, and what boot sectors expect.
#include <array>
#include <catch2/catch.hpp>
#include <cstring>
#include <string>
#include <vector>

#include "geometry/boot_sectors.hpp"
#include "geometry/geometry.hpp"

using namespace backplane::geometry;

namespace {

using Sector = std::array<std::uint8_t, 512>;

void put(std::uint8_t* at, std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) at[i] = static_cast<std::uint8_t>(value >> (8 * i));
}

// The first sectors of a disk with NTFS volumes in its partitions.
struct Disk {
    std::uint64_t sectors;
    std::vector<std::pair<std::uint64_t, Sector>> content = {};

    Sector& at(std::uint64_t lba) {
        for (auto& [where, sector] : content)
            if (where == lba) return sector;
        return content.emplace_back(lba, Sector{}).second;
    }
    static void chs(std::uint8_t* at, std::uint64_t lba, unsigned heads, unsigned per_track) {
        Chs c = address(lba, heads, per_track);
        if (c.cylinders > 1023) c = {1023, 254, 63};
        at[0] = static_cast<std::uint8_t>(c.heads);
        at[1] = static_cast<std::uint8_t>(c.sectors | (c.cylinders >> 8) << 6);
        at[2] = static_cast<std::uint8_t>(c.cylinders);
    }
    void partition(unsigned number, std::uint32_t start, std::uint32_t count, unsigned heads, unsigned per_track,
                   bool active = true, std::uint8_t type = 7) {
        Sector& s = at(0);
        s[510] = 0x55, s[511] = 0xaa;
        std::uint8_t* e = &s[0x1be + 16 * (number - 1)];
        e[0] = active ? 0x80 : 0, e[4] = type;
        chs(e + 1, start, heads, per_track), chs(e + 5, std::uint64_t{start} + count - 1, heads, per_track);
        put(e + 8, start, 4), put(e + 12, count, 4);
    }
    void ntfs(std::uint64_t lba, unsigned heads, unsigned per_track, std::uint32_t hidden, std::uint64_t total = 1000) {
        Sector& s = at(lba);
        s[0] = 0xeb, s[1] = 0x52, s[2] = 0x90;
        std::memcpy(&s[3], "NTFS    ", 8);
        put(&s[0x0b], 512, 2), s[0x0d] = 8, s[0x15] = 0xf8;
        put(&s[0x18], per_track, 2), put(&s[0x1a], heads, 2), put(&s[0x1c], hidden, 4), put(&s[0x28], total, 8);
        s[510] = 0x55, s[511] = 0xaa;
    }
    Reader reader() const {
        return [this](std::uint64_t lba, std::span<std::uint8_t> bytes) {
            if (bytes.size() != 512 || lba >= sectors) return false;
            std::fill(bytes.begin(), bytes.end(), std::uint8_t{0});
            for (const auto& [where, sector] : content)
                if (where == lba) std::copy(sector.begin(), sector.end(), bytes.begin());
            return true;
        };
    }
    Geometry resolve(Policy policy = Policy::kAuto, Settings settings = {}, std::optional<Chs> header = {}) {
        return backplane::geometry::resolve({sectors, at(0), settings, policy, reader(), header});
    }
};

Disk windows(std::uint64_t sectors, unsigned heads, unsigned per_track = 63) {
    Disk d{sectors};
    d.partition(1, 63, static_cast<std::uint32_t>(sectors / 2 / (heads * per_track) * heads * per_track - 63), heads,
                per_track);
    d.ntfs(63, heads, per_track, 63);
    return d;
}

constexpr std::uint64_t kGiB = 2097152;

}  // namespace

TEST_CASE("auto: heads that boot sector and table agree on are honoured") {
    struct Row {
        std::uint64_t sectors;
        unsigned heads, per_track;
        const char* physical;
        Translation translation;
        const char* logical;
        bool given;
    };
    const Row rows[] = {
        {10 * kGiB, 255, 63, "16383/16/63", Translation::kLba, "1024/255/63", false},
        {10 * kGiB, 240, 63, "16383/16/63", Translation::kRechs, "1024/240/63", false},
        {10 * kGiB, 128, 63, "16383/16/63", Translation::kLarge, "1024/128/63", false},
        {10 * kGiB, 15, 63, "16383/15/63", Translation::kNone, "1024/15/63", false},
        {10 * kGiB, 16, 63, "16383/16/63", Translation::kNone, "1024/16/63", false},
        {10 * kGiB, 43, 63, "16383/16/63", Translation::kLba, "1024/43/63", true},
        {2 * kGiB, 255, 63, "4161/16/63", Translation::kLarge, "261/255/63", true},
        {2 * kGiB, 128, 63, "4161/16/63", Translation::kLarge, "520/128/63", false},
        {2 * kGiB, 120, 63, "4161/16/63", Translation::kRechs, "554/120/63", false},
        {2 * kGiB, 240, 63, "4161/16/63", Translation::kLarge, "277/240/63", true},
        {kGiB, 8, 32, "8192/8/32", Translation::kNone, "1024/8/32", false},
        {81920, 5, 17, "963/5/17", Translation::kNone, "963/5/17", false},
        {kGiB / 2, 64, 32, "1040/16/63", Translation::kLarge, "512/64/32", true},
    };
    for (const Row& row : rows) {
        Disk d = windows(row.sectors, row.heads, row.per_track);
        const Geometry g = d.resolve();
        INFO(row.sectors << " sectors, " << row.heads << " heads: " << g.reason);
        CHECK(g.logical_given == row.given);
        CHECK(text(g.logical) == row.logical);
        CHECK(text(g.physical) == row.physical);
        CHECK(name(g.translation) == name(row.translation));
        CHECK(check({g.physical, g.translation, g.logical}).empty());
        CHECK(g.reason.find("the partition table agrees") != std::string::npos);
    }
}

TEST_CASE("auto: any plausible geometry that the disk agrees on is shown to INT 13h") {
    for (const std::uint64_t sectors : {std::uint64_t{204800}, kGiB, 4 * kGiB, 20 * kGiB, 2048 * kGiB})
        for (unsigned heads = 2; heads <= 255; ++heads)
            for (const unsigned per_track : {17u, 32u, 56u, 63u}) {
                Disk d = windows(sectors, heads, per_track);
                const Geometry g = d.resolve();
                INFO(sectors << " " << heads << " " << per_track << ": " << g.reason);
                REQUIRE(g.logical.heads == heads);
                REQUIRE(g.logical.sectors == per_track);
                REQUIRE(check({g.physical, {}, g.logical}).empty());
                if (!g.logical_given) REQUIRE(logical(g.translation, g.physical, sectors) == g.logical);
            }
}

TEST_CASE("auto: a boot sector that the table contradicts does not decide") {
    Disk heads = windows(10 * kGiB, 240);
    heads.partition(1, 63, 160 * 1000 * 63 - 63, 16, 63);  // the table was rewritten
    const Geometry g = heads.resolve();
    CHECK(g.logical != Chs{1024, 240, 63});
    CHECK(g.reason.find("does not agree") != std::string::npos);
    const Geometry as_before = heads.resolve(Policy::kQemu012);
    CHECK(g.physical == as_before.physical);
    CHECK(g.translation == as_before.translation);

    Disk hidden = windows(10 * kGiB, 240);
    hidden.ntfs(63, 240, 63, 2048);
    CHECK(hidden.resolve().logical.heads == 255);
}

TEST_CASE("auto: one head and one sector a track is what tools write that know no geometry") {
    Disk d{10 * kGiB};
    d.partition(1, 63, 500000, 1, 1);
    d.ntfs(63, 1, 1, 63);
    CHECK(text(d.resolve().logical) == text(d.resolve(Policy::kQemu012).logical));
    const auto e = expectation(d.reader(), d.sectors);
    REQUIRE(e);
    CHECK_FALSE(e->usable);
    CHECK(e->text == "partition 1 (NTFS at sector 63) expects 1 head and 1 sector a track");
}

TEST_CASE("auto: the image's header comes before the partition table, the owner before both") {
    Disk d = windows(10 * kGiB, 255);
    const Geometry g = d.resolve(Policy::kAuto, {}, Chs{16383, 15, 63});
    CHECK(text(g.physical) == "16383/15/63");
    CHECK(name(g.translation) == "lba");
    CHECK(text(g.logical) == "1024/255/63");
    CHECK(g.reason.find("header") != std::string::npos);
    // The header says nothing of a translation: the boot sectors do.
    Disk rechs = windows(10 * kGiB, 240);
    CHECK(text(rechs.resolve(Policy::kAuto, {}, Chs{16383, 16, 63}).logical) == "1024/240/63");
    CHECK(text(rechs.resolve(Policy::kAuto, {Chs{1000, 8, 32}}, Chs{16383, 16, 63}).logical) == "1000/8/32");
    // A header with the heads of a translated geometry.
    const Geometry bios = Disk{10 * kGiB}.resolve(Policy::kAuto, {}, Chs{1305, 255, 63});
    CHECK(text(bios.logical) == "1024/255/63");
    CHECK(check({bios.physical}).empty());
    // qemu-0.12 knows no headers.
    CHECK(text(d.resolve(Policy::kQemu012, {}, Chs{16383, 15, 63}).physical) == "16383/16/63");
}

TEST_CASE("a pinned geometry says what the guess would now be, if that differs") {
    Disk d = windows(10 * kGiB, 240);
    const Settings pinned{Chs{16383, 16, 63}, Translation::kRechs};
    CHECK(d.resolve(Policy::kAuto, pinned).otherwise.empty());
    const Geometry g = d.resolve(Policy::kQemu012, pinned);
    CHECK(text(g.logical) == "1024/240/63");
    CHECK(
        g.otherwise.find("policy qemu-0.12 would now say physical 16383/16/63, translation lba, logical 1024/255/63") !=
        std::string::npos);
    CHECK(d.resolve(Policy::kQemu012).otherwise.empty());
}

TEST_CASE("an explicit logical geometry is handed on, with at most 1024 cylinders") {
    const Geometry g = windows(10 * kGiB, 255).resolve(Policy::kQemu012, {{}, {}, Chs{5000, 43, 63}});
    CHECK(g.logical_given);
    CHECK(text(g.logical) == "1024/43/63");
    CHECK(text(g.physical) == "16383/16/63");
    CHECK(check({{}, {}, Chs{1024, 256, 63}}) != "");
    CHECK(check({{}, {}, Chs{0, 16, 63}}).find("lcylinders") != std::string::npos);
    CHECK(check({{}, {}, Chs{1024, 255, 63}}) == "");
}

TEST_CASE("the active partition's boot sector is what the disk expects, else the first") {
    Disk d{10 * kGiB};
    d.partition(1, 63, 1000, 255, 63, false);
    d.partition(2, 160650, 1000, 255, 63, false);
    d.ntfs(63, 16, 63, 63);
    d.ntfs(160650, 240, 63, 160650);
    CHECK(expectation(d.reader(), d.sectors)->partition == 1);
    d.partition(2, 160650, 1000, 255, 63, true);
    CHECK(expectation(d.reader(), d.sectors)->partition == 2);
    CHECK(expectation(d.reader(), d.sectors)->heads == 240);
    d.at(160650)[510] = 0;  // not a boot sector any more
    CHECK(expectation(d.reader(), d.sectors)->partition == 1);
}

TEST_CASE("no expectation: blank disks, unreadable ones, partitions beyond the end") {
    CHECK_FALSE(expectation(Disk{100}.reader(), 100));
    CHECK_FALSE(expectation([](std::uint64_t, std::span<std::uint8_t>) { return false; }, 100));
    CHECK_FALSE(expectation({}, 100));
    Disk d{100};
    d.partition(1, 4000000000u, 4000000000u, 255, 63);
    CHECK_FALSE(expectation(d.reader(), d.sectors));
    CHECK_FALSE(d.resolve().logical_given);
}

TEST_CASE("a disk that is one volume expects what its first sector says") {
    Disk d{kGiB};
    d.ntfs(0, 64, 32, 0);
    const auto e = expectation(d.reader(), d.sectors);
    REQUIRE(e);
    CHECK(e->partition == 0);
    CHECK(e->agrees);
    CHECK(d.resolve().logical.heads == 64);
}

TEST_CASE("CHS of a table entry: the exact place, and the stand-ins beyond cylinder 1023") {
    CHECK(address(2048, 255, 63) == Chs{0, 32, 33});
    CHECK(stands_for({0, 1, 1}, 63, 255, 63));
    CHECK(stands_for({0, 1, 1}, 63, 16, 63));
    CHECK_FALSE(stands_for({0, 32, 33}, 2048, 16, 63));
    CHECK(stands_for({1023, 254, 63}, 40000000, 255, 63));
    CHECK(stands_for({1023, 15, 63}, 40000000, 16, 63));
    CHECK_FALSE(stands_for({1022, 254, 63}, 40000000, 255, 63));
    CHECK_FALSE(stands_for({0, 0, 0}, 63, 0, 0));
}

TEST_CASE("boot sectors: FAT kinds by their number of clusters, backups, exFAT") {
    Sector s{};
    s[0] = 0xeb, s[510] = 0x55, s[511] = 0xaa;
    put(&s[0x0b], 512, 2), s[0x0d] = 1, put(&s[0x0e], 1, 2), s[0x10] = 2, put(&s[0x11], 224, 2), put(&s[0x13], 2880, 2);
    s[0x15] = 0xf0, put(&s[0x16], 9, 2), put(&s[0x18], 18, 2), put(&s[0x1a], 2, 2);
    REQUIRE(boot_sector(s));
    CHECK(boot_sector(s)->file_system == FileSystem::kFat12);
    CHECK(boot_sector(s)->heads == 2);
    put(&s[0x13], 20480, 2);
    CHECK(boot_sector(s)->file_system == FileSystem::kFat16);
    put(&s[0x16], 0, 2), put(&s[0x13], 0, 2), put(&s[0x20], 2000000, 4), put(&s[0x24], 2000, 4), put(&s[0x0e], 32, 2);
    put(&s[0x32], 6, 2);
    CHECK(boot_sector(s)->file_system == FileSystem::kFat32);
    CHECK(boot_sector(s)->backup == 6u);
    std::memcpy(&s[3], "EXFAT   ", 8);
    s[0x6c] = 9, put(&s[0x40], 2048, 8);
    CHECK(boot_sector(s)->hidden == 2048);
    CHECK(boot_sector(s)->heads == 0);
    s[510] = 0;
    CHECK_FALSE(boot_sector(s));
}
