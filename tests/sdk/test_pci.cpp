#include <catch2/catch.hpp>

#include "backplane/pci.hpp"
#include "backplane/testkit/pci_bus.hpp"

using namespace backplane;
using testkit::Bench;
using testkit::PciSlot;

namespace {

constexpr u64 kUnmapped = ~u64{0};
constexpr u32 kIoBar = 0x10, kMemoryBar = 0x14, kPrefetchBar = 0x18, kRomBar = 0x30;

// A card with one base address register of each kind.
struct Card : Device<Card> {
    static constexpr std::string_view kType = "test.card";
    using Device::Device;

    static void describe(Schema<Card>& s) {
        s.ports<&Card::read, nullptr>("io", 0x40, 1, "", &Card::io_);
        s.memory<&Card::read, nullptr>("mmio", 0x1000, 4, "", &Card::mmio_);
        plug_pci<&Card::pci_>(s);
    }
    bp_status start() {
        pci_.identify({.vendor = 0x10ec, .device = 0x8139, .base_class = 2, .revision = 0x20, .interrupt_pin = 2});
        pci_.io_bar(0, 0x40, io_);
        pci_.memory_bar(1, 0x1000, mmio_);
        pci_.memory_bar(
            2, 16 << 20, [this](std::optional<u64> base) { frame_ = base, ++moves_; }, true);
        pci_.rom_bar(35840, [this](std::optional<u64> base) { rom_ = base; });
        pci_.on_write([this](u32 reg, u32 bytes) { written_ = reg << 8 | bytes; });
        return BP_OK;
    }
    void reset(Reset kind) { pci_.reset(kind); }
    void state(StateVisitor& v) { pci_.state(v); }
    bp_status restored() {
        pci_.restored();
        return BP_OK;
    }
    u64 read(u64, u32) { return 0; }

    PciFunction pci_;
    Region io_, mmio_;
    std::optional<u64> frame_, rom_;
    u32 moves_ = 0, written_ = 0;
};

// The card and its slot; `card` is the instance, which the configuration functions get too.
struct Fixture {
    Bench<Card> bench;
    PciSlot slot{bench};
    Card& card = *static_cast<Card*>(bench.offer(BP_PCI_FUNCTION_ID).instance);
};

}  // namespace

TEST_CASE("the identity reads back and cannot be written") {
    Fixture f;
    for (u32 reg : {0x00u, 0x08u, 0x2cu}) f.slot.write(reg, 4, 0xffffffff);
    CHECK(f.slot.read(0x00, 4) == 0x813910ec);
    CHECK(f.slot.read(0x08, 4) == 0x02000020);
    CHECK(f.slot.read(0x2c, 4) == 0x11001af4);
    CHECK(f.slot.read(0x3d, 1) == 2);
}

TEST_CASE("of the command register only I/O, memory and bus master can be set, of the status nothing") {
    Fixture f;
    f.slot.write(4, 4, 0xffffffff);
    CHECK(f.slot.read(4, 4) == 0x00000007);
    CHECK(f.card.pci_.bus_master());
}

TEST_CASE("cache line, interrupt line and 40h-FFh are storage") {
    Fixture f;
    f.slot.write(0x0c, 4, 0xffffffff);
    CHECK(f.slot.read(0x0c, 4) == 0x000000ff);
    f.slot.write(0x3c, 4, 0xffffff0b);
    CHECK(f.slot.read(0x3c, 4) == 0x0000020b);
    for (u32 reg = 0x40; reg < 0x100; reg += 4) {
        f.slot.write(reg, 4, 0x01020304 * reg);
        CHECK(f.slot.read(reg, 4) == 0x01020304 * reg);
    }
}

