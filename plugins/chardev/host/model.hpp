// The other character streams under one name, chosen by a text as users write it: null, pty, file:PATH, unix:PATH.
#pragma once

#include "chardev/device.hpp"

namespace backplane {

struct HostChardev : chardev::StreamDevice<HostChardev> {
    static constexpr std::string_view kType = "chardev.host";
    using StreamDevice::StreamDevice;
    static void describe(Schema<HostChardev>& s);
    bp_status start();

  private:
    std::string target_;
};

}  // namespace backplane
