// KVM's memory slots: which ones stand for the memory that the kernel shows, and what has to change when it changes.
#pragma once

#include <backplane/abi/cpu.h>

#include <cstdint>
#include <span>
#include <vector>

namespace backplane::kvm {

using u8 = std::uint8_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

struct Slot {
    u32 id = 0;
    u64 address = 0, bytes = 0;
    u8* host = nullptr;
    u8* dirty = nullptr;
    bool writable = false;
    // The same memory in the same way; whether somebody watches may be changed in place.
    [[nodiscard]] bool same_memory(const Slot& o) const {
        return address == o.address && bytes == o.bytes && host == o.host && writable == o.writable;
    }
};

struct SlotChanges {
    std::vector<Slot> removed;   // first
    std::vector<Slot> modified;  // watched or no longer watched
    std::vector<Slot> added;
    std::vector<Slot> result;
    bool too_many = false;  // there are not as many slots; nothing is to be done
};

// Slots whose memory stays keep their number, so that a change elsewhere does not reach them. `most`: how many the host
// has; if there are more ranges, those that touch and go on in the host's memory are put together.
[[nodiscard]] SlotChanges plan_slots(std::span<const Slot> now, std::span<const bp_memory_range> wanted, u32 most);

// Writes what a bitmap of dirty pages says (KVM_GET_DIRTY_LOG) into flags of one byte a page.
void spread_dirty(std::span<const u64> bitmap, u64 pages, u8* flags);

}  // namespace backplane::kvm
