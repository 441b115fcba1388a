// A character stream of a device to the host (bp.chardev/1), with a thread of its own that does all reading and
// writing.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "backplane/abi/backend.h"
#include "backplane/types.hpp"
#include "chardev/open.hpp"

namespace backplane::chardev {

class Stream {
  public:
    struct Callbacks {
        // Asks for deliver() to be called under the machine's lock. Any thread.
        std::function<void()> request_delivery;
        std::function<void(const std::string&)> warn;  // any thread
    };

    Stream() = default;
    ~Stream() { stop(); }
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    // Starts the thread. With `wait` it returns only after a client has connected (sockets). Returns an error text.
    std::string start(Opened end, Callbacks callbacks, bool wait = false);
    // Ends the thread after what the device wrote has reached the host, or the host did not take it for a second.
    void stop();

    // --- The device's side, under the machine's lock ---
    u32 write(const u8* data, u32 count);
    void connect(const bp_char_receiver* receiver, void* instance);
    // Hands the device what it has room for.
    void deliver();

  private:
    static constexpr std::size_t kMostOutput = 64 << 10;
    static constexpr std::size_t kMostInput = 4096;
    static constexpr std::chrono::milliseconds kPatience{1000};
    using Clock = std::chrono::steady_clock;

    void run();
    bool step();
    void accept();
    void read();
    void write_out();
    void disconnect();
    void wake();
    bool connected() const { return static_cast<bool>(end_.fd) && !hung_up_; }
    std::string wait_for_client();

    Opened end_;
    Callbacks callbacks_;
    Fd wake_;
    std::thread thread_;
    bool running_ = false;

    std::mutex mutex_;
    const bp_char_receiver* receiver_ = nullptr;
    void* instance_ = nullptr;
    std::condition_variable drained_;
    std::vector<u8> output_;  // from the device, not yet written
    std::vector<u8> input_;   // from the host, not yet taken
    Clock::time_point progress_;
    bool ended_ = false;
    bool connected_ = false;  // somebody takes output: set by the thread
    bool requested_ = false;  // a delivery is on its way
    bool stuck_ = false;      // the client took nothing for too long: output is dropped until it does
    bool broken_ = false;     // the file takes no more
    bool hung_up_ = false;    // thread only
};

}  // namespace backplane::chardev
