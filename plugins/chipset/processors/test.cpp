#include <catch2/catch.hpp>

#include "backplane/testkit/bench.hpp"
#include "model.hpp"

using backplane::chipset::Processors;
using backplane::testkit::Bench;
using backplane::testkit::Properties;

TEST_CASE("the number of processors is published, and the most is never less") {
    Bench<Processors> two(Properties{{"boot", "2"}});
    REQUIRE(two.facts.size() == 1);
    CHECK(two.facts[0].numbers["boot"] == 2);
    CHECK(two.facts[0].numbers["max"] == 2);
    Bench<Processors> more(Properties{{"boot", "1"}, {"max", "8"}});
    CHECK(more.facts[0].numbers["max"] == 8);
}

TEST_CASE("a maximum below the number at power-on is refused") {
    CHECK_THROWS((Bench<Processors>(Properties{{"boot", "4"}, {"max", "2"}})));
}
