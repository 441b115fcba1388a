// The declared state of one device: taken from a live instance, and put into another one.
#pragma once

#include "kernel/machine/assembly.hpp"

namespace backplane::kernel {

// Everything that a snapshot holds of a device, back ends included.
DeviceState save_device(const Instance& device);

// Puts saved state into an instance that is as after power-on: fields, output levels (without telling anybody; the
// wires settle later) and timers; not restored(). `now` is the machine's time. Throws Error that names the first field,
// line or timer that does not fit.
void load_device(Instance& device, const DeviceState& saved, std::int64_t now);

// The output levels alone, as far as the device has the lines.
void load_outputs(Instance& device, const DeviceState& saved);

// What a back end says must be as it was. Throws Error with the first difference.
void check_identity(const Instance& device, const DeviceState& saved);

// The state that all engines share. The CPU stands outside run(). All throw Error with the engine's reason.
bool gives_state(const Vcpu& cpu);
bp_x86_state cpu_state(const Vcpu& cpu);
void set_cpu_state(Vcpu& cpu, const bp_x86_state& state);
// By name, and back: what is not among the fields is as the engine has it now.
std::vector<StateValue> cpu_fields(const Vcpu& cpu, const bp_x86_state& state);
bp_x86_state cpu_state_of(const Vcpu& cpu, const std::vector<StateValue>& fields);

}  // namespace backplane::kernel
