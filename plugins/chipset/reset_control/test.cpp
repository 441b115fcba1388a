#include "model.hpp"

#include <catch2/catch.hpp>

#include "backplane/testkit/bench.hpp"

using namespace backplane;
using testkit::Bench;

TEST_CASE("the rise of bit 2 resets") {
    Bench<ResetControl> b;
    b.out("port", 0, 0x02);
    CHECK(b.requests.empty());
    b.out("port", 0, 0x06);
    REQUIRE(b.requests.size() == 1);
    CHECK(b.requests[0].what == BP_REQUEST_RESET);
    b.out("port", 0, 0x06);
    CHECK(b.requests.size() == 1);
    b.out("port", 0, 0x00);
    b.out("port", 0, 0x04);
    CHECK(b.requests.size() == 2);
}

TEST_CASE("bits 1 and 2 read back until the reset") {
    Bench<ResetControl> b;
    b.out("port", 0, 0xff);
    CHECK(b.in("port", 0) == 0x06);
    b.reset();
    CHECK(b.in("port", 0) == 0x00);
}
