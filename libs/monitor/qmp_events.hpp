// QEMU's names of what drives tell of themselves.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "monitor/call.hpp"

namespace backplane::monitor {

// The events that translate() makes, with what they mean.
std::vector<std::pair<std::string, std::string>> qmp_event_names();

class QmpEvents {
  public:
    explicit QmpEvents(Call call) : call_(std::move(call)) {}
    // An event of the machine as QEMU's clients know it; all others stay as they are. Not in the machine's thread: for
    // the first one the machine is asked how its drives are called.
    std::string translate(std::string json);

  private:
    struct Names {
        std::string device, id, attachment;
    };
    const Names* find(const std::string& device);

    Call call_;
    std::optional<std::vector<Names>> names_;  // the same as long as the machine runs
};

}  // namespace backplane::monitor
