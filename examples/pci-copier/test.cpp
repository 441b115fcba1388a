#include <catch2/catch.hpp>

#include <algorithm>

#include "backplane/testkit/bench.hpp"
#include "backplane/testkit/msi.hpp"
#include "backplane/testkit/pci_bus.hpp"
#include "model.hpp"

using namespace example;

namespace {

constexpr u64 kBase = 0xfebf0000;
constexpr u64 kControl = 0x04, kStatus = 0x08, kLength = 0x0c, kSource = 0x10, kDestination = 0x18, kCopied = 0x20,
              kReason = 0x24;
constexpr u32 kStart = 1, kInterruptEnable = 2;
constexpr u32 kBusy = 1, kDone = 2, kError = 4;
constexpr u32 kBurst = 0x40, kMsi = 0x44;
constexpr i64 kBurstTime = 4096;  // ns, at a byte a nanosecond

// The card in a slot where the BIOS has given it an address and Linux has made it a bus master.
struct Card {
    Card() {
        for (std::size_t i = 0; i < bench.memory.size(); ++i) bench.memory[i] = static_cast<u8>(i * 7 + (i >> 8));
        slot.write(kPciBar0, 4, kBase);
        slot.write(kPciCommand, 2, kPciCommandMemory | kPciCommandMaster);
    }
    u32 read(u64 offset) { return static_cast<u32>(bench.in("registers", offset, 4)); }
    void write(u64 offset, u32 value) { bench.out("registers", offset, value, 4); }
    void copy(u64 from, u64 to, u32 size, u32 control = kStart) {
        write(kSource, static_cast<u32>(from)), write(kSource + 4, static_cast<u32>(from >> 32));
        write(kDestination, static_cast<u32>(to)), write(kDestination + 4, static_cast<u32>(to >> 32));
        write(kLength, size);
        write(kControl, control);
    }
    void enable_msi(u32 address, u32 data) {
        slot.write(kMsi + 4, 4, address);
        slot.write(kMsi + 12, 2, data);
        slot.write(kMsi + 2, 2, 1);
    }
    bool same(u64 from, u64 to, u32 size) {
        return std::equal(&bench.memory[from], &bench.memory[from] + size, &bench.memory[to]);
    }
    testkit::MsiLog msi;
    testkit::Bench<PciCopier> bench{{{"bandwidth", "1000000000"}}, {{"msi", msi.interface()}}};
    testkit::PciSlot slot{bench};
};

}  // namespace

TEST_CASE("it is found by its ids, its BAR and its capability") {
    Card card;
    CHECK(card.slot.read(0, 4) == 0xc0de1234);
    CHECK(card.bench.mapped("registers") == kBase);
    CHECK(card.slot.read(kPciCapabilities, 1) == kMsi);
    CHECK(card.slot.read(kMsi, 1) == kPciCapabilityMsi);
    CHECK(card.read(0) == 0x59504f43);
}

TEST_CASE("it copies in bursts and is done when the last has arrived") {
    Card card;
    card.copy(0x1000, 0x8010, 10000);
    CHECK(card.read(kStatus) == kBusy);
    card.bench.advance(kBurstTime - 1);
    CHECK(card.read(kCopied) == 0);
    card.bench.advance(1);
    CHECK(card.read(kCopied) == 4096);
    CHECK(card.same(0x1000, 0x8010, 4096));
    CHECK_FALSE(card.same(0x1000, 0x8010, 10000));
    card.bench.advance(kBurstTime + 10000 - 2 * 4096 - 1);
    CHECK(card.read(kStatus) == kBusy);
    card.bench.advance(1);
    CHECK(card.read(kStatus) == kDone);
    CHECK(card.read(kCopied) == 10000);
    CHECK(card.same(0x1000, 0x8010, 10000));
    CHECK_FALSE(card.same(0x1000, 0x8010, 10001));
    CHECK_FALSE(card.slot.pin(1));
    CHECK(card.msi.sent.empty());
}

TEST_CASE("the pin is high from the end of the copy until that is acknowledged") {
    Card card;
    card.copy(0, 0x8000, 16, kStart | kInterruptEnable);
    CHECK_FALSE(card.slot.pin(1));
    card.bench.advance(16);
    CHECK(card.slot.pin(1));
    CHECK((card.slot.read(kPciStatus, 2) & kPciStatusInterrupt) != 0);
    card.write(kStatus, kDone);
    CHECK_FALSE(card.slot.pin(1));
    CHECK(card.msi.sent.empty());
}

