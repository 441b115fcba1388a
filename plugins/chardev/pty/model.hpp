// A pseudo-terminal: a terminal program on the host attaches to its slave. Output while nobody is attached is dropped.
#pragma once

#include "chardev/device.hpp"

namespace backplane {

struct PtyChardev : chardev::StreamDevice<PtyChardev> {
    static constexpr std::string_view kType = "chardev.pty";
    using StreamDevice::StreamDevice;
    static void describe(Schema<PtyChardev>& s);
    bp_status start();

  private:
    Path link_;
};

}  // namespace backplane
