// The visitor gets a copy of the register: what is restored goes nowhere.
#include "backplane/plugin.hpp"

using namespace backplane;

struct Wrong final : Device<Wrong> {
    static constexpr std::string_view kType = "wrong.state-in-copy";
    using Device::Device;

    static void describe(Schema<Wrong>& s) {
        s.doc("A register whose restored value is lost.");
        s.ports<&Wrong::read, &Wrong::write>("port", 1, 1, "the register");
    }
    void reset(Reset) { value_ = 0; }
    void state(StateVisitor& v) {
        u8 copy = value_;
        v("value", copy);
    }
    u64 read(u64, u32) { return value_; }
    void write(u64, u32, u64 value) { value_ = static_cast<u8>(value); }
    u8 value_ = 0;
};

BACKPLANE_PLUGIN("wrong.state-in-copy", "0.1.0", "Apache-2.0", kDevice, "", Wrong)
