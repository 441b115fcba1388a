// The control socket: a front end that lets programs on the host watch and command the machine. It speaks QMP
// (docs/control.md) on a UNIX socket, or on TCP of this host alone, to its owner and to nobody else; or with one client
// on a terminal, this process's own streams or a character stream of the board.
#pragma once

#include <string>

#include "backplane/abi/backend.h"
#include "backplane/device.hpp"
#include "control/peer.hpp"
#include "control/stream_peer.hpp"
#include "server.hpp"

namespace backplane {

struct QmpControl : Device<QmpControl> {
    static constexpr std::string_view kType = "control.qmp";
    using Device::Device;
    ~QmpControl() { server_.stop(), peer_.stop(); }
    static void describe(Schema<QmpControl>& s);
    bp_status start();
    void connect();
    void stop();

  private:
    // Return why it cannot be, or "".
    std::string serve_socket(Server::Hooks hooks);
    std::string serve_peer(Server::Hooks hooks);
    std::string serve_stream(Server::Hooks hooks);

    std::string address_;
    bool connect_ = false, pretty_ = false;
    Link<bp_chardev> chardev_;
    Server server_;
    control::Peer peer_;
    control::StreamPeer stream_;
};

}  // namespace backplane
