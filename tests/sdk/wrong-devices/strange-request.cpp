// Asks the machine for something that no machine knows.
#include "backplane/plugin.hpp"

using namespace backplane;

struct Wrong final : Device<Wrong> {
    static constexpr std::string_view kType = "wrong.strange-request";
    using Device::Device;

    static void describe(Schema<Wrong>& s) {
        s.doc("A button.");
        s.ports<nullptr, &Wrong::write>("port", 1, 1, "a write presses it");
    }
    void write(u64, u32, u64) { request(99, 0, "the guest pressed the button"); }
};

BACKPLANE_PLUGIN("wrong.strange-request", "0.1.0", "Apache-2.0", kDevice, "", Wrong)
