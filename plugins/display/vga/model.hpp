// Standard VGA with the Bochs VBE extension (IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem"; VBE
// Display Interface of the Bochs project), as a PCI function 1234:1111 and as a plain ISA adapter.
#pragma once

#include "backplane/abi/backend.h"
#include "backplane/device.hpp"
#include "backplane/pci.hpp"
#include "core.hpp"

namespace backplane {

// What both have in common: the registers' places and the picture.
template <class Self>
struct VgaAdapter : Device<Self> {
    using Device<Self>::Device;

    static void describe_common(Schema<Self>& s, std::string_view memory_default);
    void state(StateVisitor& v) { core_.state(v); }

    u64 read_main(u64 offset, u32) { return core_.read_main(static_cast<u32>(offset)); }
    void write_main(u64 offset, u32, u64 value) { core_.write_main(static_cast<u32>(offset), static_cast<u8>(value)); }
    u64 read_mono(u64 offset, u32) { return core_.read_crtc(static_cast<u32>(offset), true); }
    void write_mono(u64 offset, u32, u64 value) {
        core_.write_crtc(static_cast<u32>(offset), static_cast<u8>(value), true);
    }
    u64 read_color(u64 offset, u32) { return core_.read_crtc(static_cast<u32>(offset), false); }
    void write_color(u64 offset, u32, u64 value) {
        core_.write_crtc(static_cast<u32>(offset), static_cast<u8>(value), false);
    }
    u64 read_mono_status(u64, u32) { return core_.read_status(true, this->now()); }
    void write_mono_status(u64, u32, u64 value) { core_.write_feature(static_cast<u8>(value), true); }
    u64 read_color_status(u64, u32) { return core_.read_status(false, this->now()); }
    void write_color_status(u64, u32, u64 value) { core_.write_feature(static_cast<u8>(value), false); }
    u64 read_vbe(u64 offset, u32) { return offset < 2 ? core_.read_vbe(static_cast<u32>(offset)) : 0xffff; }
    void write_vbe(u64 offset, u32, u64 value);
    u64 read_window(u64 offset, u32 bytes) { return core_.read_window(static_cast<u32>(offset), bytes); }
    void write_window(u64 offset, u32 bytes, u64 value) { core_.write_window(static_cast<u32>(offset), bytes, value); }

    vga::Core core_;

  protected:
    bp_status make_memory();
    void map_linear(std::optional<u64> base);

    Bytes size_;
    u64 fixed_ = 0;
    u32 block_ = 0;
    u32 mapping_ = 0;

  private:
    static constexpr bp_display kDisplay{
        sizeof(bp_display), [](void* i, bp_display_size* out) { static_cast<Self*>(i)->core_.dimensions(*out); },
        [](void* i, char* out, size_t capacity) { return static_cast<Self*>(i)->core_.text(out, capacity); },
        [](void* i, uint32_t* pixels, uint32_t stride) {
            Self* self = static_cast<Self*>(i);
            self->core_.render(pixels, stride, self->slot().clock().now(self->slot().self()));
        }};
};

struct Vga final : VgaAdapter<Vga> {
    static constexpr std::string_view kType = "display.vga";
    using VgaAdapter::VgaAdapter;

    static void describe(Schema<Vga>& s);
    bp_status start();
    void reset(Reset kind);
    void state(StateVisitor& v);
    bp_status restored();

    PciFunction pci_;
};

struct IsaVga final : VgaAdapter<IsaVga> {
    static constexpr std::string_view kType = "display.isa_vga";
    using VgaAdapter::VgaAdapter;

    static void describe(Schema<IsaVga>& s);
    bp_status start() { return make_memory(); }
    void reset(Reset) { core_.reset(); }
    bp_status restored();
};

}  // namespace backplane
