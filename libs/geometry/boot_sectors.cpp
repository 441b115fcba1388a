#include "boot_sectors.hpp"

#include <algorithm>
#include <bit>

namespace backplane::geometry {
namespace {

using std::uint32_t;
using std::uint64_t;
using std::uint8_t;
using Bytes = std::span<const uint8_t>;

constexpr uint64_t kCylinderLimit = 1024;  // ten bits in a table entry

uint32_t word(Bytes b, std::size_t at) { return b[at] | uint32_t{b[at + 1]} << 8; }
uint32_t dword(Bytes b, std::size_t at) { return word(b, at) | word(b, at + 2) << 16; }
uint64_t qword(Bytes b, std::size_t at) { return dword(b, at) | uint64_t{dword(b, at + 4)} << 32; }

bool has_text(Bytes b, std::size_t at, std::string_view text) {
    return std::equal(text.begin(), text.end(), b.begin() + static_cast<std::ptrdiff_t>(at),
                      [](char c, uint8_t byte) { return static_cast<uint8_t>(c) == byte; });
}

Chs packed(Bytes e, std::size_t at) { return {e[at + 2] | (e[at + 1] & 0xc0u) << 2, e[at], e[at + 1] & 0x3fu}; }

// A BIOS parameter block of the FAT kind has its numbers here; NTFS keeps the same places.
std::optional<BootSector> fat(Bytes s) {
    const uint32_t bytes = word(s, 0x0b), per_cluster = s[0x0d], reserved = word(s, 0x0e), fats = s[0x10];
    const uint32_t root = word(s, 0x11), small = word(s, 0x13), large = dword(s, 0x20);
    if (reserved == 0 || fats < 1 || fats > 2 || s[0x15] < 0xf0 || !std::has_single_bit(per_cluster)) return {};
    BootSector b;
    b.sector_bytes = bytes;
    b.total = small ? small : large;
    const uint32_t fat16 = word(s, 0x16);
    const uint64_t fat_sectors = fat16 ? fat16 : dword(s, 0x24);
    const uint64_t data = reserved + fats * fat_sectors + (uint64_t{root} * 32 + bytes - 1) / bytes;
    if (b.total == 0 || fat_sectors == 0 || data > b.total) return {};
    const uint64_t clusters = (b.total - data) / per_cluster;
    if (fat16 == 0) {
        b.file_system = FileSystem::kFat32;
        const uint32_t backup = word(s, 0x32);
        if (backup != 0 && backup != 0xffff && backup < reserved) b.backup = backup;
    } else {
        b.file_system = clusters < 4085 ? FileSystem::kFat12 : FileSystem::kFat16;
    }
    return b;
}

}  // namespace

bool has_signature(Bytes sector) { return sector.size() >= kSectorBytes && sector[510] == 0x55 && sector[511] == 0xaa; }

std::array<Entry, 4> partition_table(Bytes sector) {
    std::array<Entry, 4> table{};
    for (unsigned i = 0; i < 4; ++i) {
        table[i].number = i + 1;
        if (sector.size() < kSectorBytes) continue;
        const Bytes e = sector.subspan(0x1be + 16 * i, 16);
        table[i] = {i + 1, (e[0] & 0x80) != 0, e[4], dword(e, 8), dword(e, 12), packed(e, 1), packed(e, 5)};
    }
    return table;
}

bool is_extended(uint8_t type) { return type == 0x05 || type == 0x0f || type == 0x85; }

Chs address(uint64_t lba, uint32_t heads, uint32_t sectors) {
    if (heads == 0 || sectors == 0) return {};
    const uint64_t track = lba / sectors;
    return {static_cast<uint32_t>(std::min<uint64_t>(track / heads, ~0u)), static_cast<uint32_t>(track % heads),
            static_cast<uint32_t>(lba % sectors) + 1};
}

bool stands_for(const Chs& chs, uint64_t lba, uint32_t heads, uint32_t sectors) {
    if (heads == 0 || sectors == 0) return false;
    const Chs right = address(lba, heads, sectors);
    if (right.cylinders < kCylinderLimit) return chs == right;
    const uint32_t top = static_cast<uint32_t>(kCylinderLimit) - 1;
    return chs == Chs{top, heads - 1, sectors} || chs == Chs{top, 254, 63} || chs == Chs{top, 255, 63} ||
           chs == Chs{top, right.heads, right.sectors} || chs == Chs{right.cylinders & top, right.heads, right.sectors};
}

std::string_view name(FileSystem file_system) {
    switch (file_system) {
        case FileSystem::kNtfs: return "NTFS";
        case FileSystem::kFat12: return "FAT12";
        case FileSystem::kFat16: return "FAT16";
        case FileSystem::kFat32: return "FAT32";
        case FileSystem::kExfat: return "exFAT";
    }
    return "?";
}

std::optional<BootSector> boot_sector(Bytes sector) {
    if (!has_signature(sector)) return {};
    if (sector[0] != 0xeb && sector[0] != 0xe9) return {};  // all begin with a jump over the block
    BootSector b;
    if (has_text(sector, 3, "EXFAT   ")) {
        const uint32_t shift = sector[0x6c];
        if (shift < 9 || shift > 12) return {};
        b.file_system = FileSystem::kExfat;
        b.sector_bytes = 1u << shift;
        b.hidden = qword(sector, 0x40), b.total = qword(sector, 0x48);
        b.backup = 12;
        return b;
    }
    const uint32_t bytes = word(sector, 0x0b);
    if (bytes < 512 || bytes > 4096 || !std::has_single_bit(bytes)) return {};
    if (has_text(sector, 3, "NTFS    ")) {
        b.file_system = FileSystem::kNtfs;
        b.sector_bytes = bytes;
        b.total = qword(sector, 0x28);
        if (b.total != 0) b.backup = b.total;  // the partition has one sector more than the volume
    } else if (const auto found = fat(sector)) {
        b = *found;
    } else {
        return {};
    }
    b.sectors = word(sector, 0x18), b.heads = word(sector, 0x1a), b.hidden = dword(sector, 0x1c);
    return b;
}

bool plausible(uint32_t heads, uint32_t sectors) {
    return heads >= 1 && heads <= kMaxLogicalHeads && sectors >= 1 && sectors <= kMaxSectors && heads * sectors > 1;
}

namespace {

std::optional<Expectation> of_volume(Bytes sector, const Entry* entry) {
    const auto b = boot_sector(sector);
    if (!b || b->file_system == FileSystem::kExfat) return {};
    Expectation e;
    e.heads = b->heads, e.sectors = b->sectors;
    e.usable = plausible(b->heads, b->sectors);
    e.text = entry ? "partition " + std::to_string(entry->number) + " (" + std::string(name(b->file_system)) +
                         " at sector " + std::to_string(entry->start) + ")"
                   : "the volume that begins at the first sector (" + std::string(name(b->file_system)) + ")";
    e.text += " expects " + std::to_string(e.heads) + (e.heads == 1 ? " head and " : " heads and ") +
              std::to_string(e.sectors) + (e.sectors == 1 ? " sector" : " sectors") + " a track";
    if (entry) {
        e.partition = entry->number, e.start = entry->start, e.active = entry->active;
        const uint64_t last = uint64_t{entry->start} + entry->count - 1;
        e.agrees = e.usable && b->hidden == entry->start &&
                   stands_for(entry->first, entry->start, e.heads, e.sectors) &&
                   stands_for(entry->last, last, e.heads, e.sectors);
    } else {
        e.active = true;
        e.agrees = e.usable && b->hidden == 0;
    }
    return e;
}

}  // namespace

std::optional<Expectation> expectation(const Reader& reader, uint64_t sectors) {
    std::array<uint8_t, kSectorBytes> first{};
    if (!reader || sectors == 0 || !reader(0, first)) return {};
    if (const auto whole = of_volume(first, nullptr)) return whole;
    if (!has_signature(first)) return {};
    std::optional<Expectation> found;
    for (const Entry& e : partition_table(first)) {
        if (e.type == 0 || e.count == 0 || e.start == 0 || e.start >= sectors || is_extended(e.type)) continue;
        if (found && !e.active) continue;
        std::array<uint8_t, kSectorBytes> boot{};
        if (!reader(e.start, boot)) continue;
        auto here = of_volume(boot, &e);
        if (here && (!found || (here->active && !found->active))) found = std::move(here);
    }
    return found;
}

}  // namespace backplane::geometry
