#include <catch2/catch.hpp>

#include "backplane/testkit/bench.hpp"
#include "model.hpp"

using namespace backplane;
using backplane::intc::I8259Pair;

namespace {

struct Pic : testkit::Bench<I8259Pair> {
    Pic() {
        init("master", 0x08, 0x04, 0x01);
        init("slave", 0x70, 0x02, 0x01);
    }
    void init(const char* chip, u8 base, u8 icw3, u8 icw4) {
        out(chip, 0, 0x11), out(chip, 1, base), out(chip, 1, icw3), out(chip, 1, icw4);
    }
    int acknowledge() {
        const bp_interface i = offer(BP_INTR_ID);
        return static_cast<const bp_intr*>(i.table)->acknowledge(i.instance);
    }
    void pulse(const char* pin) { drive(pin, true), drive(pin, false); }
    u8 irr(const char* chip) { return out(chip, 0, 0x0a), static_cast<u8>(in(chip, 0)); }
    u8 isr(const char* chip) { return out(chip, 0, 0x0b), static_cast<u8>(in(chip, 0)); }
};

}  // namespace

TEST_CASE("a request raises INTR and is acknowledged with its vector") {
    Pic pic;
    CHECK_FALSE(pic.line("intr"));
    pic.drive("ir1", true);
    CHECK(pic.line("intr"));
    CHECK(pic.irr("master") == 0x02);
    CHECK(pic.acknowledge() == 0x09);
    CHECK_FALSE(pic.line("intr"));
    CHECK(pic.irr("master") == 0);
    CHECK(pic.isr("master") == 0x02);
    pic.out("master", 0, 0x20);
    CHECK(pic.isr("master") == 0);
    CHECK_FALSE(pic.line("intr"));  // the edge was used up although the pin is still high
}

TEST_CASE("an edge stays latched after the pin has fallen") {
    Pic pic;
    pic.pulse("ir3");
    CHECK(pic.line("intr"));
    CHECK(pic.acknowledge() == 0x0b);
}

TEST_CASE("a masked request waits until it is unmasked") {
    Pic pic;
    pic.out("master", 1, 0x10);
    pic.pulse("ir4");
    CHECK_FALSE(pic.line("intr"));
    CHECK(pic.in("master", 1) == 0x10);
    pic.out("master", 1, 0);
    CHECK(pic.line("intr"));
}

TEST_CASE("the slave is served through IR2 with its own vector and needs two EOIs") {
    Pic pic;
    pic.drive("ir12", true);
    CHECK(pic.line("intr"));
    CHECK(pic.irr("master") == 0x04);
    CHECK(pic.acknowledge() == 0x74);
    CHECK(pic.isr("master") == 0x04);
    CHECK(pic.isr("slave") == 0x10);
    pic.drive("ir13", true);
    pic.out("slave", 0, 0x20);
    CHECK_FALSE(pic.line("intr"));  // the master still has IR2 in service
    pic.out("master", 0, 0x20);
    CHECK(pic.line("intr"));
    CHECK(pic.acknowledge() == 0x75);
}

TEST_CASE("lower numbers interrupt higher ones and not the other way round") {
    Pic pic;
    pic.pulse("ir5");
    CHECK(pic.acknowledge() == 0x0d);
    pic.pulse("ir6");
    CHECK_FALSE(pic.line("intr"));
    pic.pulse("ir1");
    CHECK(pic.acknowledge() == 0x09);
    pic.out("master", 0, 0x20);  // non-specific: ends IR1, the most urgent
    CHECK(pic.isr("master") == 0x20);
    pic.out("master", 0, 0x65);  // specific for IR5
    CHECK(pic.isr("master") == 0);
    CHECK(pic.acknowledge() == 0x0e);
}

TEST_CASE("a level-triggered pin asks again after EOI while it is high") {
    Pic pic;
    pic.out("elcr", 1, 0xff);
    CHECK(pic.in("elcr", 1) == 0xde);
    pic.out("elcr", 0, 0xff);
    CHECK(pic.in("elcr", 0) == 0xf8);
    pic.drive("ir11", true);
    CHECK(pic.acknowledge() == 0x73);
    pic.out("slave", 0, 0x20), pic.out("master", 0, 0x20);
    CHECK(pic.line("intr"));
    pic.drive("ir11", false);
    CHECK_FALSE(pic.line("intr"));
}

TEST_CASE("a request that goes away before the acknowledge yields interrupt 7 without an in-service bit") {
    Pic pic;
    pic.out("elcr", 0, 0x20);
    pic.drive("ir5", true);
    pic.drive("ir5", false);
    CHECK(pic.acknowledge() == 0x0f);
    CHECK(pic.isr("master") == 0);
}

