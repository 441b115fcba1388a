// A ROM or flash chip that the board maps read-only: the system BIOS at the top of the 32-bit address space with its
// alias below 1 MiB, or a ROM at a fixed address.
//
// Both places show the same pristine image, and no write reaches it: firmware that shadows itself copies from here
// again on every boot.
#pragma once

#include <string>

#include "backplane/device.hpp"

namespace backplane {

struct FirmwareRom : Device<FirmwareRom> {
    static constexpr std::string_view kType = "firmware.rom";
    using Device::Device;

    static void describe(Schema<FirmwareRom>& s);
    bp_status start();

  private:
    bp_status map(u64 offset, u64 base, u64 size);

    std::string image_;
    Bytes end_;
    Bytes base_;
    bool low_alias_ = true;
    u32 block_ = 0;
};

}  // namespace backplane
