// A PCI function that turns bytes in the guest's memory around: the last becomes the first. BAR 0 is memory, 4 KiB,
// with registers of 32 bits:
//
//   00h  ID        reads 31474c50h ("PLG1")
//   04h  STATUS    bit 0 busy, bit 1 done, bit 2 failed; writing ones to bits 1 and 2 clears them
//   08h  ADDRESS   of the bytes in guest-physical memory
//   0Ch  LENGTH    of them, at most 4096
//   10h  DOORBELL  any write starts the work, unless it is busy
//
// INTA# is asserted while STATUS is done or failed.
#pragma once

#include "backplane/device.hpp"
#include "backplane/pci.hpp"

namespace example {

class PluginName final : public backplane::Device<PluginName> {
  public:
    static constexpr std::string_view kType = "pci.plugin_name";
    using Device::Device;

    static void describe(backplane::Schema<PluginName>& s);
    bp_status start();
    void reset(backplane::Reset kind);
    void state(backplane::StateVisitor& v);
    bp_status restored();

  private:
    backplane::u64 read(backplane::u64 offset, backplane::u32 bytes);
    void write(backplane::u64 offset, backplane::u32 bytes, backplane::u64 value);
    void on_work(backplane::i64 due);
    bool turn_around();
    void update_interrupt();

    // What a guest can observe, besides the configuration space: named in state().
    backplane::u32 status_ = 0;
    backplane::u32 address_ = 0;
    backplane::u32 length_ = 0;

    // What the board file sets.
    backplane::Duration latency_;

    // Bound by describe().
    backplane::PciFunction pci_;
    backplane::Region registers_;
    backplane::Timer work_;
    backplane::TracePoint done_;
};

}  // namespace example
