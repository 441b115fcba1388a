// What a viewer sees: text, text pixels, planar, CGA, 256-colour and VBE pictures.
#include <catch2/catch.hpp>

#include <algorithm>
#include <random>

#include "test_adapter.hpp"

using namespace backplane;
using namespace backplane::vga;

namespace {

void put_text(Adapter& a, u32 at, std::string_view text, u32 attribute = 7) {
    for (const char c : text) a.poke(0xb8000 + 2 * at++, static_cast<u8>(c) | attribute << 8, 2);
}
void clear_text(Adapter& a) {
    for (u32 i = 0; i < 80 * 25; ++i) a.poke(0xb8000 + 2 * i, 0x0720, 2);
}
void load_glyph(Adapter& a, u32 code, u32 pattern) {
    for (u32 row = 0; row < 16; ++row) a.memory()[(code * 32 + row) * 4 + 2] = static_cast<u8>(pattern);
}

}  // namespace

TEST_CASE("the text screen is read as UTF-8 without trailing blanks") {
    Adapter a;
    a.text_mode();
    clear_text(a);
    put_text(a, 0, "SeaBIOS (version 1.16.2)");
    put_text(a, 81, "\xc9\xcd\xbb \x01\x81");
    const auto size = a.size();
    CHECK(size.text_columns == 80);
    CHECK(size.text_rows == 25);
    const std::string text = a.text();
    CHECK(text.substr(0, 25) == "SeaBIOS (version 1.16.2)\n");
    CHECK(text.substr(25, 17) == " ╔═╗ ☺ü\n");
    CHECK(std::count(text.begin(), text.end(), '\n') == 25);
    CHECK(text.substr(text.size() - 4) == "\n\n\n\n");
}

TEST_CASE("the text starts where the start address points, and a small buffer gets whole lines") {
    Adapter a;
    a.text_mode();
    clear_text(a);
    put_text(a, 80, "second");
    a.crtc(0x0d, 80);
    CHECK(a.text().substr(0, 7) == "second\n");
    CHECK(a.text(25).size() <= 25);
    CHECK(a.text(7) == "second\n");
    CHECK(a.text(6).empty());
    CHECK(a.text(0).empty());
}

TEST_CASE("a dark screen has no text, and a graphics mode neither") {
    Adapter a;
    a.text_mode();
    clear_text(a);
    put_text(a, 0, "hidden");
    a.main(0x3c4, 1), a.main(0x3c5, 0x20);
    CHECK(a.text().find("hidden") == std::string::npos);
    a.planar_mode();
    CHECK(a.text().empty());
    CHECK(a.size().text_columns == 0);
}

TEST_CASE("characters are drawn with the font in plane 2, nine dots wide") {
    Adapter a;
    a.text_mode();
    clear_text(a);
    load_glyph(a, 'A', 0x81);
    load_glyph(a, 0xc4, 0xff);
    load_glyph(a, 0xdb + 0x10, 0xff);
    put_text(a, 0, "A\xc4\xeb", 0x14);
    a.crtc(0x0a, 0x20);  // no cursor
    const auto size = a.size();
    REQUIRE(size.width == 720);
    REQUIRE(size.height == 400);
    const auto p = a.picture();
    const u32 red = 0xaa0000, blue = 0x0000aa;
    CHECK(p[0] == red);
    CHECK(p[1] == blue);
    CHECK(p[7] == red);
    CHECK(p[8] == blue);  // the ninth dot is paper ...
    CHECK(p[17] == red);  // ... but for line drawing
    CHECK(p[25] == red);
    CHECK(p[26] == blue);
    CHECK(p[15 * 720] == red);
    CHECK(p[27] == 0);
}

