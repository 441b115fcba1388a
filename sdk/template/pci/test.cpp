#include <algorithm>
#include <catch2/catch.hpp>
#include <string>

#include "backplane/testkit/bench.hpp"
#include "backplane/testkit/pci_bus.hpp"
#include "model.hpp"

using namespace backplane;
using example::PluginName;
using testkit::Bench;
using testkit::PciSlot;

namespace {

constexpr u32 kBuffer = 0x2000;
constexpr i64 kLatency = 20'000;  // ns

// The device in its slot, as firmware leaves it: BAR 0 has an address, and the function may master the bus.
struct Machine {
    Bench<PluginName> device;
    PciSlot slot{device};

    Machine() {
        slot.write(kPciBar0, 4, 0xfebf0000);
        slot.write(kPciCommand, 2, kPciCommandMemory | kPciCommandMaster);
    }
    u64 reg(u64 offset) { return device.in("registers", offset, 4); }
    void set(u64 offset, u64 value) { device.out("registers", offset, value, 4); }
    void start(u32 address, u32 length) { set(0x08, address), set(0x0c, length), set(0x10, 1); }
    std::string memory(std::size_t size) const {
        return {device.memory.begin() + kBuffer, device.memory.begin() + kBuffer + static_cast<std::ptrdiff_t>(size)};
    }
};

}  // namespace

TEST_CASE("the function has its identity, and its BAR moves the registers") {
    Machine m;
    CHECK(m.slot.read(kPciVendor, 4) == 0x0001f0f0);
    CHECK(m.slot.read(kPciInterruptPin, 1) == 1);
    CHECK(m.device.mapped("registers") == 0xfebf0000);
    m.slot.write(kPciBar0, 4, 0xffffffff);
    CHECK(m.slot.read(kPciBar0, 4) == 0xfffff000);
    CHECK(m.reg(0) == 0x31474c50);
}

TEST_CASE("the doorbell turns the bytes around and interrupts") {
    Machine m;
    const std::string text = "plugin_name";
    std::copy(text.begin(), text.end(), m.device.memory.begin() + kBuffer);
    m.start(kBuffer, static_cast<u32>(text.size()));
    CHECK(m.reg(0x04) == 1);
    CHECK_FALSE(m.slot.pin(1));
    m.device.advance(kLatency);
    CHECK(m.reg(0x04) == 2);
    CHECK(m.slot.pin(1));
    CHECK(m.memory(text.size()) == std::string(text.rbegin(), text.rend()));
    m.set(0x04, 2);
    CHECK(m.reg(0x04) == 0);
    CHECK_FALSE(m.slot.pin(1));
}

TEST_CASE("what cannot be done fails") {
    Machine m;
    m.start(kBuffer, 4097);
    m.device.advance(kLatency);
    CHECK(m.reg(0x04) == 4);
    CHECK(m.slot.pin(1));
    m.set(0x04, 4);
    m.start(0xfffffff0, 16);  // no memory there
    m.device.advance(kLatency);
    CHECK(m.reg(0x04) == 4);
    m.set(0x04, 4);
    m.slot.write(kPciCommand, 2, kPciCommandMemory);
    m.start(kBuffer, 4);
    m.device.advance(kLatency);
    CHECK(m.reg(0x04) == 4);
}

TEST_CASE("work that is under way is finished after a restore") {
    Machine first, second;
    first.device.memory[kBuffer] = second.device.memory[kBuffer] = 'a';
    first.device.memory[kBuffer + 1] = second.device.memory[kBuffer + 1] = 'b';
    first.start(kBuffer, 2);
    first.device.advance(kLatency / 2);
    second.device.time = first.device.time;
    REQUIRE(second.device.load(first.device.save()) == BP_OK);
    second.device.advance(kLatency);
    CHECK(second.reg(0x04) == 2);
    CHECK(second.memory(2) == "ba");
}

TEST_CASE("a reset stops the work") {
    Machine m;
    m.start(kBuffer, 2);
    m.device.reset();
    m.device.advance(10 * kLatency);
    CHECK(m.reg(0x04) == 0);
    CHECK_FALSE(m.slot.pin(1));
    CHECK(m.device.mapped("registers") == ~u64{0});
}
