// The task file as a host sees it, row by row of the board's specification.
#include <catch2/catch.hpp>

#include "rig.hpp"

using namespace backplane;
using ata::testkit::Rig;

TEST_CASE("after power-on the drive is ready and shows the signature of a disk") {
    Rig r;
    CHECK(r.in(7) == 0x50);
    CHECK(r.in(1) == 0x01);
    CHECK(r.in(2) == 0x01);
    CHECK(r.in(3) == 0x01);
    CHECK(r.in(4) == 0x00);
    CHECK(r.in(5) == 0x00);
    CHECK(r.in(6) == 0xa0);
}

TEST_CASE("what a firmware writes to find a drive reads back") {
    Rig r(4194304, {}, true);
    for (const u8 device : {0xa0, 0xb0}) {
        r.out(6, device);
        r.out(2, 0x55);
        r.out(3, 0xaa);
        CHECK(r.in(2) == 0x55);
        CHECK(r.in(3) == 0xaa);
        CHECK(r.in(6) == device);
    }
}

TEST_CASE("bits 7 and 5 of device/head read as ones and bit 4 follows the selection") {
    Rig r(4194304, {}, true);
    r.out(6, 0x4f);
    CHECK(r.in(6) == 0xef);
    r.out(6, 0x1f);
    CHECK(r.in(6) == 0xbf);
}

TEST_CASE("both drives take the task file, each keeps its own status") {
    Rig r(4194304, {}, true);
    r.lba28(0, 1);
    r.command(0x20);
    r.settle();
    CHECK(r.in(7) == 0x58);
    r.bytes(512);
    r.out(3, 0x77);
    r.out(6, 0xb0);
    CHECK(r.in(3) == 0x77);
    CHECK(r.in(7) == 0x50);
}

TEST_CASE("writes are ignored while the drive is busy or wants data") {
    Rig r;
    r.lba28(5, 1);
    r.command(0x20);
    CHECK(r.in(7) & 0x80);
    r.out(3, 0x99);
    r.command(0xec);
    r.settle();
    CHECK(r.in(7) == 0x58);
    r.out(2, 0x99);
    CHECK(r.in(3) != 0x99);
    CHECK(r.in(2) != 0x99);
}

TEST_CASE("device control bit 7 does not show the previous bytes") {
    Rig r;
    r.out(3, 0x11);
    r.out(3, 0x22);
    r.channel.write_control(0x80);
    CHECK(r.in(3) == 0x22);
}

TEST_CASE("the data register is zero without a transfer, words and dwords move it, bytes do not") {
    Rig r;
    CHECK(r.channel.read(0, 2) == 0);
    CHECK(r.channel.read(0, 4) == 0);
    CHECK(r.channel.read(0, 1) == 0xff);
    r.command(0xec);
    CHECK(r.channel.read(0, 1) == 0xff);
    CHECK(r.channel.read(0, 2) == 0x0040);
    CHECK(r.channel.read(0, 4) == 4161);  // word 1, word 2
    CHECK(r.channel.read(0, 2) == 16);
}

TEST_CASE("status lowers the interrupt, alternate status leaves it") {
    Rig r;
    r.command(0x91);
    CHECK(r.wire);
    CHECK(r.alternate() == 0x50);
    CHECK(r.wire);
    CHECK(r.in(7) == 0x50);
    CHECK_FALSE(r.wire);
}

TEST_CASE("soft reset: busy while it is held, then the signature") {
    Rig r(4194304, {}, true);
    r.lba28(0x1234567, 9);
    r.command(0xe5);
    r.channel.write_control(0x04);
    CHECK_FALSE(r.wire);
    CHECK(r.in(7) == 0x90);
    CHECK(r.in(1) == 0x01);
    r.command(0xec);  // nobody listens
    CHECK(r.in(7) == 0x90);
    r.channel.write_control(0x00);
    CHECK(r.in(7) == 0x50);
    CHECK(r.in(1) == 0x01);
    CHECK(r.in(2) == 0x01);
    CHECK(r.in(3) == 0x01);
    CHECK(r.in(4) == 0x00);
    CHECK(r.in(5) == 0x00);
    CHECK((r.in(6) & 0x0f) == 0x00);
    r.out(6, 0xb0);
    CHECK(r.in(7) == 0x50);
}

TEST_CASE("an unknown command is aborted with an interrupt") {
    Rig r;
    for (const u8 code : {0x00, 0xa0, 0xa1, 0xff, 0xc0, 0x87, 0xf0, 0xf5, 0x03, 0xb8, 0x11}) {
        r.command(code);
        CHECK(r.wire);
        CHECK(r.in(1) == 0x04);
        CHECK(r.in(7) == 0x41);
    }
}

TEST_CASE("a command clears the error of the one before") {
    Rig r;
    r.command(0x00);
    CHECK(r.in(1) == 0x04);
    r.command(0xe5);
    CHECK(r.in(1) == 0x00);
    CHECK(r.in(7) == 0x50);
}

TEST_CASE("only DEVICE RESET is heard while a transfer waits, and a disk aborts it") {
    Rig r;
    r.lba28(0, 2);
    r.command(0x30);
    CHECK(r.in(7) == 0x58);
    r.command(0xec);
    CHECK(r.in(7) == 0x58);
    r.command(0x08);
    CHECK(r.in(7) == 0x41);
    CHECK(r.in(1) == 0x04);
    r.channel.write(0, 2, 0x1234);  // the transfer is over
    r.settle();
    CHECK(r.image.writes == 0);
}

TEST_CASE("system reset ends everything and brings the defaults back") {
    Rig r;
    r.out(2, 8);
    r.command(0xc6);
    r.out(1, 0x03), r.out(2, 0x20);
    r.command(0xef);
    r.lba28(1000, 4);
    r.command(0x30);
    r.system_reset();
    CHECK_FALSE(r.wire);
    CHECK(r.in(7) == 0x50);
    CHECK(r.in(6) == 0xa0);
    CHECK(r.in(2) == 0x01);
    const auto id = r.identify();
    CHECK(id[59] == 0x0110);
    CHECK(id[88] == 0x203f);
}

TEST_CASE("power-on gives the same state whatever went before") {
    Rig fresh, used;
    used.lba28(77, 3);
    used.command(0x20);
    used.settle();
    used.bytes(512);
    used.disk->reset(Reset::kPowerOn);
    CHECK(fresh.disk->save() == used.disk->save());
}
