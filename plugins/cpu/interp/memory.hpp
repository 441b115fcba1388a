// Software TLB and the inline part of guest memory access.
#pragma once

#include "insn.hpp"

namespace backplane::interp {

inline constexpr unsigned kTlbBits = 12;
inline constexpr u32 kTlbSize = 1u << kTlbBits;
inline constexpr u64 kPageMask = 0xfffu;
// Never equal to a page address, nor to one with the low four bits of an address (sse_ops.hpp).
inline constexpr u64 kNoPage = 0x10;

// Hot part: tags are page addresses for which an access may use the addend at once.
struct alignas(32) TlbEntry {
    u64 read;
    u64 write;
    u64 addend;  // host address minus linear address
};
// Cold part: what the slow path needs.
struct TlbInfo {
    Linear page;  // kNoPage if the entry is empty
    bool writable;
    bool global;
    bool watched;  // a data breakpoint lies in the page
    bool listed;   // in Tlb::used_index
    Physical phys;
    u8* read_host;
    u8* write_host;
    u8* code_flag;
    u8* dirty;
};
struct Tlb {
    TlbEntry entry[kTlbSize];
    TlbInfo info[kTlbSize];
    // Entries in use: a flush and a search look at these only.
    u32 used;
    u16 used_index[kTlbSize];
    // Which regions of 4M have some part that was mapped by a large page (in the supervisor's table, for both), by ten
    // bits of their number: a set bit may be another region's.
    u64 large[16];
    [[nodiscard]] bool large_region(Linear a) const { return (large[a >> 28 & 15u] >> (a >> 22 & 63u) & 1u) != 0; }
    bool huge;  // some page of 1G was used
};

// What lies behind recently used physical pages, so that page walks and TLB fills do not ask the bus each time.
struct PhysicalCache {
    static constexpr u32 kSize = 1024;
    struct Entry {
        Physical key = ~0ull;  // of the page, and the view in the low bits
        bp_page what{};
    };
    Entry entry[kSize];
    // Pages that were last written to without an entry of the TLB for it (host_span), with several processors.
    Physical span[8] = {~0ull, ~0ull, ~0ull, ~0ull, ~0ull, ~0ull, ~0ull, ~0ull};
    u32 next_span = 0;
};
const bp_page& physical_page(Cpu* c, Physical address, int view);

[[gnu::always_inline]] inline TlbEntry& tlb_entry(Tlb* t, Linear a) { return t->entry[a >> 12 & (kTlbSize - 1)]; }

// A guest value in host memory: any alignment, and it may be code, tables or data at once. Others may write it at any
// moment: each access is a single one, and the compiler keeps their order; the host's processor has the guest's memory
// model.
template <typename T>
struct [[gnu::packed, gnu::may_alias]] Guest {
    volatile T value;
};
// Hit: `p` is where a load or store may go at once. An access that straddles two pages misses, because the tag is
// compared with the page of its last byte.
template <typename T>
[[gnu::always_inline]] inline bool fast_read(Cpu* c, Linear a, const Guest<T>*& p) {
    const TlbEntry& e = tlb_entry(c->tlb, a);
    p = reinterpret_cast<const Guest<T>*>(e.addend + a);
    return __builtin_expect(((a + sizeof(T) - 1) & ~kPageMask) == e.read, 1);
}
template <typename T>
[[gnu::always_inline]] inline bool fast_write(Cpu* c, Linear a, Guest<T>*& p) {
    const TlbEntry& e = tlb_entry(c->tlb, a);
    p = reinterpret_cast<Guest<T>*>(e.addend + a);
    return __builtin_expect(((a + sizeof(T) - 1) & ~kPageMask) == e.write, 1);
}

// Forms of a memory operand. kGeneral does everything (16-bit addressing, bases, limits, slow pages); the flat forms
// are for DS/ES/SS with base 0 and limit 4G in a block decoded for that, and hand over to kGeneral when the TLB misses.
// kBased is for the other segments, whose limit must turn out to be 4G (thread-local and per-processor data). The long
// forms are the same in 64-bit mode, where no limit exists; tags are canonical addresses, others miss.
inline constexpr u64 kWhole = 1ull << 32;
template <Form kForm>
[[gnu::always_inline]] inline bool readable(const Cpu* c, const Insn* i) {
    return kForm != Form::kBased || c->seg[i->seg].read_end == kWhole;
}
template <Form kForm>
[[gnu::always_inline]] inline bool writable(const Cpu* c, const Insn* i) {
    return kForm != Form::kBased || c->seg[i->seg].write_end == kWhole;
}
template <Form kForm>
[[gnu::always_inline]] inline Linear address_of(Cpu* c, const Insn* i) {
    const u32 disp = static_cast<u32>(i->disp);
    if constexpr (kForm == Form::kFlat)
        return reg<u32>(c, i->base) + disp;
    else if constexpr (kForm == Form::kBased)
        return reg<u32>(c, i->base) + (reg<u32>(c, i->index) << i->shift) + disp +
               static_cast<u32>(c->seg[i->seg].base);
    else if constexpr (kForm == Form::kFlatIndex)
        return reg<u32>(c, i->base) + (reg<u32>(c, i->index) << i->shift) + disp;
    else if constexpr (kForm == Form::kLong)
        return reg<u64>(c, i->base) + static_cast<u64>(i->disp);
    else if constexpr (kForm == Form::kLongBased)
        return reg<u64>(c, i->base) + (reg<u64>(c, i->index) << i->shift) + static_cast<u64>(i->disp) +
               c->seg[i->seg].base;
    else
        return reg<u64>(c, i->base) + (reg<u64>(c, i->index) << i->shift) + static_cast<u64>(i->disp);
}
// By the address size of the record.
[[gnu::always_inline]] inline u64 truncate_offset(const Insn* i, u64 a) {
    if ((i->bits & kAddress64) != 0) return a;
    return (i->bits & kAddress16) != 0 ? a & 0xffffu : a & 0xffffffffu;
}
[[gnu::always_inline]] inline u64 offset_of(Cpu* c, const Insn* i) {
    return truncate_offset(i, reg<u64>(c, i->base) + (reg<u64>(c, i->index) << i->shift) + static_cast<u64>(i->disp));
}
inline u64 offset_plus(const Insn* i, u64 offset, u64 plus) { return truncate_offset(i, offset + plus); }

// Read, compute, write at the same place: the write permission is checked before anything is read.
template <typename T>
[[nodiscard]] T rmw_read(Cpu* c, Seg s, u64 offset) {
    c->probe_write(s, offset, sizeof(T));
    return c->read<T>(s, offset);
}

// Translation of a code address; faults like a fetch. host is nullptr where code must be read through the bus.
struct FetchPage {
    Physical phys;
    const u8* host;
    u8* code_flag;
};
FetchPage fetch_translate(Cpu* c, Linear address);

// Slow path: entry of this page, filled; faults if the access is not allowed.
TlbInfo& tlb_fill(Cpu* c, Linear address, bool write, bool user);
// Host address of `bytes` at a linear address inside one page, or nullptr if it must go element by element.
u8* host_span(Cpu* c, Linear address, bool write);
// Takes the write permission from all entries of a physical page that begins to hold cached code. True if one had it.
bool tlb_protect(Cpu* c, Physical page);
[[nodiscard]] inline u8 flag_value(const u8* flag) { return __atomic_load_n(flag, __ATOMIC_RELAXED); }

// --- several processors (shared.cpp) ---
// Entries of the TLB that allow stores are about to go: nobody will know of such stores afterwards.
void before_forgetting_slow(Cpu* c);
inline void before_forgetting(Cpu* c) {
    if (c->several) before_forgetting_slow(c);
}
// A store to a page with a code flag has been made that was not allowed by an entry of the TLB.
void after_store_slow(Cpu* c, Physical address, u64 size, const u8* code_flag);
inline void after_store(Cpu* c, Physical address, u64 size, const u8* code_flag) {
    if (c->several && code_flag != nullptr) after_store_slow(c, address, size, code_flag);
}
void notice_foreign_code(Cpu* c);  // BP_ATTENTION_CODE
void enter_shared(Cpu* c);         // run() begins
void leave_shared(Cpu* c);         // run() ends

// --- locked accesses (locked.cpp, SDM 3, 8.1) ---
// Where a locked access to an operand of `bytes` bytes goes, with all checks of a store; faults. host: there, by an
// atomic operation of the host; nullptr: by locked_read() and locked_write().
struct LockedPlace {
    u8* host;
    const TlbInfo* page;  // if more is to be done after the store
};
LockedPlace locked_place(Cpu* c, Linear address, u32 bytes, bool user);
void locked_stored(Cpu* c, const TlbInfo& page, Linear address, u32 bytes, bool user);
// The way for devices' registers and for operands that straddle cache lines. Between the two, which must be a pair, the
// machine's lock is held: such accesses are atomic among each other.
[[nodiscard]] u64 locked_read(Cpu* c, Linear address, u32 bytes, bool user);
void locked_write(Cpu* c, Linear address, u32 bytes, u64 value, bool user);
// fn(old value) is the new one; it may be asked several times. Returns the old value.
template <typename T, class Fn>
[[gnu::always_inline]] inline T locked_update(Cpu* c, Linear address, bool user, Fn fn) {
    const LockedPlace at = locked_place(c, address, sizeof(T), user);
    if (at.host == nullptr) [[unlikely]] {
        const T old = static_cast<T>(locked_read(c, address, sizeof(T), user));
        locked_write(c, address, sizeof(T), fn(old), user);
        return old;
    }
    T* const p = reinterpret_cast<T*>(at.host);
    T old = reinterpret_cast<const Guest<T>*>(p)->value;
    for (;;) {
        const T found = __sync_val_compare_and_swap(p, old, fn(old));
        if (found == old) break;
        old = found;
    }
    if (at.page != nullptr) [[unlikely]]
        locked_stored(c, *at.page, address, sizeof(T), user);
    return old;
}

}  // namespace backplane::interp
