// Several processors with the host's clock: who accesses a device, what only one of them sees, who is woken.
#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <functional>
#include <thread>

#include "backplane/abi/cpu.h"
#include "backplane/device.hpp"
#include "kernel/machine/machine.hpp"
#include "kernel/machine/test_board.hpp"

using namespace backplane;
using namespace backplane::kernel;

namespace {

// Runs what the test says; sleeps until its line rises when that returns false.
struct Worker final : Device<Worker> {
    static constexpr std::string_view kType = "test.worker";
    using Device::Device;
    std::function<bool(Worker&)> work;
    std::atomic<u64> runs{0}, wakes{0};
    std::atomic<bool> pending{false};
    bp_vcpu* vcpu = nullptr;
    const bp_cpu_bus* bus = nullptr;
    void reset(Reset) {}
    void state(StateVisitor&) {}
    void on_line(bool level) {
        if (!level) return;
        pending = true;
        __atomic_fetch_or(&vcpu->attention, BP_ATTENTION_LINES, __ATOMIC_RELEASE);
    }
    u32 run() {
        ++runs;
        for (;;) {
            const u32 attention = __atomic_fetch_and(&vcpu->attention, ~u32{BP_ATTENTION_LINES}, __ATOMIC_ACQ_REL);
            if (attention & BP_ATTENTION_STOP) return BP_EXIT_STOP;
            if (pending.exchange(false)) ++wakes;
            if (!work || !work(*this)) return BP_EXIT_HALT;
        }
    }
    u64 read(u64 address, u32 bytes) { return bus->read(bus->self, address, bytes, BP_VIEW_NORMAL); }
    void write(u64 address, u32 bytes, u64 value) { bus->write(bus->self, address, bytes, value, BP_VIEW_NORMAL); }
    static Worker& of(void* i) { return *static_cast<Worker*>(i); }
    static constexpr bp_cpu kCpu{sizeof(bp_cpu),
                                 [](void* i, bp_vcpu* vcpu, const bp_cpu_bus* bus) {
                                     of(i).vcpu = vcpu, of(i).bus = bus;
                                     return bp_status{BP_OK};
                                 },
                                 [](void* i) { return of(i).run(); },
                                 [](void*, u64, u64) {},
                                 [](void*, char*, std::size_t) { return std::size_t{0}; },
                                 [](void*, bp_str) { return bp_status{BP_ERR_UNSUPPORTED}; }};
    static void describe(Schema<Worker>& s) {
        s.line_in<&Worker::on_line>("interrupt", "wakes it");
        s.offer(BP_CPU_ID, &kCpu);
    }
};

// Says who reads it; a write wakes the worker of that number. `mine` is what one vCPU alone sees.
struct Desk final : Device<Desk> {
    static constexpr std::string_view kType = "test.desk";
    using Device::Device;
    std::array<LineOut, 4> wake;
    backplane::Region mine;
    u64 last_offset = 0, late = 0;
    std::atomic<u64> accesses{0};
    int seen_by_timer = 5;
    Timer timer;
    void reset(Reset) {}
    void state(StateVisitor&) {}
    u64 read(u64 offset, u32) {
        ++accesses;
        return offset == 0 ? static_cast<u64>(static_cast<i64>(slot().vcpu()->current(slot().self()))) & 0xffff : 0x55;
    }
    void write(u64, u32, u64 value) {
        if (value < wake.size()) wake[value].pulse();
        if (value == 100) timer.arm(now() + 1);
    }
    void expired(i64) { seen_by_timer = slot().vcpu()->current(slot().self()); }
    u64 read_mine(u64 offset, u32 bytes) { return last_offset = offset, 0x11223344 + offset + bytes; }
    void write_mine(u64 offset, u32, u64) { last_offset = offset; }
    static void describe(Schema<Desk>& s) {
        s.memory<&Desk::read, &Desk::write>("desk", 0x1000, 1 | 2 | 4, "who reads");
        s.memory<&Desk::read_mine, &Desk::write_mine>("mine", 0x1000, 4, "one sees it", &Desk::mine);
        s.lines_out("wake", &Desk::wake, "wakes a worker");
        s.timer<&Desk::expired>("timer", &Desk::timer);
    }
};

struct Bench {
    PluginRegistry registry;
    Logger logger{[](std::string_view) {}};
    Tracer tracer;
    std::unique_ptr<Machine> machine;
    std::thread thread;

