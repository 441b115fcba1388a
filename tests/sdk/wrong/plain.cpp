// A device with nothing wrong in its source
#include "backplane/plugin.hpp"

struct Plain : backplane::Device<Plain> {
    static constexpr std::string_view kType = "wrong.plain";
    using Device::Device;
    static void describe(backplane::Schema<Plain>& s) { s.doc("A device with nothing wrong in its source"); }
};

BACKPLANE_PLUGIN("wrong.plain", "0.1.0", "Apache-2.0", kDevice, "", Plain)
