// Segments of a 32-bit ELF file, at their physical addresses.
#include <algorithm>
#include <limits>

#include "boot.hpp"

namespace backplane::boot {
namespace {

constexpr std::size_t kClass = 4, kOrder = 5, kHeaderSize = 52, kEntrySize = 32;
constexpr u32 kLoad = 1;

}  // namespace

Image load_elf32(const Named& file, u64 ram) {
    const Blob& data = file.data;
    const auto fail = [&](std::size_t at, const std::string& text) {
        throw BootError(file.name + ": offset " + hex(at) + ": " + text);
    };
    if (data.size() < kHeaderSize) fail(0, "the file ends in its ELF header");
    if (data[kClass] != 1) fail(kClass, "a 64-bit ELF file; Multiboot kernels are 32-bit ones (objcopy -O elf32-i386)");
    if (data[kOrder] != 1) fail(kOrder, "an ELF file of another processor");
    const u64 table = get(data, 28, 4), stride = get(data, 42, 2), count = get(data, 44, 2);
    if (stride < kEntrySize || table > data.size() || count * stride > data.size() - table)
        fail(28, "the table of segments is not in the file");

    Image image;
    image.entry = get(data, 24, 4);
    u64 low = std::numeric_limits<u64>::max(), high = 0, entry = image.entry;
    for (u64 i = 0; i < count; ++i) {
        const std::size_t at = table + i * stride;
        if (get(data, at, 4) != kLoad) continue;
        const u64 offset = get(data, at + 4, 4), virtual_address = get(data, at + 8, 4),
                  address = get(data, at + 12, 4);
        const u64 in_file = get(data, at + 16, 4), in_memory = get(data, at + 20, 4);
        if (in_memory == 0) continue;
        if (in_file > in_memory || offset > data.size() || in_file > data.size() - offset)
            fail(at, "this segment is not in the file");
        if (address + in_memory > ram)
            fail(at,
                 "this segment ends at " + hex(address + in_memory) + ", and the machine has memory up to " + hex(ram));
        low = std::min(low, address), high = std::max(high, address + in_memory);
        if (image.entry >= virtual_address && image.entry - virtual_address < in_memory)
            entry = image.entry - virtual_address + address;
    }
    if (high == 0) fail(table, "no segment is loaded");
    image.entry = entry, image.address = low;
    image.data.resize(high - low);
    for (u64 i = 0; i < count; ++i) {
        const std::size_t at = table + i * stride;
        if (get(data, at, 4) != kLoad || get(data, at + 20, 4) == 0) continue;
        std::memcpy(&image.data[get(data, at + 12, 4) - low], data.data() + get(data, at + 4, 4),
                    get(data, at + 16, 4));
    }
    return image;
}

}  // namespace backplane::boot
