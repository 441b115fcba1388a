// A device that is one end of a Stream. Derived types say what they open.
#pragma once

#include "backplane/device.hpp"
#include "chardev/stream.hpp"

namespace backplane::chardev {

template <class Self>
struct StreamDevice : Device<Self> {
    using Device<Self>::Device;

    static void offer(Schema<Self>& s) { s.offer(BP_CHARDEV_ID, &kTable); }
    void stop() { stream_.stop(); }
    void input(const u8* data, std::size_t count) { stream_.input(data, count); }

  protected:
    bp_status begin(Opened end, bool wait = false) {
        const std::string slave = end.slave;
        const Slot& slot = this->slot();
        const std::string error = stream_.start(
            std::move(end),
            {[&slot](const u8* data, std::size_t count) { slot.input().submit(slot.self(), data, count); },
             [this](const std::string& text) { this->log_warn("%s", text.c_str()); }},
            {.wait = wait, .takes_all = slot.machine().deterministic(slot.self()) != 0});
        if (!error.empty()) return this->fail(BP_ERR_IO, "%s", error.c_str());
        if (!slave.empty()) this->log_warn("pseudo-terminal %s", slave.c_str());
        return BP_OK;
    }

  private:
    static constexpr bp_chardev kTable{
        sizeof(bp_chardev),
        [](void* i, const uint8_t* data, uint32_t count) { return static_cast<Self*>(i)->stream_.write(data, count); },
        [](void* i, const bp_char_receiver* receiver, void* instance) {
            static_cast<Self*>(i)->stream_.connect(receiver, instance);
        },
        [](void* i) { static_cast<Self*>(i)->stream_.deliver(); }};

    Stream stream_;
};

}  // namespace backplane::chardev
