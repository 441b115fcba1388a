// A VGA on the bench, with the register accesses that a guest makes.
#pragma once

#include <string>
#include <vector>

#include "backplane/testkit/pci_bus.hpp"
#include "model.hpp"

namespace backplane::vga {

struct Adapter {
    testkit::Bench<IsaVga> board{testkit::Properties{{"memory", "16M"}}};

    void main(u32 port, u32 value) { board.out("registers", port - 0x3c0, value); }
    u32 main(u32 port) { return static_cast<u32>(board.in("registers", port - 0x3c0)); }
    void sequencer(u32 index, u32 value) { main(0x3c4, index), main(0x3c5, value); }
    void graphics(u32 index, u32 value) { main(0x3ce, index), main(0x3cf, value); }
    void crtc(u32 index, u32 value) { board.out("crtc", 0, index), board.out("crtc", 1, value); }
    u32 crtc(u32 index) { return board.out("crtc", 0, index), static_cast<u32>(board.in("crtc", 1)); }
    void attribute(u32 index, u32 value) {
        board.in("status", 0);
        main(0x3c0, index), main(0x3c0, value);
    }
    void color(u32 index, u32 r, u32 g, u32 b) { main(0x3c8, index), main(0x3c9, r), main(0x3c9, g), main(0x3c9, b); }
    void vbe(u32 index, u32 value) { board.out("vbe", 0, index, 2), board.out("vbe", 1, value, 2); }
    u32 vbe(u32 index) { return board.out("vbe", 0, index, 2), static_cast<u32>(board.in("vbe", 1, 2)); }
    void poke(u32 address, u64 value, u32 bytes = 1) { board.out("window", address - 0xa0000, value, bytes); }
    u64 peek(u32 address, u32 bytes = 1) { return board.in("window", address - 0xa0000, bytes); }
    u8* memory() { return board.ram_block(0); }

    // Register values of a BIOS mode: sequencer 0-4, miscellaneous output, CRTC 0-18h, attribute 0-13h, graphics 0-8.
    struct Mode {
        u8 misc;
        std::vector<u32> sequencer, crtc, attribute, graphics;
    };
    void set(const Mode& m) {
        main(0x3c2, m.misc);
        for (u32 i = 0; i < m.sequencer.size(); ++i) sequencer(i, m.sequencer[i]);
        crtc(0x11, 0);
        for (u32 i = 0; i < m.crtc.size(); ++i) crtc(i, m.crtc[i]);
        for (u32 i = 0; i < m.graphics.size(); ++i) graphics(i, m.graphics[i]);
        for (u32 i = 0; i < m.attribute.size(); ++i) attribute(i, m.attribute[i]);
        board.in("status", 0), main(0x3c0, 0x20);
        for (u32 i = 0; i < 16; ++i) color(i, i & 4 ? 42 : 0, i & 2 ? 42 : 0, i & 1 ? 42 : 0);
    }
    void text_mode() {
        set({0x67,
             {3, 0, 3, 0, 2},
             {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0,    0x4f, 0x0d, 0x0e, 0,
              0,    0,    0,    0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff},
             {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0x0c, 0, 0x0f, 8, 0},
             {0, 0, 0, 0, 0, 0x10, 0x0e, 0x0f, 0xff}});
    }
    void planar_mode() {  // 640x480x16
        set({0xe3,
             {3, 1, 0xf, 0, 6},
             {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0,    0x40, 0,    0,   0,
              0,    0,    0,    0xea, 0x8c, 0xdf, 0x28, 0,    0xe7, 0x04, 0xe3, 0xff},
             {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 1, 0, 0x0f, 0, 0},
             {0, 0, 0, 0, 0, 0, 5, 0x0f, 0xff}});
    }
    void packed_mode() {  // 320x200x256
        set({0x63,
             {3, 1, 0xf, 0, 0x0e},
             {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0,    0x41, 0,    0,   0,
              0,    0,    0,    0x9c, 0x8e, 0x8f, 0x28, 0x40, 0x96, 0xb9, 0xa3, 0xff},
             {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0x41, 0, 0x0f, 0, 0},
             {0, 0, 0, 0, 0, 0x40, 5, 0x0f, 0xff}});
    }
    void cga_mode() {  // 320x200x4
        set({0x63,
             {3, 9, 3, 0, 2},
             {0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf, 0x1f, 0,    0xc1, 0,    0,   0,
              0,    0,    0,    0x9c, 0x8e, 0x8f, 0x14, 0,    0x96, 0xb9, 0xa2, 0xff},
             {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 1, 0, 3, 0, 0},
             {0, 0, 0, 0, 0, 0x30, 0x0f, 0x0f, 0xff}});
    }

    const bp_interface display = board.offer(BP_DISPLAY_ID);
    const bp_display& screen() const { return *static_cast<const bp_display*>(display.table); }
    bp_display_size size() {
        bp_display_size s{};
        s.size = sizeof s;
        screen().dimensions(display.instance, &s);
        return s;
    }
    std::string text(std::size_t capacity = 100000) {
        std::string out(capacity, '?');
        out.resize(screen().text(display.instance, out.data(), out.size()));
        return out;
    }
    std::vector<u32> picture() {
        const bp_display_size s = size();
        std::vector<u32> pixels(std::size_t{s.width} * s.height, 0xdeadbeef);
        screen().render(display.instance, pixels.data(), s.width);
        return pixels;
    }
};

}  // namespace backplane::vga
