#include <catch2/catch.hpp>

#include "backplane/testkit/bench.hpp"
#include "model.hpp"

using namespace example;

namespace {

constexpr u64 kControl = 0, kStatus = 1, kPeriod = 2, kCount = 4;
constexpr i64 kMs = 1'000'000;

struct Tick : testkit::Bench<IsaTick> {
    using Bench::Bench;
    void write(u64 offset, u64 value, u32 bytes = 1) { out("registers", offset, value, bytes); }
    u64 read(u64 offset, u32 bytes = 1) { return in("registers", offset, bytes); }
    // Starts it with interrupts and a period of `ms`.
    void run(u64 ms) { write(kPeriod, ms, 2), write(kControl, 3); }
};

}  // namespace

TEST_CASE("it counts periods and interrupts at each until that is acknowledged") {
    Tick tick;
    tick.run(10);
    tick.advance(10 * kMs - 1);
    CHECK(tick.read(kStatus) == 0);
    CHECK_FALSE(tick.line("irq"));
    tick.advance(1);
    CHECK(tick.read(kStatus) == 1);
    CHECK(tick.read(kCount, 4) == 1);
    CHECK(tick.line("irq"));
    tick.write(kStatus, 1);
    CHECK(tick.read(kStatus) == 0);
    CHECK_FALSE(tick.line("irq"));
    tick.advance(10 * kMs);
    CHECK(tick.rises("irq") == 2);
}

TEST_CASE("a tick that nobody has acknowledged makes the next one an overrun") {
    Tick tick;
    tick.run(1);
    tick.advance(3 * kMs);
    CHECK(tick.read(kStatus) == 3);
    CHECK(tick.rises("irq") == 1);
    tick.write(kStatus, 2);
    CHECK(tick.read(kStatus) == 1);
    CHECK(tick.line("irq"));
}

TEST_CASE("without interrupt enable it counts in silence, and enabling it shows the tick that waits") {
    Tick tick;
    tick.write(kPeriod, 1, 2);
    tick.write(kControl, 1);
    tick.advance(5 * kMs);
    CHECK(tick.read(kCount, 4) == 5);
    CHECK_FALSE(tick.line("irq"));
    tick.write(kControl, 3);
    CHECK(tick.line("irq"));
    CHECK(tick.read(kCount, 4) == 5);
}

TEST_CASE("stopping keeps the count, starting again begins with 0") {
    Tick tick;
    tick.run(1);
    tick.advance(2 * kMs);
    tick.write(kControl, 0);
    tick.advance(10 * kMs);
    CHECK(tick.read(kCount, 4) == 2);
    tick.write(kControl, 1);
    CHECK(tick.read(kCount, 4) == 0);
    tick.advance(1 * kMs);
    CHECK(tick.read(kCount, 4) == 1);
}

TEST_CASE("a new period holds from the next tick on; 0 means 65536") {
    Tick tick;
    tick.run(2);
    tick.write(kPeriod, 10, 2);
    tick.advance(2 * kMs);
    CHECK(tick.read(kCount, 4) == 1);
    tick.advance(9 * kMs);
    CHECK(tick.read(kCount, 4) == 1);
    tick.advance(1 * kMs);
    CHECK(tick.read(kCount, 4) == 2);
    tick.write(kControl, 0);
    tick.run(0);
    tick.advance(65535 * kMs);
    CHECK(tick.read(kCount, 4) == 0);
    tick.advance(1 * kMs);
    CHECK(tick.read(kCount, 4) == 1);
}

TEST_CASE("the unit is the board's to choose") {
    Tick tick({{"unit", "10us"}}, {});
    tick.run(1);
    tick.advance(1 * kMs);
    CHECK(tick.read(kCount, 4) == 100);
}

TEST_CASE("accesses of any width reach the same bytes") {
    Tick tick;
    tick.write(0, 0x12340001, 4);
    CHECK(tick.read(0, 4) == 0x12340001);
    CHECK(tick.read(kPeriod + 1) == 0x12);
    tick.write(kPeriod, 0x56);
    CHECK(tick.read(kPeriod, 2) == 0x1256);
}

TEST_CASE("odd use is named and does nothing") {
    Tick tick;
    tick.write(kControl, 0xfc);
    tick.write(kCount, 7, 4);
    CHECK(tick.read(kControl) == 0);
    CHECK(tick.read(kCount, 4) == 0);
    CHECK(tick.log.size() == 1 + 4);
}

TEST_CASE("a reset stops it and lowers the line") {
    Tick tick;
    tick.run(1);
    tick.advance(5 * kMs);
    tick.reset();
    CHECK_FALSE(tick.line("irq"));
    tick.advance(5 * kMs);
    CHECK(tick.read(0, 4) == 0);
    CHECK(tick.read(kCount, 4) == 0);
}

TEST_CASE("a restored card goes on where the saved one was") {
    Tick tick, other;
    tick.run(4);
    tick.advance(7 * kMs);
    REQUIRE(other.load(tick.save()) == BP_OK);
    other.time = tick.time;
    CHECK(other.save() == tick.save());
    other.advance(1 * kMs);
    CHECK(other.read(kCount, 4) == 2);
    CHECK(other.read(kStatus) == 3);
    other.write(kStatus, 3);
    CHECK_FALSE(other.line("irq"));
}
