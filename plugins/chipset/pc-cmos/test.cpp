#include <catch2/catch.hpp>

#include "backplane/testkit/bench.hpp"
#include "model.hpp"

using namespace backplane;

namespace {

struct Memory {
    std::array<u8, 128> bytes{};
    unsigned writes = 0;
    static constexpr bp_nvram kTable{sizeof(bp_nvram),
                                     [](void* m, u32 i) { return static_cast<Memory*>(m)->bytes.at(i); },
                                     [](void* m, u32 i, u8 value) {
                                         static_cast<Memory*>(m)->bytes.at(i) = value;
                                         ++static_cast<Memory*>(m)->writes;
                                     }};
    unsigned word(unsigned i) const { return bytes[i] | bytes[i + 1] << 8; }
};

struct Board {
    explicit Board(testkit::Properties properties = {}) : cmos(properties, {{"nvram", {&Memory::kTable, &memory}}}) {}
    void ram(u64 below, u64 above = 0) { cmos.consume("ram.layout", "", {{"below_4g", below}, {"above_4g", above}}); }
    void disk(const char* key, u64 c, u64 h, u64 s, u64 translation) {
        REQUIRE(cmos.consume("disk.geometry", key,
                             {{"cylinders", c}, {"heads", h}, {"sectors", s}, {"translation", translation}}) == BP_OK);
    }
    std::vector<unsigned> record(unsigned at) const {
        return {memory.bytes.begin() + at, memory.bytes.begin() + at + 9};
    }
    Memory memory;
    testkit::Bench<chipset::PcCmos> cmos;
};

constexpr u64 kMiB = 1 << 20;

}  // namespace

TEST_CASE("memory sizes below 4 GiB") {
    Board b;
    b.ram(64 * kMiB);
    CHECK(b.memory.word(0x15) == 640);
    CHECK(b.memory.word(0x17) == 0xfc00);
    CHECK(b.memory.word(0x30) == 0xfc00);
    CHECK(b.memory.word(0x34) == 0x0300);
    b.ram(16 * kMiB);
    CHECK(b.memory.word(0x34) == 0);
    CHECK(b.memory.word(0x30) == 15 * 1024);
    b.ram(3584 * kMiB);
    CHECK(b.memory.word(0x30) == 0xffff);
    CHECK(b.memory.word(0x34) == 3584 * 16 - 256);
    b.ram(512 * 1024);
    CHECK(b.memory.word(0x30) == 0);
}

TEST_CASE("memory above 4 GiB") {
    Board b;
    b.ram(3584 * kMiB, 0x12'3456'0000);
    CHECK(b.memory.bytes[0x5b] == 0x56);
    CHECK(b.memory.bytes[0x5c] == 0x34);
    CHECK(b.memory.bytes[0x5d] == 0x12);
}

TEST_CASE("boot order") {
    Board cad;
    CHECK(cad.memory.bytes[0x3d] == 0x12);
    CHECK(cad.memory.bytes[0x38] == 0x30);
    Board nd({{"boot_order", "nd"}, {"floppy_check", "false"}});
    CHECK(nd.memory.bytes[0x3d] == 0x34);
    CHECK(nd.memory.bytes[0x38] == 0x01);
}

TEST_CASE("a bad boot order is refused and named") {
    Memory memory;
    for (const char* order : {"cadn", "x", "cc"}) {
        testkit::Board board(&DeviceType<chipset::PcCmos>::value, {{"boot_order", order}},
                             {{"nvram", {&Memory::kTable, &memory}}});
        CHECK(board.start() == BP_ERR_INVALID);
        CHECK(board.failure.find(order) != std::string::npos);
    }
}

TEST_CASE("processors") {
    Board b;
    CHECK(b.memory.bytes[0x5f] == 0);
    b.cmos.consume("cpu.count", "", {{"boot", 4}});
    CHECK(b.memory.bytes[0x5f] == 3);
}

