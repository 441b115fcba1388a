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

uint32_t dword(std::span<const uint8_t> bytes, std::size_t at) {
    return static_cast<uint32_t>(bytes[at]) | static_cast<uint32_t>(bytes[at + 1]) << 8 |
           static_cast<uint32_t>(bytes[at + 2]) << 16 | static_cast<uint32_t>(bytes[at + 3]) << 24;
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

std::string_view name(Translation translation) {
    switch (translation) {
        case Translation::kNone: return "none";
        case Translation::kLba: return "lba";
        case Translation::kLarge: return "large";
        case Translation::kRechs: return "rechs";
    }
    return "none";
}

std::string_view name(Policy policy) { return policy == Policy::kAuto ? "auto" : "qemu-0.12"; }

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
    if (settings.chs) {
        const Chs& c = *settings.chs;
        if (c.cylinders < 1 || c.heads < 1 || c.sectors < 1)
            return "cylinders, heads and sectors must be given together, each at least 1 (given: " + text(c) + ")";
        if (c.cylinders > kMaxCylinders || c.heads > kMaxHeads || c.sectors > kMaxSectors)
            return "an ATA drive has at most 16383 cylinders, 16 heads and 63 sectors (given: " + text(c) + ")";
    }
    if (settings.logical) {
        const Chs& c = *settings.logical;
        if (c.cylinders < 1 || c.heads < 1 || c.sectors < 1)
            return "lcylinders, lheads and lsectors must be given together, each at least 1 (given: " + text(c) + ")";
        if (c.cylinders > kMaxLogicalCylinders || c.heads > kMaxLogicalHeads || c.sectors > kMaxSectors)
            return "interrupt 13h has at most 255 heads and 63 sectors (given: " + text(c) + ")";
    }
    return {};
}

}  // namespace backplane::geometry
