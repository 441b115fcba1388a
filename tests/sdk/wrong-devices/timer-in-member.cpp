// When the lamp goes out stands in a member instead of a timer, and in no state.
#include "backplane/plugin.hpp"

using namespace backplane;

struct Wrong final : Device<Wrong> {
    static constexpr std::string_view kType = "wrong.timer-in-member";
    using Device::Device;

    static void describe(Schema<Wrong>& s) {
        s.doc("A lamp that burns for a millisecond.");
        s.ports<&Wrong::read, &Wrong::write>("port", 1, 1, "a write lights it");
    }
    void reset(Reset) { until_ = 0; }
    u64 read(u64, u32) { return now() < until_; }
    void write(u64, u32, u64) { until_ = now() + 1'000'000; }
    i64 until_ = 0;
};

BACKPLANE_PLUGIN("wrong.timer-in-member", "0.1.0", "Apache-2.0", kDevice, "", Wrong)
