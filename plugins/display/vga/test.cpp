// Registers, the VBE interface, the retrace, and the adapter's place on PCI.
#include <catch2/catch.hpp>

#include "test_adapter.hpp"

using namespace backplane;
using namespace backplane::vga;
using testkit::Bench;

TEST_CASE("registers keep the bits that exist") {
    Adapter a;
    a.main(0x3c2, 0x67);
    CHECK(a.main(0x3cc) == 0x67);
    a.sequencer(4, 0xff);
    CHECK(a.main(0x3c5) == 0x0e);
    a.sequencer(2, 0xff);
    CHECK(a.main(0x3c5) == 0x0f);
    a.graphics(5, 0xff);
    CHECK(a.main(0x3cf) == 0x7b);
    a.graphics(8, 0xa5);
    CHECK(a.main(0x3cf) == 0xa5);
    a.crtc(0x0e, 0x12);
    CHECK(a.crtc(0x0e) == 0x12);
    CHECK(a.crtc(0x40) == 0);
    a.attribute(3, 0xff);
    a.board.in("status", 0), a.main(0x3c0, 0x03);
    CHECK(a.main(0x3c1) == 0x3f);
}

TEST_CASE("reading the status makes the next attribute write an index") {
    Adapter a;
    a.main(0x3c2, 0x67);
    a.main(0x3c0, 0x01);
    a.board.in("status", 0);
    a.main(0x3c0, 0x02), a.main(0x3c0, 0x15);
    a.main(0x3c0, 0x22);
    CHECK(a.main(0x3c0) == 0x22);
    CHECK(a.main(0x3c1) == 0x15);
}

TEST_CASE("the CRT controller answers at the place that the mode has") {
    Adapter a;
    a.main(0x3c2, 0x66);
    a.board.out("crtc_mono", 0, 0x0f), a.board.out("crtc_mono", 1, 0x77);
    CHECK(a.board.in("crtc_mono", 1) == 0x77);
    CHECK(a.board.in("crtc", 1) == 0xff);
    CHECK(a.board.in("status", 0) == 0xff);
    a.main(0x3c2, 0x67);
    CHECK(a.board.in("crtc_mono", 1) == 0xff);
    CHECK(a.crtc(0x0f) == 0x77);
}

TEST_CASE("the timing registers can be protected") {
    Adapter a;
    a.main(0x3c2, 0x67);
    a.crtc(0, 0x5f), a.crtc(7, 0x1f), a.crtc(0x11, 0x8e);
    a.crtc(0, 0x11), a.crtc(7, 0xe0), a.crtc(8, 0x05);
    CHECK(a.crtc(0) == 0x5f);
    CHECK(a.crtc(7) == 0x0f);
    CHECK(a.crtc(8) == 0x05);
}

TEST_CASE("palette entries go in and out in triples with separate indices") {
    Adapter a;
    a.color(10, 1, 2, 3), a.color(11, 63, 64, 255);
    CHECK(a.main(0x3c7) == 0);
    a.main(0x3c7, 10);
    CHECK(a.main(0x3c7) == 3);
    for (const u32 expected : {1u, 2u, 3u, 63u, 0u, 63u}) CHECK(a.main(0x3c9) == expected);
    a.main(0x3c8, 10), a.main(0x3c9, 40);  // an unfinished triple changes nothing
    a.main(0x3c7, 10);
    CHECK(a.main(0x3c9) == 1);
    a.vbe(4, 0x20);
    a.color(12, 64, 128, 255);
    a.main(0x3c7, 12);
    CHECK(a.main(0x3c9) == 64);
    CHECK(a.main(0x3c9) == 128);
    CHECK(a.main(0x3c9) == 255);
}

