#include <catch2/catch.hpp>

#include "backplane/testkit/bench.hpp"
#include "model.hpp"

using namespace backplane;

using Port = testkit::Bench<chipset::Port92>;

TEST_CASE("A20 passes after reset") {
    Port port;
    CHECK(port.line("a20"));
    port.out("port", 0, 0);
    CHECK_FALSE(port.line("a20"));
    port.reset();
    CHECK(port.line("a20"));
    CHECK(port.in("port", 0) == 0x02);
}

TEST_CASE("bit 1 is the gate and the only bit that sticks") {
    Port port;
    port.out("port", 0, 0xfd);
    CHECK_FALSE(port.line("a20"));
    CHECK(port.in("port", 0) == 0);
    port.out("port", 0, 0xff);
    CHECK(port.line("a20"));
    CHECK(port.in("port", 0) == 0x02);
    CHECK(port.requests.empty());  // no reset by bit 0
}

TEST_CASE("the other gate's changes win over an older write") {
    Port port;
    port.drive("gate", true);
    port.out("port", 0, 0);
    CHECK_FALSE(port.line("a20"));
    port.drive("gate", false);
    port.drive("gate", true);
    CHECK(port.line("a20"));
    CHECK(port.in("port", 0) == 0x02);
    port.drive("gate", false);
    CHECK(port.in("port", 0) == 0);
}

TEST_CASE("state survives a save and load") {
    Port port, other;
    port.out("port", 0, 0);
    REQUIRE(other.load(port.save()) == BP_OK);
    CHECK(other.in("port", 0) == 0);
}
