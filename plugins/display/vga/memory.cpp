// The legacy window: how an access of the CPU reaches the planes (graphics controller, "Write Modes" and "Read Modes").
#include "core.hpp"

namespace backplane::vga {
namespace {

// A byte for each plane from a bit for each plane.
constexpr u32 spread(u32 planes) {
    return (planes & 1 ? 0xffu : 0) | (planes & 2 ? 0xff00u : 0) | (planes & 4 ? 0xff0000u : 0) |
           (planes & 8 ? 0xff000000u : 0);
}
constexpr std::array<u32, 16> make_table() {
    std::array<u32, 16> t{};
    for (u32 i = 0; i < 16; ++i) t[i] = spread(i);
    return t;
}
constexpr std::array<u32, 16> kPlanes = make_table();
constexpr u32 repeat(u32 byte) { return byte * 0x01010101u; }

u32 combine(u32 function, u32 data, u32 latch) {
    switch (function) {
        case 1: return data & latch;
        case 2: return data | latch;
        case 3: return data ^ latch;
        default: return data;
    }
}

}  // namespace

void Core::update_window() {
    struct Map {
        u32 first, size;
    };
    // Graphics register 6, bits 3:2.
    static constexpr Map kMaps[4] = {{0, 0x20000}, {0, 0x10000}, {0x10000, 0x8000}, {0x18000, 0x8000}};
    const u32 map = (graphics_[kGfxMisc] >> 2) & 3u;
    window_first_ = kMaps[map].first;
    window_size_ = misc_ & kMiscMemory ? kMaps[map].size : 0;
    bank_ = vbe_on() && map == 1 ? u32{vbe_[kVbeBank]} << 16 : 0;

    // Nearly all accesses are plain stores of characters or packed pixels: those take a path without the planar logic.
    const u8 mode = graphics_[kGfxMode], memory = sequencer_[kSeqMemory], planes = sequencer_[kSeqMapMask];
    const bool plain = (mode & 3) == 0 && !(mode & kGfxReadCompare) && graphics_[kGfxEnableSetReset] == 0 &&
                       graphics_[kGfxRotate] == 0 && graphics_[kGfxBitMask] == 0xff;
    path_ = Path::kGeneral;
    if (plain && (memory & kMemoryChain4) && planes == 0xf)
        path_ = Path::kLinear;
    else if (plain && !(memory & (kMemoryChain4 | kMemorySequential)) && (mode & kGfxOddEven) && planes == 3 &&
             !(graphics_[kGfxReadMap] & 2))
        path_ = Path::kText;
}

u64 Core::read_window(u32 offset, u32 bytes) {
    const u32 start = offset - window_first_;
    u64 value = 0;
    if (path_ == Path::kText && bytes == 2 && !(start & 1) && start < window_size_) {
        latch_ = cell(start >> 1);
        return latch_ & 0xffff;
    }
    if (path_ == Path::kLinear && start < window_size_ && start % bytes == 0) {
        std::memcpy(&value, memory_ + ((bank_ + start) & mask_), bytes);
        latch_ = cell((bank_ + start + bytes - 1) >> 2);
        return value;
    }
    for (u32 i = 0; i < bytes; ++i) {
        const u32 at = offset + i - window_first_;
        value |= u64{at < window_size_ ? read_byte(at) : u8{0xff}} << (8 * i);
    }
    return value;
}

void Core::write_window(u32 offset, u32 bytes, u64 value) {
    const u32 at = offset - window_first_;
    if (path_ == Path::kText && bytes == 2 && !(at & 1) && at < window_size_) {
        std::memcpy(memory_ + ((at << 1) & mask_), &value, 2);
        return;
    }
    if (path_ == Path::kLinear && at < window_size_ && at % bytes == 0) {
        std::memcpy(memory_ + ((bank_ + at) & mask_), &value, bytes);
        return;
    }
    for (u32 i = 0; i < bytes; ++i)
        if (at + i < window_size_) write_byte(at + i, static_cast<u8>(value >> (8 * i)));
}

u8 Core::read_byte(u32 at) {
    at += bank_;
    u32 plane = graphics_[kGfxReadMap] & 3u;
    if (sequencer_[kSeqMemory] & kMemoryChain4)
        plane = at & 3, at >>= 2;
    else if (graphics_[kGfxMode] & kGfxOddEven)
        plane = (plane & 2) | (at & 1), at >>= 1;
    latch_ = cell(at);
    if (!(graphics_[kGfxMode] & kGfxReadCompare)) return static_cast<u8>(latch_ >> (8 * plane));
    // Read mode 1: ones where all planes that matter have the compare colour.
    const u32 differ = (latch_ ^ kPlanes[graphics_[kGfxCompare]]) & kPlanes[graphics_[kGfxDontCare]];
    return static_cast<u8>(~(differ | differ >> 8 | differ >> 16 | differ >> 24));
}

void Core::write_byte(u32 at, u8 value) {
    if (path_ == Path::kText) {
        memory_[(((at >> 1) << 2) | (at & 1)) & mask_] = value;
        return;
    }
    at += bank_;
    u32 planes = sequencer_[kSeqMapMask] & 0xfu;
    if (sequencer_[kSeqMemory] & kMemoryChain4)
        planes &= 1u << (at & 3), at >>= 2;
    else if (!(sequencer_[kSeqMemory] & kMemorySequential))
        planes &= at & 1 ? 0xau : 0x5u, at >>= 1;

    const u32 rotation = graphics_[kGfxRotate] & 7u, function = (graphics_[kGfxRotate] >> 3) & 3u;
    const u32 rotated = ((value | u32{value} << 8) >> rotation) & 0xff;
    const u32 set = kPlanes[graphics_[kGfxSetReset]];
    u32 bits = repeat(graphics_[kGfxBitMask]);
    u32 data;
    switch (graphics_[kGfxMode] & 3) {
        case 0: {
            const u32 enabled = kPlanes[graphics_[kGfxEnableSetReset]];
            data = combine(function, (repeat(rotated) & ~enabled) | (set & enabled), latch_);
            break;
        }
        case 1:
            data = latch_;
            bits = ~u32{0};
            break;
        case 2: data = combine(function, kPlanes[value & 0xf], latch_); break;
        default:
            data = combine(function, set, latch_);
            bits &= repeat(rotated);
            break;
    }
    data = (data & bits) | (latch_ & ~bits);
    const u32 written = kPlanes[planes];
    set_cell(at, (cell(at) & ~written) | (data & written));
}

}  // namespace backplane::vga
