#include <catch2/catch.hpp>

#include "backplane/testkit/bench.hpp"
#include "model.hpp"

using namespace backplane;

using Port = testkit::Bench<chipset::Port61>;

TEST_CASE("bit 0 drives the gate and reads back; upper bits do not stick") {
    Port port;
    port.out("port", 0, 0xff);
    CHECK(port.line("gate2"));
    CHECK((port.in("port", 0) & 0xef) == 0x03);
    port.out("port", 0, 0);
    CHECK_FALSE(port.line("gate2"));
}

TEST_CASE("the refresh bit changes on every read") {
    Port port;
    const u64 first = port.in("port", 0);
    CHECK((port.in("port", 0) ^ first) == 0x10);
    CHECK(port.in("port", 0) == first);
}

TEST_CASE("OUT2 is seen on bit 5 and sounds only with the speaker data bit") {
    Port port;
    port.drive("out2", true);
    CHECK((port.in("port", 0) & 0x20) == 0x20);
    CHECK_FALSE(port.line("speaker"));
    port.out("port", 0, 3);
    CHECK(port.line("speaker"));
    port.drive("out2", false);
    CHECK_FALSE(port.line("speaker"));
    CHECK((port.in("port", 0) & 0x20) == 0);
}

TEST_CASE("a reset closes the gate") {
    Port port;
    port.out("port", 0, 3);
    port.reset();
    CHECK_FALSE(port.line("gate2"));
    CHECK((port.in("port", 0) & 3) == 0);
}

TEST_CASE("state survives a save and load") {
    Port port, other;
    port.out("port", 0, 1);
    port.in("port", 0);
    REQUIRE(other.load(port.save()) == BP_OK);
    CHECK(other.in("port", 0) == port.in("port", 0));
    other.out("port", 0, 0);
    CHECK_FALSE(other.line("gate2"));
}
