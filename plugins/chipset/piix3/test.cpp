#include "model.hpp"

#include <catch2/catch.hpp>

#include "backplane/testkit/pci_bus.hpp"

using namespace backplane;
using testkit::Bench;
using testkit::PciSlot;

namespace {
std::string irq(u32 n) { return "irq" + std::to_string(n); }
std::string pirq(u32 n) { return "pirq" + std::to_string(n); }
}  // namespace

TEST_CASE("the ISA bridge identifies itself as a multi-function device") {
    Bench<Piix3> b;
    PciSlot slot(b, 1 << 3);
    CHECK(slot.read(0, 4) == 0x70008086);
    CHECK(slot.read(8, 4) == 0x06010000);
    CHECK(slot.read(0x0e, 1) == 0x80);
    CHECK(slot.read(0x3d, 1) == 0);
    CHECK(slot.read(0x2c, 4) == 0x11001af4);
}

TEST_CASE("every reset loads the chip's defaults") {
    const Reset kind = GENERATE(Reset::kPowerOn, Reset::kSystem);
    Bench<Piix3> b;
    PciSlot slot(b);
    for (u32 reg = 0x40; reg < 0x100; ++reg) slot.write(reg, 1, 0x55);
    b.reset(kind);
    CHECK(slot.read(0x04, 4) == 0x02000007);
    CHECK(slot.read(0x4c, 1) == 0x4d);
    CHECK(slot.read(0x4e, 2) == 0x0003);
    CHECK(slot.read(0x60, 4) == 0x80808080);
    CHECK(slot.read(0x69, 1) == 0x02);
    CHECK(slot.read(0x70, 1) == 0x80);
    CHECK(slot.read(0x76, 1) == 0x0c);
    CHECK(slot.read(0x77, 1) == 0x0c);
    CHECK(slot.read(0x78, 1) == 0x02);
    CHECK(slot.read(0x79, 1) == 0x00);
    CHECK(slot.read(0xa0, 1) == 0x08);
    CHECK(slot.read(0xa8, 1) == 0x0f);
    CHECK(slot.read(0xae, 1) == 0x00);
}

TEST_CASE("a PIRQ drives the ISA interrupt that its register names") {
    const u32 line = GENERATE(0u, 1u, 2u, 3u);
    const u32 to = GENERATE(0u, 3u, 9u, 10u, 11u, 15u);
    Bench<Piix3> b;
    PciSlot slot(b);
    slot.write(0x60 + line, 1, to);
    b.drive(pirq(line), true);
    for (u32 i = 0; i < 16; ++i) CHECK(b.line(irq(i)) == (i == to));
    b.drive(pirq(line), false);
    CHECK_FALSE(b.line(irq(to)));
}

TEST_CASE("a PIRQ whose register has bit 7 set or names no ISA interrupt goes nowhere") {
    const u32 to = GENERATE(0x80u, 0x8au, 0x10u, 0x1bu, 0x7fu);
    Bench<Piix3> b;
    PciSlot slot(b);
    slot.write(0x60, 1, to);
    b.drive("pirq0", true);
    for (u32 i = 0; i < 16; ++i) CHECK_FALSE(b.line(irq(i)));
}

TEST_CASE("PIRQs that share an interrupt are OR-ed") {
    Bench<Piix3> b;
    PciSlot slot(b);
    slot.write(0x60, 4, 0x0b0b0a0a);  // as SeaBIOS routes them
    b.drive("pirq0", true);
    b.drive("pirq1", true);
    b.drive("pirq3", true);
    CHECK(b.line("irq10"));
    CHECK(b.line("irq11"));
    b.drive("pirq0", false);
    CHECK(b.line("irq10"));
    CHECK(b.rises("irq10") == 1);
    b.drive("pirq1", false);
    CHECK_FALSE(b.line("irq10"));
    CHECK(b.line("irq11"));
}

TEST_CASE("re-routing an active PIRQ moves the level to the new interrupt") {
    Bench<Piix3> b;
    PciSlot slot(b);
    slot.write(0x62, 1, 5);
    b.drive("pirq2", true);
    CHECK(b.line("irq5"));
    slot.write(0x62, 1, 11);
    CHECK_FALSE(b.line("irq5"));
    CHECK(b.line("irq11"));
    slot.write(0x62, 1, 0x80);
    CHECK_FALSE(b.line("irq11"));
}

TEST_CASE("a system reset ends routing though the PIRQ stays active") {
    Bench<Piix3> b;
    PciSlot slot(b);
    slot.write(0x60, 1, 10);
    b.drive("pirq0", true);
    b.reset();
    CHECK_FALSE(b.line("irq10"));
    slot.write(0x60, 1, 10);
    CHECK(b.line("irq10"));
}

TEST_CASE("a restored router knows which interrupts it drives") {
    Bench<Piix3> b;
    PciSlot slot(b);
    slot.write(0x60, 1, 10);
    b.drive("pirq0", true);
    const auto saved = b.save();
    Bench<Piix3> other;
    PciSlot other_slot(other);
    REQUIRE(other.load(saved) == BP_OK);
    CHECK(other_slot.read(0x60, 1) == 10);
    CHECK(other.save() == saved);
}
