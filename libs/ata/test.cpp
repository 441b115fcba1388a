// The channel's own behaviour, with drives that only remember what reached them. Drive behaviour is tested with the
// drive.
#include <catch2/catch.hpp>

#include "ata/testkit.hpp"

using namespace backplane;
using namespace backplane::ata;
using ata::testkit::Recorder;

namespace {

struct Probe {
    u8 registers[9] = {};
    std::vector<std::pair<u32, u8>> writes;
    std::vector<u8> controls;
    u32 data = 0;
    bp_interface host{};

    static const bp_ata_device kTable;
    bp_interface interface() { return {&kTable, this}; }
    const bp_ata_bus& bus() const { return *static_cast<const bp_ata_bus*>(host.table); }
    void intrq(bool level) { bus().intrq(host.instance, level); }
};
Probe& probe(void* i) { return *static_cast<Probe*>(i); }

const bp_ata_device Probe::kTable{
    sizeof(bp_ata_device),
    [](void*, bp_ata_info* out) { out->kind = BP_ATA_KIND_DISK, out->cylinders = 7; },
    [](void* i, uint32_t reg) -> uint8_t {
        if (reg == BP_ATA_STATUS) probe(i).intrq(false);
        return probe(i).registers[reg];
    },
    [](void* i, uint32_t reg, uint8_t value) { probe(i).writes.emplace_back(reg, value); },
    [](void* i, uint8_t value) { probe(i).controls.push_back(value); },
    [](void* i, uint32_t bytes) -> uint32_t { return bytes == 2 ? probe(i).data & 0xffff : probe(i).data; },
    [](void* i, uint32_t, uint32_t value) { probe(i).data = value; },
    [](void*, uint32_t* bytes, int*) -> void* {
        *bytes = 0;
        return nullptr;
    },
    [](void*, uint32_t) {},
    [](void*) {}};

struct Cable : Recorder {
    explicit Cable(bool with_master, bool with_slave) {
        if (with_master) REQUIRE(channel.attach("0", master.interface(), &master.host).empty());
        if (with_slave) REQUIRE(channel.attach("1", slave.interface(), &slave.host).empty());
        channel.reset();
    }
    Probe master, slave;
};

}  // namespace

TEST_CASE("an empty channel reads as zero everywhere and swallows writes") {
    Cable c(false, false);
    for (u32 reg = 1; reg < 8; ++reg) {
        c.channel.write(reg, 1, 0x55);
        CHECK(c.channel.read(reg, 1) == 0);
    }
    CHECK(c.channel.read_alternate() == 0);
    CHECK(c.channel.read(0, 2) == 0);
    CHECK_FALSE(c.wire);
}

TEST_CASE("an absent slave shows no status, but the bytes written for both") {
    Cable c(true, false);
    c.channel.write(BP_ATA_DEVICE, 1, 0x10);
    c.channel.write(BP_ATA_COUNT, 1, 0x55);
    c.channel.write(BP_ATA_LBA_LOW, 1, 0xaa);
    CHECK(c.channel.read(BP_ATA_STATUS, 1) == 0);
    CHECK(c.channel.read_alternate() == 0);
    CHECK(c.channel.read(BP_ATA_ERROR, 1) == 0);
    CHECK(c.channel.read(BP_ATA_COUNT, 1) == 0x55);
    CHECK(c.channel.read(BP_ATA_LBA_LOW, 1) == 0xaa);
    CHECK(c.channel.read(BP_ATA_DEVICE, 1) == 0xb0);
    c.master.writes.clear();
    c.channel.write(BP_ATA_STATUS, 1, 0xec);
    CHECK(c.master.writes.empty());
    CHECK_FALSE(c.wire);
}

TEST_CASE("a missing master beside a slave refuses commands and has the signature of nothing") {
    Cable c(false, true);
    CHECK(c.channel.read(BP_ATA_STATUS, 1) == 0x50);
    CHECK(c.channel.read(BP_ATA_COUNT, 1) == 1);
    CHECK(c.channel.read(BP_ATA_LBA_MID, 1) == 0xff);
    CHECK(c.channel.read(BP_ATA_LBA_HIGH, 1) == 0xff);
    c.channel.write(BP_ATA_STATUS, 1, 0xec);
    CHECK(c.wire);
    CHECK(c.channel.read(BP_ATA_STATUS, 1) == 0x41);
    CHECK(c.channel.read(BP_ATA_ERROR, 1) == 0x04);
    CHECK_FALSE(c.wire);
    CHECK(c.slave.writes.empty());
}

TEST_CASE("task file writes reach both drives, commands only the selected one") {
    Cable c(true, true);
    c.channel.write(BP_ATA_LBA_LOW, 1, 0x12);
    c.channel.write(BP_ATA_STATUS, 1, 0x20);
    CHECK(c.master.writes == std::vector<std::pair<u32, u8>>{{3, 0x12}, {7, 0x20}});
    CHECK(c.slave.writes == std::vector<std::pair<u32, u8>>{{3, 0x12}});
    c.channel.write(BP_ATA_DEVICE, 1, 0xf0);
    c.channel.write(BP_ATA_STATUS, 1, 0x30);
    CHECK(c.master.writes.back() == std::pair<u32, u8>{6, 0xf0});
    CHECK(c.slave.writes.back() == std::pair<u32, u8>{7, 0x30});
}

