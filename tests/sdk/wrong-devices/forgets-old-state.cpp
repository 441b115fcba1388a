// The second version of the state brought a divider, and snapshots of the first are refused for having none.
#include "backplane/plugin.hpp"

using namespace backplane;

struct Wrong final : Device<Wrong> {
    static constexpr std::string_view kType = "wrong.forgets-old-state";
    static constexpr u32 kStateVersion = 2;
    using Device::Device;

    static void describe(Schema<Wrong>& s) {
        s.doc("A divider.");
        s.ports<&Wrong::read, &Wrong::write>("port", 1, 1, "the divider");
    }
    void reset(Reset) { divider_ = 0; }
    void state(StateVisitor& v) { v("divider", divider_, {.since = 2}), v.dropped("prescaler"); }
    bp_status restored() { return divider_ ? BP_OK : fail(BP_ERR_INVALID, "the divider is zero"); }
    u64 read(u64, u32) { return divider_; }
    void write(u64, u32, u64 value) { divider_ = static_cast<u8>(value | 1); }
    u8 divider_ = 0;
};

BACKPLANE_PLUGIN("wrong.forgets-old-state", "0.1.0", "Apache-2.0", kDevice, "", Wrong)
