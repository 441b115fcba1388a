// National Semiconductor PC16550D universal asynchronous receiver/transmitter with FIFOs (data sheet TL/C/8652, June
// 1995).
#pragma once

#include "backplane/abi/backend.h"
#include "backplane/device.hpp"
#include "fifo.hpp"
#include "registers.hpp"

namespace backplane::serial {

class Uart16550 : public Device<Uart16550> {
  public:
    static constexpr std::string_view kType = "serial.uart16550";
    using Device::Device;
    static void describe(Schema<Uart16550>& s);

    void connect();
    void reset(Reset kind);
    void state(StateVisitor& v);
    bp_status restored();

  private:
    enum class Pace : u8 { kFast, kBaud };

    u64 read(u64 offset, u32 bytes);
    void write(u64 offset, u32 bytes, u64 value);
    u8 read_identification();
    u8 read_line_status();
    u8 read_modem_status();
    void write_fifo_control(u8 value);
    void write_line_control(u8 value);
    void write_modem_control(u8 value);
    void write_holding(u8 value);

    bool fifos() const { return (fcr_ & kFcrEnable) != 0; }
    bool looped() const { return (mcr_ & kMcrLoop) != 0; }
    i64 character_ns() const;
    i64 pace_ns() const;
    u8 data_mask() const { return static_cast<u8>(0xff >> (3 - (lcr_ & 3))); }
    u8 line_status() const;
    u8 modem_lines() const;
    void modem_changed();
    void ring(bool level);
    u8 pending() const;
    void update_irq();

    bool shifting() const { return now() < shift_until_; }
    void transmit(i64 at);
    void transmitted(i64 due);
    void catch_up();
    bool emit(u8 byte);
    void flush();

    // receive.cpp
    u32 capacity() const { return fifos() ? Fifo::kDepth : 1; }
    u32 room() const;
    u32 trigger() const;
    void receive(const u8* data, u32 count);
    void receive_break();
    void take_in(Character c);
    u8 read_buffer();
    void show_errors();
    void clear_receiver();
    void timed_out(i64 due);
    void room_again(i64 due);
    static const bp_char_receiver kReceiver;

    Link<bp_chardev> backend_;
    Pace pace_ = Pace::kFast;
    bool out2_gates_ = false;

    u16 divisor_ = 12;
    u8 ier_ = 0, fcr_ = 0, lcr_ = 0, mcr_ = 0, scratch_ = 0;
    u8 lsr_errors_ = 0;  // OE, PE, FE, BI as the register shows them
    u8 msr_lines_ = 0;   // upper half when last looked at
    u8 msr_deltas_ = 0;
    u8 buffer_ = 0;  // what a read of an empty receiver repeats
    bool ring_ = false;
    bool holding_event_ = false;  // THRE interrupt pending
    bool timeout_ = false;
    i64 shift_until_ = 0;  // when the shift register has sent its character, or a full back end is tried again
    Fifo receiver_;
    Fifo transmitter_;
    LineOut irq_;
    Timer transmit_timer_, timeout_timer_, room_timer_;
};

}  // namespace backplane::serial
