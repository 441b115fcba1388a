// One counter of an Intel 8254 (data sheet 231164-005), driven by the number of its input clock instead of single
// pulses.
#pragma once

#include "backplane/state.hpp"
#include "backplane/types.hpp"

namespace backplane::timer {

class Counter {
  public:
    static constexpr u64 kNever = ~u64{0};

    // As pc-0.12 shows it at power-on: mode 3, full count, running.
    void reset(u64 clock);
    void set_gate(bool level);

    // Lets the counter run up to input clock number `clock`. All other calls act at the clock it last ran to.
    void run_to(u64 clock);
    // The clock at which OUT changes next if nothing is written meanwhile, or kNever.
    u64 next_change() const;
    bool out() const { return out_; }

    void control(u8 word);  // RW, mode and BCD bits of a control word
    void latch_count();
    void latch_status();
    void write(u8 value);
    u8 read();

    void state(StateVisitor& v);
    // After a restore at input clock `clock`: a damaged snapshot must not lead into an endless loop.
    void validate(u64 clock);

  private:
    u32 modulus() const { return bcd_ ? 10000 : 65536; }
    u32 initial() const;  // the count register as a number of clocks, 1 ... modulus
    u16 shown() const;    // the counting element as the bus sees it
    u8 mode() const { return mode_ > 5 ? mode_ & 3 : mode_; }
    void load();
    void count_down(u64 clocks);
    void count_rate(u64 clocks);
    void count_square(u64 clocks);
    void start_half();
    u64 half_left() const;

    u64 clock_ = 0;
    u32 element_ = 0;  // counting element, 0 ... 65536
    u16 count_ = 0;    // count register, as written
    u8 low_byte_ = 0;  // first byte of a two-byte count
    u8 access_ = 3;    // RW bits: 1 low byte, 2 high byte, 3 both
    u8 mode_ = 3;
    bool bcd_ = false;
    bool out_ = true;
    bool gate_ = false;
    bool running_ = false;  // a count was loaded since the mode was set
    bool loading_ = false;  // the next clock copies the count register
    bool written_ = false;  // a count was written since the mode was set
    bool null_count_ = false;
    bool armed_ = false;  // the terminal count still counts (modes 0, 1, 4, 5)
    bool odd_ = false;    // mode 3: the half cycle being counted belongs to an odd count
    bool write_high_ = false;
    bool read_high_ = false;
    bool status_latched_ = false;
    u8 status_latch_ = 0;
    u8 count_latched_ = 0;  // bytes still to be read from the latch
    u16 count_latch_ = 0;
};

}  // namespace backplane::timer
