// The readline monitor (docs/monitor.md): a user, or a program that was written for QEMU's, commands the machine by
// lines of text, on a socket, a pseudo-terminal, this process's own streams or a character stream of the board.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "backplane/abi/backend.h"
#include "backplane/device.hpp"
#include "control/peer.hpp"
#include "control/stream_peer.hpp"
#include "monitor/hmp.hpp"
#include "monitor/line_editor.hpp"

namespace backplane {

struct MonitorControl : Device<MonitorControl> {
    static constexpr std::string_view kType = "control.monitor";
    using Device::Device;
    static void describe(Schema<MonitorControl>& s);
    bp_status start();
    void connect();
    void stop();

  private:
    // What the user typed, in any thread; lines run in a thread of their own, so that a long command holds up nothing.
    void typed(std::string_view bytes);
    void greet();
    void loop();
    void show(const std::string& text);

    std::string address_;
    bool connect_ = false, streamed_ = false;
    std::string prompt_;
    Link<bp_chardev> chardev_;

    std::unique_ptr<monitor::Hmp> hmp_;
    std::unique_ptr<monitor::LineEditor> editor_;  // the thread's own
    control::Peer peer_;
    control::StreamPeer stream_;
    std::thread thread_;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::string typed_;  // not looked at yet
    bool greeting_ = false, ended_ = false;
};

}  // namespace backplane
