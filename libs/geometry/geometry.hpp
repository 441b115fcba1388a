// Disk geometry as a PC of the qemu-kvm 0.12 era and its SeaBIOS 1.16.2 see it: pure functions, no state, no files.
//
// "Physical" CHS is what the drive reports in IDENTIFY and what a board writes to CMOS; "logical" CHS is what INT 13h
// callers get after the firmware has applied the translation. The rules are those of the board pc-0.12; every result
// carries the reason in words, because the owner of a disk that does not boot needs to know why.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace backplane::geometry {

inline constexpr std::uint32_t kSectorBytes = 512;
inline constexpr std::uint32_t kMaxCylinders = 16383;
inline constexpr std::uint32_t kMaxHeads = 16;
inline constexpr std::uint32_t kMaxSectors = 63;
// What interrupt 13h can express.
inline constexpr std::uint32_t kMaxLogicalCylinders = 65535;  // of which callers see 1024
inline constexpr std::uint32_t kMaxLogicalHeads = 255;

struct Chs {
    std::uint32_t cylinders = 0;
    std::uint32_t heads = 0;
    std::uint32_t sectors = 0;
    bool operator==(const Chs&) const = default;
};

// The values are those of the two bits in CMOS 39h.
enum class Translation : std::uint8_t { kNone = 0, kLba = 1, kLarge = 2, kRechs = 3 };

// What the owner of the disk prescribes. Explicit CHS disables every guess; an explicit translation wins over every
// rule; an explicit logical geometry is handed to the firmware as it is (fw_cfg `bios-geometry`).
struct Settings {
    std::optional<Chs> chs = {};
    std::optional<Translation> translation = {};
    std::optional<Chs> logical = {};
};

// Where the geometry of a disk comes from that has no settings.
enum class Policy : std::uint8_t {
    kQemu012,  // partition table, else size: what qemu-kvm 0.12 did
    kAuto      // image header, else where boot sectors and partition table agree, else as kQemu012
};

// Fills `bytes` (a whole number of sectors) from sector `lba` on; false if that cannot be read.
using Reader = std::function<bool(std::uint64_t lba, std::span<std::uint8_t> bytes)>;

struct Input {
    std::uint64_t sectors = 0;                        // 512-byte sectors of the medium
    std::span<const std::uint8_t> first_sector = {};  // fewer than 512 bytes: it could not be read
    Settings settings = {};
    Policy policy = Policy::kQemu012;
    Reader reader = {};              // kAuto looks at boot sectors with it; none: there are none
    std::optional<Chs> header = {};  // geometry in the image's header (kAuto)
};

struct Geometry {
    Chs physical;
    Chs logical;
    Translation translation = Translation::kNone;
    std::uint64_t sectors = 0;
    std::string reason = {};
    // The logical geometry is not what the firmware makes of `translation`: it has to be told (fw_cfg `bios-geometry`,
    // 256 KiB firmware).
    bool logical_given = false;
    // What the policy would do without the settings, in words; empty if there are no settings or it is the same.
    std::string otherwise = {};
};

Geometry resolve(const Input& input);

// A geometry whose logical heads and sectors per track are `heads` and `sectors`, on a medium of `total` sectors: with
// a translation if one yields it (`preferred`, if it does; then as many CHS sectors as possible), else with
// `logical_given`. `preferred` is what is kept where nothing has to change.
Geometry with_logical(std::uint64_t total, std::uint32_t heads, std::uint32_t sectors, const Geometry& preferred);

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
std::string_view name(Policy policy);            // "qemu-0.12", "auto"
std::string text(const Chs& chs);                // "1024/16/63"

// Several lines for a person: size, physical, translation, logical, reason. What `backplane disk info` prints.
std::string report(const Geometry& geometry);

// Text of what is wrong with explicit settings, or empty if they are acceptable.
std::string check(const Settings& settings);

}  // namespace backplane::geometry
