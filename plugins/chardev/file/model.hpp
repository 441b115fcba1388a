// A file that a device's output is written to. Nothing is lost: the guest waits for a disk that is slower than it.
#pragma once

#include "chardev/device.hpp"

namespace backplane {

struct FileChardev : chardev::StreamDevice<FileChardev> {
    static constexpr std::string_view kType = "chardev.file";
    using StreamDevice::StreamDevice;
    static void describe(Schema<FileChardev>& s);
    bp_status start();

  private:
    Path path_;
    bool append_ = false;
};

}  // namespace backplane
