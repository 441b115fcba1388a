// A snapshot: the whole state of a machine at one moment, in memory and as a file (docs/snapshots.md has its layout).
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "backplane/types.hpp"
#include "kernel/config/error.hpp"

namespace backplane::kernel {

// One declared field of a device. `bytes` holds count * element_size bytes, each element little-endian.
struct StateValue {
    std::string name;  // "index", or with a path: "channel[1].count"
    u32 kind = 0;      // BP_STATE_*
    u32 element_size = 1;
    u32 since = 1;
    u32 flags = 0;
    u64 count = 0;
    std::string bytes;

    bool operator==(const StateValue&) const = default;
};

struct DeviceState {
    // An armed timer.
    struct Timer {
        std::string name;
        i64 due = 0;  // ns of the machine's time
        u64 sequence = 0;

        bool operator==(const Timer&) const = default;
    };

    std::string name, type;
    std::string plugin, plugin_version, plugin_kind;  // may be empty: a type that the program itself brings
    u32 state_version = 1;
    std::vector<std::pair<std::string, std::string>> properties;  // name, value as text
    std::vector<StateValue> fields;
    std::vector<std::pair<std::string, bool>> lines;  // name, level
    std::vector<Timer> timers;
    // Of a CPU: the state that all engines share, by which an engine of another type can go on. Empty if the engine
    // does not give it away.
    std::vector<StateValue> cpu;

    bool operator==(const DeviceState&) const = default;
};

// One block of guest memory; its contents are not part of the model.
struct MemoryState {
    std::string owner, name;
    u64 size = 0;

    bool operator==(const MemoryState&) const = default;
};

struct FactState {
    std::string from, what, key;
    std::vector<std::pair<std::string, std::string>> fields;  // name, value as text

    bool operator==(const FactState&) const = default;
};

struct Snapshot {
    std::string program_version;
    u32 abi_major = 0, abi_minor = 0;
    std::string board;
    std::string request_json;  // how the machine was started
    bool deterministic = false;
    i64 time_ns = 0;     // of the machine's clock, since power-on
    u64 start_time = 0;  // what the machine took for the time of day at power-on
    u64 random_state = 0;
    u64 timer_sequence = 0;
    u64 timers_fired = 0;
    std::vector<u64> instructions;  // executed, by vCPU
    // Of several vCPUs with the deterministic clock: whose turn it is, and the instructions that are left of it.
    u32 turn = 0;
    u64 turn_left = 0;
    std::vector<DeviceState> devices;
    std::vector<FactState> facts;
    std::vector<MemoryState> memory;

    bool operator==(const Snapshot&) const = default;
};

// Every snapshot begins with these 8 bytes.
inline constexpr std::string_view kSnapshotMagic{
    "\x89"
    "BPSNAP\n",
    8};
// What files with snapshots are usually called.
inline constexpr std::string_view kSnapshotSuffix = ".snapshot";
// Memory is compressed in pieces of this size, those that are all zero left out.
inline constexpr u64 kSnapshotChunk = u64{1} << 20;

// Writes a file that SnapshotFile accepts. `contents` gives the first of the block's `size` bytes, which stay as they
// are until the call returns. The file appears under its name when it is complete and on the disk; after an error
// nothing has changed. Throws Error: the model breaks a rule of the format, or the host refuses.
void write_snapshot(const std::string& path, const Snapshot& snapshot,
                    const std::function<const u8*(std::size_t memory_index)>& contents);

// A snapshot that was read and found to be sound in every respect that can be judged without a machine.
class SnapshotFile {
  public:
    // Reads and verifies everything: structure, bounds, names, checksums, and that every piece of compressed memory is
    // what it says. The memory's contents are not kept unpacked. Throws Error, naming the first thing that is wrong and
    // its offset.
    explicit SnapshotFile(const std::string& path);
    // The same for bytes that are in memory; `name` stands for the path in errors.
    SnapshotFile(std::string bytes, const std::string& name);
    ~SnapshotFile();
    SnapshotFile(SnapshotFile&&) noexcept;
    SnapshotFile& operator=(SnapshotFile&&) noexcept;

    const std::string& path() const;
    u64 file_size() const;
    const Snapshot& snapshot() const;

    // Contents of the index-th block of snapshot().memory: `into` takes its `size` bytes. `zeroed`: `into` holds zeros
    // already, which saves touching the pages that stay zero. Cannot fail.
    void load_memory(std::size_t index, u8* into, bool zeroed = false) const;

    // The same by pieces of kSnapshotChunk bytes (the last of a block may be shorter).
    u64 chunk_count(std::size_t index) const;
    u64 chunk_size(std::size_t index, u64 chunk) const;
    // As it is stored, compressed; empty: all zero. Equal stored pieces have equal contents.
    std::string_view stored_chunk(std::size_t index, u64 chunk) const;
    void load_chunk(std::size_t index, u64 chunk, u8* into) const;

  private:
    struct Data;
    std::unique_ptr<Data> data_;
};

}  // namespace backplane::kernel
