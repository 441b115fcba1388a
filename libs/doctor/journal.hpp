// What a repair overwrote, in a file that undoes it.
#pragma once

#include <string>
#include <vector>

#include "repair.hpp"

namespace backplane::doctor {

struct Journal {
    std::string image;  // absolute path at the time
    std::string format;
    std::uint64_t sectors = 0;  // of the disk
    std::vector<Write> writes;
};

std::string text_of(const Journal& journal);  // JSON
// Throws std::runtime_error with what is wrong with the text.
Journal parse_journal(const std::string& text);

// The writes that put the old bytes back. Sectors that hold them already (a repair that was interrupted) are left out;
// sectors that hold neither the old bytes nor those of the repair are a reason to refuse, named in `refused`.
Plan undo(const Journal& journal, const geometry::Reader& reader, std::uint64_t sectors);

}  // namespace backplane::doctor
