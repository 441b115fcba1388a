// Boot code by what it says and does: its messages and a few instructions are looked for, nothing is compared whole, so
// that translated and patched versions are recognised as well.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "geometry/boot_sectors.hpp"

namespace backplane::doctor {

// How a piece of boot code finds the sectors that it reads.
enum class Loader : std::uint8_t {
    kNothing,           // there is no code
    kMessage,           // prints a message, reads nothing: the placeholder of a mkfs program
    kTableChs,          // cylinder, head, sector of the active entry (start)
    kTableChsThenLba,   // the same below what INT 13h reports as the disk's size, sector number beyond
    kTableLba,          // sector number of the active entry
    kVolumeChs,         // hidden sectors + n, divided by the boot sector's own heads and sectors per track
    kVolumeChsThenLba,  // the same below what INT 13h reports as the disk's size, sector number beyond
    kVolumeLba,         // hidden sectors + n as a sector number
    kAsksBios,          // asks INT 13h for the geometry, or uses sector numbers of its own: independent of what we see
    kUnknown
};

struct BootCode {
    std::string_view id;    // stable, for programs: "nt5-mbr"
    std::string_view name;  // for people
    Loader loader = Loader::kUnknown;
};

// Code of a master boot record (the first 446 bytes).
BootCode master_boot_code(std::span<const std::uint8_t> sector);
// Code of a volume's first sector.
BootCode volume_boot_code(std::span<const std::uint8_t> sector, geometry::FileSystem file_system);

std::string_view name(Loader loader);      // stable, for programs: "table-chs"
std::string_view describe(Loader loader);  // for people, a phrase

}  // namespace backplane::doctor
