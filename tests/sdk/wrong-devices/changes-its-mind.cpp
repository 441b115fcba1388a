// Declares another property each time that it is asked.
#include "backplane/plugin.hpp"

using namespace backplane;

struct Wrong final : Device<Wrong> {
    static constexpr std::string_view kType = "wrong.changes-its-mind";
    using Device::Device;

    static void describe(Schema<Wrong>& s) {
        static int asked = 0;
        s.doc("Undecided.");
        s.property(asked++ % 2 ? "left" : "right", &Wrong::value_, {.doc = "one of two", .def = "0"});
    }
    u32 value_ = 0;
};

BACKPLANE_PLUGIN("wrong.changes-its-mind", "0.1.0", "Apache-2.0", kDevice, "", Wrong)
