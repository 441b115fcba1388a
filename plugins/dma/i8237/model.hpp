// Two Intel 8237A DMA controllers (data sheet 231466-005) in cascade, with the page registers of a PC/AT: channels 0-3
// move bytes, channels 5-7 words, channel 4 is the cascade.
#pragma once

#include <array>

#include "backplane/abi/isa_dma.h"
#include "backplane/device.hpp"

namespace backplane::dma {

class I8237Pair : public Device<I8237Pair> {
  public:
    static constexpr std::string_view kType = "dma.i8237";
    using Device::Device;
    static void describe(Schema<I8237Pair>& s);

    void reset(Reset kind);
    void state(StateVisitor& v);

  private:
    struct Channel {
        u16 base_address = 0, base_count = 0;
        u16 address = 0, count = 0;
        u8 mode = 0;
        u8 page = 0;
        bool requested = false;  // DREQ
    };
    struct Chip {
        std::array<Channel, 4> channels;
        u8 command = 0;
        u8 mask = 0x0f;
        u8 soft_requests = 0;
        u8 terminal = 0;  // status register: channels that reached terminal count
        bool high_byte = false;
    };
    struct Peer {  // wiring, not state
        const bp_isa_dma_device* device = nullptr;
        void* instance = nullptr;
    };

    template <unsigned N>
    static const bp_isa_dma kChannel;

    u64 read1(u64 offset, u32 bytes) { return read(0, offset); }
    void write1(u64 offset, u32 bytes, u64 value) { write(0, offset, static_cast<u8>(value)); }
    u64 read2(u64 offset, u32 bytes) { return offset & 1 ? 0xff : read(1, offset >> 1); }
    void write2(u64 offset, u32 bytes, u64 value);
    template <unsigned First>
    u64 read_page(u64 offset, u32 bytes);
    template <unsigned First>
    void write_page(u64 offset, u32 bytes, u64 value);

    u8 read(unsigned chip, u64 reg);
    void write(unsigned chip, u64 reg, u8 value);
    u8 read_word(Chip& chip, u16 value);
    void write_command(Chip& chip, u64 reg, u8 value);
    static void clear(Chip& chip);

    // transfer.cpp
    bp_status connect(unsigned number, const bp_isa_dma_device* device, void* instance);
    void request(unsigned number, bool level);
    bool open(unsigned number) const;
    void serve();
    void serve_channel(unsigned number);
    u32 move(unsigned number, u32 bytes);
    void terminal_count(unsigned number);
    void resume(i64 due) { serve(); }
    Channel& channel(unsigned number) { return chips_[number >> 2].channels[number & 3]; }
    const Channel& channel(unsigned number) const { return chips_[number >> 2].channels[number & 3]; }

    std::array<Chip, 2> chips_;
    std::array<Peer, 8> peers_;
    bool serving_ = false;  // never true between two calls from outside
    Timer resume_;
    TracePoint trace_;
};

}  // namespace backplane::dma
