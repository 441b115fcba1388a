// Commands in packets. Bytes: what QEMU 7.2 answers on a disc of 488 sectors, unless the board's specification differs.
#include <catch2/catch.hpp>

#include "rig.hpp"

using namespace backplane;
using ata::testkit::CdRig;

namespace {

std::string hex(CdRig& r, const CdRig::Packet& p) { return CdRig::hex(r.packet(p)); }

}  // namespace

TEST_CASE("the packet is asked for without an interrupt, then the command runs") {
    CdRig r;
    r.out(2, 0x77);
    r.command(0xa0);
    CHECK(r.registers() == "58 00 01 eb14");
    CHECK_FALSE(r.wire);
    r.out(2, 0x55);  // not while DRQ
    r.command(0xec);
    r.send({0});
    CHECK(r.wire);
    CHECK(r.registers() == "50 00 03 eb14");
    r.in(7);
    r.out(1, 2);  // overlap
    r.command(0xa0);
    CHECK(r.registers() == "41 04 03 eb14");
}

TEST_CASE("INQUIRY, REQUEST SENSE and MECHANISM STATUS") {
    CdRig r;
    CHECK(hex(r, {0x12, 0, 0, 0, 36}) == "058000211f00000051454d552020202051454d55204456442d524f4d20202020302e3132");
    CHECK(hex(r, {0x12, 0, 0, 0, 5}) == "058000211f");
    CHECK(hex(r, {0x12, 0, 0, 0, 0}).empty());
    CHECK(r.registers() == "50 00 03 fffe");
    CHECK(hex(r, {0x03, 0, 0, 0, 18}) == "f00000000000000a00000000000000000000");
    CHECK(hex(r, {0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 255}) == "0000000000010000");
}

TEST_CASE("unknown commands are illegal requests, and their sense stays until another") {
    CdRig r;
    for (const u8 operation : {0x01, 0x15, 0x23, 0x2a, 0x42, 0x4a, 0x51, 0x55, 0xb9, 0xff})
        CHECK(r.outcome({operation}) == "05/20");
    r.packet({0});
    CHECK(hex(r, {0x03, 0, 0, 0, 18}) == "f00005000000000a00000000200000000000");
    CHECK(hex(r, {0x03, 0, 0, 0, 8}) == "f00005000000000a");
}

TEST_CASE("MODE SENSE: error recovery, audio, capabilities") {
    CdRig r;
    CHECK(hex(r, {0x5a, 0, 0x01, 0, 0, 0, 0, 0, 255}) == "000e7000000000000106000500000000");
    CHECK(hex(r, {0x5a, 0, 0x0e, 0, 0, 0, 0, 0, 255}) == "00167000000000000e0e0000000000000000000000000000");
    CHECK(hex(r, {0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 255}) ==
          "001c7000000000002a143b007160290002c00002020002c0000000000000");
    r.packet({0x1e, 0, 0, 0, 1});
    CHECK(r.packet({0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 255})[14] == 0x2b);
    CHECK(hex(r, {0x1a, 0, 0x01, 0, 255}) == "0b7000000106000500000000");
    CHECK(hex(r, {0x1a, 0, 0x01, 0, 4}) == "0b700000");
    for (const u8 page : {0x00, 0x05, 0x3f, 0x41, 0x81})
        CHECK(r.outcome({0x5a, 0, page, 0, 0, 0, 0, 0, 255}) == "05/24");
    CHECK(r.outcome({0x5a, 0, 0xc1, 0, 0, 0, 0, 0, 255}) == "05/39");
}

TEST_CASE("READ CAPACITY, READ TOC in three formats") {
    CdRig r;
    CHECK(hex(r, {0x25}) == "000001e700000800");
    CHECK(hex(r, {0x43, 0, 0, 0, 0, 0, 0, 3, 0x24, 0}) == "0012010100140100000000000016aa00000001e8");
    CHECK(hex(r, {0x43, 2, 0, 0, 0, 0, 1, 3, 0x24, 0}) == "0012010100140100000002000016aa0000000826");
    CHECK(hex(r, {0x43, 0, 0, 0, 0, 0, 0xaa, 3, 0x24, 0}) == "000a01010016aa00000001e8");
    CHECK(hex(r, {0x43, 0, 0, 0, 0, 0, 0, 0, 4, 0}) == "00120101");
    CHECK(hex(r, {0x43, 0, 0, 0, 0, 0, 0, 3, 0x24, 0x40}) == "000a01010000000000000000");
    CHECK(hex(r, {0x43, 0, 0, 0, 0, 0, 0, 3, 0x24, 0x80}) ==
          "002e0101011400a000000000010000011400a100000000010000011400a2000000000001e80114000100000000000000");
    CHECK(hex(r, {0x43, 2, 0, 0, 0, 0, 0, 3, 0x24, 0x80}) ==
          "002e0101011400a000000000010000011400a100000000010000011400a2000000000008260114000100000000000200");
    CHECK(r.outcome({0x43, 0, 0, 0, 0, 0, 2, 3, 0x24, 0}) == "05/24");
    CHECK(r.outcome({0x43, 0, 0, 0, 0, 0, 0, 3, 0x24, 0xc0}) == "05/24");
}

