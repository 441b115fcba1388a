#include <catch2/catch.hpp>

#include "backplane/testkit/bench.hpp"
#include "model.hpp"

using namespace backplane;
using namespace backplane::rtc;

namespace {

constexpr i64 kSecond = 1'000'000'000;

struct Rtc : testkit::Bench<Mc146818> {
    u8 get(unsigned index) { return out("ports", 0, index), static_cast<u8>(in("ports", 1)); }
    void set(unsigned index, unsigned value) { out("ports", 0, index), out("ports", 1, value); }
    void set_time(unsigned hour, unsigned minute, unsigned second) {
        set(kRegisterB, get(kRegisterB) | 0x80);
        set(kHours, hour), set(kMinutes, minute), set(kSeconds, second);
        set(kRegisterB, get(kRegisterB) & 0x7f);
    }
    void set_date(unsigned year, unsigned month, unsigned day, unsigned weekday) {
        set(kYear, year), set(kMonth, month), set(kDay, day), set(kWeekday, weekday);
    }
    void set_alarm(unsigned hour, unsigned minute, unsigned second) {
        set(kHoursAlarm, hour), set(kMinutesAlarm, minute), set(kSecondsAlarm, second);
    }
};

}  // namespace

TEST_CASE("it starts at the machine's start time in BCD and 24 hours") {
    Rtc rtc;  // 2010-01-01, a Friday
    CHECK(rtc.get(kYear) == 0x10);
    CHECK(rtc.get(kMonth) == 1);
    CHECK(rtc.get(kDay) == 1);
    CHECK(rtc.get(kWeekday) == 6);
    CHECK(rtc.get(0x32) == 0x20);
    CHECK(rtc.get(0x37) == 0x20);
    CHECK((rtc.get(kRegisterA) & 0x7f) == 0x26);
    CHECK(rtc.get(kRegisterB) == 0x02);
    CHECK(rtc.get(kRegisterC) == 0x00);
    CHECK(rtc.get(kRegisterD) == 0x80);
    rtc.advance((13 * 3600 + 45 * 60 + 59) * kSecond);
    CHECK(rtc.get(kHours) == 0x13);
    CHECK(rtc.get(kMinutes) == 0x45);
    CHECK(rtc.get(kSeconds) == 0x59);
    rtc.advance(kSecond);
    CHECK(rtc.get(kMinutes) == 0x46);
    CHECK(rtc.get(kSeconds) == 0);
}

TEST_CASE("the index port reads FFh and does not decode bit 7") {
    Rtc rtc;
    CHECK(rtc.in("ports", 0) == 0xff);
    rtc.set(0x80 | 0x40, 0x5a);
    CHECK(rtc.get(0x40) == 0x5a);
    rtc.set(0x7f, 0x33);
    CHECK(rtc.get(0x7f) == 0x33);
}

TEST_CASE("dates of the epoch") {
    u32 century = 0;
    Time t = from_epoch(0, century);
    CHECK((century == 19 && t.year == 70 && t.month == 1 && t.day == 1 && t.weekday == 5));
    t = from_epoch(951782400, century);  // 2000-02-29, a Tuesday
    CHECK((century == 20 && t.year == 0 && t.month == 2 && t.day == 29 && t.weekday == 3));
    t = from_epoch(4102444799, century);  // 2099-12-31 23:59:59
    CHECK((century == 20 && t.year == 99 && t.month == 12 && t.day == 31 && t.hour == 23 && t.second == 59));
    t = from_epoch(-1, century);
    CHECK((century == 19 && t.year == 69 && t.month == 12 && t.day == 31 && t.minute == 59));
}

TEST_CASE("midnight carries into day, month, year and century") {
    Rtc rtc;
    rtc.set_date(0x99, 0x12, 0x31, 5);
    rtc.set_time(0x23, 0x59, 0x59);
    rtc.advance(kSecond);
    CHECK(rtc.get(kYear) == 0);
    CHECK(rtc.get(kMonth) == 1);
    CHECK(rtc.get(kDay) == 1);
    CHECK(rtc.get(kWeekday) == 6);
    CHECK(rtc.get(0x32) == 0x21);
    CHECK(rtc.get(0x37) == 0x21);
}

TEST_CASE("February has 29 days every four years") {
    Rtc rtc;
    rtc.set_date(0x12, 2, 0x28, 3);
    rtc.set_time(0x23, 0x59, 0x59);
    rtc.advance(kSecond);
    CHECK((rtc.get(kMonth) == 2 && rtc.get(kDay) == 0x29));
    rtc.advance(86400 * kSecond);
    CHECK((rtc.get(kMonth) == 3 && rtc.get(kDay) == 1));
    rtc.set_date(0x13, 2, 0x28, 3);
    rtc.advance(86400 * kSecond);
    CHECK((rtc.get(kMonth) == 3 && rtc.get(kDay) == 1));
}

