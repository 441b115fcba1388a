// A property that nobody explains.
#include "backplane/plugin.hpp"

using namespace backplane;

struct Wrong final : Device<Wrong> {
    static constexpr std::string_view kType = "wrong.no-doc";
    using Device::Device;

    static void describe(Schema<Wrong>& s) {
        s.doc("Has a property.");
        s.property("colour", &Wrong::colour_, {.doc = "", .def = "red"});
    }
    std::string colour_;
};

BACKPLANE_PLUGIN("wrong.no-doc", "0.1.0", "Apache-2.0", kDevice, "", Wrong)
