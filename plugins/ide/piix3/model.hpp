// Intel 82371SB (PIIX3), function 1: IDE interface with bus mastering. Data sheet 290550-002, sections 2.5-2.7 and 3.5.
// Two channels in legacy mode; timing registers (40h-44h) are storage, as nothing on this board is slow enough to
// matter.
#pragma once

#include <array>
#include <string>

#include "ata/channel.hpp"
#include "backplane/device.hpp"
#include "backplane/pci.hpp"
#include "busmaster.hpp"

namespace backplane::piix3 {

class Ide final : public Device<Ide>, private ata::ChannelHost {
  public:
    static constexpr std::string_view kType = "ide.piix3";
    explicit Ide(const Slot& slot);

    static void describe(Schema<Ide>& s);
    bp_status start();
    bp_status publish();
    void reset(Reset kind);
    void state(StateVisitor& v);
    bp_status restored();

  private:
    std::string firmware_path_;
    static constexpr unsigned kChannels = 2;
    static constexpr u32 kBusMasterPorts = kChannels * BusMaster::kPorts;

    template <unsigned N>
    u64 read_command(u64 offset, u32 bytes) {
        return channels_[N].read(offset, bytes);
    }
    template <unsigned N>
    void write_command(u64 offset, u32 bytes, u64 value) {
        if (trace_command_.on()) trace_write(N, offset, bytes, value);
        channels_[N].write(offset, bytes, value);
    }
    template <unsigned N>
    u64 read_control(u64, u32) {
        return channels_[N].read_alternate();
    }
    template <unsigned N>
    void write_control(u64, u32, u64 value) {
        channels_[N].write_control(static_cast<u8>(value));
    }
    template <unsigned N>
    bp_status attach(std::string_view address, std::string_view child, bp_interface drive, bp_interface* host) {
        return attach_to(N, address, child, drive, host);
    }
    bp_status attach_to(unsigned channel, std::string_view address, std::string_view child, bp_interface drive,
                        bp_interface* host);
    u64 read_bus_master(u64 offset, u32 bytes);
    void write_bus_master(u64 offset, u32 bytes, u64 value);
    void trace_write(unsigned channel, u64 offset, u32 bytes, u64 value);

    void irq(unsigned channel, bool level) override { irq_[channel].set(level); }
    void interrupt(unsigned channel) override { masters_[channel].interrupt(); }
    void dma_ready(unsigned channel) override { masters_[channel].dma_ready(); }
    void dma_end(unsigned channel) override { masters_[channel].dma_end(); }

    std::array<ata::Channel, kChannels> channels_;
    std::array<BusMaster, kChannels> masters_;
    std::array<LineOut, kChannels> irq_;
    PciFunction pci_;
    Region bus_master_;
    TracePoint trace_command_;
};

}  // namespace backplane::piix3
