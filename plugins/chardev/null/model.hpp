// A character stream that takes everything and gives nothing.
#pragma once

#include "backplane/abi/backend.h"
#include "backplane/device.hpp"

namespace backplane {

struct NullChardev : Device<NullChardev> {
    static constexpr std::string_view kType = "chardev.null";
    using Device::Device;
    static void describe(Schema<NullChardev>& s);
};

}  // namespace backplane
