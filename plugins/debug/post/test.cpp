#include "model.hpp"

#include <catch2/catch.hpp>

#include "backplane/testkit/bench.hpp"

using namespace backplane;
using testkit::Bench;

TEST_CASE("each new POST code is logged once") {
    Bench<DebugPost> b;
    b.out("port", 0, 0x00);
    b.out("port", 0, 0x2a);
    b.out("port", 0, 0x2a);
    b.out("port", 0, 0x2b);
    REQUIRE(b.log.size() == 3);
    CHECK(b.log[0] == "4: POST code 00");
    CHECK(b.log[1] == "4: POST code 2a");
    CHECK(b.log[2] == "4: POST code 2b");
}

TEST_CASE("after a reset the same code is new again") {
    Bench<DebugPost> b;
    b.out("port", 0, 0x2a);
    b.reset();
    b.out("port", 0, 0x2a);
    CHECK(b.log.size() == 2);
}

TEST_CASE("the port does not answer reads") {
    Bench<DebugPost> b;
    CHECK(b.in("port", 0) == 0xff);
}
