// The receiving half.
#include <algorithm>

#include "model.hpp"

namespace backplane::serial {
namespace {

constexpr std::array<u8, 4> kTriggers{1, 4, 8, 14};  // FCR bits 7:6

}  // namespace

const bp_char_receiver Uart16550::kReceiver{
    sizeof(bp_char_receiver), [](void* i) { return static_cast<Uart16550*>(i)->room(); },
    [](void* i, const u8* data, u32 count) { static_cast<Uart16550*>(i)->receive(data, count); },
    [](void* i) { static_cast<Uart16550*>(i)->receive_break(); }};

u32 Uart16550::room() const {
    if (looped()) return 0;  // the receiver listens to the transmitter
    return capacity() - std::min(receiver_.size(), capacity());
}

u32 Uart16550::trigger() const { return fifos() ? kTriggers[fcr_ >> 6] : 1; }

void Uart16550::receive(const u8* data, u32 count) {
    for (u32 i = 0; i < count; ++i) take_in({static_cast<u8>(data[i] & data_mask()), 0});
    update_irq();
}

// A break is a zero character without a stop bit.
void Uart16550::receive_break() {
    take_in({0, kLsrBreak | kLsrFraming});
    update_irq();
}

void Uart16550::take_in(Character c) {
    if (receiver_.size() >= capacity()) {
        lsr_errors_ |= kLsrOverrun;
        // Without FIFOs the new character replaces the old one; the FIFO keeps what it has.
        if (!fifos()) receiver_.front() = c, show_errors();
        return;
    }
    const bool first = receiver_.empty();
    receiver_.push(c);
    if (first) show_errors();
    // A FIFO that stays below its trigger level is reported after four character times.
    if (fifos() && !timeout_) timeout_timer_.arm_in(4 * character_ns());
}

// The errors of the character at the front appear in the line status register.
void Uart16550::show_errors() {
    lsr_errors_ |= receiver_.front().errors;
    receiver_.front().errors = 0;
}

u8 Uart16550::read_buffer() {
    if (receiver_.empty()) return buffer_;
    const u32 room_before = room();
    buffer_ = receiver_.pop().data;
    timeout_ = false;
    if (!receiver_.empty()) {
        show_errors();
        if (fifos()) timeout_timer_.arm_in(4 * character_ns());
    } else {
        timeout_timer_.cancel();
    }
    // The other end learns of the room a character time later, so that a driver's "read until empty" loop comes to an
    // end.
    if (room() > room_before && !room_timer_.armed()) room_timer_.arm_in(pace_ns());
    update_irq();
    return buffer_;
}

void Uart16550::clear_receiver() {
    receiver_.clear();
    timeout_ = false;
    timeout_timer_.cancel();
    if (!room_timer_.armed()) room_timer_.arm_in(pace_ns());
}

void Uart16550::timed_out(i64) {
    timeout_ = fifos() && !receiver_.empty();
    update_irq();
}

void Uart16550::room_again(i64) {
    if (backend_ && room()) backend_.call(&bp_chardev::room_changed);
}

}  // namespace backplane::serial
