// Several vCPUs, each in its thread: who halts is woken by what others do, and nobody sees an old memory view.
#include <catch2/catch.hpp>

#include <atomic>
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

using std::chrono::milliseconds;

// Runs what a test says.
struct Actor final : Device<Actor> {
    static constexpr std::string_view kType = "test.actor";
    using Device::Device;
    using Device::request;
    static inline std::function<u32(Actor&)> play;
    bp_vcpu* vcpu = nullptr;
    const bp_cpu_bus* bus = nullptr;
    std::atomic<bool> line{false};
    void reset(Reset) {}
    void state(StateVisitor&) {}
    void on_line(bool level) {
        line = level;
        if (vcpu) __atomic_fetch_or(&vcpu->attention, BP_ATTENTION_LINES, __ATOMIC_RELEASE);
    }
    // The bits that were set, cleared.
    u32 look() const { return __atomic_fetch_and(&vcpu->attention, u32{BP_ATTENTION_STOP}, __ATOMIC_ACQ_REL); }
    static constexpr bp_cpu kTable{sizeof(bp_cpu),
                                   [](void* i, bp_vcpu* vcpu, const bp_cpu_bus* bus) -> bp_status {
                                       static_cast<Actor*>(i)->vcpu = vcpu, static_cast<Actor*>(i)->bus = bus;
                                       return BP_OK;
                                   },
                                   [](void* i) { return play(*static_cast<Actor*>(i)); },
                                   [](void*, u64, u64) {},
                                   [](void*, char*, std::size_t) -> std::size_t { return 0; },
                                   [](void*, bp_str) -> bp_status { return BP_ERR_UNSUPPORTED; }};
    static void describe(Schema<Actor>& s) {
        s.line_in<&Actor::on_line>("interrupt", "");
        s.offer(BP_CPU_ID, &kTable);
    }
};

// A port: bit 0 drives the line, bit 1 maps a window into memory.
struct Switch final : Device<Switch> {
    static constexpr std::string_view kType = "test.switch";
    using Device::Device;
    LineOut out;
    backplane::Region window;
    void reset(Reset) {}
    void state(StateVisitor&) {}
    u64 read(u64, u32) { return 0; }
    void write(u64, u32, u64 value) {
        out.set((value & 1) != 0);
        if (value & 2)
            (void)window.map(0x10000);
        else
            window.unmap();
    }
    u64 read_window(u64, u32) { return 0x55; }
    void write_window(u64, u32, u64) {}
    static void describe(Schema<Switch>& s) {
        s.line_out("out", &Switch::out, "");
        s.ports<&Switch::read, &Switch::write>("port", 1, 1, "");
        s.memory<&Switch::read_window, &Switch::write_window>("window", 0x1000, 1, "", &Switch::window);
    }
};

struct Bench {
    PluginRegistry registry;
    Logger logger{[](std::string_view) {}};
    Tracer tracer;
    std::unique_ptr<Machine> machine;

    Bench() {
        registry.add(&DeviceType<Actor>::value);
        registry.add(&DeviceType<Switch>::value);
        machine =
            std::make_unique<Machine>(board("{clock: {mode: realtime}, devices: {cpu0: {type: test.actor}, "
                                            "cpu1: {type: test.actor}, "
                                            "switch: {type: test.switch, at: {port: 0x70}, out: cpu1.interrupt}}}"),
                                      registry, logger, tracer);
    }
};

}  // namespace

TEST_CASE("a processor that has halted is woken by another one's access, without anybody else") {
    Bench b;
    std::atomic<bool> sleeps{false}, woken{false};
    bool in_time = false;
    Actor::play = [&](Actor& a) -> u32 {
        if (a.look() & BP_ATTENTION_STOP) return BP_EXIT_STOP;
        if (a.vcpu->index == 1) {
            if (a.line) woken = true;
            sleeps = true;
            return BP_EXIT_HALT;
        }
        while (!sleeps) std::this_thread::yield();
        std::this_thread::sleep_for(milliseconds(20));
        a.bus->port_write(a.bus->self, 0x70, 1, 1);
        for (int n = 0; n < 1000 && !woken; ++n) std::this_thread::sleep_for(milliseconds(1));
        in_time = woken;
        a.request(BP_REQUEST_EXIT, 0, "done");
        return BP_EXIT_STOP;
    };
    b.machine->run();
    CHECK(in_time);
}

TEST_CASE("a change of the memory view is over when every processor that runs has seen it") {
    Bench b;
    std::atomic<bool> runs{false};
    std::atomic<unsigned> seen{0};
    unsigned missed = 0;
    Actor::play = [&](Actor& a) -> u32 {
        const auto look = [&] {
            // Counted before it is cleared: the other one looks at the count when the bit is gone.
            const u32 bits = __atomic_load_n(&a.vcpu->attention, __ATOMIC_ACQUIRE);
            if (a.vcpu->index == 1 && (bits & BP_ATTENTION_VIEW)) ++seen;
            __atomic_fetch_and(&a.vcpu->attention, ~bits | BP_ATTENTION_STOP, __ATOMIC_ACQ_REL);
            return (bits & BP_ATTENTION_STOP) != 0;
        };
        if (look()) return BP_EXIT_STOP;
        if (a.vcpu->index == 1) {
            for (;;) {
                runs = true;
                // Long blocks, in which it needs the machine's lock as well.
                a.bus->lock(a.bus->self);
                a.bus->unlock(a.bus->self);
                std::this_thread::sleep_for(milliseconds(1));
                if (look()) return BP_EXIT_STOP;
            }
        }
        while (!runs) std::this_thread::yield();
        for (unsigned n = 0; n < 20; ++n) {
            const unsigned before = seen;
            a.bus->port_write(a.bus->self, 0x70, 1, n % 2 == 0 ? 2 : 0);
            if (seen == before) ++missed;
        }
        a.request(BP_REQUEST_EXIT, 0, "done");
        return BP_EXIT_STOP;
    };
    b.machine->run();
    CHECK(missed == 0);
}

TEST_CASE("processors that change the memory view at the same time do not wait for each other") {
    Bench b;
    std::atomic<unsigned> done{0};
    const auto begin = std::chrono::steady_clock::now();
    Actor::play = [&](Actor& a) -> u32 {
        for (unsigned n = 0; n < 200; ++n) {
            if (a.look() & BP_ATTENTION_STOP) return BP_EXIT_STOP;
            a.bus->port_write(a.bus->self, 0x70, 1, 2);
            a.bus->port_write(a.bus->self, 0x70, 1, 0);
        }
        if (++done == 2) a.request(BP_REQUEST_EXIT, 0, "done");
        return BP_EXIT_HALT;
    };
    b.machine->run();
    // A wait without success would end after a tenth of a second each.
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(5));
}
