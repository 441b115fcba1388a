// What a set of devices shares: the spaces, wires and timers that join them. A machine runs one assembly; a second one
// is built beside it when a snapshot is restored or a plugin reloaded, and takes its place once it is complete.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <ranges>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "backplane/abi/cpu.h"
#include "backplane/abi/cpu_state.h"
#include "kernel/clock/clock.hpp"
#include "kernel/line/wires.hpp"
#include "kernel/machine/instance.hpp"
#include "kernel/space/memory_space.hpp"
#include "kernel/space/port_space.hpp"
#include "kernel/state/snapshot.hpp"

namespace backplane::kernel {

class Machine;

struct Vcpu {
    Machine* machine = nullptr;
    Assembly* assembly = nullptr;
    Instance* device = nullptr;
    const bp_cpu* table = nullptr;
    // These: if the engine offers them, with the same instance.
    const bp_cpu_state* state = nullptr;
    const bp_cpu_code* code = nullptr;
    const bp_cpu_debug* debug = nullptr;
    const bp_cpu_hardware* hardware = nullptr;
    void* engine = nullptr;
    bp_vcpu shared{};
    bp_cpu_bus bus{};
    bool running = false;         // inside the engine's run()
    bool halted = false;          // its thread sleeps in HLT; deterministic: so it was when it was last asked
    u64 looked_at = 0;            // the clock, before an access to a device: after so many instructions
    bool waits_for_view = false;  // in an access that has changed the memory view
    // Registers that this one alone sees, in front of everything else.
    struct Own {
        u64 base;
        Region* region;
        u64 last() const { return base + (region->length - 1); }
    };
    std::vector<Own> own;

    void tell(u32 attention) {
        __atomic_fetch_or(&shared.attention, attention, __ATOMIC_RELEASE);
        if (hardware) hardware->attend(engine);
    }
};

struct Assembly {
    struct Route {
        std::string what;
        Instance* from;
        Instance* into;
    };

    explicit Assembly(Wires::Report report) : wires(std::move(report)) {}

    std::unique_ptr<MemorySpace> memory;
    std::unique_ptr<PortSpace> ports;
    TimerQueue timers;
    Wires wires;
    // Shared with the assembly that takes over, for back ends that stay.
    std::vector<std::shared_ptr<Instance>> devices;
    std::vector<Instance*> order;  // in which they start: a bus before what sits on it
    std::vector<Route> routes;
    std::vector<FactState> facts;  // as published
    std::deque<Vcpu> vcpus;
    u32 halted = 0;                            // how many of their threads sleep in HLT
    std::function<i64(const Vcpu&)> now;       // the CPUs' time, if it is not the machine's
    std::vector<std::shared_ptr<void>> owned;  // what some links lead to

    auto all() const {
        return devices | std::views::transform([](const std::shared_ptr<Instance>& d) -> Instance& { return *d; });
    }
    Instance* device(std::string_view name) const {
        for (Instance& d : all())
            if (d.name() == name) return &d;
        return nullptr;
    }
    std::atomic<u64> view_changes = 0;
    void view_changed() {
        ++view_changes;
        set_attention(BP_ATTENTION_VIEW);
    }
    void set_attention(u32 bits) {
        for (Vcpu& v : vcpus) v.tell(bits);
    }
};

}  // namespace backplane::kernel
