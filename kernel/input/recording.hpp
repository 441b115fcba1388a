// The file that a session's input is recorded in: what it was recorded on, then events in the order in which they
// reached the machine. Little endian throughout:
//
//   header  "BPINPUT\n", u32 version, u32 size of the body, body, u64 checksum
//           body: board's name; u32 number of parts, for each its name and u64 digest (a text: u16 length, bytes)
//   event   u32 kind, u32 size of the body, body, u64 checksum
//           channel (1): u32 number from 0 upwards, the rest is its name
//           input (2):   stamp, u32 channel, the rest are its bytes
//           end (3):     stamp, u32 reason, i32 exit code, the rest is a text; nothing follows
//           stamp: u64 instructions, u64 timers, i64 time in ns
//
// A checksum is XXH64 over everything from the magic or kind on, with the checksum before it as seed: events cannot be
// exchanged or left out. A file that ends in the middle of an event is what a killed process leaves: all before it
// counts.
#pragma once

#include <compare>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backplane/types.hpp"

namespace backplane::kernel {

// A point of a deterministic machine's life, the same in every run.
struct InputStamp {
    u64 instructions = 0;  // executed so far
    u64 timers = 0;        // expired so far: a halted CPU executes nothing while time passes
    i64 time = 0;          // virtual, in ns
    auto operator<=>(const InputStamp&) const = default;
    std::string text() const;  // "instruction 1000, timer 5, 0.000123000 s"
};

// What a recording was made on. Digests are equal where the machine is.
struct MachineIdentity {
    struct Part {
        std::string name;  // "device timer0", "contents of image0"
        u64 digest = 0;
        bool operator==(const Part&) const = default;
    };
    std::string board;
    std::vector<Part> parts;
    // Why a recording made on `other` does not fit this machine, by name; "": it does.
    std::string difference(const MachineIdentity& other) const;
};

struct InputEvent {
    InputStamp at;
    u32 channel = 0;  // index into Recording::channels
    std::span<const u8> bytes;
};

// How the session ended.
struct InputEnd {
    InputStamp at;
    u32 reason = 0;  // the caller's own numbers
    i32 code = 0;
    std::string text;
};

inline constexpr std::size_t kMaxRecording = std::size_t{1} << 30;
inline constexpr std::size_t kMaxEventBytes = 64u << 10;  // of input in one event
inline constexpr std::size_t kMaxRecordedName = 255;
inline constexpr std::size_t kMaxChannels = 1024;

// Writes the parts of a file, each as one string of bytes.
class RecordingWriter {
  public:
    std::string header(const MachineIdentity& machine);
    std::string channel(u32 number, std::string_view name);
    std::string input(const InputStamp& at, u32 channel, std::span<const u8> bytes);
    std::string end(const InputEnd& end);

  private:
    std::string sealed(u32 kind, std::string_view body);
    u64 checksum_ = 0;
};

// A whole file in memory, checked. The spans of the events point into it.
class Recording {
  public:
    // Throws Error "name: text" (with the offset, where the file is damaged).
    static Recording parse(std::vector<u8> file, const std::string& name);
    static Recording read(const std::string& path);
    Recording(Recording&&) = default;
    Recording& operator=(Recording&&) = default;
    Recording(const Recording&) = delete;
    Recording& operator=(const Recording&) = delete;

    MachineIdentity machine;
    std::vector<std::string> channels;
    std::vector<InputEvent> events;
    std::optional<InputEnd> end;  // none: the recording process was killed

  private:
    friend class RecordingParser;
    Recording() = default;
    std::vector<u8> file_;
};

}  // namespace backplane::kernel