TEST_CASE("binary and 12-hour formats") {
    Rtc rtc;
    rtc.set(kRegisterB, 0x04);  // binary, 12 hours
    rtc.set_time(0x80 | 11, 59, 59);
    rtc.advance(kSecond);
    CHECK(rtc.get(kHours) == 12);  // midnight is 12 AM
    CHECK(rtc.get(kMinutes) == 0);
    rtc.set_time(11, 59, 59);
    rtc.advance(kSecond);
    CHECK(rtc.get(kHours) == (0x80 | 12));
    rtc.advance(3600 * kSecond);
    CHECK(rtc.get(kHours) == (0x80 | 1));
    rtc.set(kRegisterB, 0x00);  // BCD, 12 hours
    rtc.set_time(0x92, 0x30, 0);
    rtc.advance(1800 * kSecond);
    CHECK(rtc.get(kHours) == 0x81);
}

TEST_CASE("SET freezes the time and clears the update interrupt enable") {
    Rtc rtc;
    rtc.set(kRegisterB, 0x12);
    rtc.set(kRegisterB, 0x92);
    CHECK(rtc.get(kRegisterB) == 0x82);
    const u8 second = rtc.get(kSeconds);
    rtc.advance(10 * kSecond);
    CHECK(rtc.get(kSeconds) == second);
    CHECK((rtc.get(kRegisterC) & 0x30) == 0);
    rtc.set(kRegisterB, 0x02);
    rtc.advance(kSecond);
    CHECK(rtc.get(kSeconds) == second + 1);
}

TEST_CASE("a restarted divider makes its first update after half a second") {
    Rtc rtc;
    rtc.advance(700'000'000);
    rtc.set(kRegisterA, 0x70);
    rtc.set_time(0, 0, 0x10);
    rtc.advance(20 * kSecond);
    CHECK(rtc.get(kSeconds) == 0x10);
    rtc.set(kRegisterA, 0x26);
    rtc.advance(499'000'000);
    CHECK(rtc.get(kSeconds) == 0x10);
    rtc.advance(2'000'000);
    CHECK(rtc.get(kSeconds) == 0x11);
    rtc.advance(999'000'000);
    CHECK(rtc.get(kSeconds) == 0x12);
}

TEST_CASE("UIP is set for the last two milliseconds of a second") {
    Rtc rtc;
    rtc.advance(997'000'000);
    CHECK((rtc.get(kRegisterA) & 0x80) == 0);
    rtc.advance(2'000'000);
    CHECK((rtc.get(kRegisterA) & 0x80) == 0x80);
    CHECK(rtc.get(kSeconds) == 0);
    rtc.set(kRegisterB, 0x82);
    CHECK((rtc.get(kRegisterA) & 0x80) == 0);
    rtc.set(kRegisterB, 0x02);
    rtc.advance(1'000'000);
    CHECK((rtc.get(kRegisterA) & 0x80) == 0);
    CHECK(rtc.get(kSeconds) == 1);
}

TEST_CASE("the update-ended interrupt comes once a second and reading C clears it") {
    Rtc rtc;
    rtc.set(kRegisterB, 0x12);
    rtc.advance(999'999'999);
    CHECK_FALSE(rtc.line("irq"));
    rtc.advance(1);
    CHECK(rtc.line("irq"));
    CHECK(rtc.get(kRegisterC) == (0x80 | 0x40 | 0x10));  // PF is set as well, enabled or not
    CHECK_FALSE(rtc.line("irq"));
    CHECK(rtc.get(kRegisterC) == 0);
    rtc.advance(kSecond);
    CHECK(rtc.line("irq"));
}

TEST_CASE("the periodic interrupt keeps the programmed rate") {
    struct Rate {
        unsigned code, per_second;
    };
    for (const auto& [code, per_second] :
         {Rate{1, 256}, Rate{2, 128}, Rate{3, 8192}, Rate{6, 1024}, Rate{15, 2}, Rate{0, 0}}) {
        Rtc rtc;
        rtc.set(kRegisterA, 0x20 | code);
        rtc.set(kRegisterB, 0x42);
        unsigned seen = 0;
        for (unsigned step = 0; step < 65536; ++step) {
            rtc.advance(kSecond / 65536 + 1);
            if (!rtc.line("irq")) continue;
            ++seen;
            CHECK((rtc.get(kRegisterC) & 0xc0) == 0xc0);
        }
        CHECK(seen == per_second);
    }
}

TEST_CASE("the alarm fires at its time in BCD and 24 hours") {
    Rtc rtc;
    rtc.set_time(0x06, 0x29, 0x58);
    rtc.set_alarm(0x06, 0x30, 0x00);
    rtc.set(kRegisterB, 0x22);
    rtc.advance(1 * kSecond);
    CHECK_FALSE(rtc.line("irq"));
    rtc.advance(1 * kSecond);
    CHECK(rtc.line("irq"));
    CHECK((rtc.get(kRegisterC) & 0xa0) == 0xa0);
    rtc.advance(86399 * kSecond);
    CHECK_FALSE(rtc.line("irq"));
    rtc.advance(1 * kSecond);
    CHECK(rtc.line("irq"));
}

