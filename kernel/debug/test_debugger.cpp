// Two processors that count, and somebody who stops them.
#include <catch2/catch.hpp>
#include <chrono>
#include <cstring>
#include <set>
#include <thread>

#include "backplane/device.hpp"
#include "kernel/debug/debugger.hpp"
#include "kernel/machine/machine.hpp"
#include "kernel/machine/test_board.hpp"

namespace backplane::kernel {
namespace {

// An instruction adds one to `rip_`, modulo 1000.
struct Counter final : Device<Counter> {
    static constexpr std::string_view kType = "test.counter";
    using Device::Device;
    u64 rip_ = 0, over_ = ~u64{0};
    u32 step_ = BP_STEP_OFF;
    bp_cpu_stop last_{};
    std::set<u64> at_;
    std::set<std::pair<u64, u32>> watched_;
    u64 invalidated_ = 0;
    u8 memory_[16] = {};
    bp_vcpu* vcpu_ = nullptr;
    void reset(Reset) {}
    void state(StateVisitor& v) { v("rip", rip_); }
    u32 stop(u32 kind) {
        last_ = {sizeof last_, kind, rip_, 0, 0, 0, 0, 0};
        over_ = rip_;
        return BP_EXIT_BREAK;
    }
    u32 run() {
        last_ = {};
        for (;;) {
            if (__atomic_load_n(&vcpu_->attention, __ATOMIC_ACQUIRE) & BP_ATTENTION_STOP) return BP_EXIT_STOP;
            if (vcpu_->instructions >= vcpu_->deadline) return BP_EXIT_DEADLINE;
            if (over_ != rip_ && at_.contains(rip_)) return stop(BP_STOP_BREAKPOINT);
            over_ = ~u64{0};
            rip_ = (rip_ + 1) % 1000;
            __atomic_fetch_add(&vcpu_->instructions, 1, __ATOMIC_RELAXED);
            if (step_ != BP_STEP_OFF) return stop(BP_STOP_STEP);
        }
    }
    bp_status refuse() { return fail(BP_ERR_INVALID, "too far"); }
    static Counter& of(void* i) { return *static_cast<Counter*>(i); }
    static constexpr bp_cpu kCpu{sizeof(bp_cpu),
                                 [](void* i, bp_vcpu* vcpu, const bp_cpu_bus*) {
                                     of(i).vcpu_ = vcpu;
                                     return bp_status{BP_OK};
                                 },
                                 [](void* i) { return of(i).run(); },
                                 [](void* i, u64, u64 size) { of(i).invalidated_ += size; },
                                 [](void*, char*, std::size_t) { return std::size_t{0}; },
                                 [](void*, bp_str) { return bp_status{BP_ERR_UNSUPPORTED}; }};
    static constexpr bp_cpu_state kState{sizeof(bp_cpu_state),
                                         [](void* i, bp_x86_state* s) {
                                             s->rip = of(i).rip_;
                                             return bp_status{BP_OK};
                                         },
                                         [](void* i, const bp_x86_state* s) {
                                             if (s->rip >= 1000) return of(i).refuse();
                                             of(i).rip_ = s->rip;
                                             return bp_status{BP_OK};
                                         },
                                         nullptr};
    static constexpr bp_cpu_debug kDebug{
        sizeof(bp_cpu_debug),
        [](void*) { return u32{BP_CPU_HAS_X87}; },
        [](void* i, u64 a) {
            of(i).at_.insert(a);
            return bp_status{a == 999 ? BP_ERR_NO_MEMORY : BP_OK};
        },
        [](void* i, u64 a) { return bp_status{of(i).at_.erase(a) ? BP_OK : BP_ERR_NOT_FOUND}; },
        [](void* i, u64 a, u32 length, u32) {
            of(i).watched_.insert({a, length});
            return bp_status{BP_OK};
        },
        [](void* i, u64 a, u32 length, u32) {
            return bp_status{of(i).watched_.erase({a, length}) ? BP_OK : BP_ERR_NOT_FOUND};
        },
        [](void* i) { of(i).at_.clear(), of(i).watched_.clear(), of(i).step_ = BP_STEP_OFF; },
        [](void* i, u32 mode) { of(i).step_ = mode; },
        [](void* i, bp_cpu_stop* stop) { *stop = of(i).last_; },
        [](void*, u64 a, u32) { return static_cast<std::int64_t>(a); },
        [](void* i, u64 a, void* data, u64 size, u32) {
            std::memcpy(data, of(i).memory_ + a, size);
            return size;
        },
        [](void* i, u64 a, const void* data, u64 size, u32) {
            std::memcpy(of(i).memory_ + a, data, size);
            return size;
        }};
    static void describe(Schema<Counter>& s) {
        s.offer(BP_CPU_ID, &kCpu);
        s.offer(BP_CPU_STATE_ID, &kState);
        s.offer(BP_CPU_DEBUG_ID, &kDebug);
    }
};

struct Bench {
    PluginRegistry registry;
    Logger logger{[](std::string_view) {}};
    Tracer tracer;
    std::unique_ptr<Machine> machine;
    std::thread thread;

