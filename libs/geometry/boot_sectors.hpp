// What a disk says about itself: the partition table of its master boot record, and the BIOS parameter blocks of the
// NTFS and FAT boot sectors in its partitions (Microsoft, "FAT: General Overview of On-Disk Format" 1.03; the layout of
// NTFS volumes as every tool reads it).
//
// The boot code of Windows NT to 2003 computes cylinder, head and sector with the heads and sectors that stand in its
// own boot sector, whatever interrupt 13h says. So these two numbers are what such a disk expects of its machine.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "geometry.hpp"

namespace backplane::geometry {

// One entry of a partition table. CHS as it stands there: cylinders and heads count from 0, sectors from 1.
struct Entry {
    unsigned number = 0;  // 1-4
    bool active = false;
    std::uint8_t type = 0;
    std::uint32_t start = 0;  // first sector, relative to the sector that holds the table
    std::uint32_t count = 0;
    Chs first = {};
    Chs last = {};
};

bool has_signature(std::span<const std::uint8_t> sector);                    // 55h AAh at 1FEh
std::array<Entry, 4> partition_table(std::span<const std::uint8_t> sector);  // needs 512 bytes, else all empty
bool is_extended(std::uint8_t type);                                         // 05h, 0Fh, 85h

// Sector number `lba` as a partition table of `heads` x `sectors` would write it.
Chs address(std::uint64_t lba, std::uint32_t heads, std::uint32_t sectors);
// Whether `chs` stands for `lba` under this geometry. Beyond cylinder 1023, where there is no room for the number, the
// usual stand-ins are accepted: 1023 with the last head and sector, 1023/254/63, the number's lower ten bits.
bool stands_for(const Chs& chs, std::uint64_t lba, std::uint32_t heads, std::uint32_t sectors);

enum class FileSystem : std::uint8_t { kNtfs, kFat12, kFat16, kFat32, kExfat };
std::string_view name(FileSystem file_system);

// BIOS parameter block of a volume's first sector.
struct BootSector {
    FileSystem file_system = FileSystem::kNtfs;
    std::uint32_t sector_bytes = 0;
    std::uint32_t heads = 0;                   // 1Ah; 0 on exFAT, which has none
    std::uint32_t sectors = 0;                 // 18h, per track; 0 on exFAT
    std::uint64_t hidden = 0;                  // 1Ch: sectors before the volume; exFAT: 40h
    std::uint64_t total = 0;                   // sectors of the volume
    std::optional<std::uint64_t> backup = {};  // sector of the copy, relative to the volume
};

// None if the sector does not begin a volume of these file systems.
std::optional<BootSector> boot_sector(std::span<const std::uint8_t> sector);

// What the boot sector that the disk would be started from expects.
struct Expectation {
    std::uint32_t heads = 0, sectors = 0;
    unsigned partition = 0;  // number of its entry; 0: the disk has no partition table but begins with the volume
    std::uint64_t start = 0;
    bool active = false;
    bool usable = false;    // the numbers can be a geometry at all
    bool agrees = false;    // the partition table was written under the same geometry, and the hidden sectors are right
    std::string text = {};  // "partition 1 (NTFS at sector 63) expects 255 heads and 63 sectors a track"
};

// The active partition's boot sector; if it has none, the first primary partition's that has. Logical partitions are
// not started from and not looked at.
std::optional<Expectation> expectation(const Reader& reader, std::uint64_t sectors);

// Whether heads and sectors per track can be those of a disk: 1-255 and 1-63, but not 1 and 1.
bool plausible(std::uint32_t heads, std::uint32_t sectors);

}  // namespace backplane::geometry
