#include <catch2/catch.hpp>

#include "backplane/testkit/bench.hpp"
#include "model.hpp"

using namespace backplane;

namespace {

struct Hpet : testkit::Bench<timer::Hpet> {
    u32 get(u64 reg) { return static_cast<u32>(in("registers", reg, 4)); }
    void set(u64 reg, u32 value) { out("registers", reg, value, 4); }
    void config(unsigned timer, u32 value) { set(0x100 + 0x20 * timer, value); }
    void comparator(unsigned timer, u32 value) { set(0x108 + 0x20 * timer, value); }
    void ticks(i64 n) { advance(n * 10); }
};

constexpr u32 kInterrupt = 0x04, kPeriodic = 0x08, kSetValue = 0x40, k32 = 0x100, kLevel = 0x02;

}  // namespace

TEST_CASE("values after reset") {
    Hpet h;
    CHECK(h.get(0) == 0x8086a201);
    CHECK(h.get(4) == 10'000'000);
    CHECK(h.get(0x10) == 0);
    CHECK(h.get(0xf0) == 0);
    for (unsigned t = 0; t < 3; ++t) {
        CHECK(h.get(0x100 + 0x20 * t) == 0x30);
        CHECK(h.get(0x104 + 0x20 * t) == 4);
        CHECK(h.get(0x108 + 0x20 * t) == 0xffffffff);
        CHECK(h.get(0x10c + 0x20 * t) == 0xffffffff);
    }
    CHECK(h.get(0x160) == 0);
    h.config(0, 0xffffffff);
    CHECK(h.get(0x100) == 0x3f7e);
}

TEST_CASE("the counter runs at 100 MHz while enabled and is written while it stands") {
    Hpet h;
    h.ticks(100);
    CHECK(h.get(0xf0) == 0);
    h.set(0xf0, 0xfffffff0), h.set(0xf4, 1);
    h.set(0x10, 1);
    h.ticks(0x20);
    CHECK(h.get(0xf0) == 0x10);
    CHECK(h.get(0xf4) == 2);
    CHECK(h.in("registers", 0xf0, 8) == 0x2'0000'0010);
    h.set(0x10, 0);
    h.ticks(1000);
    CHECK(h.get(0xf0) == 0x10);
}

TEST_CASE("a one-shot comparator pulses its route once") {
    Hpet h;
    h.set(0x10, 1);
    h.config(0, kInterrupt | 2 << 9);
    h.set(0x10c, 0), h.comparator(0, 500);
    h.ticks(499);
    CHECK(h.rises("route2") == 0);
    h.ticks(1);
    CHECK(h.rises("route2") == 1);
    CHECK_FALSE(h.line("route2"));
    h.ticks(10'000'000);
    CHECK(h.rises("route2") == 1);
    CHECK(h.rises("irq0") == 0);
}

TEST_CASE("without its interrupt enable a timer is silent") {
    Hpet h;
    h.set(0x10, 1);
    h.config(0, 2 << 9);
    h.set(0x10c, 0), h.comparator(0, 500);
    h.ticks(1000);
    CHECK(h.rises("route2") == 0);
}

