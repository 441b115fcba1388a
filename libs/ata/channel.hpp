// One ATA channel (cable) with up to two drives: what every IDE host adapter has in common, without ports and lines.
//
// ATA/ATAPI-5 (T13/1321D), sections 7 and 9; for empty positions, the answers that PCs with this controller have always
// given. SeaBIOS and Linux find out by these answers which positions are occupied.
#pragma once

#include <array>
#include <string_view>

#include "ata/registers.hpp"
#include "backplane/abi/ata.h"
#include "backplane/slot.hpp"
#include "backplane/state.hpp"
#include "backplane/types.hpp"

namespace backplane::ata {

// The adapter's side of its channels.
class ChannelHost {
  public:
    // The channel's interrupt wire. Called with every update, also without a change.
    virtual void irq(unsigned channel, bool level) = 0;
    // A drive raised an interrupt that nIEN lets through; for a bus master's status bit. May repeat while the wire is
    // high.
    virtual void interrupt(unsigned channel) = 0;
    virtual void dma_ready(unsigned channel) = 0;
    virtual void dma_end(unsigned channel) = 0;

  protected:
    ~ChannelHost() = default;
};

class Channel {
  public:
    Channel() = default;
    Channel(const Channel&) = delete;
    Channel& operator=(const Channel&) = delete;

    void init(ChannelHost* host, unsigned number, bool dma);
    // Plugs a drive in. Returns what is wrong, or an empty text.
    std::string_view attach(std::string_view address, bp_interface child, bp_interface* host);

    // Command block: 8 ports, widths 1, 2, 4.
    u64 read(u64 offset, u32 bytes);
    void write(u64 offset, u32 bytes, u64 value);
    // Control block: one port.
    u8 read_alternate();
    void write_control(u8 value);

    void reset();
    void state(StateVisitor& v);
    bool wire() const { return shown_[selected_] && !(control_ & kControlNoInterrupt); }

    bool present(unsigned device) const { return static_cast<bool>(places_[device].drive); }
    // False if there is none there.
    bool info(unsigned device, bp_ata_info* info) const;

    // DMA data phase of whichever drive has one. Returns nullptr while nothing can be moved.
    u8* dma_window(u32* bytes, bool* to_memory);
    void dma_advance(u32 bytes);
    void dma_cancel();

  private:
    struct Place {
        Channel* channel = nullptr;
        unsigned device = 0;
        Link<bp_ata_device> drive;
        // What an empty position remembers of what was written.
        u8 error = 0, count = 0, low = 0, mid = 0, high = 0, select = 0, status = 0;
    };

    Place& selected() { return places_[selected_]; }
    bool empty() const { return !places_[0].drive && !places_[1].drive; }
    u8 read_register(u32 reg);
    void write_register(u32 reg, u8 value);
    void command(u8 value);
    void intrq(unsigned device, bool level);
    void update_wire() { host_->irq(number_, wire()); }
    static void set_signature(Place& place);
    static u8 read_absent(const Place& place, u32 reg);
    static void write_absent(Place& place, u32 reg, u8 value);
    static const bp_ata_bus kBus;

    ChannelHost* host_ = nullptr;
    unsigned number_ = 0;
    bool dma_ = false;
    std::array<Place, 2> places_;
    u8 selected_ = 0;
    u8 control_ = 0;
    std::array<bool, 2> shown_{};  // INTRQ of each drive, as far as nIEN let it through
};

}  // namespace backplane::ata
