#include "model.hpp"

namespace backplane {
namespace {

// Status register (port 64h, read).
constexpr u8 kStatusFull = 1u << 0;
constexpr u8 kStatusSelfTest = 1u << 2;
constexpr u8 kStatusCommand = 1u << 3;
constexpr u8 kStatusUnlocked = 1u << 4;
constexpr u8 kStatusAux = 1u << 5;

// Mode byte (commands 20h, 60h).
constexpr u8 kModeKeyboardIrq = 1u << 0;
constexpr u8 kModeMouseIrq = 1u << 1;
constexpr u8 kModeKeyboardOff = 1u << 4;
constexpr u8 kModeMouseOff = 1u << 5;
constexpr u8 kModeTranslate = 1u << 6;
constexpr u8 kModeAtReset = kModeKeyboardIrq | kModeMouseIrq;

// Output port P2 (commands D0h, D1h).
constexpr u8 kPortRun = 1u << 0;  // low: the board's reset line is pulled
constexpr u8 kPortA20 = 1u << 1;
constexpr u8 kPortFull = 1u << 4;
constexpr u8 kPortAuxFull = 1u << 5;

enum Command : u8 {
    kReadMode = 0x20,
    kWriteMode = 0x60,
    kMouseOff = 0xa7,
    kMouseOn = 0xa8,
    kTestMouse = 0xa9,
    kSelfTest = 0xaa,
    kTestKeyboard = 0xab,
    kKeyboardOff = 0xad,
    kKeyboardOn = 0xae,
    kReadInputPort = 0xc0,
    kReadOutputPort = 0xd0,
    kWriteOutputPort = 0xd1,
    kWriteKeyboardOutput = 0xd2,
    kWriteMouseOutput = 0xd3,
    kWriteMouse = 0xd4,
    kA20Off = 0xdd,
    kA20On = 0xdf,
    kReset = 0xfe,
    kNothing = 0xff,
};

constexpr u8 kSelfTestPassed = 0x55;
constexpr u8 kResend = 0xfe;
constexpr u8 kReleasePrefix = 0xf0;
constexpr u8 kReleased = 0x80;

// Scan code set 2 to set 1: the table in the controller's ROM. From 85h on codes pass unchanged.
constexpr u8 kSet1[0x85] = {
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59,  // 00
    0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b,  // 10
    0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d,  // 20
    0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f,  // 30
    0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61,  // 40
    0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76,  // 50
    0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f,  // 60
    0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,  // 70
    0x80, 0x81, 0x82, 0x41, 0x54};                                                                   // 80

}  // namespace

const bp_ps2_port I8042::kPortTable{sizeof(bp_ps2_port), [](void* port) {
                                        I8042& self = *static_cast<Port*>(port)->controller;
                                        self.fill();
                                    }};

I8042::I8042(const Slot& slot) : Device(slot) { keyboard_.controller = mouse_.controller = this; }

void I8042::describe(Schema<I8042>& s) {
    s.doc("8042 keyboard and mouse controller");
    s.ports<&I8042::read_data, &I8042::write_data>("data", 1, 1, "output buffer / input buffer");
    s.ports<&I8042::read_status, &I8042::write_command>("command", 1, 1, "status / command");
    s.line_out("irq_keyboard", &I8042::irq_keyboard_, "output buffer holds a byte of the keyboard");
    s.line_out("irq_mouse", &I8042::irq_mouse_, "output buffer holds a byte of the mouse");
    s.line_out("a20", &I8042::a20_line_, "output port bit 1: address line 20 passes");
    s.line_in<&I8042::a20_changed>("a20_state",
                                   "what the board's A20 gate is set to, where others switch it too: bit 1 of the "
                                   "output port follows");
    s.bus<&I8042::attach_keyboard>("keyboard", BP_PS2_DEVICE_ID, BP_PS2_PORT_ID, "keyboard connector");
    s.bus<&I8042::attach_mouse>("mouse", BP_PS2_DEVICE_ID, BP_PS2_PORT_ID, "mouse connector");
    s.trace("io", &I8042::trace_, "every command and data byte");
}

bp_status I8042::attach_keyboard(std::string_view, std::string_view child, bp_interface device, bp_interface* host) {
    return attach(keyboard_, child, device, host);
}
bp_status I8042::attach_mouse(std::string_view, std::string_view child, bp_interface device, bp_interface* host) {
    return attach(mouse_, child, device, host);
}
bp_status I8042::attach(Port& port, std::string_view child, bp_interface device, bp_interface* host) {
    if (port.device)
        return fail(BP_ERR_CONFLICT, "the %s connector is taken; %.*s cannot be plugged in there too",
                    &port == &keyboard_ ? "keyboard" : "mouse", static_cast<int>(child.size()), child.data());
    port.device.bind(device);
    *host = {&kPortTable, &port};
    return BP_OK;
}

void I8042::reset(Reset) {
    mode_ = kModeAtReset;
    output_ = 0, full_ = aux_ = false;
    self_tested_ = released_ = false;
    awaited_ = 0;
    reply_count_ = 0;
    set_a20(true);
    update_irqs();
}

void I8042::state(StateVisitor& v) {
    v("mode", mode_);
    v("output", output_);
    v("full", full_);
    v("aux", aux_);
    v("self_tested", self_tested_);
    v("a20", a20_);
    v("released", released_);
    v("awaited", awaited_);
    v.each("reply", replies_, [](StateVisitor& r, Reply& reply) {
        r("byte", reply.byte);
        r("aux", reply.aux);
    });
    v("reply_count", reply_count_, {.max = kReplies});
}

u64 I8042::read_data(u64, u32) {
    const u8 value = output_;  // stays readable: an empty buffer repeats its last byte
    trace_("data -> %02x", value);
    if (full_) {
        full_ = aux_ = false;
        update_irqs();  // the next byte makes an edge of its own
        fill();
    }
    return value;
}

u64 I8042::read_status(u64, u32) {
    // Bit 3 never changes and the input buffer is never seen full, as on the board this model was made for.
    u8 value = kStatusCommand | kStatusUnlocked;
    if (full_) value |= kStatusFull;
    if (full_ && aux_) value |= kStatusAux;
    if (self_tested_) value |= kStatusSelfTest;
    return value;
}

void I8042::write_data(u64, u32, u64 value) {
    const u8 byte = static_cast<u8>(value);
    const u8 command = awaited_;
    awaited_ = 0;
    trace_("data <- %02x", byte);
    switch (command) {
        case kWriteMode:
            mode_ = byte;
            update_irqs();
            fill();
            break;
        case kWriteOutputPort: write_output_port(byte); break;
        case kWriteKeyboardOutput: reply(byte); break;
        case kWriteMouseOutput: reply(byte, true); break;
        case kWriteMouse: send(mouse_, true, byte); break;
        default: send(keyboard_, false, byte); break;
    }
}

void I8042::write_command(u64, u32, u64 value) {
    trace_("command <- %02x", static_cast<unsigned>(value & 0xff));
    awaited_ = 0;
    command(static_cast<u8>(value));
}

void I8042::command(u8 code) {
    switch (code) {
        case kReadMode: reply(mode_); break;
        case kMouseOff: mode_ |= kModeMouseOff; break;
        case kMouseOn: mode_ &= static_cast<u8>(~kModeMouseOff), fill(); break;
        case kSelfTest: self_tested_ = true, reply(kSelfTestPassed); break;
        case kTestMouse:
        case kTestKeyboard: reply(0); break;
        case kKeyboardOff: mode_ |= kModeKeyboardOff, update_irqs(); break;
        case kKeyboardOn: mode_ &= static_cast<u8>(~kModeKeyboardOff), update_irqs(), fill(); break;
        case kReadInputPort: reply(0); break;
        case kReadOutputPort: reply(output_port()); break;
        case kWriteMode:
        case kWriteOutputPort:
        case kWriteKeyboardOutput:
        case kWriteMouseOutput:
        case kWriteMouse: awaited_ = code; break;
        case kA20Off: set_a20(false); break;
        case kA20On: set_a20(true); break;
        case kReset: request(BP_REQUEST_RESET, 0, "keyboard controller command FEh"); break;
        case kNothing: break;
        default: log_unimplemented("command %02xh", code);
    }
}

// A byte to a device switches its port on, or the answer would never arrive.
void I8042::send(Port& port, bool aux, u8 byte) {
    mode_ &= static_cast<u8>(~(aux ? kModeMouseOff : kModeKeyboardOff));
    if (port.device)
        port.device.call(&bp_ps2_device::receive, byte);
    else
        reply(kResend, aux);  // nobody answered in time
    update_irqs();
    fill();
}

void I8042::reply(u8 byte, bool aux) {
    if (reply_count_ == kReplies) {
        log_guest("more than %u unread answers of the controller", kReplies);
        return;
    }
    replies_[reply_count_++] = {byte, aux};
    fill();
}

// Moves what is waiting into the output buffer: own answers, then the keyboard's bytes, then the mouse's.
void I8042::fill() {
    while (!full_) {
        if (reply_count_ > 0) {
            const Reply next = replies_[0];
            --reply_count_;
            for (u32 i = 0; i < reply_count_; ++i) replies_[i] = replies_[i + 1];
            put(next.byte, next.aux);
            continue;
        }
        i32 byte = -1;
        if (keyboard_.device && !(mode_ & kModeKeyboardOff)) byte = keyboard_.device.call(&bp_ps2_device::take);
        if (byte >= 0) {
            bool swallow = false;
            const u8 code = translate(static_cast<u8>(byte), &swallow);
            if (!swallow) put(code, false);
            continue;
        }
        if (mouse_.device && !(mode_ & kModeMouseOff)) byte = mouse_.device.call(&bp_ps2_device::take);
        if (byte < 0) return;
        put(static_cast<u8>(byte), true);
    }
}

void I8042::put(u8 byte, bool aux) {
    output_ = byte, aux_ = aux, full_ = true;
    update_irqs();
}

u8 I8042::translate(u8 byte, bool* swallow) {
    if (!(mode_ & kModeTranslate)) {
        released_ = false;
        return byte;
    }
    if (byte == kReleasePrefix) {
        released_ = *swallow = true;
        return byte;
    }
    const u8 code = byte < sizeof kSet1 ? kSet1[byte] : byte;
    return static_cast<u8>(code | (std::exchange(released_, false) ? kReleased : 0));
}

void I8042::write_output_port(u8 value) {
    set_a20(value & kPortA20);
    if (!(value & kPortRun)) request(BP_REQUEST_RESET, 0, "keyboard controller output port bit 0");
}

u8 I8042::output_port() const {
    u8 value = kPortRun;
    if (a20_) value |= kPortA20;
    if (full_) value |= aux_ ? kPortAuxFull : kPortFull;
    return value;
}

void I8042::set_a20(bool on) {
    a20_ = on;
    a20_line_.set(on);
}
void I8042::a20_changed(bool level) { set_a20(level); }

void I8042::update_irqs() {
    irq_keyboard_.set(full_ && !aux_ && (mode_ & (kModeKeyboardIrq | kModeKeyboardOff)) == kModeKeyboardIrq);
    irq_mouse_.set(full_ && aux_ && (mode_ & kModeMouseIrq));
}

}  // namespace backplane
