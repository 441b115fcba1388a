#include "model.hpp"

#include <catch2/catch.hpp>

#include "backplane/testkit/bench.hpp"

using namespace backplane;
using testkit::Bench;
using testkit::Board;

TEST_CASE("main memory leaves the adapter area out and publishes its size") {
    Bench<PlainRam> b(testkit::Properties{{"size", "4M"}});
    REQUIRE(b.mappings().size() == 2);
    CHECK(b.mappings().at(1).base == 0);
    CHECK(b.mappings().at(1).size == 0xa0000);
    CHECK(b.mappings().at(2).base == 0x100000);
    CHECK(b.mappings().at(2).offset == 0x100000);
    CHECK(b.mappings().at(2).size == 0x300000);
    CHECK(b.mappings().at(2).priority == BP_PRIORITY_RAM);
    REQUIRE(b.facts.size() == 1);
    CHECK(b.facts[0].what == "ram.layout");
    CHECK(b.facts[0].numbers.at("below_4g") == 0x400000);
    CHECK(b.facts[0].numbers.at("above_4g") == 0);
    CHECK(b.facts[0].numbers.at("total") == 0x400000);
}

TEST_CASE("half a mebibyte needs no second mapping") {
    Bench<PlainRam> b(testkit::Properties{{"size", "512K"}});
    REQUIRE(b.mappings().size() == 1);
    CHECK(b.mappings().at(1).size == 0x80000);
    Bench<PlainRam> c(testkit::Properties{{"size", "1M"}});
    REQUIRE(c.mappings().size() == 1);
    CHECK(c.mappings().at(1).size == 0xa0000);
}

TEST_CASE("a memory card in the adapter area is mapped whole and publishes nothing") {
    Bench<PlainRam> b({{"size", "128K"}, {"base", "0xc0000"}, {"leave_upper", "false"}, {"main", "false"}});
    REQUIRE(b.mappings().size() == 1);
    CHECK(b.mappings().at(1).base == 0xc0000);
    CHECK(b.mappings().at(1).size == 0x20000);
    CHECK(b.facts.empty());
}

TEST_CASE("sizes and places that are not whole pages are refused") {
    Board b(&DeviceType<PlainRam>::value, {{"size", "5000"}}, {});
    CHECK(b.start() == BP_ERR_INVALID);
}