TEST_CASE("a size probe reads the size's mask and the type bits") {
    Fixture f;
    for (u32 reg = 0x10; reg < 0x28; reg += 4) f.slot.write(reg, 4, 0xffffffff);
    f.slot.write(kRomBar, 4, 0xffffffff);
    CHECK(f.slot.read(kIoBar, 4) == 0xffffffc1);
    CHECK(f.slot.read(kMemoryBar, 4) == 0xfffff000);
    CHECK(f.slot.read(kPrefetchBar, 4) == 0xff000008);
    CHECK(f.slot.read(0x1c, 4) == 0);
    CHECK(f.slot.read(kRomBar, 4) == 0xffff0001);  // 35840 bytes take 64 KiB
}

TEST_CASE("an I/O register is decoded with command bit 0, a base and no more than 16 bits") {
    Fixture f;
    f.slot.write(kIoBar, 4, 0xc000);
    CHECK(f.bench.mapped("io") == kUnmapped);
    f.slot.write(4, 2, kPciCommandIo);
    CHECK(f.bench.mapped("io") == 0xc000);
    f.slot.write(kIoBar, 4, 0xd040);
    CHECK(f.bench.mapped("io") == 0xd040);
    f.slot.write(kIoBar, 4, 0);
    CHECK(f.bench.mapped("io") == kUnmapped);
    f.slot.write(kIoBar, 4, 0xffc0);
    CHECK(f.bench.mapped("io") == 0xffc0);
    f.slot.write(kIoBar, 4, 0x10000);
    CHECK(f.bench.mapped("io") == kUnmapped);
    f.slot.write(kIoBar, 4, 0xffffffff);
    CHECK(f.bench.mapped("io") == kUnmapped);
    f.slot.write(kIoBar, 2, 0xc000);  // the upper half still says FFFFh
    CHECK(f.bench.mapped("io") == kUnmapped);
    f.slot.write(kIoBar + 2, 2, 0);
    CHECK(f.bench.mapped("io") == 0xc000);
    f.slot.write(4, 2, kPciCommandMemory);
    CHECK(f.bench.mapped("io") == kUnmapped);
}

TEST_CASE("a memory register is decoded with command bit 1 and a base that does not wrap") {
    Fixture f;
    f.slot.write(kMemoryBar, 4, 0xfebf0000);
    f.slot.write(4, 2, kPciCommandIo);
    CHECK(f.bench.mapped("mmio") == kUnmapped);
    f.slot.write(4, 2, kPciCommandMemory);
    CHECK(f.bench.mapped("mmio") == 0xfebf0000);
    f.slot.write(kMemoryBar, 4, 0);
    CHECK(f.bench.mapped("mmio") == kUnmapped);
    f.slot.write(kMemoryBar, 4, 0xffffffff);
    CHECK(f.bench.mapped("mmio") == kUnmapped);
    f.slot.write(kMemoryBar, 4, 0xffffe000);
    CHECK(f.bench.mapped("mmio") == 0xffffe000);
}

TEST_CASE("memory that is no region is told where it is and when it moves") {
    Fixture f;
    f.slot.write(4, 2, kPciCommandMemory);
    CHECK_FALSE(f.card.frame_);
    f.slot.write(kPrefetchBar, 4, 0xfd000000);
    CHECK(f.card.frame_ == 0xfd000000);
    f.slot.write(kPrefetchBar, 4, 0xfc123456);
    CHECK(f.card.frame_ == 0xfc000000);
    const u32 moves = f.card.moves_;
    f.slot.write(kPrefetchBar, 4, 0xfc000000);
    f.slot.write(4, 2, kPciCommandMemory | kPciCommandMaster);
    CHECK(f.card.moves_ == moves);
    f.slot.write(4, 2, 0);
    CHECK_FALSE(f.card.frame_);
}

TEST_CASE("the ROM needs its own enable bit as well") {
    Fixture f;
    f.slot.write(4, 2, kPciCommandMemory);
    f.slot.write(kRomBar, 4, 0xfeb00000);
    CHECK_FALSE(f.card.rom_);
    f.slot.write(kRomBar, 4, 0xfeb00001);
    CHECK(f.card.rom_ == 0xfeb00000);
    f.slot.write(4, 2, 0);
    CHECK_FALSE(f.card.rom_);
}

