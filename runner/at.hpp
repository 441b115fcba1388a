// What `--at POINT:ACTION` asks for.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "backplane/types.hpp"
#include "kernel/machine/machine.hpp"

namespace backplane::runner {

struct AtAction {
    enum class Point { kCount, kTime, kEnd } point = Point::kEnd;
    u64 count = 0;  // of executed instructions, or ns of the machine's time
    enum class What { kSave, kStop, kQuit, kEngine } what = What::kSave;
    std::string file;    // to save to
    std::string engine;  // to go on with
};

// "icount=1_000_000:save=FILE", "icount=0x1000:stop", "icount=5:quit", "time=2.5s:engine=interp", "end:save=FILE".
// Throws kernel::Error.
AtAction parse_at(std::string_view text);

// Does on a machine what was asked for. Lives as long as the machine runs.
class AtWork {
  public:
    // Before run(). Throws kernel::Error: a point is past, or the machine does not count exactly.
    AtWork(kernel::Machine& machine, const std::vector<AtAction>& actions);
    AtWork(const AtWork&) = delete;
    AtWork& operator=(const AtWork&) = delete;
    // The machine has ended in order.
    void ended();
    // What went wrong, which ends the machine; or "".
    const std::string& error() const { return error_; }

  private:
    void save(const std::string& file);
    void attempt(const std::function<void()>& work);

    kernel::Machine& machine_;
    std::vector<AtAction> actions_;
    std::string error_;
};

}  // namespace backplane::runner
