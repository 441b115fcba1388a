#include "busmaster.hpp"

#include <algorithm>

namespace backplane::piix3 {
namespace {

constexpr u32 kCommand = 0;
constexpr u32 kStatus = 2;
constexpr u32 kTable = 4;

}  // namespace

u8 BusMaster::read_byte(u32 offset) const {
    if (offset == kCommand) return command_;
    if (offset == kStatus) return status_;
    if (offset >= kTable) return static_cast<u8>(table_ >> (8 * (offset - kTable)));
    return 0xff;
}

u32 BusMaster::read(u32 offset, u32 bytes) const {
    if (bytes == 1) return read_byte(offset);
    if (bytes == 2)
        return read_byte(offset) | static_cast<u32>(offset + 1 < kPorts ? read_byte(offset + 1) : 0xff) << 8;
    return offset == kTable ? table_ : 0xffffffff;  // only the table register is decoded as a dword
}

void BusMaster::write(u32 offset, u32 bytes, u32 value) {
    if (bytes == 4) {
        if (offset == kTable) table_ = value & ~3u;
        return;
    }
    for (u32 i = 0; i < bytes && offset + i < kPorts; ++i) write_byte(offset + i, static_cast<u8>(value >> (8 * i)));
}

void BusMaster::write_byte(u32 offset, u8 value) {
    if (offset == kCommand) {
        write_command(value);
    } else if (offset == kStatus) {
        const u8 cleared = value & (kError | kInterrupt);
        status_ = static_cast<u8>((value & kDriveCapable) | (status_ & (kActive | kError | kInterrupt) & ~cleared));
    } else if (offset >= kTable) {
        const u32 shift = 8 * (offset - kTable);
        table_ = ((table_ & ~(0xffu << shift)) | static_cast<u32>(value) << shift) & ~3u;
    }
}

void BusMaster::write_command(u8 value) {
    command_ = value & (kStart | kToMemory);
    if (command_ & kStart) {
        if (status_ & kActive) return;
        status_ |= kActive;
        entry_ = left_ = 0;
        last_ = false;
        run();
    } else if (status_ & kActive) {
        status_ &= static_cast<u8>(~kActive);
        channel_->dma_cancel();
    }
}

// Loads the next descriptor. Without one the controller stops and leaves the drive waiting: "the PRD table specified a
// smaller size than the IDE transfer", which software knows by Active = 0 and Interrupt = 0 (3.5.3).
bool BusMaster::next_entry() {
    if (last_ || entry_ >= kTableBytes) {
        status_ &= static_cast<u8>(~kActive);
        return false;
    }
    u8 raw[kEntryBytes];
    if (slot_->dma().read(slot_->self(), u64{table_} + entry_, raw, sizeof raw) != BP_OK) {
        status_ = static_cast<u8>((status_ & ~kActive) | kError);
        return false;
    }
    const auto dword = [&raw](u32 at) {
        return static_cast<u32>(raw[at]) | static_cast<u32>(raw[at + 1]) << 8 | static_cast<u32>(raw[at + 2]) << 16 |
               static_cast<u32>(raw[at + 3]) << 24;
    };
    entry_ += kEntryBytes;
    address_ = dword(0);
    left_ = dword(4) & 0xfffe;
    if (left_ == 0) left_ = 0x10000;
    last_ = dword(4) & kLastEntry;
    return true;
}

void BusMaster::run() {
    if (running_) return;
    running_ = true;
    while (status_ & kActive) {
        u32 bytes = 0;
        bool to_memory = false;
        u8* data = channel_->dma_window(&bytes, &to_memory);
        if (!data || (left_ == 0 && !next_entry())) break;
        bytes = std::min(bytes, left_);
        // The drive's command decides the direction; bit 3 of the command register is only kept, as on the board's
        // model.
        const bp_dma_api& dma = slot_->dma();
        const bp_status done = to_memory ? dma.write(slot_->self(), address_, data, bytes)
                                         : dma.read(slot_->self(), address_, data, bytes);
        if (done != BP_OK) {
            status_ = static_cast<u8>((status_ & ~kActive) | kError);
            break;
        }
        address_ += bytes;
        left_ -= bytes;
        channel_->dma_advance(bytes);
    }
    running_ = false;
}

// The chip leaves Active set while descriptors are left over: "PRD size larger than the IDE transfer size" (3.5.3).
// The board's model never did, so neither do we.
void BusMaster::dma_end() {
    status_ |= kInterrupt;
    status_ &= static_cast<u8>(~kActive);
}

void BusMaster::reset() {
    command_ = status_ = 0;
    table_ = entry_ = address_ = left_ = 0;
    last_ = false;
}

void BusMaster::state(StateVisitor& v) {
    v("command", command_, {.max = kStart | kToMemory});
    v("status", status_, {.max = kActive | kError | kInterrupt | kDriveCapable});
    v("table", table_);
    v("entry", entry_, {.max = kTableBytes});
    v("address", address_);
    v("left", left_, {.max = 0x10000});
    v("last", last_);
}

}  // namespace backplane::piix3