TEST_CASE("with MSI on it sends one message a copy and leaves its pin alone") {
    Card card;
    card.enable_msi(0xfee00000, 0x51);
    for (unsigned n = 1; n <= 2; ++n) {
        card.copy(0, 0x8000, 16, kStart | kInterruptEnable);
        card.bench.advance(16);
        REQUIRE(card.msi.sent.size() == n);
        CHECK(card.msi.sent.back() == testkit::MsiLog::Message{0xfee00000, 0x51});
        card.write(kStatus, kDone);
    }
    CHECK(card.slot.drives() == 0);
}

TEST_CASE("interrupt enable that comes late shows the end that waits") {
    Card card;
    card.copy(0, 0x8000, 16);
    card.bench.advance(16);
    CHECK_FALSE(card.slot.pin(1));
    card.write(kControl, kInterruptEnable);
    CHECK(card.slot.pin(1));
}

TEST_CASE("a copy that leaves memory ends with an error and its reason") {
    Card card;
    const auto reason = [&](u64 from, u64 to, u32 size) {
        card.copy(from, to, size, kStart | kInterruptEnable);
        card.bench.advance(1'000'000);
        CHECK(card.read(kStatus) == kError);
        CHECK(card.slot.pin(1));
        return card.read(kReason);
    };
    CHECK(reason(0xff000, 0, 8192) == 1);
    CHECK(card.read(kCopied) == 4096);
    CHECK(reason(0, 0x100000000, 16) == 1);
    CHECK(reason(0, kBase, 16) == 2);
    CHECK(reason(kBase + 0xffc, 0, 4) == 2);
    CHECK(reason(0, 0x1000, 0) == 4);
    CHECK(reason(0, 0x1000, (16 << 20) + 1) == 4);
    card.slot.write(kPciCommand, 2, kPciCommandMemory);
    CHECK(reason(0, 0x1000, 16) == 3);
}

TEST_CASE("the burst register makes bursts smaller, within its bounds") {
    Card card;
    const auto first = [&](u32 value) {
        card.slot.write(kBurst, 1, value);
        card.copy(0, 0x8000, 8192);
        card.bench.advance(4096);
        const u32 copied = card.read(kCopied);
        card.bench.advance(8192);
        return copied;
    };
    CHECK(card.slot.read(kBurst, 1) == 12);
    CHECK(first(11) == 4096);
    card.slot.write(kBurst, 1, 8);
    card.copy(0, 0x8000, 8192);
    card.bench.advance(256);
    CHECK(card.read(kCopied) == 256);
    card.slot.write(kBurst, 1, 0);
    card.bench.advance(256 + 16);
    CHECK(card.read(kCopied) == 256 + 2 * 16);
    card.bench.advance(8192);
    CHECK(first(15) == 4096);
}

TEST_CASE("odd use is named and changes nothing") {
    Card card;
    card.copy(0, 0x8000, 4096);
    card.write(kLength, 1);
    card.write(kDestination + 4, 1);
    card.write(kControl, kStart);
    card.write(kControl, 0x80);
    card.write(0, 1);
    card.write(0xffc, 1);
    CHECK(card.read(0xffc) == 0);
    CHECK(card.bench.log.size() == 7);
    CHECK(card.read(kControl) == 0);
    card.bench.advance(4096);
    CHECK(card.read(kStatus) == kDone);
    CHECK(card.same(0, 0x8000, 4096));
}

TEST_CASE("a reset ends a copy and takes the registers off the bus") {
    Card card;
    card.copy(0, 0x8000, 8192, kStart | kInterruptEnable);
    card.bench.advance(4096);
    card.bench.reset();
    card.bench.advance(1'000'000);
    CHECK(card.read(kStatus) == 0);
    CHECK(card.read(kControl) == 0);
    CHECK(card.read(kCopied) == 0);
    CHECK(card.bench.mapped("registers") == ~u64{0});
    CHECK_FALSE(card.slot.pin(1));
}

TEST_CASE("a restored card finishes the copy of the saved one") {
    Card card, other;
    card.enable_msi(0xfee00000, 0x51);
    card.copy(0x1000, 0x8000, 8192, kStart | kInterruptEnable);
    card.bench.advance(4096);
    other.bench.memory = card.bench.memory;
    other.bench.time = card.bench.time;
    REQUIRE(other.bench.load(card.bench.save()) == BP_OK);
    CHECK(other.bench.save() == card.bench.save());
    other.bench.advance(4096);
    CHECK(other.read(kStatus) == kDone);
    CHECK(other.same(0x1000, 0x8000, 8192));
    CHECK(other.msi.sent.size() == 1);
}

TEST_CASE("a snapshot whose fields contradict each other is refused") {
    Card card;
    card.copy(0, 0x8000, 8192);
    auto saved = card.bench.save();
    saved["copied"] = std::string("\x01\x20\0\0", 4);  // 8193
    CHECK(card.bench.load(saved) == BP_ERR_INVALID);
    CHECK(card.bench.failure == "8193 of 8192 bytes copied");
}
