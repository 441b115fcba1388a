// A host file in the firmware configuration device's directory (`on: fw_cfg/vgaroms/vgabios.bin`), or as one of its
// numbered items (`on: fw_cfg/0x8000`).
#pragma once

#include <string>

#include "backplane/abi/fw_cfg.h"
#include "backplane/device.hpp"

namespace backplane {

struct FwCfgFile : Device<FwCfgFile> {
    static constexpr std::string_view kType = "firmware.fw_cfg_file";
    using Device::Device;

    static void describe(Schema<FwCfgFile>& s);
    bp_status start();

  private:
    std::string file_;
    Link<bp_fw_cfg> fw_cfg_;
};

}  // namespace backplane
