// Cannot be without a neighbour of a kind that only its author knows.
#include "backplane/plugin.hpp"

using namespace backplane;

struct Wrong final : Device<Wrong> {
    static constexpr std::string_view kType = "wrong.stranger";
    using Device::Device;

    struct Table {
        u32 size;
    };
    static void describe(Schema<Wrong>& s) {
        s.doc("Half of a pair.");
        s.link("other", &Wrong::other_, "acme.other/1", "the other half");
    }
    Link<Table> other_;
};

BACKPLANE_PLUGIN("wrong.stranger", "0.1.0", "Apache-2.0", kDevice, "", Wrong)