TEST_CASE("a busy selected drive keeps the task file of both from being written") {
    Cable c(true, true);
    for (const u8 status : {0x80, 0x58}) {
        c.master.registers[BP_ATA_ALT_STATUS] = status;
        c.channel.write(BP_ATA_LBA_LOW, 1, 0x12);
        c.channel.write(BP_ATA_DEVICE, 1, 0xb0);
    }
    CHECK(c.master.writes.empty());
    CHECK(c.slave.writes.empty());
    c.channel.write(BP_ATA_STATUS, 1, 0x08);  // the drive itself decides about commands
    CHECK(c.master.writes.size() == 1);
    c.master.registers[BP_ATA_ALT_STATUS] = 0x50;
    c.slave.registers[BP_ATA_ALT_STATUS] = 0x80;
    c.channel.write(BP_ATA_LBA_LOW, 1, 0x34);  // the other drive's state does not matter
    CHECK(c.master.writes.size() == 2);
}

TEST_CASE("the data register answers words and dwords, not bytes") {
    Cable c(true, false);
    c.master.data = 0x89abcdef;
    CHECK(c.channel.read(0, 1) == 0xff);
    CHECK(c.channel.read(0, 2) == 0xcdef);
    CHECK(c.channel.read(0, 4) == 0x89abcdef);
    c.channel.write(0, 1, 0x11);
    CHECK(c.master.data == 0x89abcdef);
    c.channel.write(0, 2, 0x1234);
    CHECK(c.master.data == 0x1234);
    CHECK(c.master.writes.empty());
}

TEST_CASE("word accesses elsewhere are two byte accesses, dword accesses are not decoded") {
    Cable c(true, false);
    c.master.registers[2] = 0x22, c.master.registers[3] = 0x33;
    CHECK(c.channel.read(2, 2) == 0x3322);
    CHECK(c.channel.read(2, 4) == 0xffffffff);
    c.channel.write(4, 2, 0x5544);
    CHECK(c.master.writes == std::vector<std::pair<u32, u8>>{{4, 0x44}, {5, 0x55}});
    c.channel.write(2, 4, 0);
    CHECK(c.master.writes.size() == 2);
}

TEST_CASE("reading status lowers the interrupt, reading alternate status does not") {
    Cable c(true, false);
    c.master.intrq(true);
    CHECK(c.wire);
    c.channel.read_alternate();
    CHECK(c.wire);
    c.channel.read(BP_ATA_STATUS, 1);
    CHECK_FALSE(c.wire);
    CHECK(c.interrupts == 1);
}

TEST_CASE("nIEN suppresses the interrupt for good") {
    Cable c(true, false);
    c.channel.write_control(0x02);
    c.master.intrq(true);
    CHECK_FALSE(c.wire);
    CHECK(c.interrupts == 0);
    c.channel.write_control(0x00);
    CHECK_FALSE(c.wire);
    c.master.intrq(true);
    CHECK(c.wire);
    c.channel.write_control(0x02);  // takes a pending one off the wire
    CHECK_FALSE(c.wire);
    c.channel.write_control(0x00);
    CHECK(c.wire);
}

TEST_CASE("only the selected drive drives the interrupt wire") {
    Cable c(true, true);
    c.slave.intrq(true);
    CHECK_FALSE(c.wire);
    c.channel.write(BP_ATA_DEVICE, 1, 0xb0);
    CHECK(c.wire);
    c.channel.write(BP_ATA_DEVICE, 1, 0xa0);
    CHECK_FALSE(c.wire);
}

TEST_CASE("device control goes to both drives") {
    Cable c(true, true);
    c.channel.write_control(0x04);
    c.channel.write_control(0x00);
    CHECK(c.master.controls == std::vector<u8>{4, 0});
    CHECK(c.slave.controls == std::vector<u8>{4, 0});
}

TEST_CASE("a soft reset gives an empty position its signature back") {
    Cable c(false, true);
    c.channel.write(BP_ATA_LBA_MID, 1, 0x12);
    c.channel.write(BP_ATA_DEVICE, 1, 0x0f);
    c.channel.write_control(0x04);
    CHECK(c.channel.read(BP_ATA_STATUS, 1) == 0x90);
    c.channel.write_control(0x00);
    CHECK(c.channel.read(BP_ATA_STATUS, 1) == 0x50);
    CHECK(c.channel.read(BP_ATA_LBA_MID, 1) == 0xff);
    CHECK(c.channel.read(BP_ATA_DEVICE, 1) == 0xa0);
}

TEST_CASE("a drive learns its place, and a place takes one drive") {
    Recorder r(true);
    Probe p, other;
    CHECK(r.channel.attach("1", p.interface(), &p.host).empty());
    bp_ata_place place{sizeof place, 9, 9, 9};
    p.bus().place(p.host.instance, &place);
    CHECK(place.channel == 0);
    CHECK(place.device == 1);
    CHECK(place.dma == 1);
    CHECK_FALSE(r.channel.attach("1", other.interface(), &other.host).empty());
    CHECK_FALSE(r.channel.attach("2", other.interface(), &other.host).empty());
    CHECK_FALSE(r.channel.attach("", other.interface(), &other.host).empty());
}
