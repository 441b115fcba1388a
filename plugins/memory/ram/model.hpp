// Plain memory at a fixed place, for boards without a northbridge and for memory cards.
#pragma once

#include "backplane/device.hpp"

namespace backplane {

struct PlainRam : Device<PlainRam> {
    static constexpr std::string_view kType = "memory.ram";
    using Device::Device;

    static void describe(Schema<PlainRam>& s);
    bp_status start();
    bp_status publish();

  private:
    bp_status map(u64 offset, u64 size);

    Bytes size_;
    Bytes base_;
    bool leave_upper_ = true;
    bool main_ = true;
    u32 block_ = 0;
};

}  // namespace backplane
