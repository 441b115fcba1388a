// Each reset switches the lamp to the other side.
#include "backplane/plugin.hpp"

using namespace backplane;

struct Wrong final : Device<Wrong> {
    static constexpr std::string_view kType = "wrong.reset-toggles";
    using Device::Device;

    static void describe(Schema<Wrong>& s) {
        s.doc("A lamp that a reset switches.");
        s.ports<&Wrong::read, nullptr>("port", 1, 1, "the lamp");
    }
    void reset(Reset) { on_ = !on_; }
    void state(StateVisitor& v) { v("on", on_); }
    u64 read(u64, u32) { return on_; }
    bool on_ = false;
};

BACKPLANE_PLUGIN("wrong.reset-toggles", "0.1.0", "Apache-2.0", kDevice, "", Wrong)
