#include <catch2/catch.hpp>

#include "doctor/testkit.hpp"

using namespace backplane::doctor;
using backplane::geometry::FileSystem;
using test::Disk;

namespace {

std::string_view mbr(std::string_view words, std::initializer_list<std::uint8_t> code = {}, std::size_t at = 0x80) {
    Sector s{};
    Disk::code(s, 0, code);
    Disk::text(s, at, words);
    return master_boot_code(s).id;
}

}  // namespace

TEST_CASE("master boot records are known by what they say and do") {
    CHECK(master_boot_code(Sector{}).id == "none");
    CHECK(master_boot_code({}).id == "none");
    CHECK(mbr("GRUB ", {0xeb, 0x63}) == "grub2");
    CHECK(mbr("GRUB ", {0xeb, 0x48}) == "grub-legacy");
    CHECK(mbr("LILO", {0xfa}, 6) == "lilo");
    CHECK(mbr("Operating system load error.") == "syslinux-mbr");
    CHECK(mbr("TCPA", {0x33, 0xc0, 0x8e, 0xd0, 0xbc}) == "vista-mbr");
    CHECK(mbr("Invalid partition table", {0xfa, 0x33, 0xc0}) == "dos-mbr");
    CHECK(mbr("Missing operating system", {0xfc}) == "other-table-mbr");
    CHECK(mbr("hello", {0x90}) == "unknown");
    Disk d;
    d.xp_mbr();
    CHECK(master_boot_code(d.content[0]).id == "nt5-mbr");
    CHECK(master_boot_code(d.content[0]).loader == Loader::kTableChsThenLba);
    Disk debian;
    debian.debian_mbr();
    CHECK(master_boot_code(debian.content[0]).loader == Loader::kTableLba);
}

TEST_CASE("a translated XP is known without its English words") {
    Sector s{};
    Disk::code(s, 0, {0x33, 0xc0, 0x8e, 0xd0, 0xbc});
    Disk::code(s, 0xa0, {0xbb, 0xaa, 0x55, 0xb4, 0x41, 0xcd, 0x13});
    Disk::text(s, 0x12c, "Ung\x81ltige Partitionstabelle");
    CHECK(master_boot_code(s).id == "unknown");
    s[0x1b5] = 0x2c, s[0x1b6] = 0x48, s[0x1b7] = 0x73;
    CHECK(master_boot_code(s).id == "nt5-mbr");
}

TEST_CASE("boot sectors are known by what they say and do") {
    const auto id = [](std::string_view words, FileSystem fs, bool extensions = false) {
        Sector s{};
        if (extensions) Disk::code(s, 0x100, {0xb4, 0x41, 0xbb, 0xaa, 0x55, 0xcd, 0x13});
        Disk::text(s, 0x180, words);
        return volume_boot_code(s, fs);
    };
    CHECK(id("NTLDR is missing", FileSystem::kNtfs).loader == Loader::kVolumeChsThenLba);
    CHECK(id("NTLDR      ", FileSystem::kFat16).loader == Loader::kVolumeChs);
    CHECK(id("NTLDR      ", FileSystem::kFat32, true).loader == Loader::kVolumeChsThenLba);
    CHECK(id("BOOTMGR is missing", FileSystem::kNtfs).loader == Loader::kVolumeLba);
    CHECK(id("A kernel file is missing from the disk", FileSystem::kNtfs).loader == Loader::kVolumeChs);
    CHECK(id("This is not a bootable disk.", FileSystem::kNtfs).loader == Loader::kMessage);
    CHECK(id("IO      SYSMSDOS   SYS", FileSystem::kFat16).id == "dos");
    CHECK(id("FreeDOS", FileSystem::kFat16, true).id == "freedos");
    CHECK(id("SYSLINUX", FileSystem::kFat32).loader == Loader::kAsksBios);
    CHECK(id("GRUB ", FileSystem::kNtfs).loader == Loader::kAsksBios);
    CHECK(id("", FileSystem::kNtfs).loader == Loader::kNothing);
    CHECK(id("something", FileSystem::kNtfs).loader == Loader::kUnknown);
}

TEST_CASE("every way of reading has a name and a description") {
    for (int i = 0; i <= static_cast<int>(Loader::kUnknown); ++i) {
        CHECK_FALSE(name(static_cast<Loader>(i)).empty());
        CHECK_FALSE(describe(static_cast<Loader>(i)).empty());
    }
}
