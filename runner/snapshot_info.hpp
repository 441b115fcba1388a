// Everything that a snapshot says but the contents of memory, for people and for programs.
#pragma once

#include <string>

#include "kernel/state/snapshot.hpp"

namespace backplane::runner {

std::string snapshot_text(const kernel::SnapshotFile& file);
// One JSON object; its members are described in docs/snapshots.md.
std::string snapshot_json(const kernel::SnapshotFile& file);

// Executed by all vCPUs together.
u64 instruction_total(const kernel::Snapshot& snapshot);
u64 memory_total(const kernel::Snapshot& snapshot);  // bytes

}  // namespace backplane::runner
