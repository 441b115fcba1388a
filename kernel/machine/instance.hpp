// A device on the board, as the kernel keeps it.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kernel/clock/clock.hpp"
#include "kernel/config/board_spec.hpp"
#include "kernel/plugin/property.hpp"
#include "kernel/plugin/type_info.hpp"
#include "kernel/space/region.hpp"

namespace backplane::kernel {

class Machine;
struct Assembly;

struct Instance {
    Machine* machine = nullptr;
    Assembly* assembly = nullptr;
    u32 index = 0;
    const DeviceSpec* spec = nullptr;
    const TypeInfo* type = nullptr;
    void* object = nullptr;
    bp_slot slot{};
    bool started = false;
    bool files = false;  // may use bp.files/1

    std::vector<PropertyValue> properties;
    std::vector<bp_interface> links;
    std::deque<Region> regions;                             // stable addresses
    std::vector<u32> claims;                                // of regions placed at run time, 0: not mapped
    std::vector<std::vector<std::pair<u32, u32>>> outputs;  // by output: (wire, driver)
    std::vector<bool> levels;                               // of the outputs, as last set
    std::vector<TimerQueue::Timer> timers;
    std::deque<u32> traces;       // flag words, stable
    std::vector<u32> blocks;      // of guest memory: indices into Ram
    std::map<u32, u32> mappings;  // handle -> claim
    u32 next_mapping = 1;
    u32 log = 0;
    u64 refused_dma = 0;                                        // transfers to its own registers
    std::string failure;                                        // text of the last fail()
    std::string detail;                                         // what a service has to add to the next fail()
    void (*run_changed)(void* context, int running) = nullptr;  // bp.run-state/1
    void* run_context = nullptr;
    Instance* parent = nullptr;  // the device whose bus this one sits on

    const std::string& name() const { return spec->name; }
};

}  // namespace backplane::kernel
