#include <catch2/catch.hpp>
#include <random>

#include "ata/testkit.hpp"
#include "backplane/testkit/bench.hpp"
#include "backplane/testkit/pci_bus.hpp"
#include "model.hpp"

using namespace backplane;
using piix3::Ide;
using testkit::Board;

namespace {

constexpr u8 kActive = 1, kError = 2, kInterrupt = 4;
constexpr u64 kTable = 0x1000;

// A drive of which only the DMA side exists: `left` bytes to give or take, each with its own number.
struct Drive {
    explicit Drive(bp_ata_info i = {}) : info(i) {}
    u32 left = 0, position = 0;
    bool to_memory = true;
    bool cancelled = false;
    u8 status = 0x50;
    std::vector<u8> buffer = std::vector<u8>(1 << 20);
    bp_interface host{};
    bp_ata_info info;
    bool fetches = false;  // the command goes on after this window

    static const bp_ata_device kTable;
    bp_interface interface() { return {&kTable, this}; }
    const bp_ata_bus& bus() const { return *static_cast<const bp_ata_bus*>(host.table); }
    // A DMA command has data for, or wants data from, the host.
    void ready(u32 bytes, bool in) {
        left = bytes, position = 0, to_memory = in, cancelled = false;
        for (u32 i = 0; in && i < bytes; ++i) buffer[i] = static_cast<u8>(i * 5 + (i >> 8));
        bus().dma_ready(host.instance);
    }
    void intrq() { bus().intrq(host.instance, 1); }
};
Drive& drive(void* i) { return *static_cast<Drive*>(i); }

const bp_ata_device Drive::kTable{sizeof(bp_ata_device),
                                  [](void* i, bp_ata_info* out) { *out = drive(i).info; },
                                  [](void* i, uint32_t reg) -> uint8_t {
                                      if (reg == BP_ATA_STATUS) drive(i).bus().intrq(drive(i).host.instance, 0);
                                      return reg >= BP_ATA_STATUS ? drive(i).status : 0x11;
                                  },
                                  [](void*, uint32_t, uint8_t) {},
                                  [](void*, uint8_t) {},
                                  [](void*, uint32_t) -> uint32_t { return 0x1234; },
                                  [](void*, uint32_t, uint32_t) {},
                                  [](void* i, uint32_t* bytes, int* to_memory) -> void* {
                                      *bytes = drive(i).left;
                                      *to_memory = drive(i).to_memory;
                                      return drive(i).buffer.data() + drive(i).position;
                                  },
                                  [](void* i, uint32_t bytes) {
                                      Drive& d = drive(i);
                                      d.position += bytes, d.left -= bytes;
                                      if (d.left || d.fetches) return;
                                      d.bus().dma_end(d.host.instance);
                                      d.intrq();
                                  },
                                  [](void* i) { drive(i).cancelled = true, drive(i).left = 0; }};

struct Controller : Board {
    Controller() : Board(&DeviceType<Ide>::value, {}, {}), slot(*this, 1 << 3 | 1) {
        REQUIRE(attach("0", "0", "hda", master.interface(), &master.host) == BP_OK);
        REQUIRE(attach("1", "0", "hdc", other.interface(), &other.host) == BP_OK);
        REQUIRE(start() == BP_OK);
        reset(Reset::kPowerOn);
        out("bus_master", 4, kTable, 4);
    }
    u8 command() { return static_cast<u8>(in("bus_master", 0)); }
    u8 status() { return static_cast<u8>(in("bus_master", 2)); }
    void go(bool in_direction = true) { out("bus_master", 0, in_direction ? 9 : 1); }
    void halt() { out("bus_master", 0, 0); }
    void entry(unsigned index, u32 address, u32 size, bool last, u64 table = kTable) {
        const u32 second = (size & 0xffff) | (last ? 0x80000000 : 0);
        for (unsigned i = 0; i < 4; ++i) {
            memory[table + 8 * index + i] = static_cast<u8>(address >> (8 * i));
            memory[table + 8 * index + 4 + i] = static_cast<u8>(second >> (8 * i));
        }
    }
    bool holds(u32 address, u32 from, u32 bytes) const {
        return std::equal(&memory[address], &memory[address] + bytes, &master.buffer[from]);
    }
    testkit::PciSlot slot;
    Drive master, other;
};

}  // namespace

