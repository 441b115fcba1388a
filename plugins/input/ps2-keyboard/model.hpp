// IBM enhanced keyboard with 101/102 keys and a PS/2 connector (IBM PS/2 Hardware Interface Technical Reference,
// "Keyboards (101- and 102-Key)").
#pragma once

#include <array>

#include "backplane/abi/backend.h"
#include "backplane/abi/ps2.h"
#include "backplane/device.hpp"
#include "codes.hpp"

namespace backplane {

struct Ps2Keyboard : Device<Ps2Keyboard> {
    static constexpr std::string_view kType = "input.ps2_keyboard";
    using Device::Device;

    static void describe(Schema<Ps2Keyboard>& s);
    void reset(Reset kind);
    void state(StateVisitor& v);

    i32 take();
    void receive(u8 byte);
    int key(u32 code, bool down);
    void repeat(i64 due);

  private:
    static constexpr u32 kQueue = 256;
    static constexpr u32 kReplies = 16;
    // A press must leave room for the releases of the keys that are held.
    static constexpr u32 kReserve = 32;
    static const bp_ps2_device kDeviceTable;
    static const bp_keyboard kKeyboardTable;

    void command(u8 byte);
    void argument(u8 byte);
    void set_defaults();
    void set_key_types(u8 type);
    void clear_queue();
    void reply(u8 byte);
    void announce();
    bool queue(const ps2::Sequence& bytes, u32 reserve);
    ps2::Sequence sequence(u32 code, bool down);
    ps2::Sequence print_screen_sequence(bool down);
    bool is_held(u32 code) const { return held_[code >> 3] & (1u << (code & 7)); }
    void set_held(u32 code, bool held);
    bool repeats(u32 code) const;
    i64 repeat_delay() const;
    i64 repeat_period() const;

    Link<bp_ps2_port> port_;
    Timer repeat_timer_;
    TracePoint trace_;

    enum class PrintScreen : u8 { kUp, kSysRq, kPlain, kWithShift };

    std::array<u8, kQueue> queue_{};
    u32 first_ = 0, count_ = 0;
    std::array<u8, kReplies> replies_{};
    u32 reply_count_ = 0;
    u8 last_ = 0;
    u8 awaited_ = 0;
    u8 set_ = 2;
    u8 leds_ = 0;
    u8 rate_ = 0;
    bool scanning_ = true;
    std::array<u8, 256> types_{};
    std::array<u8, ps2::kKeys / 8> held_{};
    PrintScreen print_screen_ = PrintScreen::kUp;
    u32 repeating_ = 0;
};

}  // namespace backplane
