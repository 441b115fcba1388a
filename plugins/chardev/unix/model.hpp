// A Unix domain socket that one client at a time connects to, or that another program listens on. Output while nobody
// is connected is dropped.
#pragma once

#include "chardev/device.hpp"

namespace backplane {

struct UnixChardev : chardev::StreamDevice<UnixChardev> {
    static constexpr std::string_view kType = "chardev.unix";
    using StreamDevice::StreamDevice;
    static void describe(Schema<UnixChardev>& s);
    bp_status start();

  private:
    Path path_;
    bool wait_ = false, connect_ = false;
};

}  // namespace backplane
