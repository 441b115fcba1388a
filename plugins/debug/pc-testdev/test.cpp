#include "model.hpp"

#include <catch2/catch.hpp>

#include "backplane/testkit/bench.hpp"

using namespace backplane;
using testkit::Bench;

TEST_CASE("the scratch register is read and written in bytes, words and at once") {
    Bench<PcTestDevice> b;
    b.out("scratch", 0, 0x12345678, 4);
    CHECK(b.in("scratch", 0, 4) == 0x12345678);
    CHECK(b.in("scratch", 0, 1) == 0x78);
    CHECK(b.in("scratch", 1, 1) == 0x56);
    CHECK(b.in("scratch", 2, 2) == 0x1234);
    b.out("scratch", 1, 0xab, 1);
    b.out("scratch", 2, 0xcdef, 2);
    CHECK(b.in("scratch", 0, 4) == 0xcdefab78);
}

TEST_CASE("the second set of ports shows the same register") {
    Bench<PcTestDevice> b;
    b.out("scratch", 0, 0x12345678, 4);
    CHECK(b.in("bytes", 3, 1) == 0x12);
    b.out("bytes", 0, 0xff, 1);
    CHECK(b.in("scratch", 0, 4) == 0x123456ff);
}

TEST_CASE("each interrupt line has a port with its level") {
    Bench<PcTestDevice> b;
    b.out("lines", 14, 1);
    CHECK(b.line("irq14"));
    CHECK_FALSE(b.line("irq13"));
    b.out("lines", 23, 0x80);
    CHECK(b.line("irq23"));
    b.out("lines", 14, 0);
    CHECK_FALSE(b.line("irq14"));
    b.reset();
    CHECK_FALSE(b.line("irq23"));
}

TEST_CASE("the memory takes every width, and survives a reset") {
    Bench<PcTestDevice> b;
    b.out("memory", 0x10, 0x1122334455667788, 8);
    CHECK(b.in("memory", 0x10, 8) == 0x1122334455667788);
    CHECK(b.in("memory", 0x12, 2) == 0x5566);
    b.out("memory", 0xffff, 0x5a, 1);
    CHECK(b.in("memory", 0xffff, 1) == 0x5a);
    CHECK(b.in("memory", 0xfffc, 4) == 0x5a000000);
    b.out("flush", 0, 0xff000000, 4);
    b.reset();
    CHECK(b.in("memory", 0x10, 4) == 0x55667788);
    b.reset(Reset::kPowerOn);
    CHECK(b.in("memory", 0x10, 4) == 0);
}

TEST_CASE("a restored device holds what was saved") {
    Bench<PcTestDevice> b, other;
    b.out("scratch", 0, 0xdead, 2);
    b.out("memory", 5, 7, 1);
    REQUIRE(other.load(b.save()) == BP_OK);
    CHECK(other.in("scratch", 0, 2) == 0xdead);
    CHECK(other.in("memory", 5, 1) == 7);
}
