// What stands on a disk, read and not judged: table, extended chain, boot sectors with their copies.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "boot_code.hpp"
#include "geometry/boot_sectors.hpp"
#include "gpt.hpp"

namespace backplane::doctor {

using Sector = std::array<std::uint8_t, geometry::kSectorBytes>;

// Heads and sectors per track.
struct Tracks {
    std::uint32_t heads = 0, sectors = 0;
    bool operator==(const Tracks&) const = default;
};

struct Backup {
    std::uint64_t lba = 0;  // on the disk
    bool readable = false;  // false: beyond the end, or an error
    bool present = false;   // looks like a boot sector of the same file system
    bool equal = false;
};

struct Volume {
    Sector raw{};
    geometry::BootSector boot{};
    BootCode code{};
    std::optional<Backup> backup = {};
    std::uint64_t data = 0;  // sector of the volume where its metadata lie: $MFT, or the first cluster of FAT
    std::uint64_t fat = 0;   // first FAT, relative to the volume (FAT only)
};

struct Partition {
    geometry::Entry entry{};  // as written
    unsigned number = 0;      // 1-4; logical ones from 5
    std::uint64_t table = 0;  // sector that holds the entry
    std::uint64_t start = 0;  // on the disk
    std::uint64_t count = 0;
    bool extended = false;
    bool signature = false;  // its first sector ends with 55AA
    std::optional<Volume> volume = {};
    std::string content = {};  // what else begins there: "ext2/3/4", "Linux swap"
    // Geometries under which both CHS addresses stand for the sectors that the entry names. All 1-255 x 1-63 are tried.
    std::vector<Tracks> agreeing = {};
    std::uint64_t end() const { return start + count; }  // first sector behind it
};

struct Layout {
    std::uint64_t sectors = 0;
    bool readable = false;  // the first sector
    bool signature = false;
    Sector first{};
    BootCode code{};
    std::optional<Volume> whole = {};   // the disk is one volume without a table
    std::vector<Partition> partitions;  // primary ones by number, then logical ones
    std::vector<std::string> chain;     // what is wrong with the chain of extended partitions
    std::optional<Gpt> gpt = {};
    std::uint8_t odd_flags = 0;  // entries, one bit each, whose first byte is neither 00h nor 80h
    // The geometry under which most entries agree, if one can be told.
    std::optional<Tracks> table = {};
};

Layout read_layout(const geometry::Reader& reader, std::uint64_t sectors);

// All geometries under which both addresses of an entry that begins at `start` (of the disk) agree.
std::vector<Tracks> agreeing(const geometry::Entry& entry, std::uint64_t start, std::uint64_t count);
// Of all entries' sets together; ties are broken by boot sectors, end heads and what is usual.
std::optional<Tracks> table_geometry(const std::vector<Partition>& partitions);

}  // namespace backplane::doctor
