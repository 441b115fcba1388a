#include "model.hpp"

#include <algorithm>
#include <csignal>
#include <utility>

using namespace backplane;

namespace example {

namespace {

PluginName& at(void* instance) { return *static_cast<PluginName*>(instance); }

constexpr bp_chardev kTable{
    sizeof(bp_chardev), [](void* i, const u8* data, u32 count) { return at(i).write(data, count); },
    [](void* i, const bp_char_receiver* receiver, void* instance) { at(i).connect_receiver(receiver, instance); },
    [](void* i) { at(i).deliver(); }};

}  // namespace

void PluginName::describe(Schema<PluginName>& s) {
    s.doc("A character stream whose other end answers in capital letters");
    s.property("capitals", &PluginName::capitals_, {.doc = "answer in capital letters, not as written", .def = "true"});
    s.property("buffer", &PluginName::most_,
               {.doc = "bytes that wait for the other end at most; a device is told to wait", .def = "4096", .min = 1});
    s.offer(BP_CHARDEV_ID, &kTable);
}

bp_status PluginName::start() {
    // Signals are the program's business: the thread takes none.
    sigset_t all, before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread([this] { run(); });
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return BP_OK;
}

void PluginName::stop() {
    {
        std::lock_guard lock(mutex_);
        ends_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
}

void PluginName::drain() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return (written_.empty() && !busy_) || ends_; });
}

// --- The device's side -----------------------------------------------------------------------------------------------

u32 PluginName::write(const u8* data, u32 count) {
    std::lock_guard lock(mutex_);
    const u32 room = most_ - std::min(most_, static_cast<u32>(written_.size()));
    const u32 taken = std::min(room, count);
    written_.append(data, data + taken);
    if (taken) changed_.notify_all();
    return taken;
}

void PluginName::connect_receiver(const bp_char_receiver* receiver, void* instance) {
    receiver_ = receiver;
    receiver_instance_ = instance;
}

void PluginName::input(const u8* data, std::size_t size) {
    arrived_.insert(arrived_.end(), data, data + size);
    deliver();
}

// Hands over what the device has room for; it calls again when it has more.
void PluginName::deliver() {
    while (receiver_ && !arrived_.empty()) {
        const u32 count = std::min(receiver_->room(receiver_instance_), static_cast<u32>(arrived_.size()));
        if (count == 0) return;
        const std::string bytes(arrived_.begin(), arrived_.begin() + count);
        arrived_.erase(arrived_.begin(), arrived_.begin() + count);
        receiver_->receive(receiver_instance_, reinterpret_cast<const u8*>(bytes.data()), count);
    }
}

// --- The thread ------------------------------------------------------------------------------------------------------

void PluginName::run() {
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return !written_.empty() || ends_; });
        if (ends_) return;
        std::string text = std::exchange(written_, {});
        busy_ = true;
        lock.unlock();
        // Without any lock: this may take its time.
        text = answer(std::move(text));
        slot().input().submit(slot().self(), reinterpret_cast<const u8*>(text.data()), text.size());
        lock.lock();
        busy_ = false;
        changed_.notify_all();
    }
}

std::string PluginName::answer(std::string text) const {
    if (!capitals_) return text;
    for (char& c : text)
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    return text;
}

}  // namespace example
