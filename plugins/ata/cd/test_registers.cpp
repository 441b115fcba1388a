// Registers and ATA commands of a packet device. Values: spec of the board, and what QEMU 7.2 shows where that is
// silent.
#include <catch2/catch.hpp>

#include "rig.hpp"

using namespace backplane;
using ata::testkit::CdRig;

TEST_CASE("hosts know the drive by its signature after every kind of reset") {
    CdRig r;
    CHECK(r.registers() == "50 01 01 eb14");
    CHECK(r.in(3) == 1);
    CHECK(r.in(6) == 0xa0);
    r.out(4, 0x55), r.out(5, 0xaa), r.out(2, 0x77);
    r.channel.write_control(4);
    CHECK(r.alternate() == 0x90);
    r.channel.write_control(0);
    CHECK(r.registers() == "00 01 01 eb14");
    r.out(4, 0x55);
    r.command(0x90);
    CHECK(r.wire);
    CHECK(r.registers() == "00 01 01 eb14");
    r.in(7);
    r.out(4, 0x55), r.out(6, 0xa5);
    r.command(0x08);
    CHECK_FALSE(r.wire);
    CHECK(r.registers() == "00 01 01 eb14");
    CHECK(r.in(6) == 0xa0);
    r.board->reset();
    CHECK(r.alternate() == 0x50);
}

TEST_CASE("commands for hard disks are refused; those that find out what it is get the signature") {
    CdRig r;
    for (const u8 code : {0xec, 0x20, 0x21}) {
        r.out(4, 0x42);
        r.command(code);
        CHECK(r.wire);
        CHECK(r.registers() == "41 04 01 eb14");
        r.in(7);
    }
    for (const u8 code : {0x30, 0xc8, 0xca, 0xc4, 0xc6, 0xb0, 0xf8, 0x27, 0x40, 0x70, 0x00, 0x99 + 1, 0x25}) {
        r.out(2, 0x42), r.out(4, 0x42), r.out(5, 0x42);
        r.command(code);
        CHECK(r.registers() == "41 04 42 4242");
        CHECK(r.wire);
        r.in(7);
    }
}

TEST_CASE("IDENTIFY PACKET DEVICE says what the board's model says") {
    CdRig r;
    r.command(0xa1);
    CHECK(r.alternate() == 0x58);
    CHECK(r.wire);
    std::map<unsigned, u64> words;
    std::string text;
    for (unsigned i = 0; i < 256; ++i) {
        const u64 word = r.channel.read(0, 2);
        if ((i >= 10 && i < 20) || (i >= 23 && i < 47))
            text += {static_cast<char>(word >> 8), static_cast<char>(word)};
        else if (word)
            words[i] = word;
    }
    CHECK(text == "QM00001             0.12.3  QEMU DVD-ROM                            ");
    CHECK(words == std::map<unsigned, u64>{{0, 0x85c0},
                                           {20, 3},
                                           {21, 0x200},
                                           {22, 4},
                                           {48, 1},
                                           {49, 0x300},
                                           {53, 7},
                                           {62, 7},
                                           {63, 7},
                                           {64, 0x3f},
                                           {65, 0xb4},
                                           {66, 0xb4},
                                           {67, 0x12c},
                                           {68, 0xb4},
                                           {71, 30},
                                           {72, 30},
                                           {80, 0x1e},
                                           {88, 0x203f}});
    CHECK(r.alternate() == 0x50);
}

TEST_CASE("SET FEATURES selects transfer modes; power commands succeed") {
    CdRig r;
    r.out(1, 3), r.out(2, 0x22);
    r.command(0xef);
    CHECK(r.in(7) == 0x50);
    r.command(0xa1);
    std::vector<u64> words;
    for (unsigned i = 0; i < 256; ++i) words.push_back(r.channel.read(0, 2));
    CHECK(words[63] == 0x0407);
    CHECK(words[88] == 0x003f);
    for (const u8 feature : {0x02, 0x82, 0xaa, 0x55, 0x66, 0xcc}) {
        r.out(1, feature);
        r.command(0xef);
        CHECK(r.in(7) == 0x50);
    }
    for (const u8 feature : {0x00, 0x01, 0xdd}) {
        r.out(1, feature);
        r.command(0xef);
        CHECK(r.in(7) == 0x41);
    }
    for (const u8 code : {0xe0, 0xe1, 0xe2, 0xe3, 0xe6, 0x94, 0x95, 0x96, 0x97, 0x99}) {
        r.command(code);
        CHECK(r.in(7) == 0x40);
    }
    for (const u8 code : {0xe5, 0x98}) {
        r.command(code);
        CHECK(r.in(7) == 0x50);
        CHECK(r.in(2) == 0xff);
    }
    for (const u8 code : {0xe7, 0xea, 0x10, 0x91}) {
        r.command(code);
        CHECK(r.in(7) == 0x50);
    }
}

TEST_CASE("serial, version and model: the drive's, or its own, and not too long") {
    ata::testkit::FakeDrive drive(4000);
    drive.prescribed.serial = to_bp("DISC-READER");
    const auto start = [&](ata::testkit::Properties p) {
        ata::testkit::Board b(&DeviceType<ata::Cd>::value, std::move(p), {{"drive", drive.drive()}});
        return b.start() == BP_OK ? "" : b.failure;
    };
    CHECK(start({}) == "");
    CHECK(start({{"serial", "123456789012345678901"}}) ==
          "serial \"123456789012345678901\" has more than 20 characters");
    CHECK(start({{"version", "123456789"}}) == "version \"123456789\" has more than 8 characters");
    drive.prescribed.serial = to_bp("123456789012345678901");
    CHECK(start({}) == "the drive's serial \"123456789012345678901\" has more than 20 characters");
}

TEST_CASE("the drive tells its channel that it is a packet device, and its place in the boot order") {
    CdRig r;
    bp_ata_info info{};
    REQUIRE(r.channel.info(0, &info));
    CHECK(info.kind == BP_ATA_KIND_PACKET);
    CHECK(info.cylinders == 0);
    CHECK(info.boot_index == -1);
    r.drive.prescribed.boot_index = 2;
    r.channel.info(0, &info);
    CHECK(info.boot_index == 2);
}
