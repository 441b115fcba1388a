// Commands without sectors: IDENTIFY, SET FEATURES, SMART and the rest, and what the drive tells the board.
#include <catch2/catch.hpp>

#include "rig.hpp"

using namespace backplane;
using ata::testkit::FakeImage;
using ata::testkit::Rig;

namespace {

std::string text(const std::vector<u16>& id, unsigned word, unsigned words) {
    std::string s;
    for (unsigned i = 0; i < words; ++i) {
        s.push_back(static_cast<char>(id[word + i] >> 8));
        s.push_back(static_cast<char>(id[word + i] & 0xff));
    }
    return s;
}

u8 sum(const std::vector<u8>& bytes) {
    u8 total = 0;
    for (const u8 b : bytes) total = static_cast<u8>(total + b);
    return total;
}

void smart(Rig& r, u8 what, u8 count = 0, u8 low = 0) {
    r.out(1, what), r.out(2, count), r.out(3, low), r.out(4, 0x4f), r.out(5, 0xc2), r.out(6, 0xa0);
    r.command(0xb0);
}

}  // namespace

TEST_CASE("IDENTIFY reports what the board's specification lists, and zero elsewhere") {
    Rig r(4194304);  // 2 GiB blank: 4161/16/63
    std::vector<u16> expected(256, 0);
    const auto put = [&](unsigned word, const char* s, unsigned words) {
        for (unsigned i = 0; i < words; ++i)
            expected[word + i] = static_cast<u16>(u8(s[2 * i]) << 8 | u8(s[2 * i + 1]));
    };
    expected[0] = 0x0040;
    expected[1] = expected[54] = 4161;
    expected[3] = expected[55] = 16;
    expected[4] = 512 * 63, expected[5] = 512;
    expected[6] = expected[56] = 63;
    put(10, "QM00001             ", 10);
    expected[20] = 3, expected[21] = 512, expected[22] = 4;
    put(23, "0.12.3  ", 4);
    put(27, "QEMU HARDDISK                           ", 20);
    expected[47] = 0x8010, expected[48] = 1, expected[49] = 0x0b00;
    expected[51] = expected[52] = 0x0200, expected[53] = 7;
    expected[57] = (4161 * 16 * 63) & 0xffff, expected[58] = (4161 * 16 * 63) >> 16;
    expected[59] = 0x0110;
    expected[60] = 4194304 & 0xffff, expected[61] = 4194304 >> 16;
    expected[62] = expected[63] = 7;
    expected[65] = expected[66] = expected[67] = expected[68] = 120;
    expected[80] = 0x00f0, expected[81] = 0x0016;
    expected[82] = 0x4001, expected[83] = 0x7400, expected[84] = 0x4000;
    expected[85] = 0x4021, expected[86] = 0x7400, expected[87] = 0x4000;
    expected[88] = 0x203f, expected[93] = 0x6001;
    expected[100] = 4194304 & 0xffff, expected[101] = 4194304 >> 16;

    r.command(0xec);
    CHECK(r.wire);
    CHECK(r.in(7) == 0x58);
    const auto id = r.words(256);
    for (unsigned word = 0; word < 256; ++word) {
        INFO("word " << word);
        CHECK(id[word] == expected[word]);
    }
    CHECK(r.in(7) == 0x50);
    CHECK_FALSE(r.wire);  // the end of the data is no event
}

TEST_CASE("capacities: 28-bit words are the low 32 bits, 48-bit words the whole") {
    Rig r(4294967296 + 5);
    const auto id = r.identify();
    CHECK(id[60] == 5);
    CHECK(id[61] == 0);
    CHECK(id[100] == 5);
    CHECK(id[102] == 1);
    CHECK(id[1] == 16383);
}

TEST_CASE("serial, version and model can be given; the default serial follows the position") {
    Rig r(4194304, {{"serial", "12345678901234567890"}, {"version", "0.12"}, {"model", "X"}}, true);
    auto id = r.identify();
    CHECK(text(id, 10, 10) == "12345678901234567890");
    CHECK(text(id, 23, 4) == "0.12    ");
    CHECK(text(id, 27, 20).substr(0, 3) == "X  ");
    r.out(6, 0xb0);
    id = r.identify();
    CHECK(text(id, 10, 10) == "QM00002             ");
}

TEST_CASE("texts that do not fit are refused at start") {
    FakeImage image(1000);
    for (const auto& [name, value] : {std::pair<const char*, const char*>{"serial", "123456789012345678901"},
                                      {"version", "123456789"},
                                      {"model", "12345678901234567890123456789012345678901"}}) {
        testkit::Board b(&DeviceType<ata::Disk>::value, {{name, value}}, {{"image", image.interface()}});
        CHECK(b.start() == BP_ERR_INVALID);
        CHECK(b.failure.find(name) != std::string::npos);
    }
}

