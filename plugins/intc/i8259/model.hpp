// Two Intel 8259A in cascade (data sheet 231468-003) with the edge/level control registers of the Intel 82371SB
// (PIIX3): the interrupt controllers of a PC/AT.
#pragma once

#include <array>

#include "backplane/abi/cpu.h"
#include "backplane/device.hpp"
#include "chip.hpp"

namespace backplane::intc {

class I8259Pair : public Device<I8259Pair> {
  public:
    static constexpr std::string_view kType = "intc.i8259";
    explicit I8259Pair(const Slot& slot);
    static void describe(Schema<I8259Pair>& s);

    void reset(Reset kind);
    void state(StateVisitor& v);

  private:
    void ir(u32 pin, bool level);
    u64 master_read(u64 offset, u32 bytes) { return read(0, offset); }
    void master_write(u64 offset, u32 bytes, u64 value) { write(0, offset, value); }
    u64 slave_read(u64 offset, u32 bytes) { return read(1, offset); }
    void slave_write(u64 offset, u32 bytes, u64 value) { write(1, offset, value); }
    u64 elcr_read(u64 offset, u32 bytes) { return chips_[offset & 1].level_triggered(); }
    void elcr_write(u64 offset, u32 bytes, u64 value);
    u64 read(unsigned chip, u64 offset);
    void write(unsigned chip, u64 offset, u64 value);
    void update();
    i32 acknowledge();

    static const bp_intr kIntr;

    std::array<I8259, 2> chips_;  // master, slave
    LineOut intr_;
    TracePoint trace_;
};

}  // namespace backplane::intc
