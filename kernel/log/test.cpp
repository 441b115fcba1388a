#include <catch2/catch.hpp>
#include <thread>

#include "kernel/config/error.hpp"
#include "kernel/log/logger.hpp"

using namespace backplane;
using namespace backplane::kernel;
using Catch::Matchers::Contains;

namespace {
struct Captured {
    std::vector<std::string> lines;
    Logger logger{[this](std::string_view line) { lines.emplace_back(line); }};
};
}  // namespace

TEST_CASE("a level is for each device, and the last matching pattern counts") {
    Captured c;
    const u32 disk = c.logger.device("disk0"), timer = c.logger.device("timer");
    CHECK(c.logger.device("disk0") == disk);
    CHECK_FALSE(c.logger.enabled(disk, BP_LOG_DEBUG));
    CHECK_FALSE(c.logger.enabled(disk, BP_LOG_UNUSUAL));
    CHECK(c.logger.enabled(disk, BP_LOG_INFO));
    c.logger.configure("*=error,disk*=debug");
    CHECK(c.logger.enabled(disk, BP_LOG_DEBUG));
    CHECK_FALSE(c.logger.enabled(timer, BP_LOG_WARN));
    CHECK(c.logger.enabled(timer, BP_LOG_ERROR));
    CHECK(c.logger.enabled(c.logger.device("disk1"), BP_LOG_DEBUG));
    c.logger.configure("disk0=off");
    CHECK_FALSE(c.logger.enabled(disk, BP_LOG_ERROR));
    c.logger.log(timer, BP_LOG_ERROR, "broke");
    c.logger.log(timer, BP_LOG_WARN, "unseen");
    REQUIRE(c.lines.size() == 1);
    CHECK(c.lines[0] == "timer: error: broke");
    c.logger.configure("info");
    CHECK(c.logger.enabled(disk, BP_LOG_INFO));
}

TEST_CASE("a wrong level is refused") {
    Captured c;
    CHECK_THROWS_WITH(c.logger.configure("disk=loud"),
                      Contains("--log disk=loud: expected DEVICE=LEVEL") && Contains("`disk=loud`"));
    CHECK_THROWS_AS(c.logger.configure("=debug"), Error);
}

TEST_CASE("the kinds of ignorance are written once each") {
    Captured c;
    c.logger.configure("*=debug");
    const u32 d = c.logger.device("dev");
    for (int i = 0; i < 5; ++i) {
        c.logger.log(d, BP_LOG_GUEST, "odd");
        c.logger.log(d, BP_LOG_UNVERIFIED, "odd");
        c.logger.log(d, BP_LOG_DEBUG, "step");
    }
    CHECK(std::count(c.lines.begin(), c.lines.end(), "dev: guest: odd") == 1);
    CHECK(std::count(c.lines.begin(), c.lines.end(), "dev: unverified: odd") == 1);
    CHECK(std::count(c.lines.begin(), c.lines.end(), "dev: debug: step") == 5);
    CHECK(c.logger.suppressed() == 8);
    // Another device may say the same.
    c.logger.log("other", BP_LOG_GUEST, "odd");
    CHECK(c.lines.back() == "other: guest: odd");
}

TEST_CASE("a guest that finds ever new oddities is slowed down") {
    Captured c;
    const u32 d = c.logger.device("dev");
    for (int i = 0; i < 10000; ++i) c.logger.log(d, BP_LOG_GUEST, "odd " + std::to_string(i));
    CHECK(c.lines.size() < 200);
    CHECK(std::count(c.lines.begin(), c.lines.end(), "dev: more of the like is held back") >= 1);
    CHECK(c.logger.suppressed() > 9000);
}

TEST_CASE("a guest's text cannot steer the terminal") {
    Captured c;
    c.logger.log("dev", BP_LOG_ERROR, "a\x1b[2Jb\nc\r{}{0}%s");
    REQUIRE(c.lines.size() == 1);
    CHECK(c.lines[0] == "dev: error: a?[2Jb c?{}{0}%s");
    c.logger.log("dev", BP_LOG_ERROR, std::string(100000, 'x'));
    CHECK(c.lines[1].size() < 5000);
}

TEST_CASE("any thread may log, and kinds or devices out of range do no harm") {
    Captured c;
    c.logger.log(~0u, BP_LOG_ERROR, "nobody");
    CHECK(c.lines.empty());
    c.logger.log(c.logger.device("dev"), 99, "unknown kind");
    CHECK(c.lines.size() == 1);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&c, t] {
            for (int i = 0; i < 500; ++i) c.logger.log("dev" + std::to_string((t + i) % 7), BP_LOG_ERROR, "x");
        });
    for (std::thread& thread : threads) thread.join();
    CHECK(c.lines.size() == 2001);
    for (int i = 0; i < 5000; ++i) c.logger.log("many" + std::to_string(i), BP_LOG_ERROR, "x");
}
