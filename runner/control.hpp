// The control commands that know what a keyboard, a display or a power button is, and those that take their time.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "kernel/control/control.hpp"
#include "runner/monitor.hpp"

namespace backplane::runner {

// Adds them to the machine. Must go before the machine does, after it has ended: what is under way is broken off.
class RunnerCommands {
  public:
    RunnerCommands(kernel::Machine& machine, Monitor& monitor);
    ~RunnerCommands();
    RunnerCommands(const RunnerCommands&) = delete;
    RunnerCommands& operator=(const RunnerCommands&) = delete;

  private:
    using Work = std::function<kernel::Json()>;
    void add_screen_and_power();
    void add_keys();
    // Runs `work` in our own thread, without the machine's lock, and answers with what it returns or throws.
    void later(const kernel::Reply& reply, Work work);
    void loop();

    kernel::Machine& machine_;
    Monitor& monitor_;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<std::function<void()>> queue_;
    bool ended_ = false;
    std::thread thread_;
};

}  // namespace backplane::runner
