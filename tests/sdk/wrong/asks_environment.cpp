// A device whose behaviour depends on a variable of the environment
#include <cstdlib>

#include "backplane/plugin.hpp"

struct AsksEnvironment : backplane::Device<AsksEnvironment> {
    static constexpr std::string_view kType = "wrong.asks-environment";
    using Device::Device;
    static void describe(backplane::Schema<AsksEnvironment>& s) {
        s.doc("A device whose behaviour depends on a variable of the environment");
    }
    bp_status start() { return std::getenv("WRONG") ? BP_ERR_IO : BP_OK; }
};

BACKPLANE_PLUGIN("wrong.asks-environment", "0.1.0", "Apache-2.0", kDevice, "", AsksEnvironment)
