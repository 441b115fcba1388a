// What executes the guest.
#pragma once

#include "monitor/call.hpp"

namespace backplane::monitor {

// Whether the host's processor runs one of the guest's.
[[nodiscard]] bool runs_on_hardware(const Call& call);

}  // namespace backplane::monitor
