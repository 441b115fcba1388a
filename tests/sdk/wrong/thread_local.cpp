// A device with a thread_local that has a destructor, which is never unloaded
#include <string>

#include "backplane/plugin.hpp"

thread_local std::string text;

struct ThreadLocal : backplane::Device<ThreadLocal> {
    static constexpr std::string_view kType = "wrong.thread-local";
    using Device::Device;
    static void describe(backplane::Schema<ThreadLocal>& s) {
        s.doc("A device with a thread_local that has a destructor, which is never unloaded");
    }
    bp_status start() {
        text += 'x';
        return BP_OK;
    }
};

BACKPLANE_PLUGIN("wrong.thread-local", "0.1.0", "Apache-2.0", kDevice, "", ThreadLocal)
