// A drive's access to its medium: one at a time, asynchronous, with the buffer that data goes through.
//
// A reset in the middle leaves the image's request alone. It is marked stale and keeps its buffer; the drive goes on
// with a second one. A new access waits until the stale request has run out, so two accesses never overtake one
// another.
//
// With a deterministic clock an answer counts from `latency` after the request on, whenever the host gave it.
#pragma once

#include <array>
#include <memory>
#include <string_view>

#include "backplane/abi/backend.h"
#include "backplane/slot.hpp"
#include "backplane/state.hpp"
#include "backplane/types.hpp"

namespace backplane::ata {

class MediumAccess {
  public:
    // The drive's side.
    class Owner {
      public:
        // The access has come to its end; 0 or a host errno value. Not called after cancel().
        virtual void accessed(i32 error) = 0;

      protected:
        ~Owner() = default;
    };

    // `capacity`: bytes of the buffer. All references stay valid as long as this object.
    MediumAccess(const Slot& slot, Owner& owner, u32 capacity);
    ~MediumAccess();
    MediumAccess(const MediumAccess&) = delete;
    MediumAccess& operator=(const MediumAccess&) = delete;

    // What the device declares for it: the timer, whose handler calls expired(), and the trace point.
    Timer completion;
    TracePoint trace;
    void expired();

    void join(bp_interface medium) { medium_.bind(medium); }
    const Link<bp_block>& medium() const { return medium_; }

    // May change with cancel(), not otherwise.
    u8* buffer() { return slots_[current_]->data.get(); }

    // Starts an access of `length` bytes at byte `offset` of the medium, to or from the buffer's byte `at`.
    void issue(u32 operation, u64 offset, u32 at, u32 length, Duration latency);
    bool waiting() const { return waiting_; }
    u32 operation() const { return operation_; }
    u64 offset() const { return offset_; }
    u32 at() const { return at_; }
    u32 length() const { return length_; }
    // "read sector 12", for messages.
    std::string what() const;

    // Nobody waits for the access any more. The buffer is zero afterwards: which one it is, and what of the old access
    // has arrived there, was a matter of the host's speed.
    void cancel();

    void state(StateVisitor& v);
    // What is wrong with a restored state, or "".
    std::string_view inconsistent() const;
    // An access that was under way is made again.
    void restored();

  private:
    struct AlignedDelete {
        void operator()(u8* p) const;
    };
    // Outlives a reset, and the drive if it must.
    struct Request {
        MediumAccess* owner = nullptr;  // nullptr: the drive is gone, done() frees the request
        bool in_flight = false;
        bool stale = false;  // nobody waits for the result
        std::unique_ptr<u8[], AlignedDelete> data;
    };

    void submit();
    void answered(i32 error);
    void deliver();
    bool deterministic() const { return slot_.machine().deterministic(slot_.self()); }
    static void done(void* argument, i32 error);

    const Slot& slot_;
    Owner& owner_;
    u32 capacity_;
    Link<bp_block> medium_;
    std::array<Request*, 2> slots_{};
    u32 current_ = 0;
    bool deferred_ = false;  // waits for the other slot's request to run out

    bool waiting_ = false;   // issued, result not yet acted upon
    bool answered_ = false;  // result is here, its time has not come (deterministic clock)
    i32 error_ = 0;
    u32 operation_ = 0, at_ = 0, length_ = 0;
    u64 offset_ = 0;
};

}  // namespace backplane::ata
