// Sectors between host, buffer and image.
//
// A command is cut into chunks. A read fetches up to a buffer full at once and hands it out in DRQ blocks or DMA
// windows; a PIO write goes to the image block by block, so that what the guest was told is written, is. When an access
// fails, it is repeated sector by sector: the good sectors count, and the guest learns the address of the bad one.
#include <algorithm>
#include <cstring>

#include "model.hpp"

namespace backplane::ata {
namespace {

constexpr u32 kLoggedErrors = 20;

}  // namespace

// --- Host side
// ----------------------------------------------------------------------------------------------------------

u32 Disk::data_read(u32 bytes) {
    if (phase_ != Phase::kHostReads) return 0;
    const u32 n = std::min(bytes, end_ - position_);
    u32 value = 0;
    for (u32 i = 0; i < n; ++i) value |= static_cast<u32>(buffer()[position_ + i]) << (8 * i);
    position_ += n;
    if (position_ == end_) window_done();
    return value;
}

void Disk::data_write(u32 bytes, u32 value) {
    if (phase_ != Phase::kHostWrites) return;
    const u32 n = std::min(bytes, end_ - position_);
    for (u32 i = 0; i < n; ++i) buffer()[position_ + i] = static_cast<u8>(value >> (8 * i));
    position_ += n;
    if (position_ == end_) window_done();
}

void* Disk::dma_window(u32* bytes, int* to_memory) {
    *bytes = 0;
    *to_memory = phase_ == Phase::kDmaIn;
    if (phase_ != Phase::kDmaIn && phase_ != Phase::kDmaOut) return nullptr;
    *bytes = end_ - position_;
    return buffer() + position_;
}

void Disk::dma_advance(u32 bytes) {
    if (phase_ != Phase::kDmaIn && phase_ != Phase::kDmaOut) return;
    position_ += std::min(bytes, end_ - position_);
    if (position_ == end_) window_done();
}

void Disk::dma_cancel() {
    if (!dma()) return;
    cancel();
    error_ = kErrorAbort;
    status_ = kStatusReady | kStatusSeek | kStatusError;
}

// --- Chunks and windows
// -------------------------------------------------------------------------------------------------

// The next part of the command: fetches it, or asks the host for it.
void Disk::begin_chunk() {
    const u32 limit = work_ == Work::kWritePio ? block_ : kBufferSectors;
    chunk_lba_ = lba_;
    chunk_sectors_ = std::min(left_, limit);
    good_ = 0;
    probing_ = bad_ = false;
    position_ = end_ = filled_ = 0;
    if (reads()) {
        issue(BP_BLOCK_READ, 0, chunk_sectors_);
    } else {
        filled_ = chunk_sectors_ * kSectorBytes;
        next_window();
    }
}

// Offers [position_, ...) of the buffer to the host.
void Disk::next_window() {
    status_ = kStatusReady | kStatusSeek | kStatusRequest;
    if (dma()) {
        status_ |= kStatusBusy;
        end_ = filled_;
        phase_ = work_ == Work::kReadDma ? Phase::kDmaIn : Phase::kDmaOut;
        if (bus_) bus_->dma_ready(bus_.instance());
        return;
    }
    end_ = std::min(filled_, position_ + block_ * kSectorBytes);
    if (work_ == Work::kReadPio) {
        const u32 sectors = (end_ - position_) / kSectorBytes;
        lba_ += sectors;
        left_ -= sectors;
        store_address(lba_);
        store_count(left_);
    }
    phase_ = work_ == Work::kWritePio ? Phase::kHostWrites : Phase::kHostReads;
}

// The host has taken or filled the window.
void Disk::window_done() {
    switch (work_) {
        case Work::kReply: return complete(kStatusReady | kStatusSeek, false);
        case Work::kWritePio:
        case Work::kWriteDma: return issue(BP_BLOCK_WRITE, 0, chunk_sectors_);
        case Work::kReadPio:
            if (position_ < filled_) {
                next_window();
                return intrq(true);
            }
            break;
        case Work::kReadDma:
            lba_ += good_;
            left_ -= good_;
            break;
        default: return;
    }
    if (bad_) return fail_at(chunk_lba_ + good_);
    if (left_ == 0) return finish_transfer();
    begin_chunk();
}

// The medium is done with the chunk, or has found its bad sector.
void Disk::chunk_done() {
    if (reads()) {
        // A DRQ block with a bad sector is not offered; DMA has no blocks.
        const u32 usable = bad_ && work_ == Work::kReadPio ? good_ / block_ * block_ : good_;
        if (usable == 0) return fail_at(chunk_lba_ + good_);
        filled_ = usable * kSectorBytes;
        const bool pio = work_ == Work::kReadPio;
        next_window();
        if (pio) intrq(true);
        return;
    }
    lba_ += good_;
    left_ -= good_;
    store_address(lba_);
    store_count(left_);
    if (bad_) return fail_at(lba_);
    if (left_ == 0) {
        if (write_cache_) return finish_transfer();
        return issue(BP_BLOCK_FLUSH, 0, 0);
    }
    begin_chunk();
    if (work_ == Work::kWritePio) intrq(true);
}

void Disk::fail_at(u64 lba) {
    store_address(lba);
    store_count(left_);
    error_ = reads() ? kErrorUncorrectable : kErrorAbort;
    complete(kStatusReady | kStatusSeek | kStatusError, true);
}

void Disk::finish_transfer() {
    store_address(lba_);
    store_count(left_);
    // The last block of a PIO read was announced when it became ready; its end is no event.
    complete(kStatusReady | kStatusSeek, work_ != Work::kReadPio);
}

void Disk::flush() {
    work_ = Work::kFlush;
    issue(BP_BLOCK_FLUSH, 0, 0);
}

// --- Image side
// ---------------------------------------------------------------------------------------------------------

void Disk::issue(u32 operation, u32 first, u32 sectors) {
    phase_ = Phase::kMedium;
    status_ = static_cast<u8>(kStatusBusy | kStatusReady | kStatusSeek | (dma() ? kStatusRequest : 0));
    const u32 at = first * kSectorBytes;
    const u64 offset = operation == BP_BLOCK_FLUSH ? 0 : chunk_lba_ * kSectorBytes + at;
    access_.issue(operation, offset, at, sectors * kSectorBytes, latency_);
}

void Disk::accessed(i32 error) {
    const u32 operation = access_.operation();
    const u32 sectors = access_.length() / kSectorBytes;
    if (error && reported_ < kLoggedErrors) {
        ++reported_;
        log_error("%s: %s", access_.what().c_str(), std::strerror(error));
    }
    if (operation == BP_BLOCK_FLUSH) {
        if (error) error_ = kErrorAbort;
        return complete(static_cast<u8>(kStatusReady | kStatusSeek | (error ? kStatusError : 0)), true);
    }
    if (!error) {
        good_ += sectors;
    } else if (sectors > 1) {
        probing_ = true;
    } else {
        bad_ = true;
    }
    if (probing_ && !bad_ && good_ < chunk_sectors_) return issue(operation, good_, 1);
    chunk_done();
}

// The command in progress ends here and now, for the guest.
void Disk::cancel() {
    access_.cancel();
    work_ = Work::kNone;
    phase_ = Phase::kIdle;
    lba_ = chunk_lba_ = 0;
    left_ = position_ = end_ = filled_ = chunk_sectors_ = good_ = 0;
    probing_ = bad_ = extended_ = false;
}

}  // namespace backplane::ata
