// What a cross-check has found, in words.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "kernel/machine/machine.hpp"

namespace backplane::kernel {

// Where an engine stands behind some instructions.
struct CrossAttempt {
    bp_x86_state state{};
    std::vector<StateValue> fields;
    std::map<u64, std::string> pages;  // of guest memory, by offset: those that may differ
    std::string diverged;              // it went another way
};

// But for known differences.
bool equal(const CrossAttempt& a, const CrossAttempt& b, const std::vector<KnownDifference>& known);

struct CrossReport {
    std::string cpu;  // its name, where there are several
    std::string first_engine, second_engine;
    u64 block = 0, block_begin = 0, block_end = 0;  // the block's number, and counts of instructions
    bool reproduced = true;                         // the difference shows without the engine's past as well
    u64 found_at = 0;                               // behind so many instructions
    u64 others = 0;                                 // what the other CPUs had executed until then
    std::vector<std::string> last_instructions;

    std::string text(const CrossAttempt& first, const CrossAttempt& second, const std::vector<KnownDifference>& known,
                     const std::function<std::string(u64 offset)>& label) const;
};

// A file for an engine's instruction trace, for as long as the object lives.
class TraceFile {
  public:
    TraceFile();
    ~TraceFile();
    TraceFile(const TraceFile&) = delete;
    TraceFile& operator=(const TraceFile&) = delete;
    const std::string& path() const { return path_; }
    std::vector<std::string> last_lines(std::size_t count) const;

  private:
    std::string path_;
};

}  // namespace backplane::kernel
