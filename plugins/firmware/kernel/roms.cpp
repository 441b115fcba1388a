#include "boot.hpp"
#include "linux_rom.hpp"
#include "multiboot_rom.hpp"

namespace backplane::boot {
namespace {

constexpr std::size_t kPointer = 0x1a, kSum = 0x1c;      // of an option ROM
constexpr std::size_t kHeaderUnits = 5, kHeaderSum = 9;  // of the header that the pointer leads to
constexpr std::size_t kHeaderUnit = 16;

void make_zero(Blob& data, std::size_t from, std::size_t size, std::size_t sum_at) {
    u8 sum = 0;
    for (std::size_t i = 0; i < size; ++i) sum = static_cast<u8>(sum + data[from + i]);
    data[sum_at] = static_cast<u8>(data[sum_at] - sum);
}

template <std::size_t N>
Blob finished(const unsigned char (&rom)[N]) {
    Blob data(rom, rom + N);
    const std::size_t header = get(data, kPointer, 2);
    make_zero(data, header, data[header + kHeaderUnits] * kHeaderUnit, header + kHeaderSum);
    make_zero(data, 0, data.size(), kSum);
    return data;
}

}  // namespace

Blob linux_boot_rom() { return finished(linux_rom); }
Blob multiboot_boot_rom() { return finished(multiboot_rom); }

}  // namespace backplane::boot
