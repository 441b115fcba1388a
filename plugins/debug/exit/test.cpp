#include "model.hpp"

#include <catch2/catch.hpp>

#include "backplane/testkit/bench.hpp"

using namespace backplane;
using testkit::Bench;

TEST_CASE("the exit code is twice the value plus one") {
    Bench<DebugExit> b;
    b.out("port", 0, 0x10);
    b.out("port", 0, 0, 2);
    b.out("port", 1, 0x31);
    REQUIRE(b.requests.size() == 3);
    CHECK(b.requests[0].what == BP_REQUEST_EXIT);
    CHECK(b.requests[0].argument == 0x21);
    CHECK(b.requests[1].argument == 1);
    CHECK(b.requests[2].argument == 0x63);
}

TEST_CASE("reading asks for nothing") {
    Bench<DebugExit> b(testkit::Properties{{"size", "4"}});
    CHECK(b.in("port", 0, 4) == 0);
    CHECK(b.requests.empty());
}
