#include "model.hpp"

#include <catch2/catch.hpp>

#include "backplane/testkit/pci_bus.hpp"

using namespace backplane;
using testkit::Bench;
using testkit::Links;
using testkit::PciSlot;
using testkit::Properties;

namespace {

constexpr i64 kMillisecond = 1'000'000;
constexpr u64 kUnmapped = ~u64{0};

// PM1 registers at their offsets in the region.
u64 status(testkit::Board& b) { return b.in("pm", 0, 2); }
void clear(testkit::Board& b, u64 bits) { b.out("pm", 0, bits, 2); }
void enable(testkit::Board& b, u64 bits) { b.out("pm", 2, bits, 2); }
u64 control(testkit::Board& b) { return b.in("pm", 4, 2); }
void set_control(testkit::Board& b, u64 bits) { b.out("pm", 4, bits, 2); }
u64 timer(testkit::Board& b) { return b.in("pm", 8, 4); }

struct Nvram {
    u32 index = 0;
    u8 value = 0;
    static constexpr bp_nvram kTable{sizeof(bp_nvram), [](void*, uint32_t) { return u8{0}; },
                                     [](void* i, uint32_t index, uint8_t value) {
                                         static_cast<Nvram*>(i)->index = index;
                                         static_cast<Nvram*>(i)->value = value;
                                     }};
};

}  // namespace

TEST_CASE("the PM function has its power-on registers") {
    Bench<Piix4Pm> b;
    PciSlot slot(b, 1 << 3 | 3);
    CHECK(slot.read(0, 4) == 0x71138086);
    CHECK(slot.read(6, 2) == 0x0280);
    CHECK(slot.read(8, 4) == 0x06800003);
    CHECK(slot.read(0x3d, 1) == 1);
    CHECK(slot.read(0x40, 4) == 1);
    CHECK(slot.read(0x58, 4) == 0);
    CHECK(slot.read(0x5f, 1) == 0x90);
    CHECK(slot.read(0x63, 1) == 0x60);
    CHECK(slot.read(0x67, 1) == 0x08);
    CHECK(slot.read(0x90, 4) == 0xb101);
    CHECK(slot.read(0xd2, 1) == 0x09);
}

TEST_CASE("the ports that the board has show in the device resources") {
    Bench<Piix4Pm> b({{"com1", "false"}, {"com2", "true"}, {"lpt1", "false"}});
    PciSlot slot(b);
    CHECK(slot.read(0x5f, 1) == 0x10);
    CHECK(slot.read(0x67, 1) == 0x90);
}

TEST_CASE("the PM block is decoded where 40h says while 80h enables it") {
    Bench<Piix4Pm> b;
    PciSlot slot(b);
    CHECK(b.mapped("pm") == kUnmapped);
    slot.write(0x40, 4, 0xb001);
    CHECK(b.mapped("pm") == kUnmapped);
    slot.write(0x80, 1, 1);
    CHECK(b.mapped("pm") == 0xb000);
    slot.write(0x40, 4, 0x0601);
    CHECK(b.mapped("pm") == 0x600);
    slot.write(0x80, 1, 0);
    CHECK(b.mapped("pm") == kUnmapped);
    slot.write(0x40, 4, 0x0001);
    slot.write(0x80, 1, 1);
    CHECK(b.mapped("pm") == kUnmapped);
}

TEST_CASE("a system reset leaves the PM block where and as it is") {
    Bench<Piix4Pm> b;
    PciSlot slot(b);
    slot.write(0x40, 4, 0xb001);
    slot.write(0x80, 1, 1);
    enable(b, 0x100);
    b.drive("power_button", true);
    b.reset();
    CHECK(b.mapped("pm") == 0xb000);
    CHECK(status(b) == 0x100);
    CHECK(b.line("sci"));
    b.reset(Reset::kPowerOn);
    CHECK(b.mapped("pm") == kUnmapped);
    CHECK_FALSE(b.line("sci"));
}

TEST_CASE("the timer counts 3.579545 MHz of virtual time in 24 bits") {
    Bench<Piix4Pm> b;
    CHECK(timer(b) == 0);
    b.advance(1000 * kMillisecond);
    CHECK(timer(b) == 3579545);
    b.advance(4000 * kMillisecond);
    CHECK(timer(b) == (5 * 3579545 & 0xffffff));
    CHECK(b.in("pm", 8, 2) == (5 * 3579545 & 0xffff));
    CHECK(b.in("pm", 11, 1) == 0);
    b.out("pm", 8, 0, 4);
    CHECK(timer(b) == (5 * 3579545 & 0xffffff));
}

