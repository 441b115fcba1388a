// Bus master IDE: one channel's half of the sixteen registers (Intel 82371FB/SB, 290550-002, section 2.7 and 3.5).
#pragma once

#include "ata/channel.hpp"
#include "backplane/slot.hpp"
#include "backplane/state.hpp"
#include "backplane/types.hpp"

namespace backplane::piix3 {

class BusMaster {
  public:
    static constexpr u32 kPorts = 8;

    void init(const Slot* slot, ata::Channel* channel) { slot_ = slot, channel_ = channel; }

    // Offset 0-7 within the channel's half.
    u32 read(u32 offset, u32 bytes) const;
    void write(u32 offset, u32 bytes, u32 value);

    void interrupt() { status_ |= kInterrupt; }
    void dma_ready() { run(); }
    void dma_end();
    void reset();
    void state(StateVisitor& v);

  private:
    // Command register, 2.7.1.
    static constexpr u8 kStart = 0x01;
    static constexpr u8 kToMemory = 0x08;
    // Status register, 2.7.2.
    static constexpr u8 kActive = 0x01;
    static constexpr u8 kError = 0x02;
    static constexpr u8 kInterrupt = 0x04;
    static constexpr u8 kDriveCapable = 0x60;
    // Physical region descriptors, 3.5.1: address, byte count (0 = 64 KiB), end-of-table bit.
    static constexpr u32 kEntryBytes = 8;
    static constexpr u32 kTableBytes = 4096;
    static constexpr u32 kLastEntry = 0x80000000;

    u8 read_byte(u32 offset) const;
    void write_byte(u32 offset, u8 value);
    void write_command(u8 value);
    void run();
    bool next_entry();

    const Slot* slot_ = nullptr;
    ata::Channel* channel_ = nullptr;
    u8 command_ = 0;
    u8 status_ = 0;
    u32 table_ = 0;
    // Position in the table.
    u32 entry_ = 0;  // bytes from the start of the table
    u32 address_ = 0;
    u32 left_ = 0;
    bool last_ = false;
    bool running_ = false;  // run() is on the stack; not state
};

}  // namespace backplane::piix3
