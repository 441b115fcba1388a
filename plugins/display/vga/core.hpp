// The VGA itself, without its place on a board: registers, the four planes, the VBE extension, and the picture.
//
// Byte p of 32-bit cell n of the video memory is byte n of plane p. Chain-4 and VBE modes so see their pixels in a row,
// which is what the linear frame buffer shows; odd/even addressing is packed the same way, two bytes a cell.
#pragma once

#include <array>
#include <cstring>

#include "backplane/abi/backend.h"
#include "backplane/state.hpp"
#include "registers.hpp"

namespace backplane::vga {

class Core {
  public:
    // `size`: a power of two, at least 256 KiB.
    void set_memory(u8* memory, u32 size) { memory_ = memory, mask_ = size - 1; }
    void reset();
    void state(StateVisitor& v);
    void restored();

    // Ports 3C0h-3CFh by offset; the CRTC pair and the status port exist twice.
    u8 read_main(u32 offset);
    void write_main(u32 offset, u8 value);
    u8 read_crtc(u32 offset, bool mono) const;
    void write_crtc(u32 offset, u8 value, bool mono);
    u8 read_status(bool mono, i64 now);
    void write_feature(u8 value, bool mono);

    u16 read_vbe(u32 offset) const;
    // True if the frame buffer was cleared.
    bool write_vbe(u32 offset, u16 value);

    // A0000h-BFFFFh by offset.
    u64 read_window(u32 offset, u32 bytes);
    void write_window(u32 offset, u32 bytes, u64 value);

    void dimensions(bp_display_size& out) const;
    std::size_t text(char* out, std::size_t capacity) const;
    void render(u32* pixels, u32 stride, i64 now) const;

  private:
    enum class Path : u8 { kGeneral, kText, kLinear };
    struct Timing {
        i64 line = 1, lines = 1;
        i64 displayed_lines = 1, retrace_first = 1, retrace_last = 1;
        i64 displayed_ns = 1;
        i64 frame() const { return line * lines; }
    };
    // Where one scan line is fetched from.
    struct ScanLine {
        u32 cell;
        u32 row;  // within the character
        bool after_split;
    };
    struct Colors {
        std::array<u32, 256> dac;
        std::array<u32, 16> attribute;
    };

    u8 read_attribute() const;
    void write_attribute(u8 value);
    void write_dac(u8 value);
    u8 read_dac();
    void write_graphics(u8 value);
    void write_sequencer(u8 value);
    bool wrong_place(bool mono) const { return mono == ((misc_ & kMiscColor) != 0); }

    void update_window();
    void update_timing();
    void update_vbe();
    void show_vbe_in_registers();

    u8 read_byte(u32 at);
    void write_byte(u32 at, u8 value);
    u32 cell(u32 index) const {
        u32 value;
        std::memcpy(&value, memory_ + ((index << 2) & mask_), 4);
        return value;
    }
    void set_cell(u32 index, u32 value) { std::memcpy(memory_ + ((index << 2) & mask_), &value, 4); }

    bool vbe_on() const { return vbe_[kVbeEnable] & kVbeEnabled; }
    bool is_text() const { return !vbe_on() && !(graphics_[kGfxMisc] & kGfxGraphics); }
    bool is_blank() const { return !(attribute_index_ & kAttrScreenOn) || (sequencer_[kSeqClocking] & kClockingOff); }
    u32 vbe_line_bytes(u32 width) const;
    u32 columns() const { return crtc_[kCrtcDisplayEnd] + 1u; }
    u32 character_height() const { return (crtc_[kCrtcMaxScan] & 0x1fu) + 1; }
    u32 character_width() const;
    u32 lines() const;
    u32 line_compare() const;
    u32 start_address() const { return static_cast<u32>(crtc_[kCrtcStartHigh] << 8 | crtc_[kCrtcStartLow]); }
    u32 cursor_address() const { return static_cast<u32>(crtc_[kCrtcCursorHigh] << 8 | crtc_[kCrtcCursorLow]); }
    u32 row_cells() const { return crtc_[kCrtcOffset] * 2u; }
    u32 text_cell(u32 index) const { return cell(index & 0xffff); }

    Colors colors() const;
    template <class Line>
    void for_each_line(Line line) const;
    void render_text(u32* pixels, u32 stride, i64 now) const;
    void render_graphics(u32* pixels, u32 stride) const;
    void render_vbe(u32* pixels, u32 stride) const;
    void graphics_pixels(u32 cell_data, u8* out) const;

    u8* memory_ = nullptr;
    u32 mask_ = 0;

    u8 misc_ = 0, feature_ = 0, enable_ = 0;
    u8 sequencer_index_ = 0, crtc_index_ = 0, graphics_index_ = 0, attribute_index_ = 0;
    bool attribute_data_ = false;  // the next write of 3C0h is data
    std::array<u8, 8> sequencer_{};
    std::array<u8, kCrtcCount> crtc_{};
    std::array<u8, 16> graphics_{};
    std::array<u8, kAttrCount> attribute_{};
    u32 latch_ = 0;

    u8 dac_mask_ = 0xff, dac_state_ = 0, dac_read_ = 0, dac_write_ = 0, dac_part_ = 0;
    std::array<u8, 3> dac_cache_{};
    std::array<u8, 768> dac_{};

    u16 vbe_index_ = 0;
    std::array<u16, kVbeCount> vbe_{};

    // Derived from the registers.
    Path path_ = Path::kGeneral;
    u32 window_first_ = 0, window_size_ = 0, bank_ = 0;
    u32 vbe_line_ = 0, vbe_start_ = 0;
    Timing timing_;
};

}  // namespace backplane::vga