TEST_CASE("alarm bytes C0h to FFh match anything") {
    Rtc rtc;
    rtc.set_alarm(0xc0, 0xff, 0x30);
    rtc.set(kRegisterB, 0x22);
    unsigned seen = 0;
    for (int i = 0; i < 300; ++i) {
        rtc.advance(kSecond);
        if (rtc.line("irq")) ++seen, rtc.get(kRegisterC);
    }
    CHECK(seen == 5);
    rtc.set_alarm(0xff, 0xff, 0xff);
    rtc.advance(kSecond);
    CHECK(rtc.line("irq"));
}

TEST_CASE("the alarm flag is set without its interrupt, and a 12-hour alarm knows the afternoon") {
    Rtc rtc;
    rtc.set(kRegisterB, 0x00);
    rtc.set_time(0x05, 0x59, 0x59);
    rtc.set_alarm(0x86, 0, 0);
    rtc.advance(2 * kSecond);
    CHECK((rtc.get(kRegisterC) & 0x20) == 0);
    rtc.advance(12 * 3600 * kSecond);
    CHECK_FALSE(rtc.line("irq"));
    CHECK((rtc.get(kRegisterC) & 0xa0) == 0x20);
}

TEST_CASE("an impossible alarm never fires") {
    Rtc rtc;
    rtc.set_alarm(0x24, 0x77, 0x00);
    rtc.set(kRegisterB, 0x22);
    rtc.advance(2 * 86400 * kSecond);
    CHECK_FALSE(rtc.line("irq"));
    CHECK((rtc.get(kRegisterC) & 0x20) == 0);
}

TEST_CASE("inhibit keeps the line from rising but lets it fall") {
    Rtc rtc;
    rtc.set(kRegisterB, 0x12);
    rtc.advance(kSecond);
    CHECK(rtc.line("irq"));
    rtc.drive("inhibit", true);
    CHECK(rtc.line("irq"));
    rtc.get(kRegisterC);
    CHECK_FALSE(rtc.line("irq"));
    rtc.advance(kSecond);
    CHECK_FALSE(rtc.line("irq"));
    CHECK((rtc.get(kRegisterC) & 0x80) == 0x80);
    rtc.drive("inhibit", false);
    rtc.advance(kSecond);
    CHECK(rtc.line("irq"));
}

TEST_CASE("a reset ends interrupts and keeps time and memory") {
    Rtc rtc;
    rtc.set(0x50, 0x99);
    rtc.set(kRegisterB, 0x76);
    rtc.advance(3 * kSecond);
    CHECK(rtc.line("irq"));
    rtc.reset();
    CHECK_FALSE(rtc.line("irq"));
    CHECK(rtc.get(kRegisterB) == 0x06);
    CHECK(rtc.get(kRegisterC) == 0);
    CHECK(rtc.get(0x50) == 0x99);
    CHECK(rtc.get(kSeconds) == 3);
}

TEST_CASE("registers C and D cannot be written") {
    Rtc rtc;
    rtc.set(kRegisterC, 0xff), rtc.set(kRegisterD, 0);
    CHECK(rtc.get(kRegisterC) == 0);
    CHECK(rtc.get(kRegisterD) == 0x80);
}

TEST_CASE("the factory setting reaches the memory but not the clock") {
    Rtc rtc;
    const bp_interface i = rtc.offer(BP_NVRAM_ID);
    const auto* nvram = static_cast<const bp_nvram*>(i.table);
    nvram->set(i.instance, 0x34, 0x12);
    nvram->set(i.instance, kRegisterD, 0);
    nvram->set(i.instance, 500, 1);
    CHECK(rtc.get(0x34) == 0x12);
    CHECK(nvram->get(i.instance, 0x34) == 0x12);
    CHECK(nvram->get(i.instance, 500) == 0xff);
    CHECK(rtc.get(kRegisterD) == 0x80);
    rtc.reset(Reset::kPowerOn);
    CHECK(rtc.get(0x34) == 0x12);
}

TEST_CASE("nonsense in the time registers does no harm") {
    Rtc rtc;
    for (unsigned i = 0; i < kRegisterA; ++i) rtc.set(i, 0xff);
    rtc.set(kRegisterB, 0x32);
    rtc.advance(100000 * kSecond);
    CHECK(rtc.get(kSeconds) < 0x60);
    CHECK(rtc.get(kDay) >= 1);
}

TEST_CASE("state survives a save and load") {
    Rtc rtc, other;
    rtc.set(kRegisterB, 0x12);
    rtc.set(0x60, 7);
    rtc.advance(kSecond * 5 / 2);
    other.time = rtc.time;
    REQUIRE(other.load(rtc.save()) == BP_OK);
    CHECK(other.get(kSeconds) == 2);
    CHECK(other.get(0x60) == 7);
    CHECK((other.get(kRegisterC) & 0x90) == 0x90);
    other.advance(kSecond);
    CHECK(other.line("irq"));
}
