// Ends the process as soon as anything in it runs: whoever reads it must not load it.
#include <unistd.h>

#include "backplane/device.hpp"
#include "backplane/plugin.hpp"

namespace {
__attribute__((constructor)) void explode() { ::_exit(77); }

struct Mined : backplane::Device<Mined> {
    static constexpr std::string_view kType = "fixture.mined";
    using Device::Device;
    static void describe(backplane::Schema<Mined>& s) { s.doc("Never seen"); }
};
}  // namespace

BACKPLANE_PLUGIN("fixture.mined", "1.0.0", "Apache-2.0", kDevice, "", Mined)