TEST_CASE("configuration space identifies the function and resets as specified") {
    Controller c;
    CHECK(c.slot.read(0, 4) == 0x70108086);
    CHECK(c.slot.read(4, 4) == 0x02800000);
    CHECK(c.slot.read(8, 4) == 0x01018000);
    CHECK(c.slot.read(0x0e, 1) == 0x00);
    CHECK(c.slot.read(0x20, 4) == 0x00000001);
    CHECK(c.slot.read(0x2c, 4) == 0x11001af4);
    CHECK(c.slot.read(0x3d, 1) == 0);
    for (u32 bar = 0x10; bar < 0x20; bar += 4) CHECK(c.slot.read(bar, 4) == 0);
    c.slot.write(0x40, 4, 0x80008000);
    CHECK(c.slot.read(0x40, 4) == 0x80008000);
    c.slot.write(0x20, 4, 0xc001);
    c.slot.write(4, 2, 5);
    CHECK(c.mapped("bus_master") == 0xc000);
    c.reset();
    CHECK(c.slot.read(4, 4) == 0x02800000);
    CHECK(c.slot.read(0x20, 4) == 0x00000001);
    CHECK(c.mapped("bus_master") == ~u64{0});
}

TEST_CASE("the bus-master block takes sixteen ports") {
    Controller c;
    c.slot.write(0x20, 4, 0xffffffff);
    CHECK(c.slot.read(0x20, 4) == 0xfffffff1);
}

TEST_CASE("bus-master registers: what is stored, what is not, and at which widths") {
    Controller c;
    c.out("bus_master", 0, 0xf8);
    CHECK(c.command() == 0x08);
    CHECK(c.in("bus_master", 1) == 0xff);
    CHECK(c.in("bus_master", 3) == 0xff);
    CHECK(c.in("bus_master", 0, 2) == 0xff08);
    CHECK(c.in("bus_master", 0, 4) == 0xffffffff);
    c.out("bus_master", 4, 0x12345677, 4);
    CHECK(c.in("bus_master", 4, 4) == 0x12345674);
    c.out("bus_master", 4, 0xabcf, 2);
    CHECK(c.in("bus_master", 4, 4) == 0x1234abcc);
    c.out("bus_master", 7, 0x99);
    CHECK(c.in("bus_master", 4, 4) == 0x9934abcc);
    c.out("bus_master", 4, 0x03);
    CHECK(c.in("bus_master", 4, 2) == 0xab00);
    c.out("bus_master", 12, 0x5000, 4);  // the other channel's own
    CHECK(c.in("bus_master", 12, 4) == 0x5000);
    CHECK(c.in("bus_master", 4, 4) == 0x9934ab00);
    c.out("bus_master", 2, 0x99);
    CHECK(c.status() == 0);
    c.out("bus_master", 2, 0x60);
    CHECK(c.status() == 0x60);
    c.reset();
    CHECK(c.status() == 0);
    CHECK(c.command() == 0);
    CHECK(c.in("bus_master", 4, 4) == 0);
}

TEST_CASE("interrupts: the channel's own line, and the status bit that software clears") {
    Controller c;
    c.master.intrq();
    CHECK(c.line("irq0"));
    CHECK_FALSE(c.line("irq1"));
    CHECK(c.status() == kInterrupt);
    CHECK(c.in("primary", 7) == 0x50);
    CHECK_FALSE(c.line("irq0"));
    CHECK(c.status() == kInterrupt);
    c.out("bus_master", 2, 0x00);
    CHECK(c.status() == kInterrupt);
    c.out("bus_master", 2, 0x04);
    CHECK(c.status() == 0);
    c.other.intrq();
    CHECK(c.line("irq1"));
    CHECK(c.in("bus_master", 10) == kInterrupt);
    c.out("primary_control", 0, 2);
    c.master.intrq();
    CHECK_FALSE(c.line("irq0"));
    CHECK(c.status() == 0);
}

TEST_CASE("a transfer whose descriptors fit exactly") {
    Controller c;
    c.entry(0, 0x20000, 512, false);
    c.entry(1, 0x30000, 1536, true);
    SECTION("start before the command") {
        c.go();
        CHECK(c.status() == kActive);
        c.master.ready(2048, true);
    }
    SECTION("start after the command") {
        c.master.ready(2048, true);
        CHECK(c.status() == 0);
        CHECK(c.memory[0x20001] == 0);
        c.go();
    }
    CHECK(c.holds(0x20000, 0, 512));
    CHECK(c.holds(0x30000, 512, 1536));
    CHECK(c.status() == kInterrupt);
    CHECK(c.line("irq0"));
    CHECK(c.command() == 9);
}

