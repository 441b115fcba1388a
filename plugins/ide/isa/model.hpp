// An IDE host adapter on the ISA bus: address decoder and buffers for one ATA channel, programmed I/O only (the adapter
// of the AT, "ATA/ATAPI-5 host adapters", T13/1510D section 5). A board with two channels has two of them.
#pragma once

#include "ata/channel.hpp"
#include "backplane/device.hpp"

namespace backplane::isa_ide {

class Ide final : public Device<Ide>, private ata::ChannelHost {
  public:
    static constexpr std::string_view kType = "ide.isa";
    explicit Ide(const Slot& slot) : Device(slot) { channel_.init(this, 0, false); }

    static void describe(Schema<Ide>& s);
    bp_status start();
    bp_status publish();
    void reset(Reset) { channel_.reset(); }
    void state(StateVisitor& v) { channel_.state(v); }

  private:
    u64 read_command(u64 offset, u32 bytes) { return channel_.read(offset, bytes); }
    void write_command(u64 offset, u32 bytes, u64 value) { channel_.write(offset, bytes, value); }
    u64 read_control(u64, u32) { return channel_.read_alternate(); }
    void write_control(u64, u32, u64 value) { channel_.write_control(static_cast<u8>(value)); }
    bp_status attach(std::string_view address, std::string_view child, bp_interface drive, bp_interface* host);

    void irq(unsigned, bool level) override { irq_.set(level); }
    void interrupt(unsigned) override {}
    void dma_ready(unsigned) override {}
    void dma_end(unsigned) override {}

    u32 number_ = 0;
    ata::Channel channel_;
    LineOut irq_;
};

}  // namespace backplane::isa_ide
