// Commands on a running machine, by hand (Ctrl-A c) and from scripts.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <string_view>

#include "kernel/machine/machine.hpp"
#include "monitor/hmp.hpp"
#include "runner/inputs.hpp"
#include "runner/picture.hpp"

namespace backplane::runner {

class Monitor {
  public:
    Monitor(kernel::Machine& machine, Inputs& inputs);
    // Runs one line and returns what it prints, lines ended by \n. Unknown commands are answered, never thrown.
    std::string run(const std::string& line);
    // The text screen, or why there is none.
    std::string screen();
    // Writes the picture to a file. Returns an error text, or "".
    std::string screendump(const std::string& path, PictureFormat format = PictureFormat::kPpm);
    // Presses and releases keys. Returns an error text, or "".
    std::string key(std::string_view combination);
    std::string type(std::string_view text);
    // Presses keys or lets them go, in this order. Returns an error text, or "".
    std::string change_keys(const std::vector<std::uint32_t>& codes, bool down);
    std::string power_button();
    // Breaks off what takes its time. Any thread.
    void end() { ended_ = true; }

  private:
    std::string state_command(const std::string& command, std::string rest);
    std::string press(const std::vector<std::uint32_t>& codes);
    kernel::Machine& machine_;
    Inputs& inputs_;
    monitor::Hmp hmp_;
    std::atomic<bool> ended_{false};
};

// A script: one command a line, `#` begins a comment.
//   wait-screen "text" [seconds]    until the text screen shows it (default 60 s)
//   sleep SECONDS     key NAME     type "text"     screen     any monitor command     quit
// Output goes to `print`. Returns an error text, or "" when the script reached its end.
std::string run_script(const std::string& path, Monitor& monitor, const std::function<bool()>& ended,
                       const std::function<void(const std::string&)>& print);

}  // namespace backplane::runner
