// POST code port: firmware writes the number of its current step. Nothing answers reads. Linux also uses the port as a
// delay.
#pragma once

#include "backplane/device.hpp"

namespace backplane {

struct DebugPost : Device<DebugPost> {
    static constexpr std::string_view kType = "debug.post";
    using Device::Device;

    static void describe(Schema<DebugPost>& s);
    void reset(Reset kind);
    void state(StateVisitor& v);
    void write(u64 offset, u32 bytes, u64 value);

  private:
    u8 code_ = 0;
    bool seen_ = false;
    TracePoint trace_;
};

}  // namespace backplane
