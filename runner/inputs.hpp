// The keyboard, mouse and buttons that front ends of this program work on. All of it goes through the kernel's door for
// outside input, so that it is recorded and replayed.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "backplane/types.hpp"
#include "kernel/machine/machine.hpp"

namespace backplane::runner {

class Inputs {
  public:
    explicit Inputs(kernel::Machine& machine);  // before run(); lives as long as the machine runs
    Inputs(const Inputs&) = delete;
    Inputs& operator=(const Inputs&) = delete;

    struct Key {
        u32 code;  // as in bp.keyboard/1
        bool down;
    };
    // Called exactly once, in the machine's thread or from within the call: "", or why it had no effect.
    using Done = std::function<void(const std::string& error)>;

    // Any thread.
    void keys(const std::vector<Key>& keys, Done done);
    void mouse(i32 dx, i32 dy, i32 wheel, u32 buttons, Done done);  // as in bp.mouse/1
    void power_button(Done done);

    // Waits for what `send` began and returns its error. A stopped machine of deterministic time is not waited for: the
    // input reaches it when it goes on. Not in the machine's thread, and not under its lock.
    std::string wait(const std::function<void(Done)>& send);

  private:
    void send(const char* channel, std::string bytes, Done done);
    void on_keys(const u8* data, std::size_t size);
    void on_mouse(const u8* data, std::size_t size);
    void on_power();

    kernel::Machine& machine_;
    std::string error_;  // of the last delivery; machine's thread
};

}  // namespace backplane::runner
