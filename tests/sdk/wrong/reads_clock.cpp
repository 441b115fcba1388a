// A device that looks at the host's clock
#include <chrono>
#include <ctime>

#include "backplane/plugin.hpp"

struct ReadsClock : backplane::Device<ReadsClock> {
    static constexpr std::string_view kType = "wrong.reads-clock";
    using Device::Device;
    static void describe(backplane::Schema<ReadsClock>& s) { s.doc("A device that looks at the host's clock"); }
    bp_status start() {
        timespec t{};
        ::clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec == std::chrono::system_clock::now().time_since_epoch().count() ? BP_ERR_IO : BP_OK;
    }
};

BACKPLANE_PLUGIN("wrong.reads-clock", "0.1.0", "Apache-2.0", kDevice, "", ReadsClock)