TEST_CASE("a periodic comparator takes first value and period as Linux writes them") {
    Hpet h;
    h.set(0x10, 3);
    CHECK(h.line("legacy"));
    h.ticks(1000);
    h.config(0, kInterrupt | kPeriodic | kSetValue | k32);
    h.comparator(0, 1000 + 5000);
    CHECK((h.get(0x100) & kSetValue) == 0);
    h.comparator(0, 1000);
    h.ticks(4999);
    CHECK(h.rises("irq0") == 0);
    h.ticks(1);
    CHECK(h.rises("irq0") == 1);
    CHECK(h.get(0x108) == 7000);
    h.ticks(10'000);
    CHECK(h.rises("irq0") == 11);
    h.set(0x10, 1);
    CHECK_FALSE(h.line("legacy"));
    h.ticks(5'000);
    CHECK(h.rises("irq0") == 11);
}

TEST_CASE("legacy replacement sends timer 1 to irq8 and leaves timer 2 alone") {
    Hpet h;
    h.set(0x10, 2);
    CHECK_FALSE(h.line("legacy"));  // only together with the enable bit
    h.set(0x10, 3);
    h.config(1, kInterrupt | k32), h.config(2, kInterrupt | k32 | 2 << 9);
    h.comparator(1, 100), h.comparator(2, 200);
    h.ticks(150);
    CHECK(h.rises("irq8") == 1);
    CHECK(h.rises("route2") == 0);
    h.ticks(100);
    CHECK(h.rises("route2") == 1);
}

TEST_CASE("a 32-bit one-shot matches again after a round of the counter") {
    Hpet h;
    h.set(0x10, 1);
    h.config(0, kInterrupt | k32 | 2 << 9);
    h.comparator(0, 100);
    h.ticks(100);
    CHECK(h.rises("route2") == 1);
    h.ticks((i64{1} << 32) - 1);
    CHECK(h.rises("route2") == 1);
    h.ticks(1);
    CHECK(h.rises("route2") == 2);
}

TEST_CASE("a comparator behind the counter does not match") {
    Hpet h;
    h.set(0x10, 1);
    h.ticks(1000);
    h.config(0, kInterrupt | k32 | 2 << 9);
    h.comparator(0, 999);
    h.ticks(1'000'000);
    CHECK(h.rises("route2") == 0);
}

TEST_CASE("stopping the counter stops the timers, starting continues them") {
    Hpet h;
    h.set(0x10, 1);
    h.config(0, kInterrupt | k32 | 2 << 9);
    h.comparator(0, 1000);
    h.ticks(400);
    h.set(0x10, 0);
    h.ticks(10'000);
    CHECK(h.rises("route2") == 0);
    h.set(0x10, 1);
    h.ticks(599);
    CHECK(h.rises("route2") == 0);
    h.ticks(1);
    CHECK(h.rises("route2") == 1);
}

TEST_CASE("a level-triggered timer holds its line until the status is cleared") {
    Hpet h;
    h.set(0x10, 1);
    h.config(0, kInterrupt | kLevel | k32 | 2 << 9);
    h.comparator(0, 100);
    h.ticks(100);
    CHECK(h.line("route2"));
    CHECK(h.get(0x20) == 1);
    h.set(0x20, 0);
    CHECK(h.line("route2"));
    h.set(0x20, 1);
    CHECK_FALSE(h.line("route2"));
    CHECK(h.get(0x20) == 0);
}

TEST_CASE("a period of one tick leaves time for the machine") {
    Hpet h;
    h.set(0x10, 1);
    h.config(0, kInterrupt | kPeriodic | kSetValue | k32 | 2 << 9);
    h.comparator(0, 1);
    h.ticks(100'000);
    CHECK(h.rises("route2") > 100);
    CHECK(h.rises("route2") <= 501);
}

TEST_CASE("a periodic timer without a period matches once a round") {
    Hpet h;
    h.set(0x10, 1);
    h.config(0, kInterrupt | kPeriodic | kSetValue | k32 | 2 << 9);
    h.comparator(0, 0);
    h.ticks(1'000'000);
    CHECK(h.rises("route2") <= 1);
}

TEST_CASE("a reset silences everything") {
    Hpet h;
    h.set(0x10, 3);
    h.config(0, kInterrupt | kPeriodic | kSetValue | k32), h.comparator(0, 1000);
    h.reset();
    CHECK_FALSE(h.line("legacy"));
    h.ticks(10'000);
    CHECK(h.rises("irq0") == 0);
    CHECK(h.get(0xf0) == 0);
    CHECK(h.get(0x100) == 0x30);
}

TEST_CASE("state survives a save and load") {
    Hpet h, g;
    h.set(0x10, 3);
    h.config(0, kInterrupt | kPeriodic | kSetValue | k32), h.comparator(0, 1000);
    h.ticks(2500);
    g.time = h.time;
    REQUIRE(g.load(h.save()) == BP_OK);
    CHECK(g.get(0xf0) == 2500);
    g.ticks(500);
    CHECK(g.rises("irq0") == 1);
}
