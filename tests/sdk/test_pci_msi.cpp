// Message-signalled interrupts of a PCI function.
#include <catch2/catch.hpp>

#include "backplane/pci_msi.hpp"
#include "backplane/testkit/msi.hpp"
#include "backplane/testkit/pci_bus.hpp"

using namespace backplane;
using testkit::Bench;
using testkit::MsiLog;
using testkit::PciSlot;

namespace {

constexpr u32 kCap = 0x40, kControl = kCap + 2, kAddress = kCap + 4;
constexpr u16 kOn = 1;

struct Card : Device<Card> {
    static constexpr std::string_view kType = "test.card";
    using Device::Device;

    static void describe(Schema<Card>& s) {
        s.property("vectors", &Card::vectors_, {.doc = "", .def = "1"});
        s.property("wide", &Card::wide_, {.doc = "", .def = "false"});
        s.property("maskable", &Card::maskable_, {.doc = "", .def = "false"});
        plug_pci<&Card::pci_>(s);
        link_msi<&Card::msi_>(s);
    }
    bp_status start() {
        pci_.identify({.vendor = 0x1234, .device = 1, .base_class = 0xff, .interrupt_pin = 1});
        msi_.add(pci_, {.vectors = vectors_, .address64 = wide_, .maskable = maskable_});
        return BP_OK;
    }
    void reset(Reset kind) { pci_.reset(kind); }
    void state(StateVisitor& v) { pci_.state(v); }
    bp_status restored() {
        pci_.restored();
        return BP_OK;
    }

    u32 vectors_ = 1;
    bool wide_ = false, maskable_ = false;
    PciFunction pci_;
    PciMsi msi_;
};

struct Fixture {
    explicit Fixture(testkit::Properties properties = {}) : bench(std::move(properties), {{"msi", log.interface()}}) {}
    void enable(u16 control = kOn) {
        slot.write(kPciCommand, 2, kPciCommandMaster);
        slot.write(kControl, 2, control);
    }
    MsiLog log;
    Bench<Card> bench;
    PciSlot slot{bench};
    Card& card = *static_cast<Card*>(bench.offer(BP_PCI_FUNCTION_ID).instance);
};

using Messages = std::vector<MsiLog::Message>;

}  // namespace

TEST_CASE("an enabled function sends its message and leaves its pin alone") {
    Fixture f;
    CHECK(f.slot.read(kPciCapabilities, 1) == kCap);
    CHECK(f.slot.read(kCap, 4) == 0x00000005);
    f.slot.write(kAddress, 4, 0xfee01003);  // the two lowest bits are always 0
    f.slot.write(kAddress + 4, 4, 0xffff4041);
    CHECK(f.slot.read(kAddress, 4) == 0xfee01000);
    CHECK(f.slot.read(kAddress + 4, 4) == 0x00004041);
    CHECK_FALSE(f.card.msi_.send());
    CHECK(f.log.sent.empty());
    f.enable();
    CHECK(f.card.msi_.send());
    CHECK(f.log.sent == Messages{{0xfee01000, 0x4041}});
    f.card.pci_.set_intx(true);
    CHECK_FALSE(f.slot.pin(1));
    CHECK(f.slot.read(kPciStatus, 2) == (kPciStatusCapabilities | kPciStatusInterrupt));
}

TEST_CASE("switching messages on and off moves a waiting interrupt from the pin and back") {
    Fixture f;
    f.card.pci_.set_intx(true);
    CHECK(f.slot.pin(1));
    f.enable();
    CHECK_FALSE(f.slot.pin(1));
    f.slot.write(kControl, 2, 0);
    CHECK(f.slot.pin(1));
    f.enable();
    f.card.pci_.set_intx(false);
    f.slot.write(kControl, 2, 0);
    CHECK_FALSE(f.slot.pin(1));
}

TEST_CASE("a reset switches messages off and clears address and data") {
    Fixture f;
    f.slot.write(kAddress, 4, 0xfee01000);
    f.slot.write(kAddress + 4, 2, 0x41);
    f.enable();
    f.bench.reset();
    CHECK_FALSE(f.card.msi_.enabled());
    CHECK(f.slot.read(kCap, 4) == 0x00000005);
    CHECK(f.slot.read(kAddress, 4) == 0);
    CHECK(f.slot.read(kAddress + 4, 4) == 0);
    CHECK(f.slot.read(kPciStatus, 2) == kPciStatusCapabilities);
    f.card.pci_.set_intx(true);
    CHECK(f.slot.pin(1));
}

TEST_CASE("a function that is no bus master loses its messages") {
    Fixture f;
    f.enable();
    f.slot.write(kPciCommand, 2, 0);
    CHECK(f.card.msi_.send());
    CHECK(f.log.sent.empty());
}

