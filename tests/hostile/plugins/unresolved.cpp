// Needs a function that nothing provides.
#include "backplane/plugin.hpp"
#include "card.hpp"

extern "C" int backplane_fixture_nowhere();

namespace {
struct Unresolved : backplane::Device<Unresolved> {
    static constexpr std::string_view kType = "fixture.unresolved";
    using Device::Device;
    static void describe(backplane::Schema<Unresolved>& s) {
        if (backplane_fixture_nowhere()) s.doc("never");
    }
};
}  // namespace

BACKPLANE_PLUGIN("fixture.unresolved", "1.0.0", "Apache-2.0", kDevice, "", Unresolved)
