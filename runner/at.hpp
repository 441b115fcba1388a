// What `--at POINT:ACTION` asks for.
#pragma once

#include <string>
#include <string_view>

#include "backplane/types.hpp"

namespace backplane::runner {

struct AtAction {
    enum class Point { kCount, kEnd } point = Point::kEnd;
    u64 count = 0;  // of executed instructions
    enum class What { kSave, kStop, kQuit } what = What::kSave;
    std::string file;  // to save to
};

// "icount=1_000_000:save=FILE", "icount=0x1000:stop", "icount=5:quit", "end:save=FILE". Throws kernel::Error.
AtAction parse_at(std::string_view text);

}  // namespace backplane::runner
