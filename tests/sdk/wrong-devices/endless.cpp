// Counts down to zero, also from zero.
#include <atomic>

#include "backplane/plugin.hpp"

using namespace backplane;

struct Wrong final : Device<Wrong> {
    static constexpr std::string_view kType = "wrong.endless";
    using Device::Device;

    static void describe(Schema<Wrong>& s) {
        s.doc("A delay.");
        s.ports<nullptr, &Wrong::write>("port", 1, 1, "how long");
    }
    void write(u64, u32, u64 value) {
        for (u64 left = value - 1; left != 0; --left) std::atomic_signal_fence(std::memory_order_seq_cst);
    }
};

BACKPLANE_PLUGIN("wrong.endless", "0.1.0", "Apache-2.0", kDevice, "", Wrong)
