// The default is none of the values that the property takes.
#include "backplane/plugin.hpp"

using namespace backplane;

struct Wrong final : Device<Wrong> {
    static constexpr std::string_view kType = "wrong.default-out-of-range";
    using Device::Device;

    static void describe(Schema<Wrong>& s) {
        s.doc("Has a property.");
        s.property("level", &Wrong::level_, {.doc = "how loud", .def = "11", .max = 10});
    }
    u32 level_ = 0;
};

BACKPLANE_PLUGIN("wrong.default-out-of-range", "0.1.0", "Apache-2.0", kDevice, "", Wrong)
