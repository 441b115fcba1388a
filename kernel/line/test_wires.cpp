#include <catch2/catch.hpp>

#include "kernel/line/wires.hpp"

using namespace backplane::kernel;

namespace {
struct Ear {
    std::vector<int> heard;
    static void changed(void* self, std::uint32_t, int level) { static_cast<Ear*>(self)->heard.push_back(level); }
};
}  // namespace

TEST_CASE("a wire is the OR of its drivers and its sinks hear changes only") {
    Wires wires({});
    Ear ear;
    const auto w = wires.add("irq5");
    wires.connect(w, {&ear, 0, 0, 0, Ear::changed});
    const auto a = wires.add_driver(w), b = wires.add_driver(w);
    wires.drive(w, a, true);
    wires.drive(w, a, true);
    wires.drive(w, b, true);
    wires.drive(w, a, false);
    CHECK(wires.level(w));
    CHECK(ear.heard == std::vector<int>{1});
    wires.drive(w, b, false);
    CHECK(ear.heard == std::vector<int>{1, 0});
}

TEST_CASE("an input on two wires is high while one of them is") {
    Wires wires({});
    Ear ear;
    const auto v = wires.add("v"), w = wires.add("w");
    wires.connect(v, {&ear, 3, 1, 0, Ear::changed});
    wires.connect(w, {&ear, 3, 1, 0, Ear::changed});
    const auto a = wires.add_driver(v), b = wires.add_driver(w);
    wires.drive(v, a, true);
    wires.drive(w, b, true);
    wires.drive(v, a, false);
    CHECK(wires.input(3, 1));
    wires.drive(w, b, false);
    CHECK_FALSE(wires.input(3, 1));
    CHECK(ear.heard == std::vector<int>{1, 0});
}

TEST_CASE("lines that drive each other in a circle end at the depth limit") {
    int reports = 0;
    Wires wires([&](const std::string&, const std::string&) { ++reports; });
    struct Echo {
        Wires& wires;
        std::uint32_t wire, driver;
        int calls = 0;
        static void changed(void* self, std::uint32_t, int level) {
            auto& e = *static_cast<Echo*>(self);
            if (++e.calls < 1000) e.wires.drive(e.wire, e.driver, level == 0);
        }
    };
    const auto w = wires.add("loop");
    Echo echo{wires, w, 0};
    wires.connect(w, {&echo, 0, 0, 0, Echo::changed});
    echo.driver = wires.add_driver(w);
    wires.drive(w, echo.driver, true);
    CHECK(reports >= 1);
    CHECK(echo.calls <= Wires::kMaxDepth + 1);
}
