// Memory as a debugger sees it: translation without faults and without accessed and dirty bits, and copying that never
// touches a device.
#include <algorithm>
#include <cstring>

#include "block.hpp"
#include "breakpoints.hpp"
#include "memory.hpp"

namespace backplane::interp {
namespace {

constexpr u64 kPresent = 1, kWritable = 2, kUserPage = 4, kLargePage = 0x80, kNoExecute = 1ull << 63;
constexpr u64 kFrame = 0x000ffffffffff000ull;

// Not through the cache of pages: a changed view may not have been noticed yet.
bp_page page_behind(const Cpu& c, Physical address) {
    bp_page page{};
    if (c.bus.page != nullptr) c.bus.page(c.bus.self, address & ~0xfffull, c.data_view(), &page);
    return page;
}

// A page-table entry; 0, that is, not present, where there is no memory.
u64 entry(const Cpu& c, Physical at, unsigned width) {
    at &= c.a20_mask;
    const bp_page page = page_behind(c, at);
    u64 value = 0;
    if (page.read != nullptr) std::memcpy(&value, page.read + (at & 0xfffu), width);
    return value;
}

struct Rights {
    bool write = true, user = true, execute = true;
    bool take(u64 e, bool has_execute) {
        if ((e & kPresent) == 0) return false;
        write = write && (e & kWritable) != 0;
        user = user && (e & kUserPage) != 0;
        execute = execute && (!has_execute || (e & kNoExecute) == 0);
        return true;
    }
};

i64 allowed(const bp_x86_state& s, const Rights& r, u64 physical, u32 how) {
    const bool as_user = (how & BP_DEBUG_USER) != 0;
    if (as_user && !r.user) return -1;
    if ((how & BP_DEBUG_WRITE) != 0 && !r.write && (as_user || (s.cr0 & kCr0Wp) != 0)) return -1;
    if ((how & BP_DEBUG_FETCH) != 0 && !r.execute) return -1;
    return static_cast<i64>(physical);
}

// Two levels with entries of 32 bits (SDM 3, 4.3).
i64 walk_32(const Cpu& c, const bp_x86_state& s, u64 a, u32 how) {
    Rights r;
    const u64 pde = entry(c, (s.cr3 & 0xfffff000u) + (a >> 22 & 0x3ffu) * 4, 4);
    if (!r.take(pde, false)) return -1;
    if ((pde & kLargePage) != 0 && (s.cr4 & kCr4Pse) != 0)
        return allowed(s, r, (pde & 0xffc00000u) | (pde >> 13 & 0xffu) << 32 | (a & 0x3fffffu), how);
    const u64 pte = entry(c, (pde & 0xfffff000u) + (a >> 12 & 0x3ffu) * 4, 4);
    if (!r.take(pte, false)) return -1;
    return allowed(s, r, (pte & 0xfffff000u) | (a & 0xfffu), how);
}

// Entries of 64 bits from the level whose index begins at bit `shift` (4.4, 4.5).
i64 walk_64(const Cpu& c, const bp_x86_state& s, u64 table, unsigned shift, u64 a, u32 how) {
    Rights r;
    const bool nx = (s.efer & kEferNxe) != 0;
    for (;; shift -= 9) {
        const u64 e = entry(c, (table & kFrame) + (a >> shift & 0x1ffu) * 8, 8);
        if (!r.take(e, nx)) return -1;
        const u64 inside = (1ull << shift) - 1;
        if (shift == 12 || ((e & kLargePage) != 0 && shift <= 30))
            return allowed(s, r, (e & kFrame & ~inside) | (a & inside), how);
        table = e;
    }
}

i64 translate_with(const Cpu& c, const bp_x86_state& s, u64 address, u32 how) {
    const bool long_mode = (s.efer & kEferLma) != 0;
    if (!long_mode) address &= 0xffffffffu;
    i64 physical = static_cast<i64>(address);
    if ((s.cr0 & kCr0Pg) != 0) {
        if (long_mode) {
            const i64 high = static_cast<i64>(address) >> 47;
            if (high != 0 && high != -1) return -1;  // not canonical
            physical = walk_64(c, s, s.cr3, 39, address, how);
        } else if ((s.cr4 & kCr4Pae) != 0) {
            const u64 pdpte = s.pdpte[address >> 30 & 3u];
            if ((pdpte & kPresent) == 0) return -1;
            physical = walk_64(c, s, pdpte, 21, address, how);
        } else {
            physical = walk_32(c, s, address, how);
        }
    }
    if (physical < 0) return -1;
    return static_cast<i64>(static_cast<u64>(physical) & c.a20_mask);
}

// Calls part(physical address, offset in the data, bytes) for each page; how far all of them went.
template <class Part>
u64 by_pages(const Cpu& c, u64 address, u64 size, u32 how, Part part) {
    bp_x86_state s{};
    if ((how & BP_DEBUG_PHYSICAL) == 0) export_state(c, s);
    u64 done = 0;
    while (done < size) {
        const u64 here = address + done;
        const u64 bytes = std::min<u64>(size - done, 0x1000u - (here & 0xfffu));
        i64 physical = static_cast<i64>(here);
        if ((how & BP_DEBUG_PHYSICAL) == 0) physical = translate_with(c, s, here, 0);
        if (physical < 0 || !part(static_cast<Physical>(physical), done, bytes)) break;
        done += bytes;
    }
    return done;
}

}  // namespace

i64 translate_quietly(const Cpu& c, u64 address, u32 how) {
    bp_x86_state s{};
    export_state(c, s);
    return translate_with(c, s, address, how);
}

u64 copy_from_guest(const Cpu& c, u64 address, void* data, u64 size, u32 how) {
    return by_pages(c, address, size, how, [&](Physical at, u64 done, u64 bytes) {
        const bp_page page = page_behind(c, at);
        if (page.read == nullptr) return false;
        std::memcpy(static_cast<u8*>(data) + done, page.read + (at & 0xfffu), bytes);
        return true;
    });
}

u64 copy_to_guest(Cpu& c, u64 address, const void* data, u64 size, u32 how) {
    return by_pages(c, address, size, how, [&](Physical at, u64 done, u64 bytes) {
        const bp_page page = page_behind(c, at);
        if (page.write == nullptr) return false;
        if (page.code_flag != nullptr && flag_value(page.code_flag) != 0) c.cache->store(at, bytes);
        std::memcpy(page.write + (at & 0xfffu), static_cast<const u8*>(data) + done, bytes);
        if (page.dirty != nullptr) *page.dirty = 1;
        return true;
    });
}

}  // namespace backplane::interp
