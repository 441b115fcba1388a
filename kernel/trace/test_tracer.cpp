#include <catch2/catch.hpp>

#include "kernel/trace/tracer.hpp"

using namespace backplane::kernel;

TEST_CASE("patterns match names with * and ?") {
    CHECK(matches("disk.*", "disk.command"));
    CHECK(matches("*", "anything"));
    CHECK(matches("d?sk.*d", "disk.command"));
    CHECK_FALSE(matches("disk", "disk.command"));
    CHECK_FALSE(matches("disk.?", "disk.command"));
    CHECK(matches("", ""));
}

TEST_CASE("a trace point's flag follows the patterns, also when it appears later") {
    Tracer tracer;
    std::uint32_t a = 9, b = 9, late = 9;
    tracer.add("disk.command", &a);
    tracer.add("disk.data", &b);
    CHECK(a == 0);
    tracer.configure("disk.*,-*.data,clock.*");
    CHECK(a == 1);
    CHECK(b == 0);
    tracer.add("clock.tick", &late);
    CHECK(late == 1);
    tracer.configure("");
    CHECK(a == 0);
}

TEST_CASE("patterns come and go one by one, and the list does not grow by repetition") {
    Tracer tracer;
    std::uint32_t a = 9, b = 9;
    tracer.add("disk.command", &a);
    tracer.add("disk.data", &b);
    for (int i = 0; i < 100; ++i) {
        tracer.change("disk.*", true);
        tracer.change("*.data", false);
        CHECK(a == 1);
        CHECK(b == 0);
        tracer.change("disk.*", false);
        CHECK(a == 0);
    }
    CHECK(tracer.patterns() == "-*.data,-disk.*");
    CHECK(tracer.list().size() == 2);
    CHECK_FALSE(tracer.list()[0].on);
}