TEST_CASE("geometry: explicit settings reach IDENTIFY and the board, bad ones are refused") {
    Rig r(2097152, {{"cylinders", "2080"}, {"heads", "16"}, {"sectors", "63"}, {"translation", "rechs"}});
    bp_ata_info info{};
    REQUIRE(r.channel.info(0, &info));
    CHECK(info.cylinders == 2080);
    CHECK(info.translation == 3);
    CHECK(info.lcylinders == 554);
    CHECK(info.lheads == 60);
    CHECK(info.sectors_total == 2097152);
    CHECK(r.identify()[1] == 2080);

    FakeImage image(1000);
    testkit::Board b(&DeviceType<ata::Disk>::value, {{"cylinders", "100"}}, {{"image", image.interface()}});
    CHECK(b.start() == BP_ERR_INVALID);
    CHECK(b.failure.find("together") != std::string::npos);
    FakeImage none(0);
    testkit::Board c(&DeviceType<ata::Disk>::value, {}, {{"image", none.interface()}});
    CHECK(c.start() == BP_ERR_INVALID);
    CHECK(c.failure.find("smaller than one sector") != std::string::npos);
}

TEST_CASE("the partition table decides at power-on only") {
    Rig r(81920);
    CHECK(r.identify()[1] == 81);
    auto& mbr = r.image.sector(0);
    mbr[510] = 0x55, mbr[511] = 0xaa, mbr[0x1be + 5] = 4, mbr[0x1be + 6] = 17, mbr[0x1be + 12] = 1;
    r.system_reset();
    CHECK(r.identify()[1] == 81);
    CHECK(r.identify()[3] == 16);
}

TEST_CASE("power management commands") {
    Rig r;
    for (const u8 code : {0xe0, 0xe1, 0xe2, 0xe3, 0xe6, 0x94, 0x95, 0x96, 0x97, 0x99}) {
        r.command(code);
        CHECK(r.wire);
        CHECK(r.in(7) == 0x40);
    }
    for (const u8 code : {0xe5, 0x98}) {
        r.out(2, 0);
        r.command(code);
        CHECK(r.in(7) == 0x50);
        CHECK(r.in(2) == 0xff);
    }
}

TEST_CASE("recalibrate, initialize parameters and seek succeed and do nothing") {
    Rig r(81920);
    for (const u8 code : {0x10, 0x91, 0x70}) {
        r.out(2, 5), r.out(6, 0xa3);
        r.command(code);
        CHECK(r.wire);
        CHECK(r.in(7) == 0x50);
    }
    CHECK(r.identify()[56] == 63);
}

TEST_CASE("diagnostic: signature and code 01") {
    Rig r;
    r.lba28(0x123456, 7);
    r.command(0x90);
    CHECK(r.wire);
    CHECK(r.in(7) == 0x50);
    CHECK(r.in(1) == 0x01);
    CHECK(r.in(2) == 0x01);
    CHECK(r.in(4) == 0x00);
}

TEST_CASE("SET MULTIPLE takes powers of two up to 16 and zero") {
    Rig r;
    for (unsigned n = 0; n < 256; ++n) {
        r.out(2, n);
        r.command(0xc6);
        const bool good = n == 0 || n == 1 || n == 2 || n == 4 || n == 8 || n == 16;
        INFO("count " << n);
        CHECK(r.in(7) == (good ? 0x50 : 0x41));
        if (good) CHECK(r.identify()[59] == (n ? 0x100 + n : 0));
    }
}

TEST_CASE("SET FEATURES: accepted, refused, and transfer modes in IDENTIFY") {
    Rig r;
    const auto set = [&r](u8 feature, u8 count = 0) {
        r.out(1, feature), r.out(2, count);
        r.command(0xef);
        r.settle();
        return r.in(7);
    };
    for (const u8 f : {0x02, 0x82, 0xaa, 0x55, 0x05, 0x85, 0x66, 0xcc, 0x67, 0x69, 0x96, 0x9a, 0x42, 0xc2})
        CHECK(set(f) == 0x50);
    for (const u8 f : {0x00, 0x01, 0x04, 0x10, 0x5d, 0xff}) CHECK(set(f) == 0x41);

    const auto modes = [&r](u16 a, u16 b, u16 c) {
        const auto id = r.identify();
        return id[62] == a && id[63] == b && id[88] == c;
    };
    CHECK(modes(7, 7, 0x203f));
    CHECK(set(3, 0x22) == 0x50);
    CHECK(modes(7, 0x0407, 0x003f));
    CHECK(set(3, 0x11) == 0x50);
    CHECK(modes(0x0207, 7, 0x003f));
    CHECK(set(3, 0x44) == 0x50);
    CHECK(modes(7, 7, 0x103f));
    CHECK(set(3, 0x0c) == 0x50);
    CHECK(modes(7, 7, 0x003f));
    CHECK(set(3, 0x00) == 0x50);
    CHECK(set(3, 0x18) == 0x41);
    CHECK(set(3, 0x80) == 0x41);
}

