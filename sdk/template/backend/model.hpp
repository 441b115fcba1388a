// A character stream (bp.chardev/1) whose other end answers what a device writes in capital letters. The other end is a
// thread: where it turns letters into capitals, yours talks to a file, a socket or a program.
//
// What a back end keeps to:
//  * It holds no state that a guest could observe, so it has no state(). What it has not handed over is lost on a
//  restore.
//  * The guest never waits for the host: write() queues and returns.
//  * What comes from outside goes through bp.input/1 (submit() from any thread, input() under the machine's lock), so
//  that a
//    session can be recorded and replayed.
//  * stop() is called without the machine's lock and ends the thread; drain() waits until nothing is under way.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>

#include "backplane/abi/backend.h"
#include "backplane/device.hpp"

namespace example {

class PluginName final : public backplane::Device<PluginName> {
  public:
    static constexpr std::string_view kType = "chardev.plugin_name";
    using Device::Device;

    static void describe(backplane::Schema<PluginName>& s);
    bp_status start();
    void stop();
    void drain();
    // The answer arrives, under the machine's lock.
    void input(const backplane::u8* data, std::size_t size);

    // bp.chardev/1: the device's side, under the machine's lock.
    backplane::u32 write(const backplane::u8* data, backplane::u32 count);
    void connect_receiver(const bp_char_receiver* receiver, void* instance);
    void deliver();

  private:
    void run();
    std::string answer(std::string text) const;

    // What the board file sets.
    bool capitals_ = true;
    backplane::u32 most_ = 0;

    // Under the machine's lock.
    const bp_char_receiver* receiver_ = nullptr;
    void* receiver_instance_ = nullptr;
    std::deque<backplane::u8> arrived_;  // and not yet taken by the device

    // Shared with the thread.
    std::thread thread_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::string written_;  // and not yet taken by the thread
    bool busy_ = false;    // the thread has taken something and not yet answered
    bool ends_ = false;
};

}  // namespace example
