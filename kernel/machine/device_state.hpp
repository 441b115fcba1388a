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

// What a back end says must be as it was. Throws Error with the first difference.
void check_identity(const Instance& device, const DeviceState& saved);

}  // namespace backplane::kernel
