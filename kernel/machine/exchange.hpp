// CPUs that go on on another engine than before: restored from a snapshot that another type wrote, or exchanged while
// the machine runs.
#pragma once

#include <string>
#include <vector>

#include "kernel/machine/assembly.hpp"

namespace backplane::kernel {

struct NewEngine {
    Vcpu* cpu = nullptr;
    const DeviceState* saved = nullptr;
    std::vector<bool> heard;  // by input line: the level that the engine knows of
};

// The CPUs of an assembly, as built and not yet restored, whose engine gets the shared state: all of them, or those
// whose type is another one now. Throws Error.
std::vector<NewEngine> new_engines(const Snapshot& saved, Assembly& next, bool all);
bool is_new_engine(const std::vector<NewEngine>& engines, const Instance& device);
// Once everything else is restored: tells the engine the levels of its input lines and gives it the state. Throws
// Error.
void start_engine(NewEngine& engine);

}  // namespace backplane::kernel