TEST_CASE("the cursor blinks with the frames and has its shape") {
    Adapter a;
    a.text_mode();
    clear_text(a);
    a.crtc(0x0f, 5);
    CHECK(a.picture()[13 * 720 + 45] == 0xaaaaaa);
    CHECK(a.picture()[12 * 720 + 45] == 0);
    CHECK(a.picture()[13 * 720 + 44] == 0);
    CHECK(a.picture()[15 * 720 + 45] == 0);
    a.board.advance(16 * 14'300'000);
    CHECK(a.picture()[13 * 720 + 45] == 0);
}

TEST_CASE("attribute bit 7 is blinking or a bright background") {
    Adapter a;
    a.text_mode();
    clear_text(a);
    a.color(12, 63, 21, 21);
    put_text(a, 0, " ", 0xc7);
    CHECK(a.picture()[0] == 0xaa0000);
    a.attribute(0x10, 0x04);
    a.board.in("status", 0), a.main(0x3c0, 0x20);
    CHECK(a.picture()[0] == 0xff5555);
}

TEST_CASE("the line compare register splits the screen") {
    Adapter a;
    a.text_mode();
    clear_text(a);
    load_glyph(a, 'A', 0xff);
    put_text(a, 0, "A");
    a.crtc(0x0d, 80);
    a.crtc(0x18, 99), a.crtc(0x07, 0x0f), a.crtc(0x09, 0x0f);
    const auto p = a.picture();
    CHECK(p[0] == 0);
    CHECK(p[99 * 720] == 0);
    CHECK(p[100 * 720] == 0xaaaaaa);
}

TEST_CASE("planar pixels go through the attribute palette to the DAC") {
    Adapter a;
    a.planar_mode();
    a.sequencer(2, 5);
    a.poke(0xa0000 + 80, 0x40);
    const auto size = a.size();
    REQUIRE(size.width == 640);
    REQUIRE(size.height == 480);
    CHECK(a.picture()[640 + 1] == 0xaa00aa);
    CHECK(a.picture()[640] == 0);
    a.attribute(5, 2);
    a.board.in("status", 0), a.main(0x3c0, 0x20);
    CHECK(a.picture()[640 + 1] == 0x00aa00);
    a.attribute(0x12, 4);
    a.board.in("status", 0), a.main(0x3c0, 0x20);
    CHECK(a.picture()[640 + 1] == 0xaa0000);
}

TEST_CASE("the 256-colour mode shows each pixel twice in both directions") {
    Adapter a;
    a.packed_mode();
    a.color(200, 63, 0, 63);
    a.poke(0xa0000 + 320 + 3, 200);
    const auto size = a.size();
    REQUIRE(size.width == 640);
    REQUIRE(size.height == 400);
    const auto p = a.picture();
    for (const u32 at : {2 * 640 + 6, 2 * 640 + 7, 3 * 640 + 6, 3 * 640 + 7}) CHECK(p[at] == 0xff00ff);
    CHECK(p[2 * 640 + 5] == 0);
    CHECK(p[4 * 640 + 6] == 0);
}

TEST_CASE("the CGA mode has its even and odd lines in two banks") {
    Adapter a;
    a.cga_mode();
    a.poke(0xb8000, 0x1b);           // pixels 0 1 2 3 of line 0
    a.poke(0xb8000 + 0x2000, 0xc0);  // pixel 3 at the start of line 1
    a.poke(0xb8000 + 80, 0x40);      // pixel 1 at the start of line 2
    const auto size = a.size();
    REQUIRE(size.width == 640);
    REQUIRE(size.height == 400);
    const auto p = a.picture();
    CHECK(p[0] == 0);
    CHECK(p[2] == 0x0000aa);
    CHECK(p[4] == 0x00aa00);
    CHECK(p[6] == 0x00aaaa);
    CHECK(p[2 * 640] == 0x00aaaa);
    CHECK(p[4 * 640] == 0x0000aa);
}

