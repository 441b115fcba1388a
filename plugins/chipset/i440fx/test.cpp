#include "model.hpp"

#include <catch2/catch.hpp>

#include "backplane/testkit/bench.hpp"

using namespace backplane;
using testkit::Bench;
using testkit::Board;

namespace {

constexpr u32 kReadWrite = BP_MAP_READ | BP_MAP_WRITE;

// A function that remembers what reached it.
struct Child {
    u32 reg = 0, bytes = 0, value = 0;
    u32 reads = 0, writes = 0;
    bp_interface bus{nullptr, nullptr};
    static constexpr bp_pci_function kTable{sizeof(bp_pci_function),
                                            [](void* i, uint32_t reg, uint32_t bytes) -> uint32_t {
                                                auto* self = static_cast<Child*>(i);
                                                self->reg = reg, self->bytes = bytes, ++self->reads;
                                                return 0xa5000000u | reg << 8 | reg;
                                            },
                                            [](void* i, uint32_t reg, uint32_t bytes, uint32_t value) {
                                                auto* self = static_cast<Child*>(i);
                                                self->reg = reg, self->bytes = bytes, self->value = value,
                                                ++self->writes;
                                            }};
    bp_interface function() { return {&kTable, this}; }
    bp_status plug(Board& board, std::string_view address, std::string_view name = "child") {
        return board.attach("pci", address, name, function(), &bus);
    }
    const bp_pci_bus& table() const { return *static_cast<const bp_pci_bus*>(bus.table); }
    void pin(u32 number, int level) { table().intx(bus.instance, number, level); }
    u32 devfn() const { return table().devfn(bus.instance); }
};

u64 config_address(u32 devfn, u32 reg) { return 0x80000000u | devfn << 8 | (reg & 0xfc); }
u64 get(Board& b, u32 devfn, u32 reg, u32 bytes) {
    b.out("address", 0, config_address(devfn, reg), 4);
    return b.in("data", reg & 3, bytes);
}
void put(Board& b, u32 devfn, u32 reg, u32 bytes, u64 value) {
    b.out("address", 0, config_address(devfn, reg), 4);
    b.out("data", reg & 3, value, bytes);
}

// The mapping of the bridge at an address.
const Board::Mapping* window(const Board& b, u64 address) {
    for (const auto& [id, m] : b.mappings())
        if (m.priority == BP_PRIORITY_BRIDGE && address >= m.base && address < m.base + m.size) return &m;
    return nullptr;
}
const Board::Mapping* ram_at(const Board& b, u64 address) {
    for (const auto& [id, m] : b.mappings())
        if (m.priority == BP_PRIORITY_RAM && address >= m.base && address < m.base + m.size) return &m;
    return nullptr;
}

}  // namespace

TEST_CASE("the host bridge identifies itself") {
    Bench<I440fx> b;
    CHECK(get(b, 0, 0, 4) == 0x12378086);
    CHECK(get(b, 0, 8, 4) == 0x06000002);
    CHECK(get(b, 0, 0x2c, 4) == 0x11001af4);
    CHECK(get(b, 0, 0x72, 1) == 0x02);
    CHECK(get(b, 0, 0x59, 1) == 0x00);
}

TEST_CASE("the address register takes and returns dwords only") {
    Bench<I440fx> b;
    b.out("address", 0, 0x80001234, 4);
    CHECK(b.in("address", 0, 4) == 0x80001234);
    b.out("address", 0, 0x55, 1);
    b.out("address", 0, 0x5555, 2);
    CHECK(b.in("address", 0, 4) == 0x80001234);
    CHECK(b.in("address", 0, 1) == 0xff);
}

TEST_CASE("a cycle that nobody answers reads all ones of its width") {
    Bench<I440fx> b;
    CHECK(get(b, 0x50, 0, 4) == 0xffffffff);
    CHECK(get(b, 0x50, 0, 2) == 0xffff);
    CHECK(get(b, 0x50, 0, 1) == 0xff);
    b.out("address", 0, 0x00000000, 4);  // enable bit clear
    CHECK(b.in("data", 0, 4) == 0xffffffff);
    b.out("address", 0, 0x80010000, 4);  // bus 1
    CHECK(b.in("data", 0, 4) == 0xffffffff);
}

