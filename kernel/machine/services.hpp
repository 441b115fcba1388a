// What a slot hands out.
#pragma once

#include "backplane/abi/host.h"

namespace backplane::kernel {

// bp_slot.service for an Instance.
const void* slot_service(void* self, bp_str id);

}  // namespace backplane::kernel
