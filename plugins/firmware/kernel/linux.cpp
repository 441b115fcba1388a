// The boot protocol of Linux on x86: where the parts of a kernel file go, and what the loader writes into its header.
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "boot.hpp"

namespace backplane::boot {
namespace {

constexpr u64 kSector = 512, kPage = 4096, kMebibyte = 1 << 20;

// The header, by offset in the file.
constexpr std::size_t kOldCommandMagic = 0x20, kOldCommandOffset = 0x22;
constexpr std::size_t kSetupSectors = 0x1f1, kVideoMode = 0x1fa, kBootFlag = 0x1fe, kMagic = 0x202, kVersion = 0x206;
constexpr std::size_t kLoader = 0x210, kLoadFlags = 0x211, kRamDisk = 0x218, kRamDiskSize = 0x21c, kHeapEnd = 0x224;
constexpr std::size_t kCommandPointer = 0x228, kRamDiskMax = 0x22c, kExtendedLoadFlags = 0x236, kCommandMax = 0x238;
constexpr std::size_t kPreferred = 0x258, kNeeded = 0x260, kHeaderEnd = 0x264;
constexpr u8 kLoadedHigh = 0x01, kCanUseHeap = 0x80;
constexpr u16 kAboveFourGiB = 0x0002;
constexpr u16 kOldMagic = 0xa33f;
constexpr u8 kLoaderType = 0xb0;  // the one of the machine that this board is

constexpr u64 kDefaultSectors = 4;
constexpr u64 kOldCommandMax = 255;
constexpr u64 kOldRamDiskMax = 0x37ffffff;
constexpr u64 kStackAndHeap = 0x1000;  // of the setup code, at least
constexpr u64 kLowKernelMax = 0x80000;
// The firmware's tables at the end of memory.
constexpr u64 kTables = 0x20000;

struct Places {
    u64 setup, command, kernel;
};

Places places(u64 version, bool high, u64 command_size) {
    if (!high) return {0x90000, 0x9a000 - command_size, 0x10000};
    if (version < 0x202) return {0x90000, 0x9a000 - command_size, kMebibyte};
    return {0x10000, 0x20000, kMebibyte};
}

// What `vga=` asks for, or -1.
long video_mode(const std::string& append) {
    constexpr std::string_view kKey = "vga=";
    for (std::size_t at = append.find(kKey); at != std::string::npos; at = append.find(kKey, at + 1)) {
        if (at && append[at - 1] != ' ') continue;
        const std::string value = append.substr(at + kKey.size(), append.find(' ', at) - at - kKey.size());
        if (value == "normal") return 0xffff;
        if (value == "ext") return 0xfffe;
        if (value == "ask") return 0xfffd;
        char* end = nullptr;
        const long number = std::strtol(value.c_str(), &end, 0);
        return end != value.c_str() && number >= 0 && number <= 0xffff ? number : -1;
    }
    return -1;
}

std::string mebibytes(u64 bytes) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f MiB", static_cast<double>(bytes) / kMebibyte);
    return text;
}

[[noreturn]] void fail(const Named& file, const std::string& text) { throw BootError(file.name + ": " + text); }

// The first address of the initial RAM disk: as high as kernel and memory allow.
u64 ram_disk_address(const Named& kernel, const Named& initrd, u64 version, u64 kernel_end, u64 ram) {
    u64 last = version >= 0x203 ? get(kernel.data, kRamDiskMax, 4) : kOldRamDiskMax;
    if (version >= 0x20c && (get(kernel.data, kExtendedLoadFlags, 2) & kAboveFourGiB)) last = 0xffffffff;
    if (last >= ram - kTables) last = ram - kTables - 1;
    const u64 size = initrd.data.size();
    const u64 address = size < last ? (last - size) / kPage * kPage : 0;
    if (address < kernel_end)
        fail(initrd, "this initial RAM disk has " + mebibytes(size) + " and does not fit into memory: the kernel " +
                         kernel.name + " ends at " + hex(kernel_end) + ", and it can use memory up to " + hex(last) +
                         "; give the machine more memory");
    return address;
}

}  // namespace

