#include "boot_code.hpp"

#include <algorithm>

namespace backplane::doctor {
namespace {

using std::uint8_t;
using Bytes = std::span<const uint8_t>;
constexpr std::size_t kCode = 446;

bool contains(Bytes where, std::string_view text) {
    return std::search(where.begin(), where.end(), text.begin(), text.end(),
                       [](uint8_t a, char b) { return a == static_cast<uint8_t>(b); }) != where.end();
}

bool begins(Bytes where, std::initializer_list<uint8_t> bytes) {
    return where.size() >= bytes.size() && std::equal(bytes.begin(), bytes.end(), where.begin());
}

bool blank(Bytes where) {
    return std::all_of(where.begin(), where.end(), [](uint8_t b) { return b == 0; });
}

// MOV AH,n before INT 13h: does the code ask for the extensions (41h), or for the geometry (08h)?
bool calls(Bytes code, uint8_t function) {
    for (std::size_t i = 0; i + 1 < code.size(); ++i) {
        if (code[i] != 0xb4 || code[i + 1] != function) continue;
        for (std::size_t k = i + 2; k + 1 < code.size() && k < i + 12; ++k)
            if (code[k] == 0xcd && code[k + 1] == 0x13) return true;
    }
    return false;
}

// Translated Windows has other words in the same places: three bytes before the disk signature point at the messages.
bool has_nt_pointers(Bytes sector) {
    const uint8_t a = sector[0x1b5], b = sector[0x1b6], c = sector[0x1b7];
    return a >= 0x20 && a < b && b < c;
}

constexpr std::string_view kInvalid = "Invalid partition table";
constexpr std::string_view kMissing = "Missing operating system";

}  // namespace

BootCode master_boot_code(Bytes sector) {
    if (sector.size() < geometry::kSectorBytes) return {"none", "none: the sector cannot be read", Loader::kNothing};
    const Bytes code = sector.first(kCode);
    if (blank(code.first(0x1b8))) return {"none", "none (all zeros)", Loader::kNothing};
    if (contains(code, "1234F") && contains(code, "MBR "))
        return {"debian-mbr", "install-mbr (Debian package mbr)", Loader::kTableLba};
    if (contains(code, "GRUB ")) {
        return begins(code, {0xeb, 0x63}) ? BootCode{"grub2", "GRUB 2", Loader::kAsksBios}
                                          : BootCode{"grub-legacy", "GRUB 0.9x", Loader::kAsksBios};
    }
    if (contains(code.subspan(0, 16), "LILO")) return {"lilo", "LILO", Loader::kAsksBios};
    if (contains(code, "Operating system load error") || contains(code, "Multiple active partitions"))
        return {"syslinux-mbr", "Syslinux mbr.bin", calls(code, 0x41) ? Loader::kTableLba : Loader::kAsksBios};
    if (contains(code, "TCPA")) return {"vista-mbr", "Windows Vista or later", Loader::kTableLba};
    const bool words = contains(code, kInvalid) || contains(code, kMissing);
    const bool extensions = calls(code, 0x41) || contains(code, "\xbb\xaa\x55\xb4\x41");
    if (begins(code, {0x33, 0xc0, 0x8e, 0xd0, 0xbc}) && extensions && (words || has_nt_pointers(sector)))
        return {"nt5-mbr", "Windows 2000, XP or 2003", Loader::kTableChsThenLba};
    if (words && !extensions)
        return begins(code, {0xfa, 0x33, 0xc0}) ? BootCode{"dos-mbr", "DOS, Windows 95 or NT 4", Loader::kTableChs}
                                                : BootCode{"other-table-mbr", "a DOS-like one", Loader::kTableChs};
    if (words) return {"win9x-mbr", "Windows 95 OSR2, 98 or Me, or one like it", Loader::kTableChsThenLba};
    if (contains(code, "Drive ") && contains(code, "Default:")) return {"boot0", "FreeBSD boot0", Loader::kTableLba};
    return {"unknown", "unknown", Loader::kUnknown};
}

BootCode volume_boot_code(Bytes sector, geometry::FileSystem file_system) {
    using geometry::FileSystem;
    if (sector.size() < geometry::kSectorBytes) return {"none", "none: the sector cannot be read", Loader::kNothing};
    const bool ntfs = file_system == FileSystem::kNtfs;
    const std::size_t start = ntfs || file_system == FileSystem::kFat32 ? 0x5a : 0x3e;
    const Bytes code = sector.subspan(start, 510 - start);
    if (contains(code, "not a bootable disk"))
        return {"mkfs", "the placeholder of a Linux mkfs program", Loader::kMessage};
    if (blank(code)) return {"none", "none (all zeros)", Loader::kNothing};
    if (contains(code, "BOOTMGR")) return {"bootmgr", "Windows Vista or later (BOOTMGR)", Loader::kVolumeLba};
    const bool extensions = calls(code, 0x41) || contains(code, "\xbb\xaa\x55") || contains(code, "\xb4\x42");
    if (contains(code, "NTLDR"))
        return ntfs ? BootCode{"ntldr-ntfs", "Windows 2000, XP or 2003 (NTLDR)", Loader::kVolumeChsThenLba}
                    : BootCode{"ntldr-fat", "Windows NT, 2000, XP or 2003 (NTLDR)",
                               extensions ? Loader::kVolumeChsThenLba : Loader::kVolumeChs};
    if (ntfs && contains(code, "kernel file is missing")) return {"nt4-ntfs", "Windows NT 3 or 4", Loader::kVolumeChs};
    if (contains(code, "SYSLINUX") || contains(sector.first(16), "SYSLINUX"))
        return {"syslinux", "Syslinux", Loader::kAsksBios};
    if (contains(code, "GRUB ")) return {"grub", "GRUB", Loader::kAsksBios};
    if (contains(sector.first(16), "LILO") || contains(code.first(16), "LILO"))
        return {"lilo", "LILO", Loader::kAsksBios};
    if (contains(code, "FreeDOS") || contains(code, "KERNEL  SYS"))
        return {"freedos", "FreeDOS", extensions ? Loader::kVolumeLba : Loader::kVolumeChs};
    if (contains(code, "IO      SYS") || contains(code, "WINBOOT SYS") || contains(code, "IBMBIO  COM"))
        return {"dos", "DOS or Windows 9x", extensions ? Loader::kVolumeChsThenLba : Loader::kVolumeChs};
    return {"unknown", "unknown", Loader::kUnknown};
}

std::string_view name(Loader loader) {
    switch (loader) {
        case Loader::kNothing: return "nothing";
        case Loader::kMessage: return "message";
        case Loader::kTableChs: return "table-chs";
        case Loader::kTableChsThenLba: return "table-chs-then-lba";
        case Loader::kTableLba: return "table-lba";
        case Loader::kVolumeChs: return "volume-chs";
        case Loader::kVolumeChsThenLba: return "volume-chs-then-lba";
        case Loader::kVolumeLba: return "volume-lba";
        case Loader::kAsksBios: return "asks-bios";
        case Loader::kUnknown: return "unknown";
    }
    return "unknown";
}

std::string_view describe(Loader loader) {
    switch (loader) {
        case Loader::kNothing: return "there is nothing to run";
        case Loader::kMessage: return "prints a message and reads nothing";
        case Loader::kTableChs: return "reads the active partition by the cylinder, head and sector in the table";
        case Loader::kTableChsThenLba:
            return "reads the active partition by the cylinder, head and sector in the table as far as INT 13h says "
                   "the "
                   "disk goes, by sector number beyond";
        case Loader::kTableLba: return "reads the active partition by its sector number";
        case Loader::kVolumeChs: return "computes cylinder, head and sector with the numbers in its own boot sector";
        case Loader::kVolumeChsThenLba:
            return "computes cylinder, head and sector with the numbers in its own boot sector as far as INT 13h says "
                   "the disk goes; by sector number beyond";
        case Loader::kVolumeLba: return "reads by sector number, counted from the hidden sectors in its boot sector";
        case Loader::kAsksBios: return "does not depend on table and boot sector";
        case Loader::kUnknown: return "taken to behave like Windows XP's";
    }
    return "";
}

}  // namespace backplane::doctor
