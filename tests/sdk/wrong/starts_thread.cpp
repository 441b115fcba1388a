// A back end that does not say that it starts a thread
#include <thread>

#include "backplane/plugin.hpp"

struct StartsThread : backplane::Device<StartsThread> {
    static constexpr std::string_view kType = "wrong.starts-thread";
    using Device::Device;
    static void describe(backplane::Schema<StartsThread>& s) {
        s.doc("A back end that does not say that it starts a thread");
    }
    bp_status start() {
        thread_ = std::thread([] {});
        return BP_OK;
    }
    void stop() { thread_.join(); }
    std::thread thread_;
};

BACKPLANE_PLUGIN("wrong.starts-thread", "0.1.0", "Apache-2.0", kBackend, "files", StartsThread)
