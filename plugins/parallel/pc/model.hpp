// Parallel port of a PC in standard (Centronics) mode with a printer on it: IBM PC/AT Technical Reference, "Printer
// Adapter"; handshake after IEEE 1284-1994, compatibility mode.
#pragma once

#include "backplane/abi/backend.h"
#include "backplane/device.hpp"

namespace backplane::parallel {

class PcParallel : public Device<PcParallel> {
  public:
    static constexpr std::string_view kType = "parallel.pc";
    using Device::Device;
    static void describe(Schema<PcParallel>& s);

    void reset(Reset kind);
    void state(StateVisitor& v);

  private:
    enum class Phase : u8 { kReady, kPrinting, kAcknowledge };

    u64 read(u64 offset, u32 bytes);
    void write(u64 offset, u32 bytes, u64 value);
    void write_control(u8 value);
    u8 status() const;
    void advance(i64 due);
    void catch_up();

    Link<bp_chardev> backend_;
    u8 data_ = 0xff;
    u8 control_ = 0;
    Phase phase_ = Phase::kReady;
    u8 printing_ = 0;  // the byte that the printer took at the strobe
    LineOut irq_;
    Timer timer_;
};

}  // namespace backplane::parallel
