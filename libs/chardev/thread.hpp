// What a thread needs that waits in poll() for the host and for the machine.
#pragma once

#include <functional>
#include <string>
#include <thread>

#include "chardev/open.hpp"

namespace backplane::chardev {

// Interrupts poll(), from any thread.
class Wake {
  public:
    std::string open();  // why it cannot be, or ""
    void ring();
    void heard();  // in the thread that polls
    int fd() const { return fd_.get(); }
    void close() { fd_.reset(); }

  private:
    Fd fd_;
};

// A thread that takes no signals: those are the program's own business.
std::thread start_thread(std::function<void()> run);

}  // namespace backplane::chardev
