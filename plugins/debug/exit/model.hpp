// Debug exit port: a test guest ends the emulator with an exit code of its own. Not part of any real PC.
#pragma once

#include "backplane/device.hpp"

namespace backplane {

struct DebugExit : Device<DebugExit> {
    static constexpr std::string_view kType = "debug.exit";
    using Device::Device;

    static void describe(Schema<DebugExit>& s);
    bp_status start();
    u64 read(u64 offset, u32 bytes);
    void write(u64 offset, u32 bytes, u64 value);

  private:
    u32 size_ = 2;
    Region port_;
};

}  // namespace backplane
