// The VGA's registers as the CPU reads and writes them, and the retrace that it waits for.
#include <algorithm>

#include "core.hpp"

namespace backplane::vga {
namespace {

// Bits that exist.
constexpr std::array<u8, 8> kSequencerBits = {0x03, 0x3d, 0x0f, 0x3f, 0x0e, 0x00, 0x00, 0xff};
constexpr std::array<u8, 16> kGraphicsBits = {0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff};
constexpr u8 kAttributeBits(u32 index) {
    constexpr u8 kControl[5] = {0xef, 0xff, 0x3f, 0x0f, 0x0f};
    return index < kAttrMode ? u8{0x3f} : kControl[index - kAttrMode];
}

constexpr u8 kDacWriting = 0, kDacReading = 3;

// 640x400 and 720x400 at 70 Hz, for registers that describe no picture.
constexpr i64 kUsualLine = 31'778, kUsualLines = 449, kUsualDisplayed = 400, kUsualRetrace = 412;
constexpr i64 kShortestFrame = 4'000'000, kLongestFrame = 50'000'000;
constexpr i64 kVbeFrame = 16'666'667;

}  // namespace

void Core::reset() {
    misc_ = feature_ = enable_ = 0;
    sequencer_index_ = crtc_index_ = graphics_index_ = attribute_index_ = 0;
    attribute_data_ = false;
    sequencer_.fill(0), crtc_.fill(0), graphics_.fill(0), attribute_.fill(0);
    latch_ = 0;
    dac_mask_ = 0xff;
    dac_state_ = dac_read_ = dac_write_ = dac_part_ = 0;
    dac_cache_.fill(0), dac_.fill(0);
    vbe_index_ = 0;
    vbe_.fill(0);
    vbe_[kVbeId] = kVbeIdFirst;
    restored();
}

void Core::restored() {
    for (u32 i = 0; i < graphics_.size(); ++i) graphics_[i] &= kGraphicsBits[i];
    vbe_[kVbeWidth] = std::min(vbe_[kVbeWidth], kVbeMaxWidth);
    vbe_[kVbeHeight] = std::min(vbe_[kVbeHeight], kVbeMaxHeight);
    update_window();
    update_vbe();
    update_timing();
}

void Core::state(StateVisitor& v) {
    v("misc", misc_), v("feature", feature_), v("enable", enable_);
    v("sequencer_index", sequencer_index_, {.max = 7}), v("sequencer", sequencer_);
    v("crtc_index", crtc_index_), v("crtc", crtc_);
    v("graphics_index", graphics_index_, {.max = 15}), v("graphics", graphics_);
    v("attribute_index", attribute_index_, {.max = 0x3f}), v("attribute_data", attribute_data_),
        v("attribute", attribute_);
    v("latch", latch_);
    v("dac_mask", dac_mask_), v("dac_state", dac_state_, {.max = kDacReading}), v("dac_read", dac_read_),
        v("dac_write", dac_write_);
    v("dac_part", dac_part_, {.max = 2}), v("dac_cache", dac_cache_), v("dac", dac_);
    v("vbe_index", vbe_index_), v("vbe", vbe_);
}

u8 Core::read_main(u32 offset) {
    switch (offset) {
        case 0x0: return attribute_index_;
        case 0x1: return read_attribute();
        case 0x3: return enable_;
        case 0x4: return sequencer_index_;
        case 0x5: return sequencer_[sequencer_index_];
        case 0x6: return dac_mask_;
        case 0x7: return dac_state_;
        case 0x8: return dac_write_;
        case 0x9: return read_dac();
        case 0xa: return feature_;
        case 0xc: return misc_;
        case 0xe: return graphics_index_;
        case 0xf: return graphics_[graphics_index_];
        default: return 0;  // input status 0 among them: no interrupt, no switches
    }
}

void Core::write_main(u32 offset, u8 value) {
    switch (offset) {
        case 0x0: write_attribute(value); break;
        case 0x2:
            misc_ = value & 0xef;
            update_window(), update_timing();
            break;
        case 0x3: enable_ = value & 1; break;  // stored only: PCI's command register decides about decoding
        case 0x4: sequencer_index_ = value & 7; break;
        case 0x5: write_sequencer(value); break;
        case 0x6: dac_mask_ = value; break;
        case 0x7: dac_read_ = value, dac_part_ = 0, dac_state_ = kDacReading; break;
        case 0x8: dac_write_ = value, dac_part_ = 0, dac_state_ = kDacWriting; break;
        case 0x9: write_dac(value); break;
        case 0xe: graphics_index_ = value & 0xf; break;
        case 0xf: write_graphics(value); break;
        default: break;
    }
}

void Core::write_sequencer(u8 value) {
    sequencer_[sequencer_index_] = value & kSequencerBits[sequencer_index_];
    update_window();
    if (sequencer_index_ == kSeqClocking) update_timing();
}

void Core::write_graphics(u8 value) {
    graphics_[graphics_index_] = value & kGraphicsBits[graphics_index_];
    update_window();
}

u8 Core::read_attribute() const {
    const u32 index = attribute_index_ & 0x1f;
    return index < kAttrCount ? attribute_[index] : u8{0};
}

void Core::write_attribute(u8 value) {
    if (!attribute_data_)
        attribute_index_ = value & 0x3f;
    else if (const u32 index = attribute_index_ & 0x1f; index < kAttrCount)
        attribute_[index] = value & kAttributeBits(index);
    attribute_data_ = !attribute_data_;
}

u8 Core::read_dac() {
    const u8 value = dac_[dac_read_ * 3u + dac_part_];
    if (++dac_part_ == 3) dac_part_ = 0, ++dac_read_;
    return value;
}

// A colour changes as a whole, with its third part.
void Core::write_dac(u8 value) {
    dac_cache_[dac_part_] = vbe_[kVbeEnable] & kVbeDac8 ? value : value & 0x3f;
    if (++dac_part_ < 3) return;
    dac_part_ = 0;
    std::copy(dac_cache_.begin(), dac_cache_.end(), dac_.begin() + dac_write_ * 3);
    ++dac_write_;
}

u8 Core::read_crtc(u32 offset, bool mono) const {
    if (wrong_place(mono)) return 0xff;
    if (offset == 0) return crtc_index_;
    return crtc_index_ < kCrtcCount ? crtc_[crtc_index_] : u8{0};
}

void Core::write_crtc(u32 offset, u8 value, bool mono) {
    if (wrong_place(mono)) return;
    if (offset == 0) {
        crtc_index_ = value;
        return;
    }
    if (crtc_index_ >= kCrtcCount) return;
    if (crtc_index_ <= kCrtcOverflow && (crtc_[kCrtcRetraceEnd] & kRetraceEndProtect)) {
        // Of the protected registers only the line compare bit may change.
        constexpr u8 kLineCompare8 = 0x10;
        if (crtc_index_ == kCrtcOverflow)
            crtc_[kCrtcOverflow] = static_cast<u8>((crtc_[kCrtcOverflow] & ~kLineCompare8) | (value & kLineCompare8));
        return;
    }
    crtc_[crtc_index_] = value;
    update_timing();
}

u8 Core::read_status(bool mono, i64 now) {
    if (wrong_place(mono)) return 0xff;
    attribute_data_ = false;
    const i64 at = now % timing_.frame(), line = at / timing_.line;
    u8 value = 0;
    if (line >= timing_.displayed_lines || at % timing_.line >= timing_.displayed_ns) value |= kStatusBlank;
    if (line >= timing_.retrace_first && line <= timing_.retrace_last) value |= kStatusRetrace;
    return value;
}

void Core::write_feature(u8 value, bool mono) {
    if (!wrong_place(mono)) feature_ = value & 0x10;
}

void Core::update_timing() {
    Timing t;
    const auto usual = [&] {
        t.line = kUsualLine, t.lines = kUsualLines;
        t.displayed_lines = kUsualDisplayed, t.retrace_first = kUsualRetrace, t.retrace_last = kUsualRetrace + 1;
        t.displayed_ns = kUsualLine * 4 / 5;
    };
    if (vbe_on()) {
        t.displayed_lines = std::max<i64>(1, vbe_[kVbeHeight]);
        t.lines = t.displayed_lines + t.displayed_lines / 20 + 4;
        t.retrace_first = t.displayed_lines + 1, t.retrace_last = t.displayed_lines + 2;
        t.line = kVbeFrame / t.lines;
        t.displayed_ns = t.line * 4 / 5;
        timing_ = t;
        return;
    }
    const u32 over = crtc_[kCrtcOverflow];
    const i64 dots =
        (sequencer_[kSeqClocking] & kClocking8Dots ? 8 : 9) * (sequencer_[kSeqClocking] & kClockingHalf ? 2 : 1);
    const i64 clock = (misc_ & kMiscClock) == 1u << 2 ? 28'322'000 : 25'175'000;
    const i64 characters = crtc_[kCrtcTotal] + 5;
    const int twice = crtc_[kCrtcMode] & kModeDoubleLines ? 2 : 1;
    t.line = characters * dots * 1'000'000'000 / clock;
    t.lines = ((crtc_[kCrtcVerticalTotal] | (over & 1) << 8 | (over & 0x20) << 4) + i64{2}) * twice;
    t.displayed_lines = lines();
    const i64 first = crtc_[kCrtcRetraceStart] | (over & 4) << 6 | (over & 0x80) << 2;
    const i64 length = (crtc_[kCrtcRetraceEnd] - first) & 0xf;
    t.retrace_first = first * twice;
    t.retrace_last = (first + (length ? length : 16)) * twice - 1;
    t.displayed_ns = t.line * std::min<i64>(columns(), characters - 1) / characters;
    if (t.frame() < kShortestFrame || t.frame() > kLongestFrame || t.retrace_first >= t.lines ||
        t.displayed_lines >= t.lines)
        usual();
    timing_ = t;
}

}  // namespace backplane::vga
