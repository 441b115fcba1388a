// What a debugger and an exchange of engines use: the tables of bp.cpu.state/1 and bp.cpu.debug/1.
#include <algorithm>
#include <backplane/cpu_state.hpp>
#include <cstring>

#include "breakpoints.hpp"
#include "model.hpp"

namespace backplane {
namespace {

using interp::breakpoints;
using interp::Cpu;

Cpu& cpu_of(void* instance) { return *static_cast<InterpCpu*>(instance)->cpu; }

bp_status get_state(void* instance, bp_x86_state* out) {
    bp_x86_state all;
    cpu_of(instance).decide_startup();
    interp::export_state(cpu_of(instance), all);
    std::ranges::copy(cpumodel::words_of(*cpu_of(instance).model), all.cpuid_features);
    all.tsc_frequency = cpu_of(instance).tsc_hz;
    all.size = static_cast<u32>(std::min<std::size_t>(out->size, sizeof all));
    if (all.size < sizeof all.size) return BP_ERR_INVALID;
    std::memcpy(out, &all, all.size);
    return BP_OK;
}

}  // namespace

bp_status InterpCpu::set_state(const bp_x86_state* in) {
    bp_x86_state all;
    interp::export_state(*cpu, all);
    if (in->size < sizeof all.size) return BP_ERR_INVALID;
    std::memcpy(&all, in, std::min<std::size_t>(in->size, sizeof all));
    cpumodel::Words shown;
    std::ranges::copy(all.cpuid_features, shown.begin());
    const interp::CpuModel before = selected;
    if (const bp_status status = adopt_features(shown); status != BP_OK) return status;
    const u64 hz = cpu->tsc_hz;
    adopt_frequency(all.tsc_frequency);
    const char* why = interp::import_state(*cpu, all);
    if (why == nullptr) return BP_OK;
    selected = before;
    cpu->tsc_hz = hz;
    return fail(BP_ERR_INVALID, "the state is refused: %s", why);
}

const bp_cpu_state kInterpState{
    sizeof(bp_cpu_state),
    get_state,
    [](void* i, const bp_x86_state* in) -> bp_status { return static_cast<InterpCpu*>(i)->set_state(in); },
    visit_cpu_state,
};

const bp_cpu_debug kInterpDebug{
    sizeof(bp_cpu_debug),
    [](void* i) -> uint32_t { return interp::debug_features(*cpu_of(i).model); },
    [](void* i, uint64_t address) -> bp_status { return breakpoints(cpu_of(i)).add(cpu_of(i), address); },
    [](void* i, uint64_t address) -> bp_status { return breakpoints(cpu_of(i)).remove(address); },
    [](void* i, uint64_t address, uint32_t length, uint32_t access) -> bp_status {
        return breakpoints(cpu_of(i)).watch(cpu_of(i), address, length, access);
    },
    [](void* i, uint64_t address, uint32_t length, uint32_t access) -> bp_status {
        return breakpoints(cpu_of(i)).unwatch(cpu_of(i), address, length, access);
    },
    [](void* i) { breakpoints(cpu_of(i)).clear(cpu_of(i)); },
    [](void* i, uint32_t mode) { breakpoints(cpu_of(i)).request_step(mode); },
    [](void* i, bp_cpu_stop* stop) {
        bp_cpu_stop last = breakpoints(cpu_of(i)).last();
        last.size = std::min<u32>(stop->size, sizeof last);
        std::memcpy(stop, &last, last.size);
    },
    [](void* i, uint64_t address, uint32_t how) -> int64_t {
        return interp::translate_quietly(cpu_of(i), address, how);
    },
    [](void* i, uint64_t address, void* data, uint64_t size, uint32_t how) -> uint64_t {
        return interp::copy_from_guest(cpu_of(i), address, data, size, how);
    },
    [](void* i, uint64_t address, const void* data, uint64_t size, uint32_t how) -> uint64_t {
        return interp::copy_to_guest(cpu_of(i), address, data, size, how);
    },
};

}  // namespace backplane