    explicit Bench(unsigned cpus) {
        registry.add(&DeviceType<Worker>::value);
        registry.add(&DeviceType<Desk>::value);
        std::string text = "devices:\n", wires;
        for (unsigned i = 0; i < cpus; ++i) {
            const std::string name = "cpu" + std::to_string(i);
            text += "  " + name + ": {type: test.worker}\n";
            wires += ", wake" + std::to_string(i) + ": " + name + ".interrupt";
        }
        text += "  desk: {type: test.desk, at: {desk: 0x1000}" + wires + "}\n";
        machine = std::make_unique<Machine>(board(text), registry, logger, tracer);
    }
    ~Bench() {
        if (!thread.joinable()) return;
        machine->quit("test");
        thread.join();
    }
    void run() {
        thread = std::thread([this] { machine->run(); });
    }
    Worker& cpu(unsigned i) { return *static_cast<Worker*>(machine->device("cpu" + std::to_string(i))->object); }
    Desk& desk() { return *static_cast<Desk*>(machine->device("desk")->object); }
};

template <class Condition>
bool soon(const Condition& condition) {
    for (unsigned n = 0; n < 20'000; ++n) {
        if (condition()) return true;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return false;
}

}  // namespace

TEST_CASE("a device hears whose access is under way, and nobody's for timers and others") {
    Bench b(3);
    std::atomic<u64> seen[3] = {99, 99, 99};
    for (unsigned i = 0; i < 3; ++i)
        b.cpu(i).work = [&seen, i](Worker& w) {
            seen[i] = w.read(0x1000, 2);
            if (i == 1)
                w.write(0x1000, 4, 100), std::this_thread::sleep_for(std::chrono::milliseconds(1)), w.read(0x1004, 2);
            return false;
        };
    b.run();
    CHECK(soon([&] { return seen[0] == 0 && seen[1] == 1 && seen[2] == 2 && b.desk().seen_by_timer != 5; }));
    CHECK(b.desk().seen_by_timer == -1);
    CHECK(b.machine->memory_read(0x1000, 2) == 0xffff);
}

TEST_CASE("registers of one vCPU stand in front of everything for it, and are not there for others") {
    Bench b(2);
    Desk& d = b.desk();
    CHECK(d.mine.map_for(7, 0x1000) == BP_ERR_NOT_FOUND);
    CHECK(d.mine.map_for(1, 0xfffff800) == BP_ERR_INVALID);
    REQUIRE(d.mine.map_for(1, 0x1000) == BP_OK);
    CHECK((b.cpu(1).vcpu->attention & BP_ATTENTION_VIEW) != 0);
    CHECK(b.cpu(0).vcpu->attention == 0);
    CHECK(b.cpu(1).read(0x1010, 4) == 0x11223358);
    CHECK(b.cpu(0).read(0x1010, 4) == 0x55);
    // Straddling the end, unaligned, narrow: as with any register bank.
    CHECK((b.cpu(1).read(0x1ffe, 4) & 0xffff0000) == 0xffff0000);
    CHECK(b.cpu(1).read(0x1011, 1) == 0x33);
    bp_page page{};
    b.cpu(1).bus->page(b.cpu(1).bus->self, 0x1000, 0, &page);
    CHECK((page.read == nullptr && page.write == nullptr));
    REQUIRE(d.mine.map_for(1, 0x8000) == BP_OK);  // it moves
    CHECK(b.cpu(1).read(0x1000, 2) == 1);
    b.cpu(1).write(0x8020, 4, 1);
    CHECK(d.last_offset == 0x20);
    CHECK(b.cpu(0).read(0x8000, 4) == 0xffffffff);
    d.mine.unmap_for_vcpu();
    CHECK(b.cpu(1).read(0x8000, 4) == 0xffffffff);
}

TEST_CASE("a processor that another one interrupts wakes, and nobody else") {
    Bench b(4);
    std::atomic<bool> go{false};
    b.cpu(0).work = [&go](Worker& w) {
        if (!go.exchange(false)) return std::this_thread::yield(), true;
        w.write(0x1000, 4, 2);
        return true;
    };
    b.run();
    CHECK(soon([&] { return b.cpu(1).runs == 1 && b.cpu(2).runs == 1 && b.cpu(3).runs == 1; }));
    for (u64 n = 1; n <= 100; ++n) {
        go = true;
        REQUIRE(soon([&] { return b.cpu(2).wakes == n; }));
    }
    CHECK(b.cpu(1).runs == 1);
    CHECK(b.cpu(3).runs == 1);
    // All of them sleep and nothing is due: stop and go, and the end, must reach them.
    b.cpu(0).work = nullptr;
    b.machine->pause();
    CHECK(soon([&] {
        bool stands = false;
        b.machine->locked([&] { stands = b.machine->stands(); });
        return stands;
    }));
    b.machine->resume();
}

TEST_CASE("a processor that keeps asking a device leaves room for the others") {
    Bench b(3);
    std::atomic<u64> count[3] = {};
    std::atomic<bool> end{false};
    for (unsigned i = 0; i < 3; ++i)
        b.cpu(i).work = [&, i](Worker& w) {
            w.read(0x1004, 2);
            ++count[i];
            return !end;
        };
    b.run();
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    // And for what the machine's thread has to do.
    std::atomic<int> posted{0};
    for (int n = 0; n < 20; ++n) {
        b.machine->post([&] { ++posted; });
        REQUIRE(soon([&] { return posted == n + 1; }));
    }
    end = true;
    const u64 all = count[0] + count[1] + count[2];
    // Not a fair share, which is the host's to give; but a share.
    for (const auto& one : count) CHECK(one > all / 1000);
}
