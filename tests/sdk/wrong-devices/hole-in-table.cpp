// Offers memory that can be read but has no function for writing.
#include "backplane/abi/backend.h"
#include "backplane/plugin.hpp"

using namespace backplane;

struct Wrong final : Device<Wrong> {
    static constexpr std::string_view kType = "wrong.hole-in-table";
    using Device::Device;

    static constexpr bp_nvram kTable{sizeof(bp_nvram), [](void*, u32) { return u8{0}; }, nullptr};
    static void describe(Schema<Wrong>& s) {
        s.doc("Memory of a clock chip.");
        s.offer(BP_NVRAM_ID, &kTable);
    }
};

BACKPLANE_PLUGIN("wrong.hole-in-table", "0.1.0", "Apache-2.0", kDevice, "", Wrong)
