// A device that needs something of the host
#include "backplane/plugin.hpp"

struct NeedsDevice : backplane::Device<NeedsDevice> {
    static constexpr std::string_view kType = "wrong.needs-device";
    using Device::Device;
    static void describe(backplane::Schema<NeedsDevice>& s) { s.doc("A device that needs something of the host"); }
};

BACKPLANE_PLUGIN("wrong.needs-device", "0.1.0", "Apache-2.0", kDevice, "threads", NeedsDevice)