TEST_CASE("automatic EOI leaves nothing in service, and rotates if told to") {
    Pic pic;
    pic.init("master", 0x20, 0x04, 0x03);
    pic.pulse("ir0");
    CHECK(pic.acknowledge() == 0x20);
    CHECK(pic.isr("master") == 0);
    pic.out("master", 0, 0x80);  // rotate in automatic EOI mode
    pic.pulse("ir0");
    CHECK(pic.acknowledge() == 0x20);  // now IR0 is the lowest
    pic.pulse("ir0"), pic.pulse("ir7");
    CHECK(pic.acknowledge() == 0x27);
    CHECK(pic.acknowledge() == 0x20);
    pic.out("master", 0, 0x00);
    pic.pulse("ir3");
    CHECK(pic.acknowledge() == 0x23);
    pic.pulse("ir1"), pic.pulse("ir4");
    CHECK(pic.acknowledge() == 0x21);  // IR0 is still lowest: 1 before 4
}

TEST_CASE("rotation on EOI makes the served pin the least urgent") {
    Pic pic;
    pic.pulse("ir4");
    CHECK(pic.acknowledge() == 0x0c);
    pic.out("master", 0, 0xa0);  // rotate on non-specific EOI
    CHECK(pic.isr("master") == 0);
    pic.pulse("ir4"), pic.pulse("ir5");
    CHECK(pic.acknowledge() == 0x0d);
    pic.out("master", 0, 0xe5);  // rotate on specific EOI of IR5
    CHECK(pic.acknowledge() == 0x0c);
    pic.out("master", 0, 0x64);
    pic.out("master", 0, 0xc0);  // set priority: IR0 lowest
    pic.pulse("ir0"), pic.pulse("ir7");
    CHECK(pic.acknowledge() == 0x0f);
}

TEST_CASE("special mask mode lets every unmasked level through") {
    Pic pic;
    pic.pulse("ir1");
    CHECK(pic.acknowledge() == 0x09);
    pic.pulse("ir6");
    CHECK_FALSE(pic.line("intr"));
    pic.out("master", 1, 0x02);
    pic.out("master", 0, 0x68);
    CHECK(pic.line("intr"));
    CHECK(pic.acknowledge() == 0x0e);
    pic.out("master", 0, 0x20);  // skips the masked IR1
    CHECK(pic.isr("master") == 0x02);
    pic.out("master", 0, 0x48);
    pic.out("master", 0, 0x20);
    CHECK(pic.isr("master") == 0);
}

TEST_CASE("special fully nested mode lets a slave interrupt itself") {
    Pic pic;
    pic.init("master", 0x08, 0x04, 0x11);
    pic.pulse("ir14");
    CHECK(pic.acknowledge() == 0x76);
    pic.pulse("ir3");
    CHECK_FALSE(pic.line("intr"));
    pic.pulse("ir8");
    CHECK(pic.line("intr"));
    CHECK(pic.acknowledge() == 0x70);
}

TEST_CASE("a poll acknowledges by reading") {
    Pic pic;
    pic.out("master", 0, 0x0c);
    CHECK((pic.in("master", 0) & 0x80) == 0);
    pic.pulse("ir6");
    pic.out("master", 0, 0x0c);
    CHECK(pic.in("master", 0) == 0x86);
    CHECK(pic.isr("master") == 0x40);
    CHECK_FALSE(pic.line("intr"));
    pic.pulse("ir9");
    pic.out("master", 0, 0x0c);
    CHECK(pic.in("master", 0) == 0x82);
    pic.out("slave", 0, 0x0c);
    CHECK(pic.in("slave", 0) == 0x81);
}

TEST_CASE("ICW1 forgets edges and masks, and a single chip takes no ICW3") {
    Pic pic;
    pic.out("master", 1, 0xff);
    pic.drive("ir3", true);
    pic.out("master", 0, 0x12);  // single, no ICW4
    pic.out("master", 1, 0x40);
    CHECK_FALSE(pic.line("intr"));
    CHECK(pic.in("master", 1) == 0);
    pic.out("master", 1, 0x08);  // not ICW3: the mask
    CHECK(pic.in("master", 1) == 0x08);
}

TEST_CASE("a reset keeps the ELCR, power-on clears it") {
    Pic pic;
    pic.out("elcr", 1, 0x0c);
    pic.out("master", 1, 0xfb);
    pic.reset();
    CHECK(pic.in("elcr", 1) == 0x0c);
    CHECK(pic.in("master", 1) == 0);
    pic.reset(Reset::kPowerOn);
    CHECK(pic.in("elcr", 1) == 0);
}

TEST_CASE("state survives a save and load") {
    Pic pic, other;
    pic.out("master", 1, 0x20);
    pic.drive("ir3", true), pic.acknowledge(), pic.pulse("ir10");
    REQUIRE(other.load(pic.save()) == BP_OK);
    CHECK(other.isr("master") == 0x08);
    other.out("master", 0, 0x20);
    CHECK(other.acknowledge() == 0x72);
}

TEST_CASE("a CPU without a local APIC finds no APIC base") {
    Pic pic;
    const bp_interface i = pic.offer(BP_INTR_ID);
    const auto* intr = static_cast<const bp_intr*>(i.table);
    CHECK(intr->apic_base(i.instance) == -1);
    CHECK(intr->set_apic_base(i.instance, 0xfee00000) == BP_ERR_UNSUPPORTED);
}
