// An ISA card with a programmable ticker: it counts periods, and interrupts at the end of each if it is told to.
//
//   offset  size
//   0       1     control   bit 0 run (0 to 1 starts the count from 0), bit 1 interrupt enable
//   1       1     status    bit 0 tick, bit 1 overrun: a tick came while the last one was not acknowledged;
//                           writing 1 to a bit clears it
//   2       2     period    in units of the property `unit`; 0 means 65536. Counts from the next tick on
//   4       4     count     ticks since the start; read-only
//
// Accesses of 1, 2 and 4 bytes reach any of these bytes. The interrupt line is high while tick and interrupt enable
// are.
#pragma once

#include "backplane/device.hpp"

namespace example {

using namespace backplane;

class IsaTick : public Device<IsaTick> {
  public:
    static constexpr std::string_view kType = "example.isa-tick";
    using Device::Device;

    static void describe(Schema<IsaTick>& s);
    void reset(Reset);
    void state(StateVisitor& v);

  private:
    u64 read(u64 offset, u32 bytes);
    void write(u64 offset, u32 bytes, u64 value);
    u8 read_byte(u64 offset) const;
    void write_byte(u64 offset, u8 value);
    void set_control(u8 value);
    void on_tick(i64 due);
    void update_irq();
    i64 period_ns() const;

    Duration unit_;
    LineOut irq_;
    Timer timer_;
    TracePoint started_, ticked_;

    // All that a guest can observe; the level of the line and the armed timer are the kernel's to save.
    u8 control_ = 0;
    u8 status_ = 0;
    u16 period_ = 0;
    u32 count_ = 0;
};

}  // namespace example
