// A back end that needs what there is not
#include "backplane/plugin.hpp"

struct NeedsOdd : backplane::Device<NeedsOdd> {
    static constexpr std::string_view kType = "wrong.needs-odd";
    using Device::Device;
    static void describe(backplane::Schema<NeedsOdd>& s) { s.doc("A back end that needs what there is not"); }
};

BACKPLANE_PLUGIN("wrong.needs-odd", "0.1.0", "Apache-2.0", kBackend, "files,printer", NeedsOdd)
