#include "geometry.hpp"

#include <algorithm>

namespace backplane::geometry {
namespace {

using std::uint32_t;
using std::uint64_t;
using std::uint8_t;

// Master boot record: four entries of 16 bytes, then the signature.
constexpr std::size_t kTable = 0x1be;
constexpr std::size_t kEntryBytes = 16;
constexpr std::size_t kEndHead = 5;
constexpr std::size_t kEndSector = 6;  // bits 5:0; the upper two belong to the cylinder
constexpr std::size_t kCount = 12;
constexpr std::size_t kSignature = 0x1fe;

// Interrupt 13h has ten bits for the cylinder.
constexpr uint32_t kInt13Cylinders = 1024;
// Largest cylinders x heads that bit shifting brings below 1024 cylinders with up to 128 heads.
constexpr uint32_t kLargeLimit = 131072;

uint32_t dword(std::span<const uint8_t> bytes, std::size_t at) {
    return static_cast<uint32_t>(bytes[at]) | static_cast<uint32_t>(bytes[at + 1]) << 8 |
           static_cast<uint32_t>(bytes[at + 2]) << 16 | static_cast<uint32_t>(bytes[at + 3]) << 24;
}

Translation automatic(const Chs& p) {
    const bool fits = p.cylinders <= kInt13Cylinders && p.heads <= kMaxHeads && p.sectors <= kMaxSectors;
    return fits ? Translation::kNone : Translation::kLba;
}

std::string automatic_reason(const Chs& p) {
    return automatic(p) == Translation::kNone
               ? "at most 1024 cylinders need no translation"
               : "more than 1024 cylinders and no partition table that says otherwise need LBA translation";
}

Chs shifted(Chs c) {
    while (c.cylinders > kInt13Cylinders) {
        c.cylinders /= 2;
        c.heads *= 2;
        if (c.heads > 127) break;
    }
    return c;
}

Chs assisted(uint64_t sectors) {
    if (sectors > uint64_t{63} * 255 * 1024) return {1024, 255, 63};
    const uint32_t tracks = static_cast<uint32_t>(sectors / 63);
    const uint32_t wanted = tracks / 1024;
    const uint32_t heads = wanted > 128 ? 255 : wanted > 64 ? 128 : wanted > 32 ? 64 : wanted > 16 ? 32 : 16;
    return {tracks / heads, heads, 63};
}

}  // namespace

std::optional<Chs> guess_from_partition_table(uint64_t sectors, std::span<const uint8_t> first_sector,
                                              unsigned* entry) {
    if (first_sector.size() < kSectorBytes) return std::nullopt;
    if (first_sector[kSignature] != 0x55 || first_sector[kSignature + 1] != 0xaa) return std::nullopt;
    for (unsigned i = 0; i < 4; ++i) {
        const auto e = first_sector.subspan(kTable + i * kEntryBytes, kEntryBytes);
        const uint32_t end_head = e[kEndHead];
        const uint32_t end_sector = e[kEndSector] & 0x3fu;
        if (dword(e, kCount) == 0 || end_head == 0 || end_sector == 0) continue;
        const uint32_t heads = end_head + 1;
        // Of the whole disk: where the partition ends says nothing about the disk's size.
        const uint64_t cylinders = sectors / (heads * end_sector);
        if (cylinders < 1 || cylinders > kMaxCylinders) continue;
        if (entry) *entry = i + 1;
        return Chs{static_cast<uint32_t>(cylinders), heads, end_sector};
    }
    return std::nullopt;
}

Chs default_physical(uint64_t sectors) {
    const uint64_t cylinders = sectors / (kMaxHeads * kMaxSectors);
    return {static_cast<uint32_t>(std::clamp<uint64_t>(cylinders, 2, kMaxCylinders)), kMaxHeads, kMaxSectors};
}

Chs logical(Translation translation, const Chs& physical, uint64_t sectors) {
    Chs c = physical;
    switch (translation) {
        case Translation::kNone: break;
        case Translation::kLba: c = assisted(sectors); break;
        case Translation::kLarge: c = shifted(c); break;
        case Translation::kRechs:
            if (c.heads == 16) {
                c.cylinders = std::min(c.cylinders, 61439u) * 16 / 15;
                c.heads = 15;
            }
            c = shifted(c);
            break;
    }
    c.cylinders = std::min(c.cylinders, kInt13Cylinders);
    return c;
}

Geometry resolve(const Input& input) {
    Geometry g;
    g.sectors = input.sectors;
    unsigned entry = 0;
    if (input.settings.chs) {
        g.physical = *input.settings.chs;
        g.translation = automatic(g.physical);
        g.reason = "cylinders, heads and sectors were given; " + automatic_reason(g.physical);
    } else if (const auto guess = guess_from_partition_table(input.sectors, input.first_sector, &entry); !guess) {
        g.physical = default_physical(input.sectors);
        g.translation = automatic(g.physical);
        const bool readable = input.first_sector.size() >= kSectorBytes;
        g.reason = std::string(readable ? "no usable partition table" : "the first sector could not be read") +
                   ", so 16 heads and 63 sectors; " + automatic_reason(g.physical);
    } else {
        const std::string found = "partition " + std::to_string(entry) + " ends at head " +
                                  std::to_string(guess->heads - 1) + ", sector " + std::to_string(guess->sectors);
        if (guess->heads > kMaxHeads) {
            // The table was written under a translating BIOS; only the fact counts, not the number of heads.
            g.physical = default_physical(input.sectors);
            const bool large = g.physical.cylinders * g.physical.heads <= kLargeLimit;
            g.translation = large ? Translation::kLarge : Translation::kLba;
            g.reason = found + ", more heads than a drive has: written under a translating BIOS; " +
                       (large ? "at most 8192 cylinders: bit shift" : "more than 8192 cylinders: LBA");
        } else {
            g.physical = *guess;
            g.translation = Translation::kNone;
            g.reason = found + ": written without translation";
        }
    }
    if (input.settings.translation) {
        g.translation = *input.settings.translation;
        g.reason += "; translation " + std::string(name(g.translation)) + " was given";
    }
    g.logical = logical(g.translation, g.physical, input.sectors);
    return g;
}

std::string_view name(Translation translation) {
    switch (translation) {
        case Translation::kNone: return "none";
        case Translation::kLba: return "lba";
        case Translation::kLarge: return "large";
        case Translation::kRechs: return "rechs";
    }
    return "none";
}

std::string text(const Chs& c) {
    return std::to_string(c.cylinders) + "/" + std::to_string(c.heads) + "/" + std::to_string(c.sectors);
}

std::string report(const Geometry& g) {
    return "sectors:     " + std::to_string(g.sectors) + " (" + std::to_string(g.sectors * kSectorBytes) + " bytes)\n" +
           "physical:    " + text(g.physical) + "\n" +                  //
           "translation: " + std::string(name(g.translation)) + "\n" +  //
           "logical:     " + text(g.logical) + "\n" +                   //
           "because:     " + g.reason + "\n";
}

std::string check(const Settings& settings) {
    if (!settings.chs) return {};
    const Chs& c = *settings.chs;
    if (c.cylinders < 1 || c.heads < 1 || c.sectors < 1)
        return "cylinders, heads and sectors must be given together, each at least 1 (given: " + text(c) + ")";
    if (c.cylinders > kMaxCylinders || c.heads > kMaxHeads || c.sectors > kMaxSectors)
        return "an ATA drive has at most 16383 cylinders, 16 heads and 63 sectors (given: " + text(c) + ")";
    return {};
}

}  // namespace backplane::geometry