TEST_CASE("the timer status is set each time bit 23 toggles") {
    Bench<Piix4Pm> b;
    b.advance(2343 * kMillisecond);
    CHECK(timer(b) < 0x800000);
    CHECK(status(b) == 0);
    b.advance(2 * kMillisecond);
    CHECK(timer(b) >= 0x800000);
    CHECK(status(b) == 1);
    clear(b, 1);
    CHECK(status(b) == 0);
    b.advance(2343 * kMillisecond);
    CHECK(timer(b) < 0x800000);
    CHECK(status(b) == 1);
}

TEST_CASE("an enabled timer overflow interrupts without anybody looking") {
    Bench<Piix4Pm> b;
    enable(b, 1);
    CHECK_FALSE(b.line("sci"));
    b.advance(2400 * kMillisecond);
    CHECK(b.line("sci"));
    clear(b, 1);
    CHECK_FALSE(b.line("sci"));
    b.advance(2400 * kMillisecond);
    CHECK(b.line("sci"));
    enable(b, 0);
    CHECK_FALSE(b.line("sci"));
}

TEST_CASE("the power button is heard only while its event is enabled") {
    Bench<Piix4Pm> b;
    b.drive("power_button", true);
    b.drive("power_button", false);
    CHECK(status(b) == 0);
    enable(b, 0x100);
    CHECK_FALSE(b.line("sci"));
    b.drive("power_button", true);
    CHECK(status(b) == 0x100);
    CHECK(b.line("sci"));
    clear(b, 0x100);
    CHECK_FALSE(b.line("sci"));
    const auto offered = b.offer(BP_POWER_ID);
    REQUIRE(offered.table);
    const auto& power = *static_cast<const bp_power*>(offered.table);
    CHECK(power.press(offered.instance) == 1);
    CHECK(b.line("sci"));
    enable(b, 0);
    CHECK(power.press(offered.instance) == 0);
}

TEST_CASE("bytes of the PM1 registers act on their own bits only") {
    Bench<Piix4Pm> b;
    enable(b, 0x121);
    b.out("pm", 3, 0x05);
    CHECK(b.in("pm", 2, 2) == 0x0521);
    CHECK(b.in("pm", 3, 1) == 0x05);
    b.drive("power_button", true);
    clear(b, 0x00ff);
    CHECK(status(b) == 0x100);
    b.out("pm", 1, 0x01);
    CHECK(status(b) == 0);
    CHECK(b.in("pm", 0, 4) == 0x05210000);
}

TEST_CASE("sleep type 0 powers off") {
    Bench<Piix4Pm> b;
    set_control(b, 0x0001);
    CHECK(b.requests.empty());
    set_control(b, 0x2000);
    REQUIRE(b.requests.size() == 1);
    CHECK(b.requests[0].what == BP_REQUEST_POWEROFF);
    CHECK(control(b) == 0);
}

TEST_CASE("sleep type 1 resets with wake status and resume code") {
    Nvram nvram;
    Bench<Piix4Pm> b({}, {{"nvram", {&Nvram::kTable, &nvram}}});
    set_control(b, 0x2401);
    REQUIRE(b.requests.size() == 1);
    CHECK(b.requests[0].what == BP_REQUEST_RESET);
    b.reset();
    CHECK(status(b) == 0x8100);
    CHECK(nvram.index == 0x0f);
    CHECK(nvram.value == 0xfe);
}

TEST_CASE("other sleep types are ignored") {
    Bench<Piix4Pm> b;
    set_control(b, 0x2000 | 5 << 10);
    CHECK(b.requests.empty());
    CHECK(control(b) == 5 << 10);
}

TEST_CASE("the rest of the PM block reads zero and ignores writes") {
    Bench<Piix4Pm> b;
    b.out("pm", 0x28, 0xffffffff, 4);
    CHECK(b.in("pm", 0x28, 4) == 0);
    CHECK(b.in("pm", 0x0c, 2) == 0);
    CHECK(b.in("pm", 0x3f, 1) == 0);
}

