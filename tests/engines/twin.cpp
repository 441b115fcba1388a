// Two engine types made of the interpreter: cpu.twin, which differs by its name only, and cpu.wrong, which makes one
// instruction wrong: BSWAP EAX changes the carry flag.
#include <backplane/plugin.hpp>
#include <cstring>

#include "model.hpp"

namespace backplane {
namespace {

// In 16-bit code without paging.
bool at_bswap(void* instance) {
    const interp::Cpu& cpu = *static_cast<InterpCpu*>(instance)->cpu;
    const u64 address = cpu.code_address(cpu.eip);
    bp_page page{};
    cpu.bus.page(cpu.bus.self, address, BP_VIEW_NORMAL, &page);
    const u64 offset = address & 0xfff;
    return page.read && offset < 0xffe && std::memcmp(page.read + offset, "\x66\x0f\xc8", 3) == 0;
}

const bp_cpu* original(void* instance) {
    return static_cast<const bp_cpu*>(
        DeviceType<InterpCpu>::value.offer(instance, to_bp(BP_CPU_ID), bp_str{"", 0}).table);
}

// One instruction at a time, each looked at before.
u32 run_wrong(void* instance) {
    bp_vcpu* vcpu = static_cast<InterpCpu*>(instance)->cpu->vcpu;
    const u64 deadline = vcpu->deadline;
    u32 exit = BP_EXIT_DEADLINE;
    while (exit == BP_EXIT_DEADLINE && vcpu->instructions < deadline) {
        const bool wrong = at_bswap(instance);
        const u64 before = vcpu->instructions;
        vcpu->deadline = before + 1;
        exit = original(instance)->run(instance);
        if (!wrong || vcpu->instructions != before + 1) continue;
        interp::Cpu& cpu = *static_cast<InterpCpu*>(instance)->cpu;
        cpu.set_arith(cpu.flags() ^ interp::kCf);
    }
    vcpu->deadline = deadline;
    return exit;
}

bp_interface offer_wrong(void* instance, bp_str id, bp_str name) {
    const bp_interface found = DeviceType<InterpCpu>::value.offer(instance, id, name);
    if (to_view(id) != BP_CPU_ID) return found;
    static const bp_cpu table = [instance] {
        bp_cpu t = *original(instance);
        t.run = run_wrong;
        return t;
    }();
    return {&table, found.instance};
}

}  // namespace

struct TwinCpu {
    static constexpr std::string_view kType = "cpu.twin";
};
struct WrongCpu {
    static constexpr std::string_view kType = "cpu.wrong";
};
template <>
struct DeviceType<TwinCpu> {
    static constexpr bp_device_type value = [] {
        bp_device_type t = DeviceType<InterpCpu>::value;
        t.type = to_bp(TwinCpu::kType);
        return t;
    }();
};
template <>
struct DeviceType<WrongCpu> {
    static constexpr bp_device_type value = [] {
        bp_device_type t = DeviceType<InterpCpu>::value;
        t.type = to_bp(WrongCpu::kType);
        t.offer = offer_wrong;
        return t;
    }();
};

}  // namespace backplane

using backplane::TwinCpu;
using backplane::WrongCpu;
BACKPLANE_PLUGIN("test.engines", "1.0.0", "Apache-2.0", kEngine, "files", TwinCpu, WrongCpu)
