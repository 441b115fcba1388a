// Intel 8259A programmable interrupt controller (data sheet 231468-003): one chip, without its bus and its wires.
#pragma once

#include "backplane/state.hpp"
#include "backplane/types.hpp"

namespace backplane::intc {

class I8259 {
  public:
    // Level of an interrupt request pin. `cascade` pins have no latch: a slave holds its INT until it is acknowledged.
    void set_pin(unsigned pin, bool level);
    void set_cascade_pins(u8 pins) { cascade_ = pins; }
    void set_level_triggered(u8 pins) { level_ = pins; }  // the ELCR, which replaces the chip's own LTIM bit
    u8 level_triggered() const { return level_; }

    u8 read(bool a0);
    void write(bool a0, u8 value);
    void reset();  // everything but the ELCR and what stands on the pins

    bool wants_service() const { return pending() >= 0; }
    // The CPU's acknowledge cycle: returns the pin that is served, or 7 without an in-service bit if the request went
    // away.
    unsigned acknowledge();
    u8 vector(unsigned pin) const { return static_cast<u8>(base_ | pin); }

    u8 irr() const { return static_cast<u8>((latch_ & ~follows_pin()) | (pins_ & follows_pin())); }
    u8 isr() const { return isr_; }
    u8 imr() const { return imr_; }

    void state(StateVisitor& v);

  private:
    enum class Expect : u8 { kNothing, kIcw2, kIcw3, kIcw4 };

    u8 follows_pin() const { return static_cast<u8>(level_ | cascade_); }
    // 0 is the most urgent; lowest_ is the pin at the bottom (7 after initialisation).
    unsigned rank(unsigned pin) const { return (pin - lowest_ - 1) & 7; }
    int most_urgent(u8 set) const;
    int pending() const;
    void take(unsigned pin);
    void initialise(u8 icw1);
    void operation(u8 ocw2);
    void control(u8 ocw3);

    u8 pins_ = 0;   // levels
    u8 latch_ = 0;  // edges seen and not yet served
    u8 level_ = 0;
    u8 cascade_ = 0;
    u8 isr_ = 0;
    u8 imr_ = 0;
    u8 base_ = 0;
    u8 lowest_ = 7;
    u8 icw1_ = 0;
    u8 icw3_ = 0;
    u8 icw4_ = 0;
    Expect expect_ = Expect::kNothing;
    bool read_isr_ = false;
    bool poll_ = false;
    bool special_mask_ = false;
    bool rotate_in_aeoi_ = false;
};

}  // namespace backplane::intc
