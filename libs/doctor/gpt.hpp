// GUID partition table (UEFI specification 2.x, chapter 5): headers, their checksums, entries.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "geometry/geometry.hpp"

namespace backplane::doctor {

struct GptHeader {
    std::uint64_t lba = 0;
    bool found = false;        // "EFI PART"
    bool checksum_ok = false;  // of the header
    bool entries_ok = false;   // checksum of the entries; false too if they cannot be read
    std::uint64_t backup = 0;  // where it says the other header is
    std::uint64_t entries = 0;
    std::uint32_t count = 0, entry_bytes = 0;
};

struct GptPartition {
    unsigned number = 0;
    std::string type;  // GUID
    std::string name;  // ASCII of it
    std::uint64_t first = 0, last = 0;
};

struct Gpt {
    GptHeader primary, backup;
    std::vector<GptPartition> partitions;  // of the first header whose checksums are right
};

Gpt read_gpt(const geometry::Reader& reader, std::uint64_t sectors);

// CRC-32 as GPT uses it (reflected, polynomial EDB88320h).
std::uint32_t crc32(std::span<const std::uint8_t> bytes);

}  // namespace backplane::doctor
