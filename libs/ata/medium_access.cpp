#include "ata/medium_access.hpp"

#include <algorithm>
#include <cerrno>
#include <new>
#include <string>
#include <utility>

namespace backplane::ata {
namespace {

constexpr u32 kSectorBytes = 512;
constexpr std::align_val_t kAlignment{4096};  // what direct access to the host's disk asks for

}  // namespace

void MediumAccess::AlignedDelete::operator()(u8* p) const { ::operator delete[](p, kAlignment); }

MediumAccess::MediumAccess(const Slot& slot, Owner& owner, u32 capacity)
    : slot_(slot), owner_(owner), capacity_(capacity) {
    for (Request*& request : slots_) {
        request = new Request;
        request->owner = this;
        request->data.reset(static_cast<u8*>(::operator new[](capacity, kAlignment)));
        std::fill_n(request->data.get(), capacity, u8{0});
    }
}

MediumAccess::~MediumAccess() {
    for (Request* request : slots_) {
        if (request->in_flight)
            request->owner = nullptr;
        else
            delete request;
    }
}

std::string MediumAccess::what() const {
    const char* verb = operation_ == BP_BLOCK_READ ? "read" : operation_ == BP_BLOCK_WRITE ? "write" : "flush";
    if (operation_ == BP_BLOCK_FLUSH) return verb;
    return std::string(verb) + " of sector " + std::to_string(offset_ / kSectorBytes);
}

void MediumAccess::issue(u32 operation, u64 offset, u32 at, u32 length, Duration latency) {
    operation_ = operation;
    offset_ = offset;
    at_ = at;
    length_ = length;
    waiting_ = true;
    answered_ = false;
    error_ = 0;
    if (deterministic()) completion.arm_in(latency.ns);
    submit();
}

void MediumAccess::submit() {
    if (slots_[current_ ^ 1]->in_flight) {
        deferred_ = true;
        return;
    }
    deferred_ = false;
    Request* own = slots_[current_];
    bp_block_request request{};
    request.size = sizeof request;
    request.operation = operation_;
    request.offset = offset_;
    request.length = length_;
    request.data = own->data.get() + at_;
    request.done = &MediumAccess::done;
    request.argument = own;
    if (trace.on()) trace("%s, %u sectors", what().c_str(), length_ / kSectorBytes);
    own->in_flight = true;
    if (medium_->submit(medium_.instance(), &request) == BP_OK) return;
    // Refused. The answer still comes later: a guest that has just written a command finds the drive busy.
    own->in_flight = false;
    answered_ = true;
    error_ = EIO;
    if (!completion.armed()) completion.arm_in(0);
}

void MediumAccess::done(void* argument, i32 error) {
    Request* request = static_cast<Request*>(argument);
    MediumAccess* self = request->owner;
    if (!self) {
        delete request;
        return;
    }
    request->in_flight = false;
    if (!std::exchange(request->stale, false)) return self->answered(error);
    if (!self->deferred_) return;
    self->submit();
    // Deterministic clock: if its time has come already, the CPU waits for this access as well.
    if (self->waiting_ && !self->completion.armed() && self->deterministic())
        self->medium_->drain(self->medium_.instance());
}

void MediumAccess::answered(i32 error) {
    answered_ = true;
    error_ = error;
    if (!completion.armed()) deliver();
}

// Deterministic clock: the answer counts from here on, whenever the host gave it.
void MediumAccess::expired() {
    if (!waiting_) return;
    if (answered_)
        deliver();
    else
        medium_->drain(medium_.instance());  // done() follows, and finds the timer expired
}

void MediumAccess::deliver() {
    waiting_ = answered_ = false;
    owner_.accessed(error_);
}

void MediumAccess::cancel() {
    completion.cancel();
    if (slots_[current_]->in_flight) {
        slots_[current_]->stale = true;
        current_ ^= 1;
    }
    deferred_ = waiting_ = answered_ = false;
    operation_ = at_ = length_ = 0;
    offset_ = 0;
    error_ = 0;
    std::fill_n(buffer(), capacity_, u8{0});
}

void MediumAccess::state(StateVisitor& v) {
    v("io_waiting", waiting_), v("io_answered", answered_), v("io_error", error_);
    v("io_operation", operation_, {.max = BP_BLOCK_FLUSH});
    v("io_offset", offset_);
    v("io_at", at_, {.max = capacity_}), v("io_length", length_, {.max = capacity_});
    v.bytes("buffer", buffer(), capacity_);
}

std::string_view MediumAccess::inconsistent() const {
    if (waiting_ && operation_ == 0) return "kind of the access";
    if (offset_ % kSectorBytes || at_ % kSectorBytes || length_ % kSectorBytes) return "access to parts of a sector";
    if (offset_ > ~u64{0} - length_ || length_ > capacity_ - at_) return "place of the access";
    return "";
}

void MediumAccess::restored() {
    if (Request& old = *slots_[current_]; old.in_flight) {
        // Restored onto a running drive: the old request runs out beside us.
        old.stale = true;
        current_ ^= 1;
        std::copy_n(old.data.get(), capacity_, buffer());
    }
    // An access that was under way is described completely by the state: it is made again.
    if (waiting_ && !answered_) submit();
}

}  // namespace backplane::ata