TEST_CASE("switching the write cache off flushes, shows in IDENTIFY, and makes writes go through") {
    Rig r;
    CHECK(r.identify()[85] == 0x4021);
    r.out(1, 0x82);
    r.command(0xef);
    CHECK(r.in(7) & 0x80);
    r.settle();
    CHECK(r.in(7) == 0x50);
    CHECK(r.image.flushes == 1);
    CHECK(r.identify()[85] == 0x4001);
    r.lba28(0, 1);
    r.command(0x30);
    r.send(std::vector<u8>(512, 1));
    r.settle();
    CHECK(r.in(7) == 0x50);
    CHECK(r.image.writes == 1);
    CHECK(r.image.flushes == 2);
}

TEST_CASE("FLUSH CACHE waits for the image and reports its failure") {
    Rig r;
    for (const u8 code : {0xe7, 0xea}) {
        r.command(code);
        CHECK(r.in(7) & 0x80);
        r.settle();
        CHECK(r.wire);
        CHECK(r.in(7) == 0x50);
    }
    CHECK(r.image.flushes == 2);
    r.image.flush_error = EIO;
    r.command(0xe7);
    r.settle();
    CHECK((r.in(7) & 0x81) == 0x01);
    CHECK(r.in(1) == 0x04);
}

TEST_CASE("READ NATIVE MAX gives the last sector in the form that was asked for") {
    Rig r(0x123456789);
    r.out(6, 0xe0);
    r.command(0xf8);
    CHECK(r.in(7) == 0x50);
    CHECK(r.in(3) == 0xff);
    CHECK((r.in(6) & 15) == 15);  // as much as 28 bits hold
    r.command(0x27);
    CHECK(r.in(3) == 0x88);
    CHECK(r.in(4) == 0x67);
    CHECK(r.in(5) == 0x45);
    Rig small(81 * 1008);
    small.out(6, 0xa0);
    small.command(0xf8);
    CHECK(small.in(3) == 63);
    CHECK(small.in(4) == 80);
    CHECK((small.in(6) & 15) == 15);
}

TEST_CASE("SMART needs its key and can be switched off") {
    Rig r;
    r.out(1, 0xda), r.out(4, 0), r.out(5, 0);
    r.command(0xb0);
    CHECK(r.in(7) == 0x41);
    smart(r, 0xda);
    CHECK(r.in(7) == 0x50);
    CHECK(r.in(4) == 0x4f);
    CHECK(r.in(5) == 0xc2);
    smart(r, 0xd9);
    CHECK(r.in(7) == 0x50);
    smart(r, 0xda);
    CHECK(r.in(7) == 0x41);
    smart(r, 0xd8);
    CHECK(r.in(7) == 0x50);
    smart(r, 0xda);
    CHECK(r.in(7) == 0x50);
    smart(r, 0xd3);
    CHECK(r.in(7) == 0x41);
}

TEST_CASE("SMART data and thresholds list four attributes and add up to zero") {
    Rig r;
    smart(r, 0xd0);
    CHECK(r.in(7) == 0x58);
    auto data = r.bytes(512);
    CHECK(sum(data) == 0);
    CHECK(r.in(7) == 0x50);
    smart(r, 0xd1);
    auto limits = r.bytes(512);
    CHECK(sum(limits) == 0);
    const u8 ids[] = {1, 3, 4, 5}, thresholds[] = {0x06, 0x46, 0x14, 0x36};
    for (unsigned i = 0; i < 4; ++i) {
        CHECK(data[2 + 12 * i] == ids[i]);
        CHECK(data[5 + 12 * i] == 0x64);
        CHECK(limits[2 + 12 * i] == ids[i]);
        CHECK(limits[3 + 12 * i] == thresholds[i]);
    }
    CHECK(data[2 + 12 * 4] == 0);
}

TEST_CASE("SMART autosave shows in the data") {
    Rig r;
    smart(r, 0xd2, 0x00);
    CHECK(r.in(7) == 0x50);
    smart(r, 0xd0);
    CHECK((r.bytes(512)[362] & 0x80) == 0);
    smart(r, 0xd2, 0xf1);
    smart(r, 0xd0);
    CHECK((r.bytes(512)[362] & 0x80) == 0x80);
    smart(r, 0xd2, 0x55);
    CHECK(r.in(7) == 0x41);
}

TEST_CASE("SMART self-tests are logged, 21 at most") {
    Rig r;
    smart(r, 0xd5, 1, 6);
    CHECK(r.bytes(512)[508] == 0);
    smart(r, 0xd4, 0, 1);
    smart(r, 0xd4, 0, 2);
    smart(r, 0xd5, 1, 6);
    auto log = r.bytes(512);
    CHECK(sum(log) == 0);
    CHECK(log[508] == 2);
    CHECK(log[2] == 1);
    CHECK(log[26] == 2);
    for (int i = 0; i < 30; ++i) smart(r, 0xd4, 0, 1);
    smart(r, 0xd5, 1, 6);
    CHECK(r.bytes(512)[508] == 21);
    smart(r, 0xd4, 0, 9);
    CHECK(r.in(7) == 0x41);
    smart(r, 0xd5, 1, 1);
    CHECK(sum(r.bytes(512)) == 0);
    smart(r, 0xd5, 1, 7);
    CHECK(r.in(7) == 0x41);
}
