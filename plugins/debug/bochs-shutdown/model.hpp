// Shutdown port of the Bochs BIOS: the eight characters "Shutdown", one after another, switch the machine off.
#pragma once

#include "backplane/device.hpp"

namespace backplane {

struct BochsShutdown : Device<BochsShutdown> {
    static constexpr std::string_view kType = "debug.bochs-shutdown";
    using Device::Device;

    static void describe(Schema<BochsShutdown>& s);
    void reset(Reset kind);
    void state(StateVisitor& v);
    void write(u64 offset, u32 bytes, u64 value);

  private:
    u8 matched_ = 0;
};

}  // namespace backplane