std::string hex(u64 value) {
    char text[24];
    std::snprintf(text, sizeof text, "%llxh", static_cast<unsigned long long>(value));
    return text;
}

bool is_linux(const Blob& file) {
    return file.size() >= kHeapEnd && get(file, kBootFlag, 2) == 0xaa55 && std::memcmp(&file[kMagic], "HdrS", 4) == 0;
}

Plan plan_linux(Named kernel, Named initrd, const std::string& append, u64 ram) {
    Plan plan;
    Blob& file = kernel.data;
    const u64 version = get(file, kVersion, 2);
    if (version < 0x200 || version >= 0x300)
        fail(kernel, "offset " + hex(kVersion) + " says boot protocol " + hex(version) + "; 200h to 2ffh are known");
    if (ram <= kMebibyte + kTables) fail(kernel, "no kernel fits into this machine's memory");
    const bool high = file[kLoadFlags] & kLoadedHigh;
    const u64 sectors = file[kSetupSectors] ? file[kSetupSectors] : kDefaultSectors;
    const u64 setup_size = (sectors + 1) * kSector;
    if (file.size() <= setup_size || setup_size < kHeaderEnd)
        fail(kernel, "the file has " + std::to_string(file.size()) + " bytes; by offset " + hex(kSetupSectors) +
                         " its setup code alone takes " + std::to_string(setup_size));
    const u64 command_max = version >= 0x206 ? get(file, kCommandMax, 4) : kOldCommandMax;
    if (append.size() > command_max)
        fail(kernel, "append has " + std::to_string(append.size()) + " bytes; this kernel takes " +
                         std::to_string(command_max));
    const u64 command_size = (append.size() + 16) / 16 * 16;
    const Places at = places(version, high, command_size);
    if (at.setup + setup_size + kStackAndHeap > at.command)
        fail(kernel, "by offset " + hex(kSetupSectors) + " its setup code takes " + std::to_string(setup_size) +
                         " bytes, for which there is no room");
    const u64 kernel_size = file.size() - setup_size;
    u64 kernel_end = at.kernel + kernel_size;
    if (!high && kernel_size > kLowKernelMax)
        fail(kernel, "a kernel that is loaded below 1 MiB has at most " + hex(kLowKernelMax) + " bytes, not " +
                         hex(kernel_size));
    // What it takes to unpack itself.
    if (version >= 0x20a) kernel_end = std::max(kernel_end, get(file, kPreferred, 8) + get(file, kNeeded, 4));
    if (high && kernel_end > ram - kTables)
        fail(kernel, "this kernel takes memory up to " + hex(kernel_end) + ", and the machine has memory up to " +
                         hex(ram - kTables) + "; give it more");

    file[kLoader] = kLoaderType;
    if (version >= 0x201) {
        file[kLoadFlags] |= kCanUseHeap;
        put(file, kHeapEnd, at.command - at.setup - 0x200, 2);
    }
    if (version >= 0x202) {
        put(file, kCommandPointer, at.command, 4);
    } else {
        put(file, kOldCommandMagic, kOldMagic, 2);
        put(file, kOldCommandOffset, at.command - at.setup, 2);
    }
    if (const long mode = video_mode(append); mode >= 0) put(file, kVideoMode, static_cast<u64>(mode), 2);
    if (!initrd.data.empty()) {
        const u64 address = ram_disk_address(kernel, initrd, version, kernel_end, ram);
        put(file, kRamDisk, address, 4);
        put(file, kRamDiskSize, initrd.data.size(), 4);
        plan.place(kInitrdAddress, address, kInitrdSize, kInitrdData, std::move(initrd.data));
    }
    Blob command(command_size);
    std::copy(append.begin(), append.end(), command.begin());
    const auto middle = file.begin() + static_cast<std::ptrdiff_t>(setup_size);
    plan.place(kSetupAddress, at.setup, kSetupSize, kSetupData, Blob(file.begin(), middle));
    plan.place(kCommandAddress, at.command, kCommandSize, kCommandData, std::move(command));
    plan.place(kKernelAddress, at.kernel, kKernelSize, kKernelData, Blob(middle, file.end()));
    return plan;
}

}  // namespace backplane::boot
