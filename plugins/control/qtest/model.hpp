// qtest: another program drives the machine's devices, by the protocol that QEMU documents (docs/qtest.md). Together
// with a board without CPU (cpu.none) nothing happens but what that program asks for.
#pragma once

#include <memory>
#include <string>

#include "backplane/device.hpp"
#include "control/peer.hpp"
#include "protocol.hpp"

namespace backplane {

struct QtestControl : Device<QtestControl> {
    static constexpr std::string_view kType = "control.qtest";
    using Device::Device;
    static void describe(Schema<QtestControl>& s);
    bp_status start();
    void stop();

  private:
    void take(std::string_view bytes);

    static constexpr std::size_t kMostLine = 256 << 20;

    std::string address_;
    bool connect_ = false;
    std::unique_ptr<qtest::Protocol> protocol_;
    std::string line_;  // begun
    control::Peer peer_;
};

}  // namespace backplane