TEST_CASE("writes without the enable bit are dropped") {
    Bench<I440fx> b;
    b.out("address", 0, 0x00000058, 4);
    b.out("data", 1, 0x30, 1);
    CHECK(get(b, 0, 0x59, 1) == 0);
}

TEST_CASE("byte, word and dword accesses reach the register they name") {
    Child child;
    Board b(&DeviceType<I440fx>::value, {}, {});
    REQUIRE(child.plug(b, "3.2") == BP_OK);
    REQUIRE(b.start() == BP_OK);
    b.reset(Reset::kPowerOn);
    CHECK(get(b, 3 << 3 | 2, 0x41, 1) == 0x41);
    CHECK(child.reg == 0x41);
    CHECK(child.bytes == 1);
    CHECK(get(b, 3 << 3 | 2, 0x42, 2) == 0x4242);
    CHECK(child.bytes == 2);
    put(b, 3 << 3 | 2, 0x44, 4, 0xdeadbeef);
    CHECK(child.reg == 0x44);
    CHECK(child.value == 0xdeadbeef);
    // A word at CFDh is not aligned: the function sees two bytes.
    b.out("address", 0, config_address(3 << 3 | 2, 0x44), 4);
    child.writes = 0;
    b.out("data", 1, 0x1234, 2);
    CHECK(child.writes == 2);
    CHECK(child.reg == 0x46);
    CHECK(child.value == 0x12);
}

TEST_CASE("functions are placed where the board says, the others on the lowest free device") {
    Child a, c, d, e;
    Board b(&DeviceType<I440fx>::value, {}, {});
    REQUIRE(a.plug(b, "auto", "vga") == BP_OK);
    REQUIRE(c.plug(b, "1.0", "isa") == BP_OK);
    REQUIRE(d.plug(b, "", "nic") == BP_OK);
    REQUIRE(e.plug(b, "2", "fixed") == BP_OK);
    REQUIRE(b.start() == BP_OK);
    CHECK(c.devfn() == 8);
    CHECK(e.devfn() == 16);
    CHECK(a.devfn() == 24);
    CHECK(d.devfn() == 32);
}

TEST_CASE("bad and double PCI addresses are refused by name") {
    Child a, c;
    Board b(&DeviceType<I440fx>::value, {}, {});
    REQUIRE(a.plug(b, "1.1", "ide") == BP_OK);
    CHECK(c.plug(b, "1.1") == BP_ERR_CONFLICT);
    CHECK(b.failure.find("ide") != std::string::npos);
    CHECK(c.plug(b, "0.0") == BP_ERR_CONFLICT);
    CHECK(c.plug(b, "32") == BP_ERR_INVALID);
    CHECK(c.plug(b, "1.8") == BP_ERR_INVALID);
    CHECK(c.plug(b, "1.") == BP_ERR_INVALID);
    CHECK(c.plug(b, "x") == BP_ERR_INVALID);
}

TEST_CASE("a full bus refuses the next function") {
    std::vector<Child> children(32);
    Board b(&DeviceType<I440fx>::value, {}, {});
    for (Child& child : children) REQUIRE(child.plug(b, "auto") == BP_OK);
    CHECK(b.start() == BP_ERR_CONFLICT);
}

TEST_CASE("RAM is split at the hole") {
    struct Case {
        u64 below, above;
    };
    const Case c =
        GENERATE(Case{0x8000000, 0}, Case{3583ull << 20, 0}, Case{0xe0000000, 0}, Case{0xe0000000, 0x20000000});
    // The bench allocates real memory: everything is scaled down by 64.
    const u64 total = c.below + c.above;
    Board scaled(&DeviceType<I440fx>::value,
                 {{"memory", std::to_string(total >> 6)}, {"hole", std::to_string(0xe0000000 >> 6)}}, {});
    REQUIRE(scaled.start() == BP_OK);
    REQUIRE(scaled.facts.size() == 1);
    CHECK(scaled.facts[0].what == "ram.layout");
    CHECK(scaled.facts[0].numbers.at("below_4g") == c.below >> 6);
    CHECK(scaled.facts[0].numbers.at("above_4g") == c.above >> 6);
    CHECK(scaled.facts[0].numbers.at("total") == total >> 6);
    if (c.above) {
        const auto* high = ram_at(scaled, u64{1} << 32);
        REQUIRE(high);
        CHECK(high->offset == c.below >> 6);
        CHECK(high->size == c.above >> 6);
    } else {
        CHECK_FALSE(ram_at(scaled, u64{1} << 32));
    }
}

