// A ROM or flash chip that the board maps read-only: the system BIOS at the top of the 32-bit address space with its
// alias below 1 MiB, or a ROM at a fixed address.
//
// A system BIOS may also lie somewhere else, and shows in these places as well.
//
// All places show the same pristine image, and no write reaches it: firmware that shadows itself copies from here
// again on every boot. A board without a northbridge, whose firmware must write to its variables below 1 MiB, can have
// memory there that each reset fills with the image.
#pragma once

#include <string>

#include "backplane/device.hpp"

namespace backplane {

struct FirmwareRom : Device<FirmwareRom> {
    static constexpr std::string_view kType = "firmware.rom";
    using Device::Device;

    static void describe(Schema<FirmwareRom>& s);
    bp_status start();
    bp_status publish();
    void reset(Reset kind);

  private:
    bp_status show(u64 from, u64 end);
    bp_status map(u32 block, u64 offset, u64 base, u64 size, u32 flags);

    std::string image_;
    u64 bytes_ = 0;  // of the image
    Bytes end_;
    Bytes base_;
    Bytes place_;
    bool low_alias_ = true;
    bool low_writable_ = false;
    u32 block_ = 0;
    u32 shadow_ = 0;       // writable copy below 1 MiB
    u64 shadow_size_ = 0;  // 0: none
    u64 shadow_from_ = 0;  // offset in the image
};

}  // namespace backplane