TEST_CASE("GET CONFIGURATION tells CD, DVD and no disc apart") {
    CdRig cd(360000), dvd(360001), none(0);
    CHECK(hex(cd, {0x46, 0, 0, 0, 0, 0, 0, 0, 255}) == "0000001000000008000003080010000000080100");
    CHECK(hex(dvd, {0x46, 0, 0, 0, 0, 0, 0, 0, 8}) == "0000001000000010");
    CHECK(hex(none, {0x46, 0, 0, 0, 0, 0, 0, 0, 255}) == "0000001000000000000003080010000000080000");
    CHECK(cd.outcome({0x46, 0, 0, 1, 0, 0, 0, 0, 255}) == "05/24");
}

TEST_CASE("READ DVD STRUCTURE is for DVDs") {
    CdRig cd, dvd(400000), none(0);
    CHECK(hex(cd, {0xad, 0, 0, 0, 0, 0, 0, 0xff, 0, 255}) == "001200000040080401400008034000c004400804");
    CHECK(cd.outcome({0xad, 0, 0, 0, 0, 0, 0, 0, 8, 4}) == "05/30");
    CHECK(none.outcome({0xad, 0, 0, 0, 0, 0, 0, 0, 8, 4}) == "02/3a");
    const auto physical = dvd.packet({0xad, 0, 0, 0, 0, 0, 0, 0, 8, 4});
    REQUIRE(physical.size() == 2052);
    CHECK(CdRig::hex({physical.begin(), physical.begin() + 20}) == "08020000010f01000000000000061a7f00061a7f");
    CHECK(dvd.packet({0xad, 0, 0, 0, 0, 0, 0, 1, 8, 4}).size() == 8);
    CHECK(dvd.packet({0xad, 0, 0, 0, 0, 0, 0, 4, 8, 4}).size() == 2052);
    CHECK(dvd.outcome({0xad, 0, 0, 0, 0, 0, 1, 0, 8, 4}) == "05/24");
    CHECK(dvd.outcome({0xad, 0, 0, 0, 0, 0, 0, 3, 8, 4}) == "05/24");
}

TEST_CASE("SEEK and SET SPEED move no data") {
    CdRig r;
    CHECK(r.outcome({0xbb}) == "ok");
    CHECK(r.outcome({0x2b, 0, 0, 0, 1, 0xe7}) == "ok");
    CHECK(r.outcome({0x2b, 0, 0, 0, 1, 0xe8}) == "05/21");
}

TEST_CASE("an empty drive says so, and answers what is not about a disc") {
    CdRig r(0);
    for (const CdRig::Packet& p : {CdRig::Packet{0}, {0x25}, {0x28}, {0xa8}, {0x2b}, {0x43}, {0xbe}})
        CHECK(r.outcome(p) == "02/3a");
    CHECK(hex(r, {0x12, 0, 0, 0, 3}) == "058000");
    CHECK(r.outcome({0x1e, 0, 0, 0, 1}) == "ok");
    CHECK(r.outcome({0x1b, 0, 0, 0, 2}) == "05/53");
    CHECK(r.outcome({0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8}) == "ok");
}

TEST_CASE("the guest opens and closes the tray, unless it has locked it") {
    CdRig r;
    CHECK(r.outcome({0x1e, 0, 0, 0, 1}) == "ok");
    CHECK(r.drive.locked);
    CHECK(r.outcome({0x1b, 0, 0, 0, 2}) == "02/53");
    CHECK_FALSE(r.drive.open);
    CHECK(r.outcome({0x1e}) == "ok");
    CHECK_FALSE(r.drive.locked);
    CHECK(r.outcome({0x1b, 0, 0, 0, 0}) == "ok");     // stop
    CHECK(r.outcome({0x1b, 0, 0, 0, 0x12}) == "ok");  // power condition
    CHECK_FALSE(r.drive.open);
    CHECK(r.outcome({0x1b, 0, 0, 0, 2}) == "ok");
    CHECK(r.drive.open);
    CHECK(r.outcome({0}) == "02/3a");
    CHECK(r.outcome({0x1b, 0, 0, 0, 3}) == "ok");
    CHECK(r.outcome({0}) == "ok");  // the same disc
    r.packet({0x1e, 0, 0, 0, 1});
    r.board->reset();
    CHECK_FALSE(r.drive.locked);
}

TEST_CASE("another medium: not ready once, then a unit attention that only INQUIRY and REQUEST SENSE pass") {
    CdRig r;
    r.drive.change(1000);
    CHECK(hex(r, {0x12, 0, 0, 0, 3}) == "058000");
    CHECK(r.outcome({0}) == "02/3a");
    r.packet({0});
    CHECK(r.registers() == "41 60 03 fffe");
    r.packet({0x25});  // still
    CHECK(r.registers() == "41 60 03 fffe");
    CHECK(hex(r, {0x12, 0, 0, 0, 3}) == "058000");
    CHECK(r.sense(0x60) == "06/28");
    CHECK(r.outcome({0}) == "ok");
    CHECK(hex(r, {0x25}) == "000000f900000800");
    r.drive.change(0);
    CHECK(r.outcome({0}) == "02/3a");
    CHECK(r.outcome({0}) == "02/3a");
    r.drive.change(1000);
    CHECK(r.outcome({0x28}) == "02/3a");
    CHECK(r.outcome({0x28}) == "06/28");
    CHECK(r.outcome({0x28}) == "ok");
}
