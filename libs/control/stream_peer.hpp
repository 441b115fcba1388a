// A character stream of the board (bp.chardev/1) as the other end of a front end that speaks a protocol of bytes: what
// Peer is for the host's own ends. The stream is there in the machine's thread only; a front end speaks from its own.
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <string_view>

#include "backplane/abi/backend.h"
#include "backplane/slot.hpp"
#include "backplane/types.hpp"

namespace backplane::control {

class StreamPeer {
  public:
    static constexpr std::size_t kMostUnsent = 16 << 20;  // bytes; what is said beyond them is dropped

    // In the machine's thread, under its lock: must wait for nothing.
    struct Hooks {
        std::function<void(std::string_view bytes)> bytes;  // the other end says something
        std::function<std::size_t()> room;                  // how many bytes are welcome now
    };
    // Before anything else, in the device's start().
    void start(const Slot& slot, Hooks hooks) { slot_ = &slot, hooks_ = std::move(hooks); }
    // In the device's connect().
    void connect(const bp_chardev* stream, void* instance);
    // Any thread. A stream does not say when it takes more: send("") tries again to hand over what is left.
    void send(std::string_view bytes);
    std::size_t unsent();
    // Hooks::room may say more now. Any thread.
    void room_changed();
    // Hands over what is left. In the device's stop(), when the machine has ended.
    void stop() { flush(); }

  private:
    static const bp_char_receiver kReceiver;
    void flush();

    const Slot* slot_ = nullptr;
    Hooks hooks_;
    const bp_chardev* stream_ = nullptr;
    void* instance_ = nullptr;
    std::mutex mutex_;
    std::string output_;  // guarded, as the next
    bool posted_ = false;
};

}  // namespace backplane::control
