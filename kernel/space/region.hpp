// A device's register bank as the address spaces see it.
#pragma once

#include <cstdint>
#include <string>

#include "backplane/abi/device.h"

namespace backplane::kernel {

struct Region {
    std::string device;  // "disk0"
    std::string name;    // "command"
    std::uint32_t kind = BP_REGION_PORTS;
    std::uint64_t length = 0;
    std::uint32_t widths = 1;
    void* instance = nullptr;
    std::uint64_t (*read)(void*, std::uint64_t, std::uint32_t) = nullptr;
    void (*write)(void*, std::uint64_t, std::uint32_t, std::uint64_t) = nullptr;
    std::uint32_t traced = 0;  // nonzero: somebody listens to accesses

    std::string label() const { return device + "." + name; }
};

// All ones of an access width.
inline constexpr std::uint64_t all_ones(std::uint32_t bytes) {
    return bytes >= 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (8 * bytes)) - 1;
}

}  // namespace backplane::kernel
