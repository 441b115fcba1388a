// A device that exports a function besides its symbol
#include "backplane/plugin.hpp"

extern "C" __attribute__((visibility("default"))) int helper(int value) { return value; }

struct ExportsMore : backplane::Device<ExportsMore> {
    static constexpr std::string_view kType = "wrong.exports-more";
    using Device::Device;
    static void describe(backplane::Schema<ExportsMore>& s) {
        s.doc("A device that exports a function besides its symbol");
    }
    bp_status start() { return helper(0); }
};

BACKPLANE_PLUGIN("wrong.exports-more", "0.1.0", "Apache-2.0", kDevice, "", ExportsMore)
