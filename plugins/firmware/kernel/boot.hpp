// What it takes to start a kernel: items of the firmware configuration device, and the boot ROM that puts them into
// memory.
#pragma once

#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "backplane/types.hpp"

namespace backplane::boot {

using Blob = std::vector<u8>;

// The user's mistake; the text names the file.
struct BootError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Items, as rom.inc has them.
enum Item : u16 {
    kKernelAddress = 0x07,
    kKernelSize = 0x08,
    kInitrdAddress = 0x0a,
    kInitrdSize = 0x0b,
    kKernelEntry = 0x10,
    kKernelData = 0x11,
    kInitrdData = 0x12,
    kCommandAddress = 0x13,
    kCommandSize = 0x14,
    kCommandData = 0x15,
    kSetupAddress = 0x16,
    kSetupSize = 0x17,
    kSetupData = 0x18,
};

struct Named {
    std::string name;   // of the file, for messages
    std::string words;  // behind the file's name: a module's arguments
    Blob data;
};

struct Part {
    Item item;
    Blob data;
};

struct Plan {
    std::vector<Part> parts;
    std::vector<std::string> warnings;
    void number(Item item, u64 value) {
        Blob data(4);
        for (unsigned i = 0; i < 4; ++i) data[i] = static_cast<u8>(value >> (8 * i));
        parts.push_back({item, std::move(data)});
    }
    // A part's address, size and contents.
    void place(Item address, u64 where, Item size, Item data, Blob contents) {
        number(address, where);
        number(size, contents.size());
        parts.push_back({data, std::move(contents)});
    }
};

// Little-endian numbers; the caller has looked at the size.
inline u64 get(const Blob& data, std::size_t at, unsigned bytes) {
    u64 value = 0;
    for (unsigned i = bytes; i-- > 0;) value = value << 8 | data[at + i];
    return value;
}
inline void put(Blob& data, std::size_t at, u64 value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; ++i) data[at + i] = static_cast<u8>(value >> (8 * i));
}

// "1a0h"
std::string hex(u64 value);

// Linux, by its 16-bit boot protocol. `ram` is the memory below 4 GiB.
bool is_linux(const Blob& file);
Plan plan_linux(Named kernel, Named initrd, const std::string& append, u64 ram);

// Multiboot, version 1.
bool is_multiboot(const Blob& file);
Plan plan_multiboot(Named kernel, std::vector<Named> modules, const std::string& append, u64 ram);

// An ELF file's segments at their places.
struct Image {
    u64 address = 0, entry = 0;
    Blob data;
};
Image load_elf32(const Named& file, u64 ram);

// The boot ROM, with its checksums.
Blob linux_boot_rom();
Blob multiboot_boot_rom();

// A module list: "FILE ARGUMENTS,FILE ARGUMENTS"; a comma that belongs to the text is written twice.
std::vector<Named> split_modules(std::string_view list);

}  // namespace backplane::boot