TEST_CASE("the interrupt pin shows in status bit 3") {
    Fixture f;
    f.card.pci_.set_intx(true);
    CHECK(f.slot.pin(2));
    CHECK_FALSE(f.slot.pin(1));
    CHECK(f.slot.read(6, 2) == 8);
    f.card.pci_.set_intx(false);
    CHECK_FALSE(f.slot.pin(2));
    CHECK(f.slot.read(6, 2) == 0);
}

TEST_CASE("a reset unmaps everything, lowers the pin and keeps 40h-FFh") {
    Fixture f;
    f.slot.write(kIoBar, 4, 0xc000);
    f.slot.write(kPrefetchBar, 4, 0xfd000000);
    f.slot.write(0x3c, 1, 11);
    f.slot.write(0x40, 4, 0x12345678);
    f.slot.write(4, 2, 7);
    f.card.pci_.set_intx(true);
    f.bench.reset();
    CHECK(f.bench.mapped("io") == kUnmapped);
    CHECK_FALSE(f.card.frame_);
    CHECK_FALSE(f.slot.pin(2));
    CHECK(f.slot.read(4, 4) == 0);
    CHECK(f.slot.read(kIoBar, 4) == 1);
    CHECK(f.slot.read(kPrefetchBar, 4) == 8);
    CHECK(f.slot.read(0x3c, 1) == 0);
    CHECK(f.slot.read(0x40, 4) == 0x12345678);
    f.bench.reset(Reset::kPowerOn);
    CHECK(f.slot.read(0x40, 4) == 0);
    CHECK(f.slot.read(0, 4) == 0x813910ec);
}

TEST_CASE("at power-on no BAR is decoded, wherever its region has been placed") {
    Bench<Card> bench;
    Card& card = *static_cast<Card*>(bench.offer(BP_PCI_FUNCTION_ID).instance);
    REQUIRE(card.mmio_.map(0xd0000000) == BP_OK);
    bench.reset(Reset::kPowerOn);
    CHECK(bench.mapped("mmio") == kUnmapped);
}

TEST_CASE("a restored card is mapped where the saved one was") {
    Fixture f;
    f.slot.write(kIoBar, 4, 0xc000);
    f.slot.write(kPrefetchBar, 4, 0xfd000000);
    f.slot.write(4, 2, 3);
    Fixture other;
    REQUIRE(other.bench.load(f.bench.save()) == BP_OK);
    CHECK(other.bench.mapped("io") == 0xc000);
    CHECK(other.card.frame_ == 0xfd000000);
    CHECK(other.bench.mapped("mmio") == kUnmapped);
    // And the other way round: a mapped card takes over that it is not.
    Fixture fresh;
    REQUIRE(f.bench.load(fresh.bench.save()) == BP_OK);
    CHECK(f.bench.mapped("io") == kUnmapped);
    CHECK_FALSE(f.card.frame_);
}

TEST_CASE("a restored card knows the level that its pin already has") {
    Fixture f, other;
    f.card.pci_.set_intx(true);
    REQUIRE(other.bench.load(f.bench.save()) == BP_OK);
    CHECK(other.slot.drives() == 0);
    other.card.pci_.set_intx(true);
    CHECK(other.slot.drives() == 0);
    other.card.pci_.set_intx(false);
    CHECK(other.slot.drives() == 1);
}

TEST_CASE("the device hears of each write after it was stored") {
    Fixture f;
    f.slot.write(0x62, 2, 0x55);
    CHECK(f.card.written_ == 0x6202);
    CHECK(f.card.pci_.get8(0x62) == 0x55);
    CHECK(f.card.pci_.devfn() == 3 << 3);
}
