// A TCP socket that one client at a time connects to, or that another program listens on. Output while nobody is
// connected is dropped. Whoever reaches the address is let in: it is a line out of the guest, not a command of the
// machine.
#pragma once

#include <string>

#include "chardev/device.hpp"

namespace backplane {

struct TcpChardev : chardev::StreamDevice<TcpChardev> {
    static constexpr std::string_view kType = "chardev.tcp";
    using StreamDevice::StreamDevice;
    static void describe(Schema<TcpChardev>& s);
    bp_status start();

  private:
    std::string address_;
    bool wait_ = false, connect_ = false;
};

}  // namespace backplane
