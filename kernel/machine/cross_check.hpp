// Two engines that execute the same: the machine's own and another one, which gets what the first one got from the
// devices. Devices are accessed once. After every block of instructions processors and memory are compared.
#pragma once

#include <memory>

#include "kernel/machine/machine.hpp"

namespace backplane::kernel {

class CrossCheck {
  public:
    // Needs the deterministic clock.
    CrossCheck(Machine& machine, CrossCheckOptions options);
    ~CrossCheck();

    // While an assembly is built: to hear what its CPUs access and what happens to them.
    void hook(Assembly& assembly, MemoryEvents& events);
    void hook(Assembly& assembly, PortEvents& events);
    void join(Assembly& assembly);  // links are joined, no device has started

    // Under the lock.
    void input(const Assembly& assembly, u32 device, u32 line, bool level);
    void output(const Instance& device, u32 line, bool level);
    void own_moved(const Vcpu& cpu);  // the registers that it alone sees are other ones, or elsewhere
    // State was replaced otherwise than by running: the other engine begins anew with it.
    void replaced();

    // The CPU's engine runs for a block or until it stops by itself, the other one follows. BP_EXIT_ERROR: they differ,
    // and the CPU's device has failed with a text that says where. Without the lock.
    u32 run(Vcpu& cpu);

    struct Impl;

  private:
    std::unique_ptr<Impl> impl_;
};

}  // namespace backplane::kernel
