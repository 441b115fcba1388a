// How many processors the board has: the one value that the firmware's tables, the clock chip's memory and fw_cfg are
// filled from. No chip of its own: on a real board this is the number of filled sockets.
#pragma once

#include "backplane/device.hpp"

namespace backplane::chipset {

struct Processors final : Device<Processors> {
    static constexpr std::string_view kType = "chipset.processors";
    using Device::Device;

    static void describe(Schema<Processors>& s);
    bp_status start();
    bp_status publish();

  private:
    u32 boot_ = 1, max_ = 0;
};

}  // namespace backplane::chipset