TEST_CASE("64-bit addresses have their upper half and the data behind it") {
    Fixture f(testkit::Properties{{"wide", "true"}});
    CHECK(f.slot.read(kControl, 2) == 0x0080);
    f.slot.write(kAddress, 4, 0xfee00000);
    f.slot.write(kAddress + 4, 4, 0x00000001);
    f.slot.write(kAddress + 8, 2, 0x77);
    f.enable();
    f.card.msi_.send();
    CHECK(f.log.sent == Messages{{0x1fee00000, 0x77}});
}

TEST_CASE("the vector goes into the lowest bits of the data, as far as the guest has granted") {
    Fixture f(testkit::Properties{{"vectors", "8"}});
    CHECK(f.slot.read(kControl, 2) == 0x0006);
    f.slot.write(kAddress + 4, 2, 0x4f);
    const auto sent = [&](u16 granted, u32 vector) {
        f.enable(static_cast<u16>(kOn | granted << 4));
        f.card.msi_.send(vector);
        return f.log.sent.back().data;
    };
    CHECK(sent(0, 5) == 0x4f);
    CHECK(f.card.msi_.vectors() == 1);
    CHECK(sent(1, 4) == 0x4e);
    CHECK(sent(3, 5) == 0x4d);
    CHECK(sent(3, 13) == 0x4d);
    CHECK(sent(7, 2) == 0x4a);  // granted more than were asked for
    CHECK(f.card.msi_.vectors() == 8);
}

TEST_CASE("a masked vector waits in its pending bit until it is unmasked") {
    for (const char* wide : {"false", "true"}) {
        Fixture f(testkit::Properties{{"vectors", "4"}, {"wide", wide}, {"maskable", "true"}});
        const u32 data = kAddress + (f.card.wide_ ? 8 : 4), mask = data + 4, pending = data + 8;
        f.slot.write(data, 2, 0x50);
        f.slot.write(mask, 4, 0xffffffff);
        CHECK(f.slot.read(mask, 4) == 0xf);
        f.enable(kOn | 2 << 4);
        CHECK((f.slot.read(kControl, 2) & 0x100) != 0);
        f.card.msi_.send(1), f.card.msi_.send(2), f.card.msi_.send(3);
        f.card.msi_.withdraw(3);
        CHECK(f.log.sent.empty());
        CHECK(f.slot.read(pending, 4) == 0x6);
        f.slot.write(pending, 4, 0);
        CHECK(f.slot.read(pending, 4) == 0x6);
        f.slot.write(mask, 1, 0xd);
        CHECK(f.log.sent == Messages{{0, 0x51}});
        CHECK(f.slot.read(pending, 4) == 0x4);
        // Off and on again: what is pending comes when it may.
        f.slot.write(kControl, 2, 0);
        f.slot.write(mask, 4, 0);
        CHECK(f.log.sent.size() == 1);
        f.slot.write(kControl, 2, kOn | 2 << 4);
        CHECK(f.log.sent == Messages{{0, 0x51}, {0, 0x52}});
        f.slot.write(kControl, 2, kOn | 2 << 4);
        CHECK(f.log.sent.size() == 2);
    }
}

TEST_CASE("on a board without a receiver the function has no such capability and uses its pin") {
    Bench<Card> bench;
    PciSlot slot(bench);
    Card& card = *static_cast<Card*>(bench.offer(BP_PCI_FUNCTION_ID).instance);
    CHECK(slot.read(kPciStatus, 2) == 0);
    CHECK(slot.read(kPciCapabilities, 1) == 0);
    CHECK_FALSE(card.msi_.send());
    card.msi_.withdraw();
    card.pci_.set_intx(true);
    CHECK(slot.pin(1));
}

TEST_CASE("a restored function goes on with messages and drives its pin no second time") {
    Fixture f;
    f.slot.write(kAddress, 4, 0xfee01000);
    f.slot.write(kAddress + 4, 2, 0x41);
    f.enable();
    f.card.pci_.set_intx(true);
    Fixture other;
    REQUIRE(other.bench.load(f.bench.save()) == BP_OK);
    CHECK(other.card.msi_.send());
    CHECK(other.log.sent == Messages{{0xfee01000, 0x41}});
    CHECK_FALSE(other.slot.pin(1));
    other.slot.write(kControl, 2, 0);
    CHECK(other.slot.pin(1));
}

TEST_CASE("a snapshot with impossible control bits does no harm") {
    Fixture f(testkit::Properties{{"vectors", "2"}, {"maskable", "true"}});
    auto saved = f.bench.save();
    std::fill(saved["pci"].begin(), saved["pci"].end(), '\xff');
    REQUIRE(f.bench.load(saved) == BP_OK);
    f.card.msi_.send(31);
    f.slot.write(kAddress + 8, 4, 0);
    CHECK(f.card.msi_.vectors() == 2);
    CHECK(f.log.sent.size() <= 4);
}

TEST_CASE("an impossible number of vectors keeps the device from starting") {
    MsiLog log;
    testkit::Board board(&DeviceType<Card>::value, {{"vectors", "3"}}, {{"msi", log.interface()}});
    CHECK(board.start() != BP_OK);
    CHECK(board.failure.find("vectors") != std::string::npos);
}
