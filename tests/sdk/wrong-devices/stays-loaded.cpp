// An object of each thread, whose destructor the C library calls at the thread's end: until then it keeps the file.
#include <vector>

#include "backplane/plugin.hpp"

using namespace backplane;

thread_local std::vector<int> t_history;

struct Wrong final : Device<Wrong> {
    static constexpr std::string_view kType = "wrong.stays-loaded";
    using Device::Device;

    static void describe(Schema<Wrong>& s) {
        s.doc("Counts its resets for each thread.");
        s.ports<&Wrong::read, nullptr>("port", 1, 1, "nothing");
    }
    void reset(Reset) { t_history.push_back(1); }
    u64 read(u64, u32) { return 0; }
};

BACKPLANE_PLUGIN("wrong.stays-loaded", "0.1.0", "Apache-2.0", kDevice, "", Wrong)
