// What the tests of this folder share: a folder that goes away, and a snapshot with something of everything.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "backplane/abi/device.h"
#include "kernel/state/snapshot.hpp"

namespace backplane::kernel::testing {

class Folder {
  public:
    Folder() { path_ = ::mkdtemp(path_.data()); }
    ~Folder() { std::filesystem::remove_all(path_); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;

    const std::string& path() const { return path_; }
    std::string file(const std::string& name) const { return path_ + "/" + name; }

  private:
    std::string path_ = "/tmp/backplane-state-XXXXXX";
};

inline std::string read_bytes(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}
inline void write_bytes(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
}

// The text of the Error that `work` throws; "" if it throws none.
template <class Work>
std::string error_of(Work work) {
    try {
        work();
    } catch (const Error& e) {
        return e.what();
    }
    return "";
}

inline StateValue value(std::string name, u32 kind, u32 element_size, std::string bytes) {
    StateValue v;
    v.name = std::move(name), v.kind = kind, v.element_size = element_size;
    v.count = bytes.size() / element_size;
    v.bytes = std::move(bytes);
    return v;
}

struct Sample {
    Snapshot snapshot;
    std::vector<std::string> contents;

    // `small`: a file of a few KiB.
    explicit Sample(bool small = false) {
        Snapshot& s = snapshot;
        s.program_version = "0.1.0";
        s.abi_major = 0, s.abi_minor = 2;
        s.board = "board-1";
        s.request_json = R"({"machine": "board-1"})";
        s.deterministic = true;
        s.time_ns = 1'234'567'890;
        s.start_time = 1'262'304'000;
        s.random_state = 0x0123456789abcdef;
        s.timer_sequence = 77, s.timers_fired = 70;
        s.instructions = {1'000'000, 5};
        DeviceState clock;
        clock.name = "clock0", clock.type = "test.clock", clock.plugin = "test-clock";
        clock.plugin_version = "1.2", clock.plugin_kind = "device", clock.state_version = 3;
        clock.properties = {{"period", "250ms"}, {"path", "/a\xff\n/b"}};
        clock.fields = {value("index", BP_STATE_UNSIGNED, 1, "\x0a"),
                        value("on", BP_STATE_BOOL, 1, "\1"),
                        value("channel[1].count", BP_STATE_UNSIGNED, 2, std::string("\x34\x12\x78\x56", 4)),
                        value("offset", BP_STATE_SIGNED, 8, std::string(8, '\xff')),
                        value("rate", BP_STATE_FLOAT, 8, std::string("\0\0\0\0\0\0\xf8\x3f", 8)),
                        value("buffer", BP_STATE_BYTES, 1, std::string(small ? 9 : 1000, 'b')),
                        value("none", BP_STATE_BYTES, 1, "")};
        clock.lines = {{"irq", true}, {"lamp", false}};
        clock.timers = {{"tick", 1'300'000'000, 5}, {"alarm", 2'000'000'000, 76}};
        DeviceState bridge;
        bridge.name = "bridge", bridge.type = "test.bridge";
        s.devices = {clock, bridge};
        s.facts = {{"clock0", "test.rate", "0", {{"hertz", "4"}, {"text", "four"}}}, {"clock0", "test.rate", "1", {}}};
        s.memory = {{"bridge", "ram", (small ? 1 : 5) * kSnapshotChunk + 4096},
                    {"clock0", "empty", 8192},
                    {"clock0", "rom", 4096}};
        contents = {std::string(s.memory[0].size, '\0'), std::string(8192, '\0'), std::string(4096, 'r')};
        contents[0][0x7c00] = '\x55';
        for (u64 i = 0; !small && i < kSnapshotChunk; ++i)  // hard to compress
            contents[0][2 * kSnapshotChunk + i] = static_cast<char>(i * i * 2654435761u >> 13);
        contents[0].back() = 'e';
    }
    const u8* block(std::size_t i) const { return reinterpret_cast<const u8*>(contents[i].data()); }
    void write(const std::string& path) const {
        write_snapshot(path, snapshot, [this](std::size_t i) { return block(i); });
    }
};

}  // namespace backplane::kernel::testing
