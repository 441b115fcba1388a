#include "model.hpp"

#include <catch2/catch.hpp>

#include "backplane/testkit/bench.hpp"

using namespace backplane;
using testkit::Bench;

namespace {
void print(testkit::Board& b, std::string_view text) {
    for (char c : text) b.out("port", 0, static_cast<u8>(c));
}
}  // namespace

TEST_CASE("the whole word powers off") {
    Bench<BochsShutdown> b;
    print(b, "Shutdow");
    CHECK(b.requests.empty());
    print(b, "n");
    REQUIRE(b.requests.size() == 1);
    CHECK(b.requests[0].what == BP_REQUEST_POWEROFF);
}

TEST_CASE("a wrong character starts over") {
    Bench<BochsShutdown> b;
    print(b, "ShutDown");
    print(b, "hutdown");
    CHECK(b.requests.empty());
    print(b, "ShuShutdown");
    CHECK(b.requests.size() == 1);
}

TEST_CASE("a reset forgets what was written") {
    Bench<BochsShutdown> b;
    print(b, "Shut");
    b.reset();
    print(b, "down");
    CHECK(b.requests.empty());
}
