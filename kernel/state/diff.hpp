// What differs between two snapshots, by name.
#pragma once

#include <string>
#include <vector>

#include "kernel/state/snapshot.hpp"

namespace backplane::kernel {

struct DiffOptions {
    bool memory = false;                // name the ranges of memory that differ, not only how much
    std::size_t elements = 16;          // of one array that are named
    std::size_t ranges = 16;            // of one block of memory that are named
    std::vector<std::string> ignore{};  // patterns over Difference::what, with * and ?
};

struct Difference {
    std::string what;         // "clock0.index", "machine.time", "ram of bridge"
    std::string left, right;  // values as text; both empty if `note` says it all
    std::string note;

    std::string text() const;  // "clock0.index: 0a -> 0c"
};

// In the order of the first snapshot's devices. Empty: the two are the same state, but for what is ignored. The order
// of the fields of a device does not matter, and the flags and versions of a field do not either.
std::vector<Difference> diff(const Snapshot& a, const Snapshot& b, const DiffOptions& options = {});
// The same, and the contents of memory.
std::vector<Difference> diff(const SnapshotFile& a, const SnapshotFile& b, const DiffOptions& options = {});

}  // namespace backplane::kernel
