// Debug console of a virtual PC: firmware writes text to one port. Firmware asks first: only a port that reads back E9h
// gets any text from SeaBIOS. Without a listener the port reads FFh and is a plain sink.
#pragma once

#include <string>

#include "backplane/abi/backend.h"
#include "backplane/device.hpp"

namespace backplane {

struct DebugConsole : Device<DebugConsole> {
    static constexpr std::string_view kType = "debug.console";
    using Device::Device;

    static void describe(Schema<DebugConsole>& s);
    bp_status start();
    u64 read(u64 offset, u32 bytes);
    void write(u64 offset, u32 bytes, u64 value);

  private:
    void log_line();

    u8 readback_ = 0xe9;
    u32 size_ = 1;
    bool log_ = false;
    Region port_;
    Link<bp_chardev> backend_;
    std::string line_;  // unfinished, for the log
};

}  // namespace backplane
