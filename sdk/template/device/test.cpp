#include <catch2/catch.hpp>

#include "backplane/testkit/bench.hpp"
#include "model.hpp"

using backplane::testkit::Bench;
using backplane::testkit::Properties;
using example::PluginName;

namespace {
constexpr backplane::i64 kPhase = 250'000'000;  // ns
}

TEST_CASE("the lamp blinks until it is switched off") {
    Bench<PluginName> lamp(Properties{{"period", "250ms"}});
    lamp.out("port", 0, 1);
    CHECK(lamp.in("port", 0) == 1);
    CHECK_FALSE(lamp.line("irq"));
    lamp.advance(kPhase);
    CHECK(lamp.in("port", 0) == 3);
    CHECK(lamp.line("irq"));
    lamp.advance(kPhase);
    CHECK(lamp.in("port", 0) == 1);
    CHECK_FALSE(lamp.line("irq"));
    lamp.out("port", 0, 0);
    lamp.advance(10 * kPhase);
    CHECK(lamp.in("port", 0) == 0);
    CHECK(lamp.rises("irq") == 1);
}

TEST_CASE("the counter tells how often it was lit, and a write clears it") {
    Bench<PluginName> lamp(Properties{{"period", "250ms"}});
    lamp.out("port", 0, 1);
    lamp.advance(5 * kPhase);
    CHECK(lamp.in("port", 1) == 3);
    lamp.out("port", 1, 0);
    CHECK(lamp.in("port", 1) == 0);
}

TEST_CASE("a reset switches it off") {
    Bench<PluginName> lamp;
    lamp.out("port", 0, 1);
    lamp.advance(4 * kPhase);
    lamp.reset();
    CHECK(lamp.in("port", 0) == 0);
    CHECK(lamp.in("port", 1) == 0);
    CHECK_FALSE(lamp.line("irq"));
}

TEST_CASE("a restored lamp goes on blinking in the same phase") {
    Bench<PluginName> first(Properties{{"period", "250ms"}}), second(Properties{{"period", "250ms"}});
    first.out("port", 0, 1);
    first.advance(3 * kPhase + kPhase / 2);
    second.time = first.time;
    REQUIRE(second.load(first.save()) == BP_OK);
    CHECK(second.save() == first.save());
    first.advance(kPhase), second.advance(kPhase);
    CHECK(second.save() == first.save());
    CHECK(second.in("port", 1) == 2);
}