TEST_CASE("A0000-FFFFF shows RAM through the bridge's windows only") {
    Bench<I440fx> b;
    CHECK(ram_at(b, 0x9ffff));
    CHECK_FALSE(ram_at(b, 0xa0000));
    CHECK_FALSE(ram_at(b, 0xfffff));
    const auto* extended = ram_at(b, 0x100000);
    REQUIRE(extended);
    CHECK(extended->offset == 0x100000);
    for (u64 a = 0xa0000; a < 0x100000; a += 0x1000) {
        const auto* w = window(b, a);
        REQUIRE(w);
        CHECK(w->flags == 0);
        CHECK(w->offset == w->base);  // the ordinary RAM of that address
    }
}

TEST_CASE("each PAM nibble steers its region in all four ways") {
    struct Nibble {
        u32 reg, shift;
        u64 base, size;
    };
    const Nibble n =
        GENERATE(Nibble{0x59, 4, 0xf0000, 0x10000}, Nibble{0x5a, 0, 0xc0000, 0x4000}, Nibble{0x5a, 4, 0xc4000, 0x4000},
                 Nibble{0x5b, 0, 0xc8000, 0x4000}, Nibble{0x5b, 4, 0xcc000, 0x4000}, Nibble{0x5c, 0, 0xd0000, 0x4000},
                 Nibble{0x5c, 4, 0xd4000, 0x4000}, Nibble{0x5d, 0, 0xd8000, 0x4000}, Nibble{0x5d, 4, 0xdc000, 0x4000},
                 Nibble{0x5e, 0, 0xe0000, 0x4000}, Nibble{0x5e, 4, 0xe4000, 0x4000}, Nibble{0x5f, 0, 0xe8000, 0x4000},
                 Nibble{0x5f, 4, 0xec000, 0x4000});
    Bench<I440fx> b;
    const u32 expected[4] = {0, BP_MAP_READ | BP_MAP_DROP_WRITE, BP_MAP_WRITE, kReadWrite};
    for (u32 bits = 0; bits < 4; ++bits) {
        put(b, 0, n.reg, 1, bits << n.shift);
        for (u64 a = 0xc0000; a < 0x100000; a += 0x1000) {
            const bool inside = a >= n.base && a < n.base + n.size;
            CHECK(window(b, a)->flags == (inside ? expected[bits] : 0));
        }
    }
}

TEST_CASE("a dword write over PAM0-PAM3 steers all of them") {
    Bench<I440fx> b;
    put(b, 0, 0x58, 4, 0x33333000);
    CHECK(window(b, 0xf0000)->flags == kReadWrite);
    CHECK(window(b, 0xcc000)->flags == kReadWrite);
    CHECK(window(b, 0xd0000)->flags == 0);
}

TEST_CASE("opening SMRAM shows RAM in the VGA window") {
    Bench<I440fx> b;
    put(b, 0, 0x72, 1, 0x4a);
    CHECK(window(b, 0xa0000)->flags == kReadWrite);
    CHECK(window(b, 0xbffff)->flags == kReadWrite);
    put(b, 0, 0x72, 1, 0x02);
    CHECK(window(b, 0xa0000)->flags == 0);
}

TEST_CASE("enabled SMRAM is for system management mode, closed for its code alone") {
    Bench<I440fx> b;
    put(b, 0, 0x72, 1, 0x0a);
    CHECK(window(b, 0xa0000)->flags == (kReadWrite | BP_MAP_SMM));
    put(b, 0, 0x72, 1, 0x2a);
    CHECK(window(b, 0xa0000)->flags == (kReadWrite | BP_MAP_SMM_CODE));
    put(b, 0, 0x72, 1, 0x4a);
    CHECK(window(b, 0xa0000)->flags == kReadWrite);
    put(b, 0, 0x72, 1, 0x22);
    CHECK(window(b, 0xa0000)->flags == 0);
}

