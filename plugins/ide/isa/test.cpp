#include <catch2/catch.hpp>

#include "ata/testkit.hpp"
#include "backplane/testkit/bench.hpp"
#include "model.hpp"

using namespace backplane;
using isa_ide::Ide;
using testkit::Board;

namespace {

struct Drive {
    bp_interface host{};
    u8 last = 0;
    static const bp_ata_device kTable;
    bp_interface interface() { return {&kTable, this}; }
    const bp_ata_bus& bus() const { return *static_cast<const bp_ata_bus*>(host.table); }
};
Drive& drive(void* i) { return *static_cast<Drive*>(i); }

const bp_ata_device Drive::kTable{sizeof(bp_ata_device),
                                  [](void*, bp_ata_info* out) {
                                      out->kind = BP_ATA_KIND_DISK;
                                      out->cylinders = 963, out->heads = 5, out->sectors = 17,
                                      out->sectors_total = 81920;
                                  },
                                  [](void* i, uint32_t reg) -> uint8_t {
                                      if (reg == BP_ATA_STATUS) drive(i).bus().intrq(drive(i).host.instance, 0);
                                      return static_cast<uint8_t>(0x50 + reg);
                                  },
                                  [](void* i, uint32_t, uint8_t value) { drive(i).last = value; },
                                  [](void* i, uint8_t value) { drive(i).last = value; },
                                  [](void*, uint32_t bytes) -> uint32_t { return bytes == 2 ? 0xbeef : 0xcafebeef; },
                                  [](void*, uint32_t, uint32_t) {},
                                  [](void*, uint32_t* bytes, int*) -> void* {
                                      *bytes = 0;
                                      return nullptr;
                                  },
                                  [](void*, uint32_t) {},
                                  [](void*) {}};

struct Adapter : Board {
    explicit Adapter(const char* channel = "0") : Board(&DeviceType<Ide>::value, {{"channel", channel}}, {}) {
        REQUIRE(attach("0", "1", "disk", disk.interface(), &disk.host) == BP_OK);
        REQUIRE(start() == BP_OK);
        reset(Reset::kPowerOn);
        out("command", 6, 0xb0);
    }
    Drive disk;
};

}  // namespace

TEST_CASE("registers, data port and control port reach the drive") {
    Adapter a;
    CHECK(a.in("command", 2) == 0x52);
    CHECK(a.in("command", 0, 2) == 0xbeef);
    CHECK(a.in("command", 0, 4) == 0xcafebeef);
    CHECK(a.in("control", 0) == 0x58);
    a.out("command", 7, 0xec);
    CHECK(a.disk.last == 0xec);
    a.out("control", 0, 0x06);
    CHECK(a.disk.last == 0x06);
}

TEST_CASE("the drive's interrupt is the adapter's") {
    Adapter a;
    a.disk.bus().intrq(a.disk.host.instance, 1);
    CHECK(a.line("irq"));
    a.in("command", 7);
    CHECK_FALSE(a.line("irq"));
}

TEST_CASE("drives are told that there is no DMA, and which channel this is") {
    Adapter a("1");
    bp_ata_place place{sizeof place, 9, 9, 9};
    a.disk.bus().place(a.disk.host.instance, &place);
    CHECK(place.dma == 0);
    CHECK(place.channel == 1);
    CHECK(place.device == 1);
    a.disk.bus().dma_ready(a.disk.host.instance);
    a.disk.bus().dma_end(a.disk.host.instance);
}

TEST_CASE("disks are published by their position on the board") {
    Adapter primary("0"), secondary("1");
    REQUIRE(primary.facts.size() == 1);
    CHECK(primary.facts[0].key == "1");
    CHECK(primary.facts[0].numbers["cylinders"] == 963);
    CHECK(secondary.facts[0].key == "3");
}

TEST_CASE("state: saved, restored, refused if it names no drive") {
    Adapter a, b;
    a.out("command", 6, 0xb0);
    a.disk.bus().intrq(a.disk.host.instance, 1);
    auto saved = a.save();
    REQUIRE(b.load(saved) == BP_OK);
    CHECK(b.save() == saved);
    saved.at("selected")[0] = 2;
    CHECK(b.load(saved) == BP_ERR_INVALID);
}
