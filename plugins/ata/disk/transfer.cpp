// Sectors between host, buffer and image.
//
// A command is cut into chunks. A read fetches up to a buffer full at once and hands it out in DRQ blocks or DMA
// windows; a PIO write goes to the image block by block, so that what the guest was told is written, is. When an access
// fails, it is repeated sector by sector: the good sectors count, and the guest learns the address of the bad one.
//
// A reset in the middle leaves the image's request alone. It is marked stale and keeps its buffer; the drive goes on
// with the second one. A new access waits until the stale request has run out, so two accesses never overtake one
// another.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

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
    io_operation_ = operation;
    io_first_ = first;
    io_sectors_ = sectors;
    io_waiting_ = true;
    io_answered_ = false;
    io_error_ = 0;
    if (slot().machine().deterministic(slot().self())) completion_.arm_in(latency_.ns);
    submit();
}

void Disk::submit() {
    if (slots_[current_ ^ 1]->in_flight) {
        deferred_ = true;
        return;
    }
    deferred_ = false;
    Request* own = slots_[current_];
    bp_block_request request{};
    request.size = sizeof request;
    request.operation = io_operation_;
    request.offset = (chunk_lba_ + io_first_) * kSectorBytes;
    request.length = u64{io_sectors_} * kSectorBytes;
    request.data = own->data + io_first_ * kSectorBytes;
    request.done = &Disk::done;
    request.argument = own;
    if (io_operation_ == BP_BLOCK_FLUSH) request.offset = request.length = 0;
    trace_medium_("%s sector %llu, %u sectors",
                  io_operation_ == BP_BLOCK_READ    ? "read"
                  : io_operation_ == BP_BLOCK_WRITE ? "write"
                                                    : "flush",
                  static_cast<unsigned long long>(chunk_lba_ + io_first_), io_sectors_);
    own->in_flight = true;
    if (medium_->submit(medium_.instance(), &request) == BP_OK) return;
    // Refused. The answer still comes later: a guest that has just written a command finds the drive busy.
    own->in_flight = false;
    io_answered_ = true;
    io_error_ = EIO;
    if (!completion_.armed()) completion_.arm_in(0);
}

void Disk::done(void* argument, i32 error) {
    Request* request = static_cast<Request*>(argument);
    Disk* self = request->owner;
    if (!self) {
        delete request;
        return;
    }
    request->in_flight = false;
    if (!std::exchange(request->stale, false)) return self->answered(error);
    if (!self->deferred_) return;
    self->submit();
    // Deterministic clock: if its time has come already, the CPU waits for this access as well.
    if (self->io_waiting_ && !self->completion_.armed() && self->slot().machine().deterministic(self->slot().self()))
        self->medium_->drain(self->medium_.instance());
}

void Disk::answered(i32 error) {
    io_answered_ = true;
    io_error_ = error;
    if (!completion_.armed()) deliver();
}

// Deterministic clock: the answer counts from here on, whenever the host gave it.
void Disk::completion(i64) {
    if (!io_waiting_) return;
    if (io_answered_)
        deliver();
    else
        medium_->drain(medium_.instance());  // done() follows, and finds the timer expired
}

void Disk::deliver() {
    io_waiting_ = io_answered_ = false;
    const i32 error = io_error_;
    if (error && reported_ < kLoggedErrors) {
        ++reported_;
        log_error("%s at sector %llu: %s",
                  io_operation_ == BP_BLOCK_READ    ? "read"
                  : io_operation_ == BP_BLOCK_WRITE ? "write"
                                                    : "flush",
                  static_cast<unsigned long long>(chunk_lba_ + io_first_), std::strerror(error));
    }
    if (io_operation_ == BP_BLOCK_FLUSH) {
        if (error) error_ = kErrorAbort;
        return complete(static_cast<u8>(kStatusReady | kStatusSeek | (error ? kStatusError : 0)), true);
    }
    if (!error) {
        good_ += io_sectors_;
    } else if (io_sectors_ > 1) {
        probing_ = true;
    } else {
        bad_ = true;
    }
    if (probing_ && !bad_ && good_ < chunk_sectors_) return issue(io_operation_, good_, 1);
    chunk_done();
}

// The command in progress ends here and now, for the guest.
void Disk::cancel() {
    completion_.cancel();
    if (slots_[current_]->in_flight) {
        slots_[current_]->stale = true;
        current_ ^= 1;
        // What an earlier command left there is nobody's.
        std::fill_n(buffer(), kBufferBytes, u8{0});
    }
    deferred_ = io_waiting_ = io_answered_ = false;
    io_operation_ = io_first_ = io_sectors_ = 0;
    io_error_ = 0;
    work_ = Work::kNone;
    phase_ = Phase::kIdle;
    lba_ = chunk_lba_ = 0;
    left_ = position_ = end_ = filled_ = chunk_sectors_ = good_ = 0;
    probing_ = bad_ = extended_ = false;
    // Which buffer it is, and what of the old access has arrived there, was a matter of the host's speed.
    std::fill_n(buffer(), kBufferBytes, u8{0});
}

}  // namespace backplane::ata
