// A kernel that the firmware starts without a disk: Linux or Multiboot, from files of the host. What the boot ROM shall
// put into memory goes into items of the firmware configuration device, and the ROM itself into its directory.
#pragma once

#include <string>
#include <vector>

#include "backplane/abi/fw_cfg.h"
#include "backplane/device.hpp"
#include "boot.hpp"

namespace backplane {

struct BootKernel : Device<BootKernel> {
    static constexpr std::string_view kType = "firmware.kernel";
    using Device::Device;

    static void describe(Schema<BootKernel>& s);
    bp_status start();
    bp_status publish();
    bp_status consume(const Fact& fact);
    void state(StateVisitor& v);

  private:
    bp_status read(boot::Named& file);
    bp_status hand_over(boot::Plan plan);

    // Properties.
    std::string kernel_, initrd_, append_;

    bool multiboot_ = false;
    boot::Named file_;
    std::vector<boot::Named> modules_;  // or the initial RAM disk
    u64 contents_ = 0;                  // digest
    Link<bp_fw_cfg> fw_cfg_;
};

}  // namespace backplane
