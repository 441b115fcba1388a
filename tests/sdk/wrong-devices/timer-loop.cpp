// A period of zero, which a guest can write, lets its timer expire for ever at one time.
#include "backplane/plugin.hpp"

using namespace backplane;

struct Wrong final : Device<Wrong> {
    static constexpr std::string_view kType = "wrong.timer-loop";
    using Device::Device;

    static void describe(Schema<Wrong>& s) {
        s.doc("A periodic timer.");
        s.ports<&Wrong::read, &Wrong::write>("port", 1, 1, "period in nanoseconds");
        s.timer<&Wrong::expired>("tick", &Wrong::tick_);
    }
    void reset(Reset) { period_ = 255, tick_.cancel(); }
    void state(StateVisitor& v) { v("period", period_); }
    u64 read(u64, u32) { return period_; }
    void write(u64, u32, u64 value) { period_ = static_cast<u8>(value), tick_.arm_in(period_); }
    void expired(i64 due) { tick_.arm(due + period_); }
    u8 period_ = 255;
    Timer tick_;
};

BACKPLANE_PLUGIN("wrong.timer-loop", "0.1.0", "Apache-2.0", kDevice, "", Wrong)
