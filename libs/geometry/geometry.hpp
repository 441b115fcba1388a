// Disk geometry as a PC of the qemu-kvm 0.12 era and its SeaBIOS 1.16.2 see it: pure functions, no state, no files.
//
// "Physical" CHS is what the drive reports in IDENTIFY and what a board writes to CMOS; "logical" CHS is what INT 13h
// callers get after the firmware has applied the translation. The rules are those of the board pc-0.12; every result
// carries the reason in words, because the owner of a disk that does not boot needs to know why.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace backplane::geometry {

inline constexpr std::uint32_t kSectorBytes = 512;
inline constexpr std::uint32_t kMaxCylinders = 16383;
inline constexpr std::uint32_t kMaxHeads = 16;
inline constexpr std::uint32_t kMaxSectors = 63;

struct Chs {
    std::uint32_t cylinders = 0;
    std::uint32_t heads = 0;
    std::uint32_t sectors = 0;
    bool operator==(const Chs&) const = default;
};

// The values are those of the two bits in CMOS 39h.
enum class Translation : std::uint8_t { kNone = 0, kLba = 1, kLarge = 2, kRechs = 3 };

// What the owner of the disk prescribes. Explicit CHS disables the look at the partition table; an explicit translation
// wins over every rule.
struct Settings {
    std::optional<Chs> chs;
    std::optional<Translation> translation;
};

struct Input {
    std::uint64_t sectors = 0;                        // 512-byte sectors of the medium
    std::span<const std::uint8_t> first_sector = {};  // fewer than 512 bytes: it could not be read
    Settings settings = {};
};

struct Geometry {
    Chs physical;
    Chs logical;
    Translation translation = Translation::kNone;
    std::uint64_t sectors = 0;
    std::string reason;
};

Geometry resolve(const Input& input);

// The steps of resolve(), for tools that want to show them one by one.

// Geometry under which the first usable entry of the MBR's partition table was written, if there is one. `entry`, if
// given, receives its number, 1-4.
std::optional<Chs> guess_from_partition_table(std::uint64_t sectors, std::span<const std::uint8_t> first_sector,
                                              unsigned* entry = nullptr);
// 16 heads, 63 sectors and as many cylinders as fit.
Chs default_physical(std::uint64_t sectors);
// SeaBIOS 1.16.2 on an ATA disk.
Chs logical(Translation translation, const Chs& physical, std::uint64_t sectors);

std::string_view name(Translation translation);  // "none", "lba", "large", "rechs"
std::string text(const Chs& chs);                // "1024/16/63"

// Several lines for a person: size, physical, translation, logical, reason. What `backplane disk info` prints.
std::string report(const Geometry& geometry);

// Text of what is wrong with explicit settings, or empty if they are acceptable.
std::string check(const Settings& settings);

}  // namespace backplane::geometry
