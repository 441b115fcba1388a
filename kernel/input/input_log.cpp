#include "kernel/input/input_log.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "kernel/config/error.hpp"

namespace backplane::kernel {

InputLog::~InputLog() {
    if (fd_ >= 0) ::close(fd_);
}

// --- Recording -------------------------------------------------------------------------------------------------------

void InputLog::record_to(const std::string& path, const MachineIdentity& machine) {
    fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    path_ = path;
    if (fd_ < 0) throw Error(path + ": cannot be written: " + std::strerror(errno));
    if (!write(writer_.header(machine))) throw Error(error_);
}

// One call an event, so that what a killed process leaves ends between two of them.
bool InputLog::write(const std::string& bytes) {
    if (fd_ < 0) return false;
    for (std::size_t done = 0; done < bytes.size();) {
        const ssize_t n = ::write(fd_, bytes.data() + done, bytes.size() - done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            error_ = path_ + ": the recording ends here: " + std::strerror(n < 0 ? errno : ENOSPC);
            ::close(std::exchange(fd_, -1));
            return false;
        }
        done += static_cast<std::size_t>(n);
    }
    return true;
}

bool InputLog::record(const InputStamp& at, std::string_view channel, std::span<const u8> bytes) {
    auto known = channels_.find(channel);
    std::string out;
    if (known == channels_.end()) {
        const u32 number = static_cast<u32>(channels_.size());
        if (number == kMaxChannels) {
            error_ = path_ + ": the recording ends here: too many channels";
            if (fd_ >= 0) ::close(std::exchange(fd_, -1));
            return false;
        }
        known = channels_.emplace(std::string(channel.substr(0, kMaxRecordedName)), number).first;
        out = writer_.channel(number, channel);
    }
    do {
        const auto part = bytes.first(std::min(bytes.size(), kMaxEventBytes));
        out += writer_.input(at, known->second, part);
        bytes = bytes.subspan(part.size());
    } while (!bytes.empty());
    return write(out);
}

bool InputLog::record_end(const InputEnd& end) {
    const bool written = write(writer_.end(end));
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
    return written;
}

// --- Replaying -------------------------------------------------------------------------------------------------------

void InputLog::replay_from(const std::string& path, const MachineIdentity& machine) {
    Recording recording = Recording::read(path);
    if (const std::string difference = machine.difference(recording.machine); !difference.empty())
        throw Error(path + ": cannot be replayed here: " + difference);
    path_ = path;
    next_ = 0;
    replay_ = std::move(recording);
}

std::optional<InputStamp> InputLog::next() const {
    if (!replay_) return std::nullopt;
    if (next_ < replay_->events.size()) return replay_->events[next_].at;
    if (replay_->end) return replay_->end->at;
    return std::nullopt;
}

std::optional<InputLog::Event> InputLog::take(const InputStamp& now) {
    if (!replay_ || next_ == replay_->events.size() || replay_->events[next_].at != now) return std::nullopt;
    const InputEvent& event = replay_->events[next_++];
    return Event{replay_->channels[event.channel], event.bytes};
}

const InputEnd* InputLog::end() const {
    return replay_ && next_ == replay_->events.size() && replay_->end ? &*replay_->end : nullptr;
}

bool InputLog::exhausted() const { return replay_ && next_ == replay_->events.size() && !replay_->end; }

std::string InputLog::divergence(const InputStamp& now) const {
    const auto due = next();
    return due && *due < now ? divergence_text(now) : "";
}

std::string InputLog::divergence_text(const InputStamp& now) const {
    const auto due = next();
    if (!due) return "";
    std::string what = "the end of the session";
    if (next_ < replay_->events.size()) {
        const InputEvent& event = replay_->events[next_];
        what = "event " + std::to_string(next_ + 1) + " of " + std::to_string(replay_->events.size()) + " (" +
               std::to_string(event.bytes.size()) + " bytes for " + replay_->channels[event.channel] + ")";
    }
    return path_ + ": this run is not the recorded one: " + what + " belongs at " + due->text() +
           ", and the machine is at " + now.text();
}

}  // namespace backplane::kernel
