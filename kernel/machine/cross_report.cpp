#include "kernel/machine/cross_report.hpp"

#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>

#include "backplane/abi/device.h"
#include "kernel/state/text.hpp"

namespace backplane::kernel {

namespace {

// The value without the bits in which engines may differ.
StateValue judged(const StateValue& value, const std::vector<KnownDifference>& known) {
    StateValue v = value;
    for (const KnownDifference& k : known) {
        if (k.field != v.name) continue;
        for (std::size_t i = 0; i < v.bytes.size(); ++i) {
            const std::size_t in_element = i % v.element_size;
            const u64 mask = v.kind == BP_STATE_BYTES ? 0xff : k.mask >> (8 * in_element);
            v.bytes[i] = static_cast<char>(static_cast<u8>(v.bytes[i]) & ~mask & 0xff);
        }
    }
    return v;
}

}  // namespace

bool equal(const CrossAttempt& a, const CrossAttempt& b, const std::vector<KnownDifference>& known) {
    if (a.diverged != b.diverged || a.pages != b.pages || a.fields.size() != b.fields.size()) return false;
    for (std::size_t i = 0; i < a.fields.size(); ++i)
        if (a.fields[i].bytes != b.fields[i].bytes &&
            judged(a.fields[i], known).bytes != judged(b.fields[i], known).bytes)
            return false;
    return true;
}

std::string CrossReport::text(const CrossAttempt& first, const CrossAttempt& second,
                              const std::vector<KnownDifference>& known,
                              const std::function<std::string(u64)>& label) const {
    std::string out = "the engines " + first_engine + " and " + second_engine + " differ";
    if (first_engine == second_engine) out = "two engines " + first_engine + " differ";
    std::string place = "block " + std::to_string(block) + ", instructions " + std::to_string(block_begin) + " to " +
                        std::to_string(block_end);
    // The machine counts what all have executed.
    if (!cpu.empty()) place += " of " + cpu + "; " + std::to_string(others) + " of the others before them";
    if (reproduced)
        out += " at instruction " + std::to_string(found_at) + (cpu.empty() ? "" : " of " + cpu) + " (" + place + ")";
    else
        out += " (" + place + "); a new " + first_engine +
               " that begins there does not: it comes from what the machine's had kept";
    if (!last_instructions.empty()) {
        out += "\nthe last instructions, of " + first_engine + ":";
        for (const std::string& line : last_instructions) out += "\n  " + line;
    }
    out += "\nfirst " + first_engine + ", then " + second_engine + ":";
    for (const auto* one : {&first, &second})
        if (!one->diverged.empty())
            out += std::string("\n  the ") + (one == &first ? "first" : "second") + ": " + one->diverged;
    for (std::size_t i = 0; i < first.fields.size() && i < second.fields.size(); ++i) {
        const StateValue &x = first.fields[i], &y = second.fields[i];
        if (judged(x, known).bytes != judged(y, known).bytes)
            out += "\n  " + x.name + ": " + value_text(x) + " | " + value_text(y);
    }
    std::size_t bytes = 0;
    for (const auto& [page, contents] : first.pages) {
        const auto other = second.pages.find(page);
        for (std::size_t i = 0; other != second.pages.end() && i < contents.size(); ++i) {
            if (contents[i] == other->second[i]) continue;
            if (++bytes > 16) continue;
            char line[80];
            std::snprintf(line, sizeof line, "\n  memory at %llx of guest memory (",
                          static_cast<unsigned long long>(page + i));
            out += line + label(page + i);
            std::snprintf(line, sizeof line, "): %02x | %02x", static_cast<u8>(contents[i]),
                          static_cast<u8>(other->second[i]));
            out += line;
        }
    }
    if (bytes > 16) out += "\n  and " + std::to_string(bytes - 16) + " more bytes of memory";
    return out;
}

TraceFile::TraceFile() : path_((std::filesystem::temp_directory_path() / "backplane-trace-XXXXXX").string()) {
    const int fd = ::mkstemp(path_.data());
    if (fd >= 0) ::close(fd);
}
TraceFile::~TraceFile() { ::unlink(path_.c_str()); }

std::vector<std::string> TraceFile::last_lines(std::size_t count) const {
    std::ifstream in(path_);
    std::deque<std::string> lines;
    for (std::string line; std::getline(in, line);) {
        lines.push_back(line);
        if (lines.size() > count) lines.pop_front();
    }
    return {lines.begin(), lines.end()};
}

}  // namespace backplane::kernel