TEST_CASE("floppy types and the equipment byte") {
    Board b;
    CHECK(b.memory.bytes[0x10] == 0);
    CHECK(b.memory.bytes[0x14] == 0x06);
    b.cmos.consume("floppy.drive", "0", {{"type", 4}});
    CHECK(b.memory.bytes[0x10] == 0x40);
    CHECK(b.memory.bytes[0x14] == 0x07);
    b.cmos.consume("floppy.drive", "1", {{"type", 5}});
    CHECK(b.memory.bytes[0x10] == 0x45);
    CHECK(b.memory.bytes[0x14] == 0x47);
    CHECK(b.cmos.consume("floppy.drive", "2", {{"type", 5}}) == BP_ERR_INVALID);
    Board bare({{"fpu", "false"}, {"mouse", "false"}});
    CHECK(bare.memory.bytes[0x14] == 0);
}

TEST_CASE("four disks as a PC of 2010 showed them") {
    Board b;
    b.disk("0", 16383, 16, 63, 1);
    b.disk("1", 2080, 16, 63, 2);
    b.disk("2", 963, 5, 17, 0);
    b.disk("3", 4161, 16, 63, 3);
    CHECK(b.memory.bytes[0x12] == 0xff);
    CHECK(b.memory.bytes[0x19] == 0x2f);
    CHECK(b.memory.bytes[0x1a] == 0x2f);
    CHECK(b.record(0x1b) == std::vector<unsigned>{0xff, 0x3f, 0x10, 0xff, 0xff, 0xc8, 0xff, 0x3f, 0x3f});
    CHECK(b.record(0x24) == std::vector<unsigned>{0x20, 0x08, 0x10, 0xff, 0xff, 0xc8, 0x20, 0x08, 0x3f});
    CHECK(b.memory.bytes[0x39] == 0xc9);
}

TEST_CASE("absent disks stay zero, and the second channel appears in the translation byte only") {
    Board b;
    b.disk("2", 1024, 8, 63, 2);
    CHECK(b.memory.bytes[0x12] == 0);
    CHECK(b.memory.bytes[0x19] == 0);
    CHECK(b.record(0x1b) == std::vector<unsigned>(9, 0));
    CHECK(b.memory.bytes[0x39] == 0x20);
    b.disk("1", 100, 8, 17, 1);
    CHECK(b.memory.bytes[0x12] == 0x0f);
    CHECK(b.memory.bytes[0x1a] == 0x2f);
    CHECK(b.record(0x24) == std::vector<unsigned>{100, 0, 8, 0xff, 0xff, 0xc0, 100, 0, 17});
    CHECK(b.cmos.consume("disk.geometry", "4", {}) == BP_ERR_INVALID);
    CHECK(b.cmos.consume("disk.geometry", "hda", {}) == BP_ERR_INVALID);
}

TEST_CASE("the checksum is not maintained, and a reset writes nothing") {
    Board b;
    b.ram(128 * kMiB);
    CHECK(b.memory.word(0x2e) == 0);
    b.memory.bytes[0x3d] = 0x77;
    const unsigned writes = b.memory.writes;
    b.cmos.reset();
    b.cmos.reset(Reset::kPowerOn);
    CHECK(b.memory.writes == writes);
    CHECK(b.memory.bytes[0x3d] == 0x77);
}

TEST_CASE("another boot order holds until the first reset") {
    Board b({{"boot_order", "cad"}, {"boot_once", "d"}});
    b.ram(64 * kMiB);
    b.cmos.reset(Reset::kPowerOn);
    CHECK(b.memory.bytes[0x3d] == 0x03);
    CHECK(b.memory.bytes[0x38] == 0x00);
    b.memory.bytes[0x12] = 0x55;  // the guest's own
    b.cmos.reset(Reset::kSystem);
    CHECK(b.memory.bytes[0x3d] == 0x12);
    CHECK(b.memory.bytes[0x38] == 0x30);
    CHECK(b.memory.bytes[0x12] == 0x55);
    b.memory.bytes[0x3d] = 0x77;
    b.cmos.reset(Reset::kSystem);
    CHECK(b.memory.bytes[0x3d] == 0x77);
}

TEST_CASE("the quirk leaves the bytes of a disk zero, and those of others as they are") {
    Board b(testkit::Properties{{"forget_disk1", "true"}});
    b.disk("0", 1024, 16, 63, 1);
    b.disk("1", 1024, 16, 63, 1);
    CHECK(b.memory.bytes[0x12] == 0xf0);
    CHECK(b.memory.bytes[0x1a] == 0);
    CHECK(b.memory.bytes[0x39] == 0x01);
}
