// The Bochs VBE extension: packed pixel modes up to 2560x1600x32 through an index and a data port.
#include <algorithm>

#include "core.hpp"

namespace backplane::vga {

u32 Core::vbe_line_bytes(u32 width) const {
    const u32 depth = vbe_[kVbeDepth];
    return depth == 4 ? width / 2 : width * ((depth + 7) / 8);
}

void Core::update_vbe() {
    vbe_line_ = vbe_line_bytes(vbe_[kVbeVirtualWidth]);
    const u32 x = vbe_[kVbeX];
    vbe_start_ = vbe_line_ * vbe_[kVbeY] + vbe_line_bytes(x);
}

u16 Core::read_vbe(u32 offset) const {
    if (offset == 0) return vbe_index_;
    if (vbe_[kVbeEnable] & kVbeCapabilities) {
        switch (vbe_index_) {
            case kVbeWidth: return kVbeMaxWidth;
            case kVbeHeight: return kVbeMaxHeight;
            case kVbeDepth: return kVbeMaxDepth;
            default: break;
        }
    }
    // The memory's size is newer than the rest; the VGA BIOS of today drops its modes without it.
    if (vbe_index_ == kVbeMemory) return static_cast<u16>((mask_ + 1) >> 16);
    return vbe_index_ < kVbeCount ? vbe_[vbe_index_] : u16{0};
}

bool Core::write_vbe(u32 offset, u16 value) {
    if (offset == 0) {
        vbe_index_ = value;
        return false;
    }
    bool cleared = false;
    switch (vbe_index_) {
        case kVbeId:
            if (value >= kVbeIdFirst && value <= kVbeIdLast) vbe_[kVbeId] = value;
            break;
        case kVbeWidth:
            if (value <= kVbeMaxWidth && value % 8 == 0) vbe_[kVbeWidth] = value;
            break;
        case kVbeHeight:
            if (value <= kVbeMaxHeight) vbe_[kVbeHeight] = value;
            break;
        case kVbeDepth: {
            constexpr u16 kDepths[] = {4, 8, 15, 16, 24, 32};
            const u16 depth = value ? value : u16{8};
            if (std::find(std::begin(kDepths), std::end(kDepths), depth) != std::end(kDepths)) vbe_[kVbeDepth] = depth;
            break;
        }
        case kVbeBank: {
            const u32 banks = (mask_ + 1) >> (vbe_[kVbeDepth] == 4 ? 18 : 16);
            vbe_[kVbeBank] = static_cast<u16>(value & (banks - 1));
            break;
        }
        case kVbeEnable: {
            const bool was_on = vbe_on();
            vbe_[kVbeEnable] = value;
            vbe_[kVbeBank] = 0;
            if (!vbe_on() || was_on) break;
            vbe_[kVbeVirtualWidth] = vbe_[kVbeWidth];
            vbe_[kVbeVirtualHeight] = vbe_[kVbeHeight];
            vbe_[kVbeX] = vbe_[kVbeY] = 0;
            update_vbe();
            if (!(value & kVbeNoClear)) {
                std::memset(memory_, 0, std::min(vbe_line_ * vbe_[kVbeHeight], mask_ + 1));
                cleared = true;
            }
            show_vbe_in_registers();
            break;
        }
        case kVbeVirtualWidth: {
            const u32 line = vbe_line_bytes(value);
            if (value < vbe_[kVbeWidth] || line == 0) break;
            const u32 height = std::min<u32>((mask_ + 1) / line, 0xffff);
            if (height < vbe_[kVbeHeight]) break;
            vbe_[kVbeVirtualWidth] = value;
            vbe_[kVbeVirtualHeight] = static_cast<u16>(height);
            break;
        }
        case kVbeX:
        case kVbeY: vbe_[vbe_index_] = value; break;
        default: break;  // the virtual height follows from the width
    }
    update_vbe();
    update_window();
    update_timing();
    return cleared;
}

// Guests that look at the VGA's registers see a graphics mode of that size, as on the board this adapter comes from.
void Core::show_vbe_in_registers() {
    const bool planar = vbe_[kVbeDepth] == 4;
    const u32 last = vbe_[kVbeHeight] - 1u;
    graphics_[kGfxMisc] = static_cast<u8>((graphics_[kGfxMisc] & ~0x0c) | 0x04 | kGfxGraphics);
    graphics_[kGfxMode] = static_cast<u8>((graphics_[kGfxMode] & ~0x60) | (planar ? 0 : kGfxShift256));
    sequencer_[kSeqMapMask] = 0x0f;
    if (planar)
        sequencer_[kSeqClocking] &= static_cast<u8>(~kClockingHalf);
    else
        sequencer_[kSeqMemory] |= kMemoryChain4;
    crtc_[kCrtcMode] |= kModeRow0 | kModeRow1;
    crtc_[kCrtcOffset] = static_cast<u8>(vbe_line_ / 8);
    crtc_[kCrtcDisplayEnd] = static_cast<u8>(vbe_[kVbeWidth] / 8 - 1);
    crtc_[kCrtcVerticalEnd] = static_cast<u8>(last);
    crtc_[kCrtcOverflow] =
        static_cast<u8>((crtc_[kCrtcOverflow] & ~0x42) | ((last >> 7) & 0x02) | ((last >> 3) & 0x40) | 0x10);
    crtc_[kCrtcLineCompare] = 0xff;
    crtc_[kCrtcMaxScan] = static_cast<u8>((crtc_[kCrtcMaxScan] & ~0x9f) | 0x40);
}

}  // namespace backplane::vga