TEST_CASE("APM commands F1h and F0h switch ACPI mode") {
    Bench<Piix4Pm> b;
    b.out("apm", 0, 0xf1);
    CHECK(control(b) == 1);
    CHECK(b.in("apm", 0) == 0xf1);
    b.out("apm", 0, 0xf0);
    CHECK(control(b) == 0);
    b.out("apm", 1, 0x5a);
    CHECK(b.in("apm", 1) == 0x5a);
    CHECK(b.rises("smi") == 0);
}

TEST_CASE("with APMC enabled every APM command raises an SMI") {
    Bench<Piix4Pm> b;
    PciSlot slot(b);
    slot.write(0x5b, 1, 2);
    b.out("apm", 0, 0x00);
    b.out("apm", 0, 0x01);
    CHECK(b.rises("smi") == 2);
    b.out("apm", 1, 0x01);
    CHECK(b.rises("smi") == 2);
    b.reset();
    CHECK(slot.read(0x5b, 1) == 0);
}

TEST_CASE("a snapshot from before SMIs were taken raises none until the guest asks for them") {
    Bench<Piix4Pm> b;
    PciSlot slot(b);
    slot.write(0x58, 4, 0x02000000);
    auto fields = b.save();
    SECTION("of this version") {
        Bench<Piix4Pm> other;
        REQUIRE(other.load(fields) == BP_OK);
        other.out("apm", 0, 0x00);
        CHECK(other.rises("smi") == 1);
    }
    SECTION("of version 1") {
        REQUIRE(fields.fields.erase("apmc_smi") == 1);
        fields.version = 1;
        Bench<Piix4Pm> other;
        REQUIRE(other.load(fields) == BP_OK);
        PciSlot again(other);
        CHECK(again.read(0x5b, 1) == 2);
        other.out("apm", 0, 0x00);
        CHECK(other.rises("smi") == 0);
        again.write(0x5b, 1, 2);
        other.out("apm", 0, 0x00);
        CHECK(other.rises("smi") == 1);
    }
}

TEST_CASE("general-purpose events are enabled and cleared byte by byte") {
    Bench<Piix4Pm> b;
    b.out("gpe", 2, 0x06);
    b.out("gpe", 3, 0xff);
    CHECK(b.in("gpe", 2) == 0x06);
    CHECK(b.in("gpe", 3) == 0xff);
    b.out("gpe", 0, 0xff);
    CHECK(b.in("gpe", 0) == 0x00);
    CHECK_FALSE(b.line("sci"));
    b.reset();
    CHECK(b.in("gpe", 2) == 0x06);
    CHECK(b.in("gpe", 0, 4) == 0xffffffff);
}

TEST_CASE("hot-plug registers are dwords; ejecting removes nothing") {
    Bench<Piix4Pm> b;
    b.out("slots", 0, 0x12345678, 4);
    b.out("slots", 4, 0x00000008, 4);
    b.out("slots", 8, 0x00000010, 4);
    CHECK(b.in("slots", 0, 4) == 0x12345678);
    CHECK(b.in("slots", 4, 4) == 8);
    CHECK(b.in("slots", 8, 4) == 0);
    CHECK(b.in("slots", 0, 1) == 0xff);
    REQUIRE(b.log.size() == 1);
    CHECK(b.log[0].find("slot 4") != std::string::npos);
}

TEST_CASE("the processor bitmap counts what is present") {
    Bench<Piix4Pm> b;
    CHECK(b.in("cpus", 0) == 0x01);
    REQUIRE(b.consume("cpu.count", "", {{"boot", 11}}) == BP_OK);
    CHECK(b.in("cpus", 0) == 0xff);
    CHECK(b.in("cpus", 1) == 0x07);
    CHECK(b.in("cpus", 31) == 0x00);
}

TEST_CASE("a restored function goes on where the saved one stood") {
    Bench<Piix4Pm> b;
    PciSlot slot(b);
    slot.write(0x40, 4, 0xb001);
    slot.write(0x80, 1, 1);
    enable(b, 0x101);
    b.drive("power_button", true);
    b.out("apm", 1, 0x77);
    const auto saved = b.save();
    Bench<Piix4Pm> other;
    REQUIRE(other.load(saved) == BP_OK);
    CHECK(other.mapped("pm") == 0xb000);
    CHECK(other.save() == saved);
    clear(other, 0x100);
    CHECK(status(other) == 0);
    CHECK(other.in("apm", 1) == 0x77);
}
