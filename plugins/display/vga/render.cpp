// The picture, in dots of the monitor: modes with half the dot clock or doubled lines have their full size.
#include <algorithm>

#include "core.hpp"

namespace backplane::vga {
namespace {

constexpr u32 kCellsOfPlane = 0x10000;  // the CRT controller counts to 64 Ki
constexpr u32 kWidest = 256 * 18 + 64;

constexpr u32 widen(u32 value, u32 bits) {
    u32 out = 0;
    for (int shift = 8 - static_cast<int>(bits); shift > -static_cast<int>(bits); shift -= static_cast<int>(bits))
        out |= shift >= 0 ? value << shift : value >> -shift;
    return out & 0xff;
}
constexpr u32 rgb(u32 r, u32 g, u32 b) { return r << 16 | g << 8 | b; }

// Bytes with the bits of a nibble or byte as pixels, leftmost first.
u8 planar_pixel(u32 data, u32 bit) {
    return static_cast<u8>((data >> bit & 1) | (data >> (8 + bit) & 1) << 1 | (data >> (16 + bit) & 1) << 2 |
                           (data >> (24 + bit) & 1) << 3);
}

}  // namespace

u32 Core::character_width() const {
    const u8 clocking = sequencer_[kSeqClocking];
    const u32 dots = is_text() && !(clocking & kClocking8Dots) ? 9 : 8;
    return clocking & kClockingHalf ? 2 * dots : dots;
}

u32 Core::lines() const {
    const u32 over = crtc_[kCrtcOverflow];
    const u32 count = (crtc_[kCrtcVerticalEnd] | (over & 0x02) << 7 | (over & 0x40) << 3) + 1;
    return crtc_[kCrtcMode] & kModeDoubleLines ? 2 * count : count;
}

u32 Core::line_compare() const {
    const u32 line = crtc_[kCrtcLineCompare] | (crtc_[kCrtcOverflow] & 0x10u) << 4 | (crtc_[kCrtcMaxScan] & 0x40u) << 3;
    return crtc_[kCrtcMode] & kModeDoubleLines ? 2 * line + 1 : line;
}

void Core::dimensions(bp_display_size& out) const {
    out.text_columns = out.text_rows = 0;
    if (vbe_on()) {
        out.width = std::max<u32>(1, vbe_[kVbeWidth]);
        out.height = std::max<u32>(1, vbe_[kVbeHeight]);
        return;
    }
    out.width = columns() * character_width();
    out.height = lines();
    if (is_text()) {
        out.text_columns = columns();
        out.text_rows = std::max<u32>(1, lines() / character_height());
    }
}

Core::Colors Core::colors() const {
    Colors c;
    const bool full = vbe_[kVbeEnable] & kVbeDac8;
    const auto part = [&](u32 index) { return full ? u32{dac_[index]} : widen(dac_[index], 6); };
    for (u32 i = 0; i < 256; ++i) {
        const u32 at = (i & dac_mask_) * 3;
        c.dac[i] = rgb(part(at), part(at + 1), part(at + 2));
    }
    const u8 mode = attribute_[kAttrMode], select = attribute_[kAttrSelect];
    for (u32 i = 0; i < 16; ++i) {
        u32 index = attribute_[i & attribute_[kAttrPlanes]];
        if (mode & kAttrSelect54) index = (index & 0x0f) | (select & 3u) << 4;
        c.attribute[i] = c.dac[index | (select & 0xcu) << 4];
    }
    return c;
}

void Core::render(u32* pixels, u32 stride, i64 now) const {
    bp_display_size size{};
    dimensions(size);
    if (is_blank()) {
        for (u32 y = 0; y < size.height; ++y) std::fill_n(pixels + std::size_t{y} * stride, size.width, 0u);
        return;
    }
    if (vbe_on())
        render_vbe(pixels, stride);
    else if (is_text())
        render_text(pixels, stride, now);
    else
        render_graphics(pixels, stride);
}

// Walks the address and row counters of the CRT controller: line(y, scan).
template <class Line>
void Core::for_each_line(Line line) const {
    const u32 height = lines(), split = line_compare(), last_row = crtc_[kCrtcMaxScan] & 0x1f;
    const u32 repeats =
        (crtc_[kCrtcMaxScan] & kMaxScanDouble ? 2u : 1u) * (crtc_[kCrtcMode] & kModeDoubleLines ? 2u : 1u);
    ScanLine scan{start_address() + ((crtc_[kCrtcPresetRow] >> 5) & 3u), crtc_[kCrtcPresetRow] & 0x1fu, false};
    u32 repeated = 0;
    for (u32 y = 0; y < height; ++y) {
        line(y, scan);
        if (y == split) {
            scan = {0, 0, true};
            repeated = 0;
        } else if (++repeated >= repeats) {
            repeated = 0;
            if (scan.row == last_row)
                scan.row = 0, scan.cell += row_cells();
            else
                scan.row = (scan.row + 1) & 0x1f;
        }
    }
}

void Core::render_text(u32* pixels, u32 stride, i64 now) const {
    // Sequencer register 3: the two fonts in plane 2, by bit 3 of the attribute.
    const auto font_base = [&](u32 low, u32 high) {
        const u32 map = sequencer_[kSeqFont];
        return ((map >> low) & 3u) * 0x4000 + ((map >> high) & 1u) * 0x2000;
    };
    const u32 fonts[2] = {font_base(0, 4), font_base(2, 5)};
    const Colors color = colors();
    const u8 mode = attribute_[kAttrMode];
    const i64 frame = now / timing_.frame();
    const bool cursor_on = !(crtc_[kCrtcCursorStart] & kCursorOff) && !(frame & 16), blink_off = frame & 32;
    const u32 cursor = cursor_address() & 0xffff, cursor_first = crtc_[kCrtcCursorStart] & 0x1f,
              cursor_last = crtc_[kCrtcCursorEnd] & 0x1f, underline = crtc_[kCrtcUnderline] & 0x1f;
    const u32 wide = columns(), dots = character_width(), scale = sequencer_[kSeqClocking] & kClockingHalf ? 2 : 1;
    // In 9-dot modes the values 0-7 move by one to eight dots, and 8 not at all.
    u32 panning = attribute_[kAttrPanning] & 0xf;
    if (dots / scale == 9)
        panning = panning >= 8 ? 0 : panning + 1;
    else
        panning &= 7;

    std::array<u32, kWidest> dots_of_line;
    for_each_line([&](u32 y, const ScanLine& scan) {
        u32* to = dots_of_line.data();
        for (u32 x = 0; x <= wide; ++x) {
            const u32 at = (scan.cell + x) & (kCellsOfPlane - 1), data = text_cell(at);
            const u32 code = data & 0xff, attribute = data >> 8 & 0xff;
            u32 ink = attribute & 0xf, paper = attribute >> 4;
            u32 bits = text_cell(fonts[attribute >> 3 & 1] + code * 32 + scan.row) >> 16 & 0xff;
            if ((attribute & 0x77) == 1 && scan.row == underline) bits = 0xff;
            if (mode & kAttrBlink) {
                paper &= 7;
                if ((attribute & 0x80) && blink_off) bits = 0;
            }
            const bool connects = (mode & kAttrLineGraphics) && code >= 0xc0 && code <= 0xdf;
            // The ninth dot repeats the eighth in line-drawing characters.
            bits = bits << 1 | (connects ? bits & 1 : 0);
            if (cursor_on && at == cursor && scan.row >= cursor_first && scan.row <= cursor_last) bits = 0x1ff;
            for (u32 dot = 0; dot < dots; ++dot) *to++ = color.attribute[(bits >> (8 - dot / scale)) & 1 ? ink : paper];
        }
        const bool pans = !(scan.after_split && (mode & kAttrPanSplit));
        std::copy_n(dots_of_line.data() + (pans ? panning * scale : 0), wide * dots, pixels + std::size_t{y} * stride);
    });
}

// The eight dots (or four pixels, each twice) that one character clock shows: attribute or DAC indices.
void Core::graphics_pixels(u32 data, u8* out) const {
    const u8 mode = graphics_[kGfxMode];
    if (mode & kGfxShift256) {
        for (u32 i = 0; i < 4; ++i) out[2 * i] = out[2 * i + 1] = static_cast<u8>(data >> (8 * i));
    } else if (mode & kGfxShiftInterleaved) {
        // Two bits a pixel: planes 0 and 2 make the first four, planes 1 and 3 the rest.
        for (u32 i = 0; i < 8; ++i) {
            const u32 pair = i < 4 ? data : data >> 8, shift = 6 - 2 * (i & 3);
            out[i] = static_cast<u8>((pair >> shift & 3) | (pair >> (16 + shift) & 3) << 2);
        }
    } else {
        for (u32 i = 0; i < 8; ++i) out[i] = planar_pixel(data, 7 - i);
    }
}

void Core::render_graphics(u32* pixels, u32 stride) const {
    const Colors color = colors();
    const bool indexed = graphics_[kGfxMode] & kGfxShift256;
    const u32 wide = columns(), scale = sequencer_[kSeqClocking] & kClockingHalf ? 2 : 1;
    const u8 mode = crtc_[kCrtcMode];
    // CGA and Hercules layouts: bits of the row counter stand for address bits 13 and 14.
    const u32 bit13 = mode & kModeByte ? 1u << 13 : 1u << 12;
    const u32 panning = (attribute_[kAttrPanning] & 7u) * scale;

    std::array<u32, kWidest> dots_of_line;
    for_each_line([&](u32 y, const ScanLine& scan) {
        u32* to = dots_of_line.data();
        for (u32 x = 0; x <= wide; ++x) {
            u32 at = (scan.cell + x) & (kCellsOfPlane - 1);
            if (!(mode & kModeRow0)) at = (at & ~bit13) | (scan.row & 1 ? bit13 : 0);
            if (!(mode & kModeRow1)) at = (at & ~(bit13 << 1)) | (scan.row & 2 ? bit13 << 1 : 0);
            u8 dots[8];
            graphics_pixels(cell(at), dots);
            for (const u8 dot : dots)
                for (u32 i = 0; i < scale; ++i) *to++ = indexed ? color.dac[dot] : color.attribute[dot];
        }
        const bool pans = !(scan.after_split && (attribute_[kAttrMode] & kAttrPanSplit));
        std::copy_n(dots_of_line.data() + (pans ? panning : 0), wide * 8 * scale, pixels + std::size_t{y} * stride);
    });
}

void Core::render_vbe(u32* pixels, u32 stride) const {
    const Colors color = colors();
    const u32 wide = std::max<u32>(1, vbe_[kVbeWidth]), high = std::max<u32>(1, vbe_[kVbeHeight]);
    const u32 depth = vbe_[kVbeDepth], bytes = (depth + 7) / 8;
    const auto byte = [&](u32 at) { return u32{memory_[at & mask_]}; };
    for (u32 y = 0; y < high; ++y) {
        u32* to = pixels + std::size_t{y} * stride;
        u32 at = vbe_start_ + y * vbe_line_;
        if (depth == 4) {
            const u32 skip = vbe_[kVbeX] & 7u;
            for (u32 x = 0; x < wide; ++x) {
                const u32 dot = x + skip;
                to[x] = color.attribute[planar_pixel(cell((at >> 2) + dot / 8), 7 - dot % 8)];
            }
            continue;
        }
        for (u32 x = 0; x < wide; ++x, at += bytes) {
            const u32 low = byte(at), word = low | (bytes > 1 ? byte(at + 1) << 8 : 0);
            switch (depth) {
                case 8: to[x] = color.dac[low]; break;
                case 15: to[x] = rgb(widen(word >> 10 & 31, 5), widen(word >> 5 & 31, 5), widen(word & 31, 5)); break;
                case 16: to[x] = rgb(widen(word >> 11, 5), widen(word >> 5 & 63, 6), widen(word & 31, 5)); break;
                case 24:
                case 32: to[x] = word | byte(at + 2) << 16; break;
                default: to[x] = 0; break;
            }
        }
    }
}

}  // namespace backplane::vga
