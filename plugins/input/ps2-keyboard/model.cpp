#include "model.hpp"

namespace backplane {
namespace {

enum Command : u8 {
    kSetLeds = 0xed,
    kEcho = 0xee,
    kScanSet = 0xf0,
    kIdentify = 0xf2,
    kSetRate = 0xf3,
    kEnable = 0xf4,
    kDisable = 0xf5,
    kDefaults = 0xf6,
    kAllRepeat = 0xf7,
    kAllBreak = 0xf8,
    kAllMakeOnly = 0xf9,
    kAllBoth = 0xfa,
    kKeyRepeat = 0xfb,
    kKeyBreak = 0xfc,
    kKeyMakeOnly = 0xfd,
    kResend = 0xfe,
    kReset = 0xff,
};
constexpr u8 kFirstCommand = kSetLeds;
constexpr u8 kNothing = 0x00;  // acknowledged without effect

constexpr u8 kAcknowledge = 0xfa, kAgain = 0xfe, kSelfTestPassed = 0xaa;
constexpr u8 kId[] = {0xab, 0x83};
constexpr u8 kDefaultRate = 0x2b;  // 500 ms, 10.9 per second
constexpr u8 kReleasePrefix = 0xf0;

}  // namespace

const bp_ps2_device Ps2Keyboard::kDeviceTable{
    sizeof(bp_ps2_device), [](void* i) -> int32_t { return static_cast<Ps2Keyboard*>(i)->take(); },
    [](void* i, uint8_t byte) { static_cast<Ps2Keyboard*>(i)->receive(byte); }};

const bp_keyboard Ps2Keyboard::kKeyboardTable{sizeof(bp_keyboard), [](void* i, uint32_t code, int down) {
                                                  return static_cast<Ps2Keyboard*>(i)->key(code, down != 0);
                                              }};

void Ps2Keyboard::describe(Schema<Ps2Keyboard>& s) {
    s.doc("PS/2 keyboard with 101/102 keys");
    s.plug(BP_PS2_DEVICE_ID, &kDeviceTable, BP_PS2_PORT_ID, &Ps2Keyboard::port_);
    s.offer(BP_KEYBOARD_ID, &kKeyboardTable);
    s.timer<&Ps2Keyboard::repeat>("repeat", &Ps2Keyboard::repeat_timer_);
    s.trace("bytes", &Ps2Keyboard::trace_, "bytes from and to the controller");
}

void Ps2Keyboard::reset(Reset) {
    clear_queue();
    reply_count_ = 0;
    last_ = awaited_ = leds_ = 0;
    held_.fill(0);
    print_screen_ = PrintScreen::kUp;
    set_defaults();
    scanning_ = true;
}

void Ps2Keyboard::state(StateVisitor& v) {
    v("queue", queue_);
    v("first", first_, {.max = kQueue - 1});
    v("count", count_, {.max = kQueue});
    v("replies", replies_);
    v("reply_count", reply_count_, {.max = kReplies});
    v("last", last_);
    v("awaited", awaited_);
    v("set", set_, {.min = 1, .max = 3});
    v("leds", leds_, {.max = 7});
    v("rate", rate_, {.max = 0x7f});
    v("scanning", scanning_);
    v("types", types_, {.max = ps2::kRepeats | ps2::kBreaks});
    v("held", held_);
    v("print_screen", print_screen_, {.max = static_cast<u64>(PrintScreen::kWithShift)});
    v("repeating", repeating_, {.max = ps2::kKeys - 1});
}

// --- Towards the controller ------------------------------------------------------------------------------------------

// Answers go before scan codes that were waiting already: a driver that sends a command takes the next byte for its
// answer.
i32 Ps2Keyboard::take() {
    if (reply_count_ > 0) {
        last_ = replies_[0];
        --reply_count_;
        for (u32 i = 0; i < reply_count_; ++i) replies_[i] = replies_[i + 1];
    } else if (count_ > 0) {
        last_ = queue_[first_];
        first_ = (first_ + 1) % kQueue;
        --count_;
    } else {
        return -1;
    }
    trace_("-> %02x", last_);
    return last_;
}

void Ps2Keyboard::receive(u8 byte) {
    trace_("<- %02x", byte);
    if (awaited_ != 0 && byte < kFirstCommand)
        argument(byte);
    else
        command(byte);
    announce();
}

void Ps2Keyboard::command(u8 byte) {
    awaited_ = 0;
    switch (byte) {
        case kNothing: reply(kAcknowledge); break;
        case kSetLeds:
        case kScanSet:
        case kSetRate:
            reply(kAcknowledge);
            awaited_ = byte;
            break;
        case kKeyRepeat:
        case kKeyBreak:
        case kKeyMakeOnly:
            clear_queue();
            reply(kAcknowledge);
            awaited_ = byte;
            break;
        case kEcho: reply(kEcho); break;
        case kIdentify:
            reply(kAcknowledge);
            for (const u8 b : kId) reply(b);
            break;
        case kEnable:
            clear_queue();
            scanning_ = true;
            reply(kAcknowledge);
            break;
        case kDisable:
        case kDefaults:
            clear_queue();
            set_defaults();
            scanning_ = byte == kDefaults;
            reply(kAcknowledge);
            break;
        case kAllRepeat: set_key_types(ps2::kRepeats); break;
        case kAllBreak: set_key_types(ps2::kBreaks); break;
        case kAllMakeOnly: set_key_types(0); break;
        case kAllBoth: set_key_types(ps2::kRepeats | ps2::kBreaks); break;
        case kResend: reply(last_); break;
        case kReset:
            reset(Reset::kSystem);
            reply(kAcknowledge);
            reply(kSelfTestPassed);
            break;
        default: reply(kAgain); break;
    }
}

void Ps2Keyboard::argument(u8 byte) {
    const u8 of = awaited_;
    awaited_ = 0;
    switch (of) {
        case kSetLeds: leds_ = byte & 7; break;
        case kSetRate: rate_ = byte & 0x7f; break;
        case kScanSet:
            if (byte > 3) return reply(kAgain);
            reply(kAcknowledge);
            if (byte == 0) return reply(set_);
            clear_queue();
            set_ = byte;
            return;
        default:  // key types: any number of set 3 codes may follow
            awaited_ = of;
            types_[byte] = of == kKeyRepeat ? ps2::kRepeats : of == kKeyBreak ? ps2::kBreaks : u8{0};
            break;
    }
    reply(kAcknowledge);
}

void Ps2Keyboard::set_defaults() {
    set_ = 2;
    rate_ = kDefaultRate;
    repeating_ = 0;
    repeat_timer_.cancel();
    for (u32 code = 0; code < types_.size(); ++code) types_[code] = ps2::set3_default_type(static_cast<u8>(code));
}

void Ps2Keyboard::set_key_types(u8 type) {
    clear_queue();
    types_.fill(type);
    reply(kAcknowledge);
}

void Ps2Keyboard::clear_queue() { first_ = count_ = 0; }

void Ps2Keyboard::reply(u8 byte) {
    if (reply_count_ == kReplies) {
        log_guest("%u answers of the keyboard were not read", kReplies);
        return;
    }
    replies_[reply_count_++] = byte;
}

void Ps2Keyboard::announce() {
    if (port_ && (reply_count_ > 0 || count_ > 0)) port_.call(&bp_ps2_port::ready);
}

// --- Keys ------------------------------------------------------------------------------------------------------------

int Ps2Keyboard::key(u32 code, bool down) {
    if (code == ps2::kPauseAlias) code = ps2::kPause;
    if (code >= ps2::kKeys || (code & 0x80) || (code & 0x7f) == 0) return 1;  // no such key
    if (is_held(code) == down) return 1;  // the host's own repetition; this keyboard does its own
    if (!scanning_) {
        set_held(code, down);
        return 1;
    }
    const ps2::Sequence bytes = sequence(code, down);
    const bool taken = queue(bytes, down ? kReserve : 0);
    if (taken || !down) set_held(code, down);
    if (down && taken) {
        repeating_ = repeats(code) ? code : 0;
        if (repeating_)
            repeat_timer_.arm_in(repeat_delay());
        else
            repeat_timer_.cancel();
    } else if (!down && code == repeating_) {
        repeating_ = 0;
        repeat_timer_.cancel();
    }
    announce();
    return taken;
}

void Ps2Keyboard::repeat(i64) {
    if (repeating_ == 0 || !is_held(repeating_)) return;
    // A guest that does not read gets no backlog.
    if (scanning_ && count_ == 0) {
        queue(sequence(repeating_, true), kReserve);
        announce();
    }
    repeat_timer_.arm_in(repeat_period());
}

bool Ps2Keyboard::queue(const ps2::Sequence& bytes, u32 reserve) {
    if (count_ + bytes.size + reserve > kQueue) return false;
    for (u32 i = 0; i < bytes.size; ++i) queue_[(first_ + count_++) % kQueue] = bytes.bytes[i];
    return true;
}

ps2::Sequence Ps2Keyboard::sequence(u32 code, bool down) {
    ps2::Sequence out;
    if (set_ == 3) {
        const u8 byte = ps2::set3_code(code);
        if (byte == 0) return out;
        if (!down && !(types_[byte] & ps2::kBreaks)) return out;
        if (!down) out.add(kReleasePrefix);
        out.add(byte);
        return out;
    }
    if (code == ps2::kPrintScreen) return print_screen_sequence(down);
    if (code == ps2::kPause) {
        // Pause has no release; Ctrl-Pause is Break.
        if (down) out = ps2::pause(set_, is_held(ps2::kControl) || is_held(ps2::kRightControl));
        return out;
    }
    ps2::append_key(out, set_, code, down);
    return out;
}

// Alt makes Print Screen the SysRq key; Ctrl or Shift take the place of the shift that it brings along otherwise. The
// release must match the press.
ps2::Sequence Ps2Keyboard::print_screen_sequence(bool down) {
    if (down) {
        if (is_held(ps2::kAlt) || is_held(ps2::kRightAlt))
            print_screen_ = PrintScreen::kSysRq;
        else if (is_held(ps2::kControl) || is_held(ps2::kRightControl) || is_held(ps2::kShift) ||
                 is_held(ps2::kRightShift))
            print_screen_ = PrintScreen::kPlain;
        else
            print_screen_ = PrintScreen::kWithShift;
    }
    if (print_screen_ == PrintScreen::kWithShift) return ps2::print_screen(set_, down);
    ps2::Sequence out;
    ps2::append_key(out, set_, print_screen_ == PrintScreen::kSysRq ? ps2::kSysRq : ps2::kPrintScreen, down);
    return out;
}

void Ps2Keyboard::set_held(u32 code, bool held) {
    const u8 bit = static_cast<u8>(1u << (code & 7));
    if (held)
        held_[code >> 3] |= bit;
    else
        held_[code >> 3] &= static_cast<u8>(~bit);
}

bool Ps2Keyboard::repeats(u32 code) const {
    if (set_ == 3) return types_[ps2::set3_code(code)] & ps2::kRepeats;
    return code != ps2::kPause;
}

// Typematic parameter: bits 6:5 delay in steps of 250 ms; period (8 + bits 2:0) * 2^(bits 4:3) / 240 s.
i64 Ps2Keyboard::repeat_delay() const { return ((rate_ >> 5) + 1) * i64{250'000'000}; }
i64 Ps2Keyboard::repeat_period() const {
    return (i64{8} + (rate_ & 7)) * (i64{1} << ((rate_ >> 3) & 3)) * 1'000'000'000 / 240;
}

}  // namespace backplane
