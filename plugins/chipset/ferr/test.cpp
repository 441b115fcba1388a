#include "model.hpp"

#include <catch2/catch.hpp>

#include "backplane/testkit/bench.hpp"

using namespace backplane;
using testkit::Bench;

TEST_CASE("FERR# raises the interrupt, which holds until the port is written") {
    Bench<Ferr> b;
    b.drive("ferr", true);
    CHECK(b.line("irq"));
    b.drive("ferr", false);
    CHECK(b.line("irq"));
    b.out("port", 0, 0);
    CHECK_FALSE(b.line("irq"));
}

TEST_CASE("clearing the interrupt lets the processor ignore the error until FERR# falls") {
    Bench<Ferr> b;
    b.drive("ferr", true);
    CHECK_FALSE(b.line("ignne"));
    b.out("port", 0, 0);
    CHECK(b.line("ignne"));
    CHECK_FALSE(b.line("irq"));
    b.drive("ferr", false);
    CHECK_FALSE(b.line("ignne"));
}

TEST_CASE("a write without an error does nothing") {
    Bench<Ferr> b;
    b.out("port", 0, 0);
    CHECK_FALSE(b.line("ignne"));
    CHECK_FALSE(b.line("irq"));
    CHECK(b.in("port", 0) == 0xff);
}

TEST_CASE("a reset clears interrupt and IGNNE#") {
    Bench<Ferr> b;
    b.drive("ferr", true);
    b.out("port", 0, 0);
    b.reset();
    CHECK_FALSE(b.line("ignne"));
    CHECK_FALSE(b.line("irq"));
}

TEST_CASE("a restored latch clears what the saved one had raised") {
    Bench<Ferr> b;
    b.drive("ferr", true);
    const auto saved = b.save();
    Bench<Ferr> other;
    REQUIRE(other.load(saved) == BP_OK);
    CHECK(other.save() == saved);
    other.out("port", 0, 0);
    CHECK(other.line("ignne"));
}