TEST_CASE("the SMRAM lock closes the window until power-on") {
    Bench<I440fx> b;
    put(b, 0, 0x72, 1, 0xff);
    CHECK(get(b, 0, 0x72, 1) == 0x3a);  // D_OPEN has fallen, C_BASE_SEG is fixed
    put(b, 0, 0x72, 1, 0x4a);
    CHECK(get(b, 0, 0x72, 1) == 0x1a);
    CHECK(window(b, 0xa0000)->flags == (kReadWrite | BP_MAP_SMM));
    const auto saved = b.save();
    Bench<I440fx> other;
    REQUIRE(other.load(saved) == BP_OK);
    put(other, 0, 0x72, 1, 0x42);
    CHECK(get(other, 0, 0x72, 1) == 0x12);
    b.reset(Reset::kSystem);
    put(b, 0, 0x72, 1, 0x42);
    CHECK(get(b, 0, 0x72, 1) == 0x12);
    b.reset(Reset::kPowerOn);
    CHECK(get(b, 0, 0x72, 1) == 0x02);
    put(b, 0, 0x72, 1, 0x4a);
    CHECK(get(b, 0, 0x72, 1) == 0x4a);
}

TEST_CASE("PAM and SMRAM survive a system reset and fall at power-on") {
    Bench<I440fx> b;
    put(b, 0, 0x59, 1, 0x30);
    put(b, 0, 0x72, 1, 0x4a);
    b.reset(Reset::kSystem);
    CHECK(get(b, 0, 0x59, 1) == 0x30);
    CHECK(window(b, 0xf0000)->flags == kReadWrite);
    b.reset(Reset::kPowerOn);
    CHECK(get(b, 0, 0x59, 1) == 0);
    CHECK(window(b, 0xf0000)->flags == 0);
    CHECK(window(b, 0xa0000)->flags == 0);
}

TEST_CASE("interrupt pins are swizzled by device number") {
    const u32 device = GENERATE(1u, 2u, 3u, 4u, 5u, 31u);
    const u32 pin = GENERATE(1u, 2u, 3u, 4u);
    Child child;
    Board b(&DeviceType<I440fx>::value, {}, {});
    REQUIRE(child.plug(b, std::to_string(device)) == BP_OK);
    REQUIRE(b.start() == BP_OK);
    b.reset(Reset::kPowerOn);
    child.pin(pin, 1);
    const u32 expected = (pin - 1 + device - 1) % 4;
    for (u32 i = 0; i < 4; ++i) CHECK(b.line("pirq" + std::to_string(i)) == (i == expected));
    child.pin(pin, 0);
    CHECK_FALSE(b.line("pirq" + std::to_string(expected)));
}

TEST_CASE("a PIRQ stays up until the last pin that drives it falls") {
    Child x, y;
    Board b(&DeviceType<I440fx>::value, {}, {});
    REQUIRE(x.plug(b, "2") == BP_OK);    // INTA -> PIRQB
    REQUIRE(y.plug(b, "1.2") == BP_OK);  // INTB -> PIRQB
    REQUIRE(b.start() == BP_OK);
    b.reset(Reset::kPowerOn);
    x.pin(1, 1);
    y.pin(2, 1);
    x.pin(1, 0);
    CHECK(b.line("pirq1"));
    CHECK(b.rises("pirq1") == 1);
    y.pin(2, 0);
    CHECK_FALSE(b.line("pirq1"));
    x.pin(0, 1);
    x.pin(5, 1);
    CHECK_FALSE(b.line("pirq0"));
}

TEST_CASE("a restored bridge steers memory as the saved one did") {
    Bench<I440fx> b;
    put(b, 0, 0x5a, 1, 0x31);
    put(b, 0, 0x72, 1, 0x4a);
    const auto saved = b.save();
    Bench<I440fx> other;
    REQUIRE(other.load(saved) == BP_OK);
    CHECK(window(other, 0xc0000)->flags == (BP_MAP_READ | BP_MAP_DROP_WRITE));
    CHECK(window(other, 0xc4000)->flags == kReadWrite);
    CHECK(window(other, 0xa0000)->flags == kReadWrite);
    CHECK(other.save() == saved);
}
