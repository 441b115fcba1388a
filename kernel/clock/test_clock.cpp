#include <catch2/catch.hpp>

#include "kernel/clock/clock.hpp"

using namespace backplane::kernel;

TEST_CASE("deterministic time follows the instruction count and jumps when idle") {
    Clock clock(Clock::Mode::kDeterministic, 10);
    std::uint64_t instructions = 0;
    clock.follow(&instructions);
    CHECK(clock.now() == 0);
    instructions = 100;
    CHECK(clock.now() == 1000);
    CHECK(clock.instructions_at(1500) == 150);
    CHECK(clock.instructions_at(1501) == 151);
    clock.skip_to(5000);
    CHECK(clock.now() == 5000);
    clock.skip_to(4000);
    CHECK(clock.now() == 5000);
    instructions = 101;
    CHECK(clock.now() == 5010);
}

TEST_CASE("realtime stands still while paused") {
    Clock clock(Clock::Mode::kRealtime, 10);
    CHECK(clock.now() == 0);
    clock.resume();
    clock.pause();
    const auto stopped = clock.now();
    CHECK(clock.now() == stopped);
    clock.resume();
    CHECK(clock.now() >= stopped);
}

TEST_CASE("timers expire in the order time, device, sequence") {
    TimerQueue queue;
    TimerQueue::Timer a, b, c, d;
    queue.arm(2, 0, a, 100);
    queue.arm(1, 0, b, 100);
    queue.arm(1, 1, c, 100);
    queue.arm(0, 0, d, 50);
    queue.arm(0, 0, d, 200);  // re-arming moves it
    std::uint32_t owner = 0, index = 0;
    std::int64_t due = 0;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> order;
    while (queue.pop(150, owner, index, due)) order.emplace_back(owner, index);
    CHECK(order == std::vector<std::pair<std::uint32_t, std::uint32_t>>{{1, 0}, {1, 1}, {2, 0}});
    CHECK(queue.next() == 200);
    queue.cancel(0, 0, d);
    CHECK(d.due == -1);
    CHECK(queue.next() == -1);
}

TEST_CASE("what certainly has not come yet is still to come") {
    Clock clock(Clock::Mode::kRealtime, 1);
    CHECK_FALSE(clock.certainly_before(0));  // stands at 0
    CHECK(clock.certainly_before(1));
    clock.resume();
    CHECK_FALSE(clock.certainly_before(clock.now()));
    unsigned wrong = 0;
    // Long enough for the rate of the processor's counter to be believed, past many times at which `when` comes.
    for (std::int64_t end = clock.now() + 30'000'000, when = 0; clock.now() < end;) {
        const std::int64_t now = clock.now();
        if (when <= now) when = now + 50'000;
        const std::int64_t earlier = clock.now();
        if (clock.certainly_before(when) && earlier >= when) ++wrong;
        if (clock.certainly_before(earlier)) ++wrong;
    }
    CHECK(wrong == 0);
    CHECK(clock.certainly_before(clock.now() + 1'000'000'000'000));
    clock.pause();
    const std::int64_t stopped = clock.now();
    CHECK_FALSE(clock.certainly_before(stopped));
    CHECK(clock.certainly_before(stopped + 1));
}

TEST_CASE("deterministic time says exactly what has not come yet") {
    Clock clock(Clock::Mode::kDeterministic, 10);
    std::uint64_t instructions = 5;
    clock.follow(&instructions);
    CHECK(clock.certainly_before(51));
    CHECK_FALSE(clock.certainly_before(50));
}
