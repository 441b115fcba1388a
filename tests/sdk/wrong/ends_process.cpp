// A device that ends the process
#include <cstdlib>

#include "backplane/plugin.hpp"

struct EndsProcess : backplane::Device<EndsProcess> {
    static constexpr std::string_view kType = "wrong.ends-process";
    using Device::Device;
    static void describe(backplane::Schema<EndsProcess>& s) { s.doc("A device that ends the process"); }
    void reset(backplane::Reset) { std::abort(); }
};

BACKPLANE_PLUGIN("wrong.ends-process", "0.1.0", "Apache-2.0", kDevice, "", EndsProcess)
