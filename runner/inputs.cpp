#include "runner/inputs.hpp"

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <utility>

#include "backplane/abi/backend.h"
#include "backplane/abi/power.h"

namespace backplane::runner {

namespace {

// No device has a name with a colon.
constexpr const char* kKeyboard = "user:keyboard";
constexpr const char* kMouse = "user:mouse";
constexpr const char* kPower = "user:power";

constexpr u32 kDown = 0x8000;  // with a key's code, in 16 bits
constexpr unsigned kMouseBytes = 16;

void put(std::string& out, u32 value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i));
}
u32 get(const u8* data, unsigned bytes) {
    u32 value = 0;
    for (unsigned i = 0; i < bytes; ++i) value |= u32{data[i]} << (8 * i);
    return value;
}

}  // namespace

Inputs::Inputs(kernel::Machine& machine) : machine_(machine) {
    machine_.add_input(kKeyboard, [this](const u8* data, std::size_t size) { on_keys(data, size); });
    machine_.add_input(kMouse, [this](const u8* data, std::size_t size) { on_mouse(data, size); });
    machine_.add_input(kPower, [this](const u8*, std::size_t) { on_power(); });
}

void Inputs::send(const char* channel, std::string bytes, Done done) {
    machine_.input(channel, std::move(bytes), [this, done = std::move(done)](bool arrived) {
        if (done) done(arrived ? error_ : "the machine takes no input: it has ended, or replays a recording");
    });
}

void Inputs::keys(const std::vector<Key>& keys, Done done) {
    std::string bytes;
    for (const Key& k : keys) put(bytes, (k.code & ~kDown) | (k.down ? kDown : 0), 2);
    send(kKeyboard, std::move(bytes), std::move(done));
}

void Inputs::mouse(i32 dx, i32 dy, i32 wheel, u32 buttons, Done done) {
    std::string bytes;
    for (const u32 v : {static_cast<u32>(dx), static_cast<u32>(dy), static_cast<u32>(wheel), buttons}) put(bytes, v, 4);
    send(kMouse, std::move(bytes), std::move(done));
}

void Inputs::power_button(Done done) { send(kPower, "", std::move(done)); }

// What follows gets bytes from a recording, perhaps one that somebody made up.

void Inputs::on_keys(const u8* data, std::size_t size) {
    const bp_interface keyboard = machine_.find_interface(BP_KEYBOARD_ID);
    if (!keyboard.table) {
        error_ = "the board has no keyboard";
        return;
    }
    bool taken = true;
    for (std::size_t at = 0; at + 2 <= size; at += 2) {
        const u32 key = get(data + at, 2);
        taken = static_cast<const bp_keyboard*>(keyboard.table)
                    ->key(keyboard.instance, key & ~kDown, key & kDown ? 1 : 0) &&
                taken;
    }
    error_ = taken ? "" : "the keyboard's buffer is full";
}

void Inputs::on_mouse(const u8* data, std::size_t size) {
    const bp_interface mouse = machine_.find_interface(BP_MOUSE_ID);
    error_ = mouse.table ? "" : "the board has no mouse";
    if (!mouse.table || size < kMouseBytes) return;
    static_cast<const bp_mouse*>(mouse.table)
        ->move(mouse.instance, static_cast<i32>(get(data, 4)), static_cast<i32>(get(data + 4, 4)),
               static_cast<i32>(get(data + 8, 4)), get(data + 12, 4));
}

void Inputs::on_power() {
    const bp_interface power = machine_.find_interface(BP_POWER_ID);
    if (!power.table)
        error_ = "the board has no power button";
    else
        error_ = static_cast<const bp_power*>(power.table)->press(power.instance)
                     ? ""
                     : "the guest does not listen to the power button";
}

std::string Inputs::wait(const std::function<void(Done)>& send) {
    struct Answer {
        std::mutex mutex;
        std::condition_variable changed;
        bool here = false;
        std::string error;
    };
    const auto answer = std::make_shared<Answer>();
    send([answer](const std::string& error) {
        std::lock_guard g(answer->mutex);
        answer->here = true;
        answer->error = error;
        answer->changed.notify_all();
    });
    std::unique_lock lock(answer->mutex);
    while (!answer->changed.wait_for(lock, std::chrono::milliseconds(20), [&] { return answer->here; }))
        if (machine_.deterministic() && machine_.paused()) return "";
    return answer->error;
}

}  // namespace backplane::runner
