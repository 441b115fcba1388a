// A PCI function that copies guest memory: registers in a memory BAR, DMA in bursts, and an interrupt at the end by
// message or by the pin INTA#.
//
// Configuration space: vendor 1234h, device C0DEh, BAR 0 with the registers, the MSI capability, and
//   40h  burst        bytes of a burst as a power of two, 4 to 12 (16 bytes to 4 KiB)
//
// BAR 0, 32-bit accesses:
//   00h  id           59504F43h, "COPY"; read-only
//   04h  control      bit 0 start (reads as 0), bit 1 interrupt enable
//   08h  status       bit 0 busy; bit 1 done, bit 2 error: writing 1 clears them
//   0Ch  length       bytes, 1 to 16 MiB
//   10h  source       14h: its bits 63-32
//   18h  destination  1Ch: its bits 63-32
//   20h  copied       bytes of the present or last copy that have arrived; read-only
//   24h  reason       of an error: 1 no memory there, 2 the function's own registers, 3 the function is no bus master,
//                     4 length; read-only
//
// While it is busy, length, source and destination cannot be changed. It interrupts while interrupt enable and one of
// done and error are set.
#pragma once

#include "backplane/device.hpp"
#include "backplane/pci_msi.hpp"

namespace example {

using namespace backplane;

class PciCopier : public Device<PciCopier> {
  public:
    static constexpr std::string_view kType = "example.pci-copier";
    using Device::Device;

    static void describe(Schema<PciCopier>& s);
    bp_status start();
    void reset(Reset kind);
    void state(StateVisitor& v);
    bp_status restored();

  private:
    u64 read(u64 offset, u32 bytes);
    void write(u64 offset, u32 bytes, u64 value);
    void set_control(u32 value);
    void set_address(u64& address, bool high, u32 value);
    void arm_burst(i64 from);
    void on_burst(i64 due);
    void finish(u32 reason);
    void update_interrupt();
    u32 burst() const;

    Bytes bandwidth_;
    PciFunction pci_;
    PciMsi msi_;
    Region registers_;
    Timer timer_;
    TracePoint started_, finished_;

    u32 control_ = 0, status_ = 0, length_ = 0, copied_ = 0, reason_ = 0;
    u64 source_ = 0, destination_ = 0;
};

}  // namespace example