    explicit Bench(const std::string& clock = "realtime", unsigned cpus = 2) {
        registry.add(&DeviceType<Counter>::value);
        std::string text = "clock: {mode: " + clock + "}\ndevices:\n";
        for (unsigned i = 0; i < cpus; ++i) text += "  cpu" + std::to_string(i) + ": {type: test.counter}\n";
        machine = std::make_unique<Machine>(board(text), registry, logger, tracer);
        machine->pause();
        thread = std::thread([this] { machine->run(); });
        wait();
    }
    ~Bench() {
        machine->quit("test");
        thread.join();
    }
    Debugger& debugger() { return machine->debugger(); }
    // Until the machine stands.
    void wait() {
        for (unsigned n = 0; n < 20000; ++n) {
            bool stands = false;
            machine->locked([&] { stands = machine->stands(); });
            if (stands) return;
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        FAIL("the machine goes on");
    }
    // Until a processor has executed more than this.
    void wait_for(unsigned cpu, u64 count) {
        const u64& executed = counter(cpu).vcpu_->instructions;
        for (unsigned n = 0; n < 20000 && __atomic_load_n(&executed, __ATOMIC_RELAXED) <= count; ++n)
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        REQUIRE(__atomic_load_n(&executed, __ATOMIC_RELAXED) > count);
    }
    u64 rip(std::size_t cpu) { return debugger().state(cpu).rip; }
    Counter& counter(unsigned cpu) {
        return *static_cast<Counter*>(machine->device("cpu" + std::to_string(cpu))->object);
    }
};

using Go = Debugger::Go;

}  // namespace

TEST_CASE("a breakpoint stops the whole machine and says which processor met it") {
    Bench b(GENERATE("realtime", "deterministic"), 1);
    REQUIRE(b.debugger().cpus() == 1);
    CHECK(b.debugger().name(0) == "cpu0");
    REQUIRE(b.debugger().add_breakpoint(500) == BP_OK);
    for (unsigned n = 0; n < 3; ++n) {
        REQUIRE(b.debugger().go({Go::kOn}, true));
        b.wait();
        CHECK(b.rip(0) == 500);
        const auto stops = b.debugger().take_stops();
        REQUIRE(stops.size() == 1);
        CHECK(stops[0].what.kind == BP_STOP_BREAKPOINT);
        CHECK(stops[0].what.address == 500);
        CHECK(b.machine->instructions() == 500 + 1000 * n);
    }
    REQUIRE(b.debugger().go({Go::kStep}, false));
    b.wait();
    CHECK(b.rip(0) == 501);
    CHECK(b.debugger().take_stops().at(0).what.kind == BP_STOP_STEP);
    CHECK(b.counter(0).step_ == BP_STEP_OFF);
    CHECK(b.debugger().remove_breakpoint(500) == BP_OK);
    CHECK(b.debugger().remove_breakpoint(500) == BP_ERR_NOT_FOUND);
}

TEST_CASE("one processor steps while the others stand") {
    Bench b;
    for (unsigned n = 1; n <= 5; ++n) {
        REQUIRE(b.debugger().go({Go::kStay, Go::kStep}, true));
        b.wait();
        CHECK(b.rip(0) == 0);
        CHECK(b.rip(1) == n);
    }
    REQUIRE(b.debugger().go({Go::kOn, Go::kStay}, true));
    b.wait_for(0, 100000);
    b.machine->pause();
    b.wait();
    CHECK(b.rip(1) == 5);
    CHECK(b.debugger().take_stops().empty());
    CHECK(!b.debugger().go({Go::kStay}, true));
    CHECK(!b.debugger().go({}, true));
    // After that nobody is held back.
    const u64 before = b.counter(1).vcpu_->instructions;
    b.machine->resume();
    b.wait_for(1, before);
    CHECK(!b.debugger().go({Go::kOn}, true));  // it goes on already
}

TEST_CASE("breakpoints, watchpoints and written code are every processor's") {
    Bench b;
    Debugger& d = b.debugger();
    REQUIRE(d.add_breakpoint(7) == BP_OK);
    REQUIRE(d.add_breakpoint(7) == BP_OK);
    REQUIRE(d.add_watchpoint(8, 4, BP_WATCH_WRITE) == BP_OK);
    for (unsigned cpu = 0; cpu < 2; ++cpu) {
        CHECK(b.counter(cpu).at_ == std::set<u64>{7});
        CHECK(b.counter(cpu).watched_.size() == 1);
    }
    CHECK(d.add_breakpoint(999) == BP_ERR_NO_MEMORY);
    CHECK(b.counter(0).at_ == std::set<u64>{7});
    CHECK(d.write(0, 2, "xy", 2, 0) == 2);
    CHECK(b.counter(0).memory_[3] == 'y');
    CHECK(b.counter(0).invalidated_ == 0);
    CHECK(b.counter(1).invalidated_ == 2);
    SECTION("removed") {
        CHECK(d.remove_breakpoint(7) == BP_OK);
        CHECK(d.remove_watchpoint(8, 4, BP_WATCH_WRITE) == BP_OK);
    }
    SECTION("cleared") { d.clear(); }
    for (unsigned cpu = 0; cpu < 2; ++cpu) CHECK((b.counter(cpu).at_.empty() && b.counter(cpu).watched_.empty()));
}

TEST_CASE("a refused state says why") {
    Bench b;
    bp_x86_state s = b.debugger().state(0);
    s.rip = 5;
    CHECK(b.debugger().set_state(0, s).empty());
    CHECK(b.rip(0) == 5);
    s.rip = 5000;
    CHECK(b.debugger().set_state(0, s) == "too far");
    CHECK(!b.debugger().set_state(9, s).empty());
}

}  // namespace backplane::kernel
