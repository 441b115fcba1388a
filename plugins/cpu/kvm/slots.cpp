#include "slots.hpp"

#include <algorithm>
#include <bit>

namespace backplane::kvm {
namespace {

constexpr u64 kPage = 4096;
// KVM counts a slot's pages in 31 bits.
constexpr u64 kLargest = (u64{1} << 30) * kPage;

Slot slot_of(const bp_memory_range& r) {
    return {0, r.address, r.bytes, r.host, r.writable != 0 ? r.dirty : nullptr, r.writable != 0};
}

std::vector<Slot> slots_of(std::span<const bp_memory_range> ranges, bool together) {
    std::vector<Slot> slots;
    for (const bp_memory_range& r : ranges) {
        for (Slot rest = slot_of(r); rest.bytes > 0;) {
            Slot part = rest;
            part.bytes = std::min(rest.bytes, kLargest);
            rest.address += part.bytes, rest.host += part.bytes, rest.bytes -= part.bytes;
            if (rest.dirty != nullptr) rest.dirty += part.bytes / kPage;
            Slot* last = slots.empty() ? nullptr : &slots.back();
            if (together && last != nullptr && last->address + last->bytes == part.address &&
                last->host + last->bytes == part.host && last->writable == part.writable && last->dirty == nullptr &&
                part.dirty == nullptr && last->bytes + part.bytes <= kLargest)
                last->bytes += part.bytes;
            else
                slots.push_back(part);
        }
    }
    return slots;
}

}  // namespace

SlotChanges plan_slots(std::span<const Slot> now, std::span<const bp_memory_range> wanted, u32 most) {
    SlotChanges c;
    std::vector<Slot> next = slots_of(wanted, false);
    if (next.size() > most) next = slots_of(wanted, true);
    if (next.size() > most) {
        c.too_many = true;
        return c;
    }
    std::vector<bool> used(most, false);
    std::vector<bool> kept(next.size(), false);
    for (const Slot& old : now) {
        const auto found = std::find_if(next.begin(), next.end(), [&](const Slot& s) { return s.same_memory(old); });
        if (found == next.end()) {
            c.removed.push_back(old);
            continue;
        }
        found->id = old.id;
        used[old.id] = true;
        kept[static_cast<std::size_t>(found - next.begin())] = true;
        if ((found->dirty != nullptr) != (old.dirty != nullptr)) c.modified.push_back(*found);
    }
    u32 free = 0;
    for (std::size_t i = 0; i < next.size(); ++i) {
        if (kept[i]) continue;
        while (used[free]) ++free;
        next[i].id = free;
        used[free] = true;
        c.added.push_back(next[i]);
    }
    c.result = std::move(next);
    return c;
}

void spread_dirty(std::span<const u64> bitmap, u64 pages, u8* flags) {
    for (std::size_t word = 0; word < bitmap.size(); ++word)
        for (u64 bits = bitmap[word]; bits != 0; bits &= bits - 1) {
            const u64 page = word * 64 + static_cast<u64>(std::countr_zero(bits));
            if (page < pages) flags[page] = 1;
        }
}

}  // namespace backplane::kvm
