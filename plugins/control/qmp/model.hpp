// The control socket: a front end that lets programs on the host watch and command the machine. It speaks QMP
// (docs/control.md) on a UNIX socket, or on TCP of this host alone, to its owner and to nobody else.
#pragma once

#include <string>

#include "backplane/device.hpp"
#include "server.hpp"

namespace backplane {

struct QmpControl : Device<QmpControl> {
    static constexpr std::string_view kType = "control.qmp";
    using Device::Device;
    static void describe(Schema<QmpControl>& s);
    bp_status start();
    void stop();

  private:
    std::string address_;
    Server server_;
};

}  // namespace backplane
