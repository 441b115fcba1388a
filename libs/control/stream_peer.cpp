#include "control/stream_peer.hpp"

#include <algorithm>
#include <limits>

namespace backplane::control {

namespace {
constexpr std::size_t kPiece = 64 << 10;  // bytes at once
}

const bp_char_receiver StreamPeer::kReceiver{
    sizeof(bp_char_receiver),
    [](void* i) -> uint32_t {
        const std::size_t room = static_cast<StreamPeer*>(i)->hooks_.room();
        return static_cast<u32>(std::min<std::size_t>(room, std::numeric_limits<u32>::max()));
    },
    [](void* i, const uint8_t* data, uint32_t count) {
        static_cast<StreamPeer*>(i)->hooks_.bytes({reinterpret_cast<const char*>(data), count});
    },
    nullptr};

void StreamPeer::connect(const bp_chardev* stream, void* instance) {
    {
        const std::lock_guard g(mutex_);
        stream_ = stream, instance_ = instance;
    }
    stream->connect(instance, &kReceiver, this);
}

void StreamPeer::send(std::string_view bytes) {
    {
        const std::lock_guard g(mutex_);
        if (output_.size() + bytes.size() <= kMostUnsent) output_ += bytes;
        if (output_.empty() || posted_) return;
        posted_ = true;
    }
    slot_->machine().post(
        slot_->self(), [](void* peer) { static_cast<StreamPeer*>(peer)->flush(); }, this);
}

std::size_t StreamPeer::unsent() {
    const std::lock_guard g(mutex_);
    return output_.size();
}

// The stream is called without the mutex: it may hand over input from within.
void StreamPeer::flush() {
    for (;;) {
        std::string some;
        {
            const std::lock_guard g(mutex_);
            posted_ = false;
            if (!stream_ || output_.empty()) return;
            some = output_.substr(0, kPiece);
        }
        const auto size = static_cast<u32>(some.size());
        const u32 taken = std::min(size, stream_->write(instance_, reinterpret_cast<const u8*>(some.data()), size));
        {
            const std::lock_guard g(mutex_);
            output_.erase(0, taken);
        }
        if (taken < size) return;
    }
}

void StreamPeer::room_changed() {
    slot_->machine().post(
        slot_->self(),
        [](void* i) {
            const auto* peer = static_cast<StreamPeer*>(i);
            if (peer->stream_) peer->stream_->room_changed(peer->instance_);
        },
        this);
}

}  // namespace backplane::control
