// Timers while a CPU runs: in time in deterministic mode, before the next access in realtime.
#include <catch2/catch.hpp>

#include <chrono>
#include <thread>

#include "backplane/abi/cpu.h"
#include "backplane/device.hpp"
#include "kernel/machine/machine.hpp"

using namespace backplane;
using namespace backplane::kernel;

namespace {

// Writing a number of nanoseconds arms the timer; reading tells whether it has expired.
struct Alarm final : Device<Alarm> {
    static constexpr std::string_view kType = "test.alarm";
    using Device::Device;
    Timer timer_;
    bool rung_ = false;
    u64 read(u64, u32) { return rung_; }
    void write(u64, u32, u64 ns) {
        rung_ = false;
        timer_.arm_in(static_cast<i64>(ns));
    }
    void expired(i64) { rung_ = true; }
    void state(StateVisitor& v) { v("rung", rung_); }
    static void describe(Schema<Alarm>& s) {
        s.ports<&Alarm::read, &Alarm::write>("port", 4, 4, "alarm");
        s.timer<&Alarm::expired>("alarm", &Alarm::timer_);
    }
};

// A "CPU" that sets the alarm and polls it, one port read an instruction.
struct Poller final : Device<Poller> {
    static constexpr std::string_view kType = "test.poller";
    using Device::Device;
    u64 delay_ = 0, pause_ = 0, polls_ = 0;
    std::string late_;
    bool armed_ = false;
    bp_vcpu* vcpu_ = nullptr;
    const bp_cpu_bus* bus_ = nullptr;
    static void wait(u64 ns) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::nanoseconds(ns);
        while (std::chrono::steady_clock::now() < end) {}
    }
    // The machine's thread is kept from the alarm until a poll has seen it.
    u32 run_late() {
        bus_->lock(bus_->self);
        ++vcpu_->instructions;
        bus_->port_write(bus_->self, 0x70, 4, delay_);
        ++vcpu_->instructions;
        polls_ = bus_->port_read(bus_->self, 0x70, 4);
        wait(2 * delay_);
        if (late_ == "told") (void)bus_->now(bus_->self);
        do {
            ++polls_;
            ++vcpu_->instructions;
        } while (!bus_->port_read(bus_->self, 0x70, 4) && polls_ < 1000);
        request(BP_REQUEST_EXIT, 0, "done");
        bus_->unlock(bus_->self);
        return BP_EXIT_STOP;
    }
    u32 run() {
        if (!late_.empty()) return run_late();
        for (;;) {
            if (__atomic_load_n(&vcpu_->attention, __ATOMIC_ACQUIRE) & BP_ATTENTION_STOP) return BP_EXIT_STOP;
            if (vcpu_->instructions >= vcpu_->deadline) return BP_EXIT_DEADLINE;
            ++vcpu_->instructions;
            if (!armed_) {
                armed_ = true;
                bus_->port_write(bus_->self, 0x70, 4, delay_);
                continue;
            }
            if (pause_) wait(pause_);  // outside the lock, as an engine that executes for a while; then one look
            ++polls_;
            if (bus_->port_read(bus_->self, 0x70, 4) || polls_ == 5'000'000) {
                request(BP_REQUEST_EXIT, 0, "done");
                return BP_EXIT_STOP;
            }
        }
    }
    void state(StateVisitor& v) { v("polls", polls_); }
    static constexpr bp_cpu kCpu{sizeof(bp_cpu),
                                 [](void* i, bp_vcpu* vcpu, const bp_cpu_bus* bus) {
                                     static_cast<Poller*>(i)->vcpu_ = vcpu;
                                     static_cast<Poller*>(i)->bus_ = bus;
                                     return bp_status{BP_OK};
                                 },
                                 [](void* i) { return static_cast<Poller*>(i)->run(); },
                                 [](void*, u64, u64) {},
                                 [](void*, char*, std::size_t) { return std::size_t{0}; },
                                 [](void*, bp_str) { return bp_status{BP_ERR_UNSUPPORTED}; }};
    static void describe(Schema<Poller>& s) {
        s.property("delay", &Poller::delay_, {.doc = "of the alarm, in ns", .def = "1000"});
        s.property("pause", &Poller::pause_, {.doc = "between polls, in ns of the host", .def = "0"});
        s.property("late", &Poller::late_, {.doc = "the host is late with the alarm; told: the CPU asks for the time"});
        s.offer(BP_CPU_ID, &kCpu);
    }
};

BoardSpec board(const std::string& clock, const std::string& properties) {
    const Value v = parse_yaml(
        "clock: {" + clock + "}\na: {type: test.alarm, at: 0x70}\nc: {type: test.poller, " + properties + "}\n",
        "board.yaml");
    BoardSpec b;
    b.name = "test";
    SpaceSpec io;
    io.name = "io", io.kind = SpaceSpec::Kind::kPorts;
    SpaceSpec mem;
    mem.name = "mem", mem.kind = SpaceSpec::Kind::kMemory, mem.bits = 32;
    b.spaces = {io, mem};
    b.clock = *v.find("clock");
    for (const auto& e : v.entries()) {
        if (e.key == "clock") continue;
        DeviceSpec d;
        d.name = e.key, d.position = e.position;
        for (const auto& x : e.value.entries()) {
            if (x.key == "type")
                d.type = x.value.text(), d.type_position = x.value.position();
            else
                d.entries.push_back(x);
        }
        b.devices.push_back(d);
    }
    return b;
}

u64 polls(const std::string& clock, const std::string& properties) {
    PluginRegistry registry;
    Logger logger{[](std::string_view) {}};
    Tracer tracer;
    registry.add(&DeviceType<Alarm>::value);
    registry.add(&DeviceType<Poller>::value);
    Machine machine(board(clock, properties), registry, logger, tracer);
    REQUIRE(machine.run().reason == Outcome::Reason::kExit);
    return static_cast<Poller*>(machine.device("c")->object)->polls_;
}

}  // namespace

TEST_CASE("deterministic: a timer that a running CPU arms expires after its time, not after the CPU's quantum") {
    // One nanosecond an instruction: the alarm of 1000 ns rings for the poll after the 1000th instruction.
    const u64 n = polls("mode: deterministic, ns_per_instruction: 1", "delay: 1000");
    CHECK(n >= 990);
    CHECK(n <= 1010);
    CHECK(polls("mode: deterministic, ns_per_instruction: 1", "delay: 1000") == n);
}

TEST_CASE("realtime: what is due happens before the CPU's next access, however late the machine's thread is") {
    // Every look comes half a millisecond after the one before; an alarm of 0.4 ms has rung at the first one, always.
    for (int i = 0; i < 50; ++i) CHECK(polls("mode: realtime", "delay: 400000, pause: 500000") == 1);
}

TEST_CASE("realtime: who has been told the time finds everything done that was due") {
    for (int i = 0; i < 5; ++i) CHECK(polls("mode: realtime", "delay: 1000000, late: told") == 1);
}

TEST_CASE("realtime: who has not been told the time finds it done a few instructions later") {
    for (int i = 0; i < 5; ++i) CHECK(polls("mode: realtime", "delay: 1000000, late: untold") <= 65);
}
