// What reaches a deterministic machine from outside, recorded to a file or replayed from one. The machine's loop asks;
// nothing here knows what a channel stands for. Not for more than one thread at a time.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "kernel/input/recording.hpp"

namespace backplane::kernel {

class InputLog {
  public:
    InputLog() = default;
    ~InputLog();
    InputLog(const InputLog&) = delete;
    InputLog& operator=(const InputLog&) = delete;

    // Begins a recording; an existing file is replaced. Throws Error.
    void record_to(const std::string& path, const MachineIdentity& machine);
    // Reads a recording, which must have been made on an equal machine. Throws Error.
    void replay_from(const std::string& path, const MachineIdentity& machine);

    bool recording() const { return fd_ >= 0; }
    bool replaying() const { return replay_.has_value(); }
    const std::string& path() const { return path_; }

    // --- Recording: each call reaches the file before it returns. False: it could not be written, error() says why,
    // and the recording ends there.
    bool record(const InputStamp& at, std::string_view channel, std::span<const u8> bytes);
    bool record_end(const InputEnd& end);
    const std::string& error() const { return error_; }

    // --- Replaying
    struct Event {
        std::string_view channel;
        std::span<const u8> bytes;
    };
    // Where the next event, or the recorded end, is due; nothing behind the last one.
    std::optional<InputStamp> next() const;
    // Takes the next event if it is due exactly now. Valid until replay_from() is called again.
    std::optional<Event> take(const InputStamp& now);
    // The recorded end, once every event was taken; nullptr before, and if the recording process was killed.
    const InputEnd* end() const;
    // Every event was taken, and there is no recorded end.
    bool exhausted() const;
    // Why this run is not the recorded one: what should have happened is past. "": so far it is.
    std::string divergence(const InputStamp& now) const;
    // The same where the next event cannot come any more, whatever the point.
    std::string divergence_text(const InputStamp& now) const;

  private:
    bool write(const std::string& bytes);

    std::string path_, error_;
    int fd_ = -1;
    RecordingWriter writer_;
    std::map<std::string, u32, std::less<>> channels_;  // that the file knows

    std::optional<Recording> replay_;
    std::size_t next_ = 0;
};

}  // namespace backplane::kernel
