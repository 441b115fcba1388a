#include "model.hpp"

#include <catch2/catch.hpp>

#include "backplane/testkit/bench.hpp"
#include "backplane/testkit/pci_bus.hpp"

using namespace backplane;
using testkit::Bench;

namespace {

constexpr u64 kTest = 0, kOffset = 4, kData = 8, kCount = 12, kName = 16;

std::string name(Bench<PciTestDevice>& b, const char* region) {
    std::string text;
    for (u64 at = kName; const char c = static_cast<char>(b.in(region, at)); ++at) text += c;
    return text;
}

}  // namespace

TEST_CASE("the function is found by its ids and BARs") {
    Bench<PciTestDevice> b;
    testkit::PciSlot slot(b);
    CHECK(slot.read(0, 4) == 0x00051b36);
    CHECK(slot.read(kPciRevision, 4) == 0x00ff0000);
    CHECK(slot.read(kPciInterruptPin, 1) == 0);
    slot.write(kPciBar0, 4, 0xffffffff);
    CHECK(slot.read(kPciBar0, 4) == 0xfffff000);
    slot.write(kPciBar0 + 4, 4, 0xffffffff);
    CHECK(slot.read(kPciBar0 + 4, 4) == 0xffffff01);
}

TEST_CASE("nothing is there until a test is chosen") {
    Bench<PciTestDevice> b;
    CHECK(b.in("memory", kOffset, 4) == 0);
    b.out("memory", kTest, 1);
    CHECK(b.in("memory", kOffset, 4) != 0);
    b.out("memory", kTest, 3);
    CHECK(b.in("memory", kOffset, 4) == 0);
}

TEST_CASE("each BAR has three tests of its own") {
    Bench<PciTestDevice> b;
    const char* kinds[] = {"no-eventfd", "wildcard-eventfd", "datamatch-eventfd"};
    for (u32 i = 0; i < 3; ++i) {
        b.out("memory", kTest, i);
        CHECK(b.in("memory", kTest) == i);
        CHECK(b.in("memory", kOffset, 4) == 2048 + i);
        CHECK(name(b, "memory") == "mmio-" + std::string(kinds[i]));
        b.out("ports", kTest, i);
        CHECK(b.in("ports", kTest) == 3 + i);
        CHECK(b.in("ports", kOffset, 4) == 128 + 3 + i);
        CHECK(name(b, "ports") == "portio-" + std::string(kinds[i]));
    }
}

TEST_CASE("writes to the place count, if they write what is asked for") {
    Bench<PciTestDevice> b;
    for (const char* region : {"memory", "ports"})
        for (u32 i = 0; i < 3; ++i) {
            b.out(region, kTest, i);
            CHECK(b.in(region, kCount, 4) == 0);
            const u64 at = b.in(region, kOffset, 4), data = b.in(region, kData);
            CHECK(data == (i == 1 ? 0xce : 0xfa));
            b.out(region, at, data);
            b.out(region, at, data);
            CHECK(b.in(region, kCount, 4) == 2);
            b.out(region, at, 0x11);
            CHECK(b.in(region, kCount, 4) == (i == 1 ? 3 : 2));
            b.out(region, at + 1, data);
            CHECK(b.in(region, kCount, 4) == (i == 1 ? 3 : 2));
            b.out(region, kTest, i);
            CHECK(b.in(region, kCount, 4) == 0);
        }
}

TEST_CASE("a wide write is those of its bytes") {
    Bench<PciTestDevice> b;
    b.out("memory", kTest, 0xffffff00, 4);
    CHECK(b.in("memory", kOffset, 4) == 2048);
    b.out("memory", 2048 - 2, 0x00fa0000, 4);
    CHECK(b.in("memory", kCount, 4) == 1);
}

TEST_CASE("a reset takes the choice back, and a snapshot keeps it") {
    Bench<PciTestDevice> b, other;
    b.out("ports", kTest, 2);
    b.out("ports", 128 + 5, 0xfa);
    REQUIRE(other.load(b.save()) == BP_OK);
    CHECK(other.in("ports", kCount, 4) == 1);
    b.reset();
    CHECK(b.in("ports", kOffset, 4) == 0);
}
