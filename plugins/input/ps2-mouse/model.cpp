#include "model.hpp"

#include <algorithm>
#include <cstdlib>

namespace backplane {
namespace {

enum Command : u8 {
    kScaling1 = 0xe6,
    kScaling2 = 0xe7,
    kSetResolution = 0xe8,
    kStatus = 0xe9,
    kStream = 0xea,
    kReadData = 0xeb,
    kUnwrap = 0xec,
    kWrap = 0xee,
    kRemote = 0xf0,
    kIdentify = 0xf2,
    kSetRate = 0xf3,
    kEnable = 0xf4,
    kDisable = 0xf5,
    kDefaults = 0xf6,
    kResend = 0xfe,
    kReset = 0xff,
};
constexpr u8 kAcknowledge = 0xfa, kAgain = 0xfe, kSelfTestPassed = 0xaa;

// How far the sequences of rates have come that make the mouse show what else it can.
enum Knock : u8 { kNone, k200, k200_100, k200_200 };

constexpr u8 kIdPlain = 0, kIdWheel = 3, kIdButtons = 4;
constexpr u8 kDefaultRate = 100, kDefaultResolution = 2;

// Packet byte 0.
constexpr u8 kAlwaysSet = 1u << 3, kNegativeX = 1u << 4, kNegativeY = 1u << 5;
// Status byte 0.
constexpr u8 kStatusScaling = 1u << 4, kStatusEnabled = 1u << 5, kStatusRemote = 1u << 6;

constexpr i32 kMost = 127;
// A host that moves the mouse while no guest listens must not overflow the counters.
constexpr i32 kMostPending = 1 << 20;

i32 take_part(i32& value, i32 low, i32 high) {
    const i32 part = std::clamp(value, low, high);
    value -= part;
    return part;
}

// 2:1 scaling of stream mode: small movements stay exact.
i32 scale(i32 value) {
    static constexpr i32 kSteps[6] = {0, 1, 1, 3, 6, 9};
    const i32 size = std::abs(value), scaled = size < 6 ? kSteps[size] : std::min(2 * size, kMost);
    return value < 0 ? -scaled : scaled;
}

}  // namespace

const bp_ps2_device Ps2Mouse::kDeviceTable{sizeof(bp_ps2_device),
                                           [](void* i) -> int32_t { return static_cast<Ps2Mouse*>(i)->take(); },
                                           [](void* i, uint8_t byte) { static_cast<Ps2Mouse*>(i)->receive(byte); }};

const bp_mouse Ps2Mouse::kMouseTable{sizeof(bp_mouse),
                                     [](void* i, int32_t dx, int32_t dy, int32_t wheel, uint32_t buttons) {
                                         static_cast<Ps2Mouse*>(i)->move(dx, dy, wheel, buttons);
                                     }};

void Ps2Mouse::describe(Schema<Ps2Mouse>& s) {
    s.doc("PS/2 mouse with wheel and five buttons");
    s.plug(BP_PS2_DEVICE_ID, &kDeviceTable, BP_PS2_PORT_ID, &Ps2Mouse::port_);
    s.offer(BP_MOUSE_ID, &kMouseTable);
    s.timer<&Ps2Mouse::sample>("sample", &Ps2Mouse::sample_timer_);
    s.trace("bytes", &Ps2Mouse::trace_, "bytes from and to the controller");
}

void Ps2Mouse::reset(Reset) {
    first_ = count_ = 0;
    last_ = awaited_ = 0;
    id_ = kIdPlain, knock_ = 0;
    buttons_ = 0;
    wrap_ = false;
    set_defaults();
}

void Ps2Mouse::set_defaults() {
    rate_ = kDefaultRate, resolution_ = kDefaultResolution;
    enabled_ = remote_ = scaling_ = false;
    clear_motion();
    sample_timer_.cancel();
}

void Ps2Mouse::state(StateVisitor& v) {
    v("queue", queue_);
    v("first", first_, {.max = kQueue - 1});
    v("count", count_, {.max = kQueue});
    v("last", last_);
    v("awaited", awaited_);
    v("id", id_, {.max = kIdButtons});
    v("knock", knock_, {.max = k200_200});
    v("rate", rate_, {.min = 1, .max = 0xff});
    v("resolution", resolution_, {.max = 3});
    v("enabled", enabled_);
    v("remote", remote_);
    v("wrap", wrap_);
    v("scaling", scaling_);
    constexpr StateField kMotion{.min = static_cast<u64>(i64{-kMostPending}), .max = kMostPending};
    v("dx", dx_, kMotion);
    v("dy", dy_, kMotion);
    v("wheel", wheel_, kMotion);
    v("buttons", buttons_);
    v("reported", reported_);
}

// --- Towards the controller ------------------------------------------------------------------------------------------

i32 Ps2Mouse::take() {
    if (count_ == 0) send_if_due();
    if (count_ == 0) return -1;
    last_ = queue_[first_];
    first_ = (first_ + 1) % kQueue;
    --count_;
    trace_("-> %02x", last_);
    return last_;
}

void Ps2Mouse::receive(u8 byte) {
    trace_("<- %02x", byte);
    // A command breaks off what the mouse is sending: the answer comes next.
    if (byte != kResend) first_ = count_ = 0;
    if (wrap_ && byte != kReset && byte != kUnwrap)
        reply(byte);
    else if (awaited_ != 0)
        argument(byte);
    else
        command(byte);
    announce();
}

void Ps2Mouse::command(u8 byte) {
    if (byte == kResend) return reply(last_);
    if (byte == kReset) {
        reset(Reset::kSystem);
        reply(kAcknowledge), reply(kSelfTestPassed), reply(id_);
        return;
    }
    if (byte < kScaling1 || byte == 0xed || byte == 0xef || byte == 0xf1 || byte > kDefaults) return reply(kAgain);
    reply(kAcknowledge);
    switch (byte) {
        case kScaling1:
        case kScaling2: scaling_ = byte == kScaling2; break;
        case kSetResolution:
        case kSetRate: awaited_ = byte; break;
        case kStatus: {
            u8 status = 0;
            if (buttons_ & BP_MOUSE_RIGHT) status |= 1;
            if (buttons_ & BP_MOUSE_MIDDLE) status |= 2;
            if (buttons_ & BP_MOUSE_LEFT) status |= 4;
            if (scaling_) status |= kStatusScaling;
            if (enabled_) status |= kStatusEnabled;
            if (remote_) status |= kStatusRemote;
            reply(status), reply(resolution_), reply(rate_);
            break;
        }
        case kStream: remote_ = false, clear_motion(); break;
        case kReadData: report(false); break;
        case kWrap: wrap_ = true; break;
        case kUnwrap: wrap_ = false; break;
        case kRemote: remote_ = true, clear_motion(); break;
        case kIdentify: reply(id_); break;
        case kEnable: enabled_ = true, clear_motion(); break;
        case kDisable: enabled_ = false; break;
        case kDefaults: set_defaults(); break;
        default: break;
    }
}

void Ps2Mouse::argument(u8 byte) {
    const u8 of = awaited_;
    awaited_ = 0;
    reply(kAcknowledge);
    if (of == kSetResolution)
        resolution_ = byte & 3;
    else
        set_rate(byte);
}

// Sequences of rates that no driver needs.
void Ps2Mouse::set_rate(u8 rate) {
    rate_ = rate ? rate : kDefaultRate;
    switch (knock_) {
        case k200: knock_ = rate == 100 ? k200_100 : rate == 200 ? k200_200 : kNone; break;
        case k200_100:
            if (rate == 80) id_ = kIdWheel;
            knock_ = kNone;
            break;
        case k200_200:
            if (rate == 80) id_ = kIdButtons;
            knock_ = rate == 100 ? k200_100 : rate == 200 ? k200_200 : kNone;
            break;
        default: knock_ = rate == 200 ? k200 : kNone; break;
    }
}

void Ps2Mouse::reply(u8 byte) {
    if (count_ < kQueue) queue_[(first_ + count_++) % kQueue] = byte;
}

void Ps2Mouse::announce() {
    if (port_ && count_ > 0) port_.call(&bp_ps2_port::ready);
}

// --- Motion ----------------------------------------------------------------------------------------------------------

void Ps2Mouse::clear_motion() { dx_ = dy_ = wheel_ = 0, reported_ = buttons_; }

void Ps2Mouse::move(i32 dx, i32 dy, i32 wheel, u32 buttons) {
    const bool click = buttons != buttons_;
    buttons_ = buttons;
    if (!enabled_ && !remote_) return clear_motion();
    const auto add = [](i32& sum, i32 part) {
        sum = std::clamp(sum + std::clamp(part, -kMostPending, kMostPending), -kMostPending, kMostPending);
    };
    add(dx_, dx), add(dy_, dy), add(wheel_, wheel);
    if (!moved()) return;
    // A click is never merged with the next: both edges reach the guest, whatever the sample rate.
    if (click && enabled_ && !remote_ && !wrap_ && count_ + 8 <= kQueue)
        report(true);
    else
        send_if_due();
    announce();
}

void Ps2Mouse::sample(i64) {
    send_if_due();
    announce();
}

void Ps2Mouse::send_if_due() {
    if (enabled_ && !remote_ && !wrap_ && count_ == 0 && moved() && !sample_timer_.armed()) report(true);
}

void Ps2Mouse::report(bool scaled) {
    i32 x = take_part(dx_, -kMost, kMost), y = -take_part(dy_, -kMost, kMost);
    if (scaled && scaling_) x = scale(x), y = scale(y);
    reply(static_cast<u8>(kAlwaysSet | (buttons_ & 7) | (x < 0 ? kNegativeX : 0) | (y < 0 ? kNegativeY : 0)));
    reply(static_cast<u8>(x));
    reply(static_cast<u8>(y));
    if (id_ == kIdPlain)
        wheel_ = 0;
    else if (id_ == kIdWheel)
        reply(static_cast<u8>(take_part(wheel_, -kMost, kMost)));
    else
        reply(static_cast<u8>((take_part(wheel_, -8, 7) & 0xf) | (buttons_ & (BP_MOUSE_SIDE | BP_MOUSE_EXTRA)) << 1));
    reported_ = buttons_;
    if (!remote_) sample_timer_.arm_in(1'000'000'000 / rate_);
}

}  // namespace backplane