TEST_CASE("memory to drive, whatever the direction bit says") {
    Controller c;
    const bool bit = GENERATE(false, true);
    for (u32 i = 0; i < 1024; ++i) c.memory[0x20000 + i] = static_cast<u8>(i * 11);
    c.entry(0, 0x20000, 1024, true);
    c.go(bit);
    c.master.ready(1024, false);
    CHECK(c.holds(0x20000, 0, 1024));
    CHECK(c.status() == kInterrupt);
}

TEST_CASE("a transfer that leaves descriptors over ends like any other") {
    Controller c;
    c.entry(0, 0x20000, 4096, true);
    c.go();
    c.master.ready(512, true);
    CHECK(c.holds(0x20000, 0, 512));
    CHECK(c.memory[0x20000 + 512] == 0);
    CHECK(c.status() == kInterrupt);
    c.halt();
    CHECK(c.status() == kInterrupt);
}

TEST_CASE("descriptors with less room than the transfer stop the controller without an interrupt") {
    Controller c;
    c.entry(0, 0x20000, 512, true);
    c.go();
    c.master.ready(1024, true);
    CHECK(c.holds(0x20000, 0, 512));
    CHECK(c.status() == 0);
    CHECK_FALSE(c.line("irq0"));
    CHECK(c.master.left == 512);
}

TEST_CASE("a size of zero is 64 KiB and bit 0 of the size does not count") {
    Controller c;
    c.entry(0, 0x20000, 0, true);
    c.go();
    c.master.ready(65536, true);
    CHECK(c.holds(0x20000, 0, 65536));
    CHECK(c.status() == kInterrupt);
    c.halt();
    c.out("bus_master", 2, 4);
    c.entry(0, 0x40000, 513, false);
    c.entry(1, 0x50000, 1, true);  // 0 after the bit is dropped: 64 KiB
    c.go();
    c.master.ready(1024, true);
    CHECK(c.holds(0x40000, 0, 512));
    CHECK(c.memory[0x40000 + 512] == 0);
    CHECK(c.holds(0x50000, 512, 512));
    CHECK(c.status() == kInterrupt);
}

TEST_CASE("a table without an end is left after 4 KiB") {
    Controller c;
    for (unsigned i = 0; i < 520; ++i) c.entry(i, 0x20000 + 2 * i, 2, false);
    c.go();
    c.master.ready(2048, true);
    CHECK(c.master.position == 1024);
    CHECK(c.status() == 0);
    CHECK(c.holds(0x20000, 0, 1024));
    CHECK(c.memory[0x20000 + 1024] == 0);
}

TEST_CASE("a table or buffer that is no memory sets Error and stops") {
    Controller c;
    SECTION("table") { c.out("bus_master", 4, 0xf0000000, 4); }
    SECTION("buffer") { c.entry(0, 0xe0000000, 512, true); }
    SECTION("end of the buffer") { c.entry(0, (1 << 20) - 256, 512, true); }
    c.go();
    c.master.ready(512, true);
    CHECK(c.status() == kError);
    CHECK_FALSE(c.line("irq0"));
    c.out("bus_master", 2, kError);
    CHECK(c.status() == 0);
}

TEST_CASE("clearing start aborts a running transfer, and only a running one") {
    Controller c;
    c.entry(0, 0x20000, 512, true);
    c.halt();
    CHECK_FALSE(c.master.cancelled);
    c.go();
    c.halt();
    CHECK(c.status() == 0);
    CHECK(c.master.cancelled);
    c.master.ready(512, true);  // programming the direction before the start must not hurt
    c.out("bus_master", 0, 8);
    CHECK_FALSE(c.master.cancelled);
    c.go();
    CHECK(c.status() == kInterrupt);
    c.out("bus_master", 0, 8);
    CHECK_FALSE(c.master.cancelled);
}

TEST_CASE("starting again reads the table from its beginning") {
    Controller c;
    c.entry(0, 0x20000, 512, false);
    c.entry(1, 0x30000, 512, true);
    c.go();
    c.master.ready(512, true);
    c.halt();
    c.memory[0x20000] = 99;
    c.go();
    c.master.ready(1024, true);
    CHECK(c.holds(0x20000, 0, 512));
    CHECK(c.holds(0x30000, 512, 512));
}

TEST_CASE("the end of a transfer shows in the status even with nIEN set") {
    Controller c;
    c.entry(0, 0x20000, 512, true);
    c.out("primary_control", 0, 2);
    c.go();
    c.master.ready(512, true);
    CHECK(c.status() == kInterrupt);
    CHECK_FALSE(c.line("irq0"));
}

