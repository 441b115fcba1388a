// Coprocessor error logic of the PC/AT: FERR# from the processor becomes interrupt 13 and is cleared at port F0h, which
// also lets the processor go on (IGNNE#) until FERR# falls (82371SB data sheet 290550-002, 2.5.7.1).
#pragma once

#include "backplane/device.hpp"

namespace backplane {

struct Ferr : Device<Ferr> {
    static constexpr std::string_view kType = "chipset.ferr";
    using Device::Device;

    static void describe(Schema<Ferr>& s);
    void reset(Reset kind);
    void state(StateVisitor& v);
    void ferr(bool level);
    void write(u64 offset, u32 bytes, u64 value);

  private:
    bool level_ = false;    // of the processor's output
    bool pending_ = false;  // interrupt requested
    bool ignore_ = false;   // IGNNE# asserted
    LineOut irq_;
    LineOut ignne_;
};

}  // namespace backplane