TEST_CASE("the status register shows retrace and blanking 70 times a second") {
    Adapter a;
    a.text_mode();
    unsigned retraces = 0, blanks = 0;
    bool before = false;
    for (int i = 0; i < 1'000'000; i += 10) {
        a.board.advance(10'000);
        const u64 status = a.board.in("status", 0);
        const bool retrace = status & 8;
        if (retrace) CHECK((status & 1) == 1);
        retraces += retrace && !before;
        blanks += status & 1;
        before = retrace;
    }
    CHECK(retraces >= 69);
    CHECK(retraces <= 71);
    CHECK(blanks > 25'000);
    CHECK(blanks < 45'000);
}

TEST_CASE("VBE registers identify themselves and take modes") {
    Adapter a;
    CHECK(a.vbe(0) == 0xb0c0);
    a.vbe(0, 0xb0c5);
    CHECK(a.vbe(0) == 0xb0c5);
    a.vbe(0, 0xb0c6);
    CHECK(a.vbe(0) == 0xb0c5);
    CHECK(a.vbe(10) == 0x100);
    CHECK(a.vbe(11) == 0);
    a.vbe(1, 1024), a.vbe(2, 768), a.vbe(3, 16);
    a.vbe(1, 1027);
    CHECK(a.vbe(1) == 1024);
    a.vbe(1, 2568);
    CHECK(a.vbe(1) == 1024);
    a.vbe(3, 12);
    CHECK(a.vbe(3) == 16);
    a.vbe(4, 0x02);
    CHECK(a.vbe(1) == 2560);
    CHECK(a.vbe(2) == 1600);
    CHECK(a.vbe(3) == 32);
    a.vbe(4, 0x41);
    CHECK(a.vbe(6) == 1024);
    CHECK(a.vbe(7) == 768);
    a.vbe(6, 2048);
    CHECK(a.vbe(6) == 2048);
    CHECK(a.vbe(7) == 4096);
    a.vbe(6, 512);
    CHECK(a.vbe(6) == 2048);
}

TEST_CASE("a VBE mode clears the screen unless told not to") {
    Adapter a;
    a.memory()[0] = a.memory()[640 * 480 - 1] = a.memory()[640 * 480] = 1;
    a.vbe(1, 640), a.vbe(2, 480), a.vbe(3, 8);
    a.vbe(4, 0xc1);
    CHECK(a.memory()[0] == 1);
    a.vbe(4, 0), a.vbe(4, 0x41);
    CHECK(a.memory()[0] == 0);
    CHECK(a.memory()[640 * 480 - 1] == 0);
    CHECK(a.memory()[640 * 480] == 1);
}

TEST_CASE("VBE ports take words only") {
    Adapter a;
    a.board.out("vbe", 0, 10, 1);
    CHECK(a.board.in("vbe", 0, 2) == 0);
    CHECK(a.board.in("vbe", 1, 1) == 0xff);
}

TEST_CASE("as a PCI function the adapter moves its frame buffer with BAR 0") {
    Bench<Vga> vga(testkit::Properties{{"linear", "0xe0000000"}});
    testkit::PciSlot slot(vga);
    CHECK(slot.read(0, 4) == 0x11111234);
    CHECK(slot.read(8, 4) == 0x03000000);
    CHECK(slot.read(0x3d, 1) == 0);
    slot.write(0x10, 4, 0xffffffff);
    CHECK(slot.read(0x10, 4) == 0xff000008);
    slot.write(0x14, 4, 0xffffffff);
    slot.write(0x30, 4, 0xffffffff);
    CHECK(slot.read(0x14, 4) == 0);
    CHECK(slot.read(0x30, 4) == 0);
    REQUIRE(vga.mappings().size() == 1);
    CHECK(vga.mappings().begin()->second.base == 0xe0000000);
    slot.write(0x10, 4, 0xfd000000), slot.write(4, 2, 3);
    REQUIRE(vga.mappings().size() == 2);
    CHECK(vga.mappings().rbegin()->second.base == 0xfd000000);
    CHECK(vga.mappings().rbegin()->second.size == 16 << 20);
    slot.write(4, 2, 0);
    CHECK(vga.mappings().size() == 1);
}

TEST_CASE("memory that is no power of two is refused by name") {
    testkit::Board board(&DeviceType<IsaVga>::value, {{"memory", "3M"}}, {});
    CHECK(board.start() == BP_ERR_INVALID);
    CHECK(board.failure.find("power of two") != std::string::npos);
}

TEST_CASE("saved state shows the same picture") {
    Adapter a, b;
    a.text_mode();
    a.poke(0xb8000, 0x1f41, 2);
    std::copy(a.memory(), a.memory() + 0x10000, b.memory());
    REQUIRE(b.board.load(a.board.save()) == BP_OK);
    CHECK(b.text() == a.text());
    CHECK(b.picture() == a.picture());
    CHECK(b.board.save() == a.board.save());
    CHECK(b.peek(0xb8000, 2) == 0x1f41);
}

TEST_CASE("a reset leaves text mode and VBE off") {
    Adapter a;
    a.vbe(1, 640), a.vbe(2, 480), a.vbe(3, 8), a.vbe(4, 0x41);
    a.board.reset();
    CHECK(a.vbe(4) == 0);
    CHECK(a.size().text_columns > 0);
}