TEST_CASE("each hard disk is published under its position, other drives are not") {
    Board b(&DeviceType<Ide>::value, {}, {});
    Drive disk({sizeof(bp_ata_info), BP_ATA_KIND_DISK, 2097152, 2080, 16, 63, 2, 520, 64, 63, {"why", 3}, 0, -1});
    Drive cd({sizeof(bp_ata_info), BP_ATA_KIND_PACKET, 0, 0, 0, 0, 0, 0, 0, 0, {nullptr, 0}, 0, -1});
    REQUIRE(b.attach("0", "1", "hdb", cd.interface(), &cd.host) == BP_OK);
    REQUIRE(b.attach("1", "1", "hdd", disk.interface(), &disk.host) == BP_OK);
    REQUIRE(b.start() == BP_OK);
    REQUIRE(b.facts.size() == 1);
    CHECK(b.facts[0].what == "disk.geometry");
    CHECK(b.facts[0].key == "3");
    auto& n = b.facts[0].numbers;
    CHECK(n["cylinders"] == 2080);
    CHECK(n["heads"] == 16);
    CHECK(n["sectors"] == 63);
    CHECK(n["translation"] == 2);
    CHECK(n["lcylinders"] == 520);
    CHECK(n["lheads"] == 64);
    CHECK(n["lsectors"] == 63);
    CHECK(n["sectors_total"] == 2097152);
    CHECK(b.facts[0].texts["reason"] == "why");
}

TEST_CASE("two drives at one place, or a place that does not exist, are errors that say so") {
    Board b(&DeviceType<Ide>::value, {}, {});
    Drive a, c;
    REQUIRE(b.attach("0", "0", "hda", a.interface(), &a.host) == BP_OK);
    CHECK(b.attach("0", "0", "hdb", c.interface(), &c.host) == BP_ERR_CONFLICT);
    CHECK(b.failure.find("hdb") != std::string::npos);
    CHECK(b.failure.find("already") != std::string::npos);
    CHECK(b.attach("1", "7", "hdb", c.interface(), &c.host) != BP_OK);
}

TEST_CASE("a transfer continues from a saved state") {
    Controller a, b;
    for (Controller* c : {&a, &b}) {
        c->entry(0, 0x20000, 512, false);
        c->entry(1, 0x30000, 512, true);
    }
    a.slot.write(0x20, 4, 0xc001);
    a.slot.write(4, 2, 5);
    a.go();
    a.master.left = 256, a.master.to_memory = a.master.fetches = true;
    a.master.bus().dma_ready(a.master.host.instance);
    REQUIRE(a.status() == kActive);
    const auto saved = a.save();
    REQUIRE(b.load(saved) == BP_OK);
    CHECK(b.save() == saved);
    CHECK(b.mapped("bus_master") == 0xc000);
    b.master.ready(768, true);
    CHECK(b.holds(0x20000 + 256, 0, 256));
    CHECK(b.holds(0x30000, 256, 512));
    CHECK(b.status() == kInterrupt);
    auto spoiled = saved;
    spoiled.at("channel[1].selected")[0] = 9;
    CHECK(b.load(spoiled) == BP_ERR_INVALID);
}

TEST_CASE("random accesses to all registers and tables are survived") {
    Controller c;
    std::mt19937 random(82371);
    const char* regions[] = {"primary", "secondary", "primary_control", "secondary_control", "bus_master"};
    for (unsigned i = 0; i < 400000; ++i) {
        const u32 v = static_cast<u32>(random());
        const char* region = regions[v % 5];
        const u32 width = 1u << (v >> 8 & 3);
        switch (v >> 12 & 7) {
            case 0:
            case 1:
            case 2: c.out(region, v >> 16 & 15, random(), width); break;
            case 3: c.in(region, v >> 16 & 15, width); break;
            case 4: (v & 1 ? c.master : c.other).ready(v >> 16, v & 0x8000); break;
            case 5: c.entry(v >> 20 & 63, random() & 0x1fffff, random() & 0xffff, v & 1, random() & 0x1000); break;
            case 6: c.slot.write(random() & 0xfc, 4, random()); break;
            case 7:
                c.out("bus_master", v & 1 ? 4 : 12, random() & 0x1fff, 4);
                c.out("bus_master", v & 1 ? 0 : 8, 1);
                break;
        }
    }
    c.reset();
    CHECK(c.slot.read(4, 4) == 0x02800000);
    CHECK(c.status() == 0);
}
