// The counter runs beyond what the state says that it can be.
#include "backplane/plugin.hpp"

using namespace backplane;

struct Wrong final : Device<Wrong> {
    static constexpr std::string_view kType = "wrong.out-of-own-range";
    using Device::Device;

    static void describe(Schema<Wrong>& s) {
        s.doc("Counts writes.");
        s.ports<&Wrong::read, &Wrong::write>("port", 1, 1, "the count");
    }
    void reset(Reset) { count_ = 0; }
    void state(StateVisitor& v) { v("count", count_, {.max = 3}); }
    u64 read(u64, u32) { return count_; }
    void write(u64, u32, u64) { ++count_; }
    u8 count_ = 0;
};

BACKPLANE_PLUGIN("wrong.out-of-own-range", "0.1.0", "Apache-2.0", kDevice, "", Wrong)
