// Data from the drive to the host: replies and sectors, in DRQ blocks no longer than the host's byte count limit, or in
// DMA windows. ATA/ATAPI-5, 9.6 and 9.7.
//
// A DRQ block may be longer than a sector and begin or end within one. It is announced when all of it is in the buffer,
// because hosts take it in one go.
#include <algorithm>
#include <cstring>

#include "packet.hpp"

namespace backplane::ata {
namespace {

constexpr u32 kLoggedErrors = 20;
constexpr u32 kMostBytes = 0xfffe;  // of a DRQ block

}  // namespace

// --- Host side
// ----------------------------------------------------------------------------------------------------------

u32 Cd::data_read(u32 bytes) {
    if (phase_ != Phase::kHostReads) return 0;
    const u32 n = std::min(bytes, end_ - position_);
    u32 value = 0;
    for (u32 i = 0; i < n; ++i) value |= static_cast<u32>(buffer()[position_ + i]) << (8 * i);
    position_ += n;
    if (position_ == end_) window_done();
    return value;
}

void Cd::data_write(u32 bytes, u32 value) {
    if (phase_ != Phase::kHostWrites) return;
    const u32 n = std::min(bytes, end_ - position_);
    for (u32 i = 0; i < n; ++i) packet_[position_ + i] = static_cast<u8>(value >> (8 * i));
    position_ += n;
    if (position_ == end_) packet();
}

void* Cd::dma_window(u32* bytes, int* to_memory) {
    *bytes = 0;
    *to_memory = 1;
    if (phase_ != Phase::kDmaIn) return nullptr;
    *bytes = end_ - position_;
    return buffer() + position_;
}

void Cd::dma_advance(u32 bytes) {
    if (phase_ != Phase::kDmaIn) return;
    position_ += std::min(bytes, end_ - position_);
    if (position_ == end_) window_done();
}

// The host stopped its bus master in the middle: the command ends, without an interrupt.
void Cd::dma_cancel() {
    if (!by_dma_ || (work_ != Work::kReply && work_ != Work::kRead)) return;
    cancel();
    error_ = kErrorAbort;
    status_ = kStatusReady | kStatusSeek | kStatusError;
}

u32 Cd::byte_limit() const {
    const u32 limit = static_cast<u32>(high_) << 8 | mid_;
    return std::min(limit, kMostBytes);
}

// Whether `total` bytes can go to the host in blocks as it wants them; if not, aborts the command.
bool Cd::limit_fits(u32 total) {
    if (by_dma_ || byte_limit() >= 2 || total <= byte_limit()) return true;
    abort_command();
    return false;
}

// --- What goes to the host
// ----------------------------------------------------------------------------------------------

// The first bytes of the buffer, as many as the host has room for.
void Cd::reply(u32 bytes, u32 allocated) {
    bytes = std::min(bytes, allocated);
    if (bytes == 0) return end_packet();
    if (!limit_fits(bytes)) return;
    work_ = Work::kReply;
    position_ = end_ = 0;
    filled_ = bytes;
    offer();
}

void Cd::read_sectors(u32 first, u32 count, u32 bytes_each) {
    if (count == 0) return end_packet();
    const u32 total = disc_sectors();
    if (first >= total || count > total - first) return fail_packet({kIllegalRequest, kBlockOutOfRange});
    if (!limit_fits(kSectorBytes)) return;
    work_ = Work::kRead;
    lba_ = first;
    left_ = count;
    sector_bytes_ = bytes_each;
    single_ = bad_ = false;
    position_ = end_ = filled_ = kReadAt;
    fetch();
}

// Reads on. What the host has not taken yet moves to just before the place of the new data.
void Cd::fetch() {
    const u32 kept = filled_ - position_;
    std::memmove(buffer() + kReadAt - kept, buffer() + position_, kept);
    position_ = end_ = kReadAt - kept;
    filled_ = kReadAt;
    reading_ = std::min(left_, single_ ? 1 : kChunkSectors);
    phase_ = Phase::kMedium;
    status_ = static_cast<u8>(kStatusBusy | kStatusReady | kStatusSeek | (by_dma_ ? kStatusRequest : 0));
    access_.issue(BP_BLOCK_READ, u64{lba_} * kSectorBytes, kReadAt, reading_ * kSectorBytes, latency_);
}

void Cd::accessed(i32 error) {
    if (!error) {
        if (sector_bytes_ == kRawBytes) make_raw(reading_);
        filled_ = kReadAt + reading_ * sector_bytes_;
        lba_ += reading_;
        left_ -= reading_;
        reading_ = 0;
        return offer();
    }
    if (reported_ < kLoggedErrors) {
        ++reported_;
        log_error("%s: %s", access_.what().c_str(), std::strerror(error));
    }
    if (reading_ > 1) {
        single_ = true;
        return fetch();
    }
    reading_ = 0;
    bad_ = true;
    left_ = 0;
    if (position_ == filled_) return window_done();
    offer();
}

// User data becomes whole sectors, last one first because they grow: 12 bytes of synchronization, 4 of header, data.
// Error detection and correction stay zero, and the header's address is binary, as on the board's model.
void Cd::make_raw(u32 count) {
    constexpr u32 kHeaderBytes = 16;
    for (u32 i = count; i-- > 0;) {
        u8* sector = buffer() + kReadAt + i * kRawBytes;
        std::memmove(sector + kHeaderBytes, buffer() + kReadAt + i * kSectorBytes, kSectorBytes);
        sector[0] = 0x00;
        std::fill_n(sector + 1, 10, u8{0xff});
        sector[11] = 0x00;
        put_time(sector + 12, lba_ + i);
        sector[15] = 0x01;  // mode 1
        std::fill_n(sector + kHeaderBytes + kSectorBytes, kRawBytes - kHeaderBytes - kSectorBytes, u8{0});
    }
}

// The next block or window for the host; reads on if that is not complete yet.
void Cd::offer() {
    status_ = kStatusReady | kStatusSeek | kStatusRequest;
    if (by_dma_) {
        status_ |= kStatusBusy;
        end_ = filled_;
        phase_ = Phase::kDmaIn;
        if (bus_) bus_->dma_ready(bus_.instance());
        return;
    }
    u32 block = byte_limit();
    if (const u64 rest = bytes_to_come(); rest <= block)
        block = static_cast<u32>(rest);
    else
        block &= ~1u;  // only the last one may be odd
    if (block == 0) return abort_command();
    if (block > filled_ - position_) return fetch();
    count_ = static_cast<u8>((count_ & ~kReasonMask) | kReasonDataIn);
    mid_ = static_cast<u8>(block);
    high_ = static_cast<u8>(block >> 8);
    end_ = position_ + block;
    phase_ = Phase::kHostReads;
    intrq(true);
}

// The host has taken the window, or nothing of it is left to take.
void Cd::window_done() {
    if (work_ == Work::kAtaReply) return complete(kStatusReady | kStatusSeek, false);
    if (bytes_to_come() != 0) return by_dma_ && left_ ? fetch() : offer();
    if (!bad_) return end_packet();
    const u32 sectors = disc_sectors();
    if (!sectors) return fail_packet({kNotReady, kMediumNotPresent});
    fail_packet(lba_ >= sectors ? Sense{kIllegalRequest, kBlockOutOfRange} : Sense{kMediumError, kUnrecoveredRead});
}

// The command in progress ends here and now, for the host.
void Cd::cancel() {
    access_.cancel();
    work_ = Work::kNone;
    phase_ = Phase::kIdle;
    by_dma_ = single_ = bad_ = false;
    packet_ = {};
    position_ = end_ = filled_ = 0;
    lba_ = left_ = reading_ = 0;
    sector_bytes_ = kSectorBytes;
}

}  // namespace backplane::ata