TEST_CASE("VBE modes of every depth show their pixels") {
    struct Depth {
        u32 depth, bytes, value, color;
    };
    for (const Depth d : {Depth{8, 1, 4, 0xaa0000}, Depth{15, 2, 0x7c1f, 0xff00ff}, Depth{16, 2, 0x07e0, 0x00ff00},
                          Depth{24, 3, 0x123456, 0x123456}, Depth{32, 4, 0xff123456, 0x123456}}) {
        Adapter a;
        a.planar_mode();
        a.vbe(1, 800), a.vbe(2, 600), a.vbe(3, d.depth), a.vbe(4, 0x41);
        const u32 at = (800 * 2 + 5) * d.bytes;
        for (u32 i = 0; i < d.bytes; ++i) a.memory()[at + i] = static_cast<u8>(d.value >> (8 * i));
        const auto size = a.size();
        REQUIRE(size.width == 800);
        REQUIRE(size.height == 600);
        CHECK(size.text_columns == 0);
        const auto p = a.picture();
        CHECK(p[800 * 2 + 5] == d.color);
        CHECK(p[800 * 2 + 4] == 0);
        a.vbe(6, 1600), a.vbe(8, 8), a.vbe(9, 1);
        const u32 moved = (1600 * 3 + 8 + 7) * d.bytes;
        for (u32 i = 0; i < d.bytes; ++i) a.memory()[moved + i] = static_cast<u8>(d.value >> (8 * i));
        CHECK(a.picture()[800 * 2 + 7] == d.color);
    }
}

TEST_CASE("a VBE mode of 16 colours is planar") {
    Adapter a;
    a.planar_mode();
    a.vbe(1, 800), a.vbe(2, 600), a.vbe(3, 4), a.vbe(4, 1);
    a.sequencer(2, 2);
    a.poke(0xa0000 + 100, 0x80);
    CHECK(a.picture()[800] == 0x00aa00);
}

TEST_CASE("pictures of registers without sense have a size and do not read beyond the memory") {
    Adapter a;
    CHECK(a.size().width > 0);
    a.picture();
    a.text_mode();
    for (u32 i = 0; i < 0x19; ++i) a.crtc(i, 0xff);
    a.picture();
    a.text();
    a.graphics(6, 1);
    a.crtc(0x17, 0);
    a.picture();
    a.vbe(1, 2560), a.vbe(2, 1600), a.vbe(3, 32), a.vbe(4, 1);
    a.vbe(8, 0xffff), a.vbe(9, 0xffff);
    CHECK(a.picture().size() == 2560 * 1600);
}

TEST_CASE("no sequence of register writes makes the picture leave its bounds") {
    Adapter a;
    std::mt19937 random(65536);
    for (int round = 0; round < 40; ++round) {
        for (int i = 0; i < 300; ++i) {
            const u32 value = random();
            switch (value % 6) {
                case 0: a.main(0x3c0 + random() % 16, value >> 8); break;
                case 1: a.crtc(random() % 0x20, value >> 8); break;
                case 2: a.vbe(random() % 12, value >> 8); break;
                case 3: a.sequencer(random() % 8, value >> 8); break;
                case 4: a.graphics(random() % 16, value >> 8); break;
                default:
                    a.poke(0xa0000 + random() % 0x1fff8, value, 1u << (value >> 8) % 4);
                    a.peek(0xa0000 + random() % 0x1fff8, 1u << (value >> 8) % 4);
                    break;
            }
        }
        const auto size = a.size();
        REQUIRE(size.width > 0);
        REQUIRE(size.height > 0);
        REQUIRE(size.width <= 4608);
        REQUIRE(size.height <= 2048);
        a.board.in("status", 0), a.main(0x3c0, 0x20);
        a.sequencer(1, random() & 0xdf);
        const auto now = a.size();
        std::vector<u32> pixels(std::size_t{now.width} * now.height + 1, 0xdeadbeef);
        a.screen().render(a.display.instance, pixels.data(), now.width);
        CHECK(pixels.back() == 0xdeadbeef);
        CHECK(std::find(pixels.begin(), pixels.end() - 1, 0xdeadbeef) == pixels.end() - 1);
        a.text();
    }
}
