// Declared registers and capabilities of a PCI function.
#include <catch2/catch.hpp>

#include "backplane/pci.hpp"
#include "backplane/testkit/pci_bus.hpp"

using namespace backplane;
using testkit::Bench;
using testkit::PciSlot;

namespace {

struct Card : Device<Card> {
    static constexpr std::string_view kType = "test.card";
    using Device::Device;

    static void describe(Schema<Card>& s) { plug_pci<&Card::pci_>(s); }
    bp_status start() {
        pci_.identify({.vendor = 0x1234, .device = 1, .base_class = 0xff, .interrupt_pin = 1});
        pci_.field({.name = "control", .reg = 0x44, .bytes = 2, .reset = 0x8001, .writable = 0x00f0, .doc = "control"});
        pci_.field({.name = "events", .reg = 0x46, .bytes = 2, .write_one_clears = 0x0103});
        pci_.field({.name = "status", .reg = kPciStatus, .bytes = 2, .reset = 0x0280});
        power_ = pci_.add_capability(0x01, 8);
        vendor_ = pci_.add_capability(0x09, 3, 0x60);
        last_ = pci_.add_capability(0x03, 8);
        pci_.field({.name = "power", .reg = power_ + 4, .bytes = 2, .writable = 3});
        pci_.on_write(0x44, 2, [this] { ++controls_; });
        pci_.on_write([this](u32, u32) { ++writes_; });
        return BP_OK;
    }
    void reset(Reset kind) { pci_.reset(kind); }
    void state(StateVisitor& v) { pci_.state(v); }

    PciFunction pci_;
    u32 power_ = 0, vendor_ = 0, last_ = 0, controls_ = 0, writes_ = 0;
};

struct Fixture {
    Bench<Card> bench;
    PciSlot slot{bench};
    Card& card = *static_cast<Card*>(bench.offer(BP_PCI_FUNCTION_ID).instance);
};

// A card whose declaration is the test's.
struct Odd : Device<Odd> {
    static constexpr std::string_view kType = "test.odd";
    using Device::Device;
    static void describe(Schema<Odd>& s) {
        s.property("variant", &Odd::variant_, {.doc = "", .def = "0"});
        plug_pci<&Odd::pci_>(s);
    }
    bp_status start() {
        pci_.identify({});
        switch (variant_) {
            case 0: pci_.field({.name = "odd", .reg = 0x41, .bytes = 2}); break;
            case 1: pci_.field({.name = "wide", .reg = 0x40, .bytes = 3}); break;
            case 2: pci_.field({.name = "late", .reg = 0x100, .bytes = 1}); break;
            case 3:
                pci_.field({.name = "whole", .reg = 0x40, .bytes = 4});
                pci_.field({.name = "upper", .reg = 0x42, .bytes = 2});
                break;
            case 4: pci_.add_capability(9, 0xc4); break;
            case 5: pci_.add_capability(9, 4, 0x3c); break;
            case 6: pci_.add_capability(9, 4, 0x42); break;
            case 7: pci_.add_capability(9, 8, 0x50), pci_.add_capability(9, 4, 0x54); break;
            case 8: pci_.add_capability(9, 1); break;
            default: pci_.add_capability(9, 0xc0); break;
        }
        return BP_OK;
    }
    PciFunction pci_;
    u32 variant_ = 0;
};

std::string refusal(u32 variant) {
    testkit::Board board(&DeviceType<Odd>::value, {{"variant", std::to_string(variant)}}, {});
    return board.start() == BP_OK ? "started" : board.failure;
}

}  // namespace

TEST_CASE("a declared register has its reset value and changes in its writable bits only") {
    Fixture f;
    CHECK(f.slot.read(0x44, 2) == 0x8001);
    f.slot.write(0x44, 2, 0xffff);
    CHECK(f.slot.read(0x44, 2) == 0x80f1);
    f.slot.write(0x44, 1, 0x20);
    CHECK(f.slot.read(0x44, 2) == 0x8021);
    f.bench.reset();
    CHECK(f.slot.read(0x44, 2) == 0x8001);
}

TEST_CASE("bits that are cleared by writing 1 keep the rest") {
    Fixture f;
    f.card.pci_.set16(0x46, 0xffff);
    f.slot.write(0x46, 1, 0x01);
    CHECK(f.slot.read(0x46, 2) == 0xfffe);
    f.slot.write(0x46, 2, 0xff02);
    CHECK(f.slot.read(0x46, 2) == 0xfefc);
    f.slot.write(0x46, 2, 0);
    CHECK(f.slot.read(0x46, 2) == 0xfefc);
}

TEST_CASE("a function that declares registers has no others from 40h on") {
    Fixture f;
    for (u32 reg = 0x40; reg < 0x100; reg += 4) f.slot.write(reg, 4, 0xffffffff);
    CHECK(f.slot.read(0x58, 4) == 0);
    CHECK(f.slot.read(0xfc, 4) == 0);
    CHECK(f.slot.read(0x3c, 1) == 0);
}

TEST_CASE("capabilities form a list in the order in which they were added") {
    Fixture f;
    CHECK(f.slot.read(kPciStatus, 2) == 0x0290);
    // The first two do not fit before the control register; one has a place of its own.
    CHECK(f.card.power_ == 0x48);
    CHECK(f.card.vendor_ == 0x60);
    CHECK(f.card.last_ == 0x50);
    CHECK(f.slot.read(kPciCapabilities, 1) == 0x48);
    CHECK(f.slot.read(0x48, 2) == 0x6001);
    CHECK(f.slot.read(0x60, 2) == 0x5009);
    CHECK(f.slot.read(0x50, 2) == 0x0003);
    f.slot.write(0x48, 4, 0xffffffff);
    f.slot.write(kPciCapabilities, 1, 0xff);
    CHECK(f.slot.read(0x48, 4) == 0x00006001);
    CHECK(f.slot.read(kPciCapabilities, 1) == 0x48);
    f.slot.write(0x4c, 2, 0xffff);
    CHECK(f.slot.read(0x4c, 2) == 3);
    f.bench.reset(Reset::kPowerOn);
    CHECK(f.slot.read(kPciStatus, 2) == 0x0290);
    CHECK(f.slot.read(0x60, 2) == 0x5009);
}

TEST_CASE("a register's own listener hears of writes that touch it") {
    Fixture f;
    f.slot.write(0x44, 1, 0);
    f.slot.write(0x44, 4, 0);
    f.slot.write(0x45, 1, 0);
    CHECK(f.card.controls_ == 3);
    f.slot.write(0x46, 2, 0);
    f.slot.write(0x40, 4, 0);
    CHECK(f.card.controls_ == 3);
    CHECK(f.card.writes_ == 5);
}

TEST_CASE("the declared registers can be listed") {
    Fixture f;
    const std::vector<PciField>& fields = f.card.pci_.fields();
    REQUIRE(fields.size() == 3 + 3 * 2 + 1);
    CHECK(fields[0].name == "control");
    CHECK(fields[0].doc == "control");
    CHECK(fields[3].name == "capability");
}

TEST_CASE("what cannot be declared keeps the device from starting, with the reason") {
    CHECK(refusal(0) == "configuration register odd: no such place");
    CHECK(refusal(1) == "configuration register wide: no such place");
    CHECK(refusal(2) == "configuration register late: no such place");
    CHECK(refusal(3) == "configuration register upper: declared twice");
    for (u32 variant = 4; variant < 9; ++variant) CHECK(refusal(variant) == "PCI capability 9: no room");
    CHECK(refusal(9) == "started");
}
