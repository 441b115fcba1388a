// The readline monitor: lines of text in, text out, with the commands and words that QEMU's has had since 0.12
// (docs/monitor.md). Knows no terminal.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "monitor/call.hpp"

namespace backplane::monitor {

// `fallback`: what runs a line whose command is not known here; may be empty.
class Hmp {
  public:
    using Fallback = std::function<std::string(const std::string& line)>;
    explicit Hmp(Call call, Fallback fallback = {}) : call_(std::move(call)), fallback_(std::move(fallback)) {}

    // What the line prints, lines ended by \n; a mistake is answered in words.
    std::string run(const std::string& line) const;
    // Whether the first word of the line is a command of this monitor.
    static bool knows(std::string_view line);
    // The words that can stand at the end of the line, complete.
    std::vector<std::string> complete(std::string_view line) const;

  private:
    std::string choose_processor(const std::vector<std::string>& words) const;

    Call call_;
    Fallback fallback_;
    mutable std::uint64_t cpu_ = 0;  // the processor that lines are about; a monitor has one user at a time
};

// The part behind `info`. Throws an exception that says why not.
std::string info(const Call& call, const std::string& what);
std::vector<std::string> info_names();

}  // namespace backplane::monitor
