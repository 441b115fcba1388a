// A character stream of a device to the host (bp.chardev/1), with a thread of its own that does all reading and
// writing. What it reads goes through the kernel (bp.input/1) and comes back as input() at a point of the machine's
// time; what the device has no room for waits here, and is lost when a snapshot is restored.
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
#include "chardev/thread.hpp"

namespace backplane::chardev {

class Stream {
  public:
    struct Callbacks {
        // Hands on what was read; it comes back through input(). Any thread.
        std::function<void(const u8*, std::size_t)> submit;
        std::function<void(const std::string&)> warn;  // any thread
    };
    struct Options {
        bool wait = false;       // start() returns only after a client has connected (sockets)
        bool takes_all = false;  // write() waits for a slow client instead of telling the device: nothing that the
                                 // guest could notice depends on the host's speed
    };

    Stream() = default;
    ~Stream() { stop(); }
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    // Starts the thread. Returns an error text.
    std::string start(Opened end, Callbacks callbacks, Options options);
    // Ends the thread after what the device wrote has reached the host, or the host did not take it for a second.
    void stop();

    // --- The device's side, under the machine's lock ---
    u32 write(const u8* data, u32 count);
    void connect(const bp_char_receiver* receiver, void* instance);
    // What was submitted, or recorded in an earlier run, arrives.
    void input(const u8* data, std::size_t count);
    // Hands the device what it has room for.
    void deliver();

  private:
    static constexpr std::size_t kMostOutput = 64 << 10;
    static constexpr std::size_t kMostInput = 4096;  // under way to the device
    static constexpr std::chrono::milliseconds kPatience{1000};
    using Clock = std::chrono::steady_clock;

    void run();
    bool step();
    void accept();
    void read();
    void write_out();
    void disconnect();
    bool connected() const { return static_cast<bool>(end_.fd) && !hung_up_; }
    bool takes_output() const { return connected_ && !stuck_ && !broken_ && !ended_; }
    void wait_for_room(std::unique_lock<std::mutex>& lock);
    void give_up(std::unique_lock<std::mutex>& lock);
    std::string wait_for_client();

    Opened end_;
    Callbacks callbacks_;
    Wake wake_;
    std::thread thread_;
    bool running_ = false;
    bool takes_all_ = false;

    std::vector<u8> undelivered_;  // arrived, not yet taken by the device; under the machine's lock

    std::mutex mutex_;
    const bp_char_receiver* receiver_ = nullptr;
    void* instance_ = nullptr;
    std::condition_variable drained_;
    std::vector<u8> output_;     // from the device, not yet written
    std::size_t under_way_ = 0;  // bytes submitted, not yet taken by the device
    Clock::time_point progress_;
    bool ended_ = false;
    bool connected_ = false;  // somebody takes output: set by the thread
    bool stuck_ = false;      // the client took nothing for too long: output is dropped until it does
    bool broken_ = false;     // the file takes no more
    bool hung_up_ = false;    // thread only
};

}  // namespace backplane::chardev
