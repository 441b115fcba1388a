// The machine's lock: one owner at a time, whichever way it came in.
#include <catch2/catch.hpp>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "kernel/machine/lock.hpp"

using namespace backplane::kernel;

namespace {

// What the lock guards: two numbers that are equal whenever nobody is inside.
struct Guarded {
    MachineLock lock;
    long first = 0, second = 0;
    bool torn = false;
    void add() {
        lock.lock();
        torn = torn || first != second;
        ++first;
        std::atomic_signal_fence(std::memory_order_seq_cst);  // not put together by the compiler
        ++second;
        lock.unlock();
    }
};

// So often that a thread which is alone has its lane.
constexpr int kOften = 5000;

}  // namespace

TEST_CASE("the lock counts how often its owner has taken it, in the lane as well") {
    MachineLock lock;
    for (int i = 0; i < kOften; ++i) {
        CHECK_FALSE(lock.held());
        lock.lock();
        lock.lock();
        lock.unlock();
        REQUIRE(lock.held());
        lock.unlock();
    }
    CHECK_FALSE(lock.held());
    lock.lock();
    bool others = true, free = false;
    std::thread([&] { others = lock.held(); }).join();
    CHECK_FALSE(others);
    lock.unlock();
    std::thread([&] {
        lock.lock();
        free = lock.held();
        lock.unlock();
    }).join();
    CHECK(free);
}

TEST_CASE("a thread with a lane, and others that come now and then, are never inside together") {
    Guarded g;
    std::atomic<bool> end{false};
    std::atomic<long> often{0};
    // The first one gets the lane, again and again: each of the others' visits closes it.
    std::thread busy([&] {
        long n = 0;
        for (; !end.load(std::memory_order_relaxed); ++n) {
            g.add();
            often.store(n, std::memory_order_relaxed);
        }
        often = n;
    });
    constexpr int kVisits = 300;
    std::vector<std::thread> others;
    for (int k = 0; k < 2; ++k)
        others.emplace_back([&] {
            for (int i = 0; i < kVisits; ++i) {
                const long until = often.load(std::memory_order_relaxed) + kOften;
                while (often.load(std::memory_order_relaxed) < until) std::this_thread::yield();
                for (int n = 0; n < 10; ++n) g.add();
            }
        });
    for (std::thread& t : others) t.join();
    end = true;
    busy.join();
    CHECK_FALSE(g.torn);
    CHECK(g.first == g.second);
    CHECK(g.first == often + 2 * kVisits * 10);
}

TEST_CASE("who waits for a condition gives up the lane") {
    MachineLock lock;
    std::condition_variable_any changed;
    int turn = 0;
    constexpr int kTurns = 20;
    const auto player = [&](int me) {
        for (int i = 0; i < kTurns; ++i) {
            for (int n = 0; n < kOften; ++n) {
                lock.lock();
                lock.unlock();
            }
            std::unique_lock guard(lock);
            changed.wait(guard, [&] { return turn % 2 == me; });
            ++turn;
            changed.notify_one();
        }
    };
    std::thread other(player, 1);
    player(0);
    other.join();
    CHECK(turn == 2 * kTurns);
}
