// Two fields of the state share a name.
#include "backplane/plugin.hpp"

using namespace backplane;

struct Wrong final : Device<Wrong> {
    static constexpr std::string_view kType = "wrong.two-names";
    using Device::Device;

    static void describe(Schema<Wrong>& s) {
        s.doc("Two registers.");
        s.ports<&Wrong::read, &Wrong::write>("ports", 2, 1, "the registers");
    }
    void reset(Reset) { values_ = {}; }
    void state(StateVisitor& v) { v("value", values_[0]), v("value", values_[1]); }
    u64 read(u64 offset, u32) { return values_[offset]; }
    void write(u64 offset, u32, u64 value) { values_[offset] = static_cast<u8>(value); }
    std::array<u8, 2> values_{};
};

BACKPLANE_PLUGIN("wrong.two-names", "0.1.0", "Apache-2.0", kDevice, "", Wrong)
