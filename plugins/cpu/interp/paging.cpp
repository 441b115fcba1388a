// Page walks, and the TLB that they fill (SDM volume 3, chapter 4). What accesses do with it: access.cpp, locked.cpp.
#include <cstring>

#include "access.hpp"
#include "block.hpp"
#include "breakpoints.hpp"

namespace backplane::interp {
namespace {

constexpr u64 kPresent = 1, kWritable = 2, kUser = 4, kAccessed = 0x20, kDirty = 0x40, kLarge = 0x80, kGlobal = 0x100;
constexpr u64 kNoExecute = 1ull << 63;
constexpr u32 kErrorPresent = 1, kErrorWrite = 2, kErrorUser = 4, kErrorReserved = 8, kErrorFetch = 16;

enum class Access : u8 { kRead, kWrite, kFetch };

[[noreturn]] void page_fault(Cpu* c, Linear address, u32 error) {
    c->cr2 = address;
    c->raise(kPage, error);
}

struct Walk {
    Physical phys;  // of the page
    bool writable;  // a store needs no further walk: permitted, dirty bit set
    bool global;
};

// One walk (SDM 3, 4.3 to 4.6).
struct Walker {
    Cpu* c;
    Linear address;
    Access access;
    bool user;
    u32 error;
    u64 reserved;        // bits of PAE entries beyond the physical addresses, and NX where it does not exist
    u64 permissions;     // AND of the entries' W and U bits
    u64 no_execute = 0;  // OR of the entries' NX bits

    Walker(Cpu* cpu, Linear linear, Access kind, bool user_access)
        : c(cpu), address(linear), access(kind), user(user_access), permissions(kWritable | kUser) {
        const bool nx = (c->msr.efer & kEferNxe) != 0 && (c->cr4 & kCr4Pae) != 0;
        const bool smep = (c->cr4 & kCr4Smep) != 0;
        error = (access == Access::kWrite ? kErrorWrite : 0u) | (user ? kErrorUser : 0u) |
                (access == Access::kFetch && (nx || smep) ? kErrorFetch : 0u);
        reserved = c->physical_reserved() | (nx ? 0 : kNoExecute);
    }
    [[noreturn]] void fault(u32 more = 0) const { page_fault(c, address, error | more); }
    [[nodiscard]] bool permitted(bool write) const {
        if (user && (permissions & kUser) == 0) return false;
        if (!write || (permissions & kWritable) != 0) return true;
        return !user && (c->cr0 & kCr0Wp) == 0;
    }
    // With SMEP the supervisor runs no code of users' pages (SDM 3, 4.6.1).
    [[nodiscard]] bool users_code() const { return !user && (c->cr4 & kCr4Smep) != 0 && (permissions & kUser) != 0; }
    // A PAE or long-mode entry that is present and has no reserved bit set.
    u64 entry(Physical at, u64 more_reserved) {
        const u64 e = c->phys_read(at & c->a20_mask, 8);
        if ((e & kPresent) == 0) fault();
        if ((e & (reserved | more_reserved)) != 0) fault(kErrorPresent | kErrorReserved);
        permissions &= e;
        no_execute |= e & kNoExecute;
        return e;
    }
    // Entries above the leaf that lacked the accessed bit get it when the walk has succeeded.
    struct Above {
        Physical at;
        u64 value;
    };
    // False: another processor has changed one of the entries meanwhile, and the walk must begin anew.
    bool finish(Walk& w, const Above* above, unsigned count, Physical leaf_at, u64 leaf, u32 width, u64 phys) {
        const bool write = access == Access::kWrite;
        if (!permitted(write) || (access == Access::kFetch && (no_execute != 0 || users_code()))) fault(kErrorPresent);
        for (unsigned n = 0; n < count; ++n) {
            const u64 seen = above[n].value;
            if ((seen & kAccessed) == 0 && !phys_replace(c, above[n].at & c->a20_mask, width, seen, seen | kAccessed))
                return false;
        }
        const u64 marked = leaf | kAccessed | (write ? kDirty : 0u);
        if (marked != leaf && !phys_replace(c, leaf_at & c->a20_mask, width, leaf, marked)) return false;
        w.phys = phys & c->a20_mask;
        w.writable = (marked & kDirty) != 0 && permitted(true);
        w.global = (leaf & kGlobal) != 0 && (c->cr4 & kCr4Pge) != 0;
        return true;
    }
    // Bits 13 to 20 of a 4M entry are bits 32 to 39 of the address, as far as those exist.
    [[nodiscard]] u64 pse36_reserved() const { return c->physical_reserved() >> 32 << 13 & 0x1fe000ull; }
    void note_large() { c->tlbs[0].large[address >> 28 & 15u] |= 1ull << (address >> 22 & 63u); }
};

constexpr u64 kFrame = 0x000ffffffffff000ull;
// Bits between the frame's alignment and bit 12, PAT apart.
constexpr u64 kReserved2M = 0x1fe000ull, kReserved1G = 0x3fffe000ull;

// From the page directory on, which PAE and long mode have in common.
bool walk_directory(Walker& k, Walk& w, Walker::Above* above, unsigned count, Physical directory) {
    const Physical pde_at = directory + (k.address >> 21 & 0x1ffu) * 8;
    const u64 pde = k.entry(pde_at, 0);
    if ((pde & kLarge) != 0) {
        k.note_large();
        if ((pde & kReserved2M) != 0) k.fault(kErrorPresent | kErrorReserved);
        return k.finish(w, above, count, pde_at, pde, 8, (pde & kFrame & ~0x1fffffull) | (k.address & 0x1ff000u));
    }
    above[count++] = {pde_at, pde};
    const Physical pte_at = (pde & kFrame) + (k.address >> 12 & 0x1ffu) * 8;
    const u64 pte = k.entry(pte_at, 0);
    return k.finish(w, above, count, pte_at, pte, 8, pte & kFrame);
}

bool walk_long(Walker& k, Walk& w) {
    Walker::Above above[3];
    const Physical top_at = (k.c->cr3 & kFrame) + (k.address >> 39 & 0x1ffu) * 8;
    const u64 top = k.entry(top_at, kLarge);
    above[0] = {top_at, top};
    const Physical pdpte_at = (top & kFrame) + (k.address >> 30 & 0x1ffu) * 8;
    const bool huge = (k.c->model->extended_edx & kFeatPage1G) != 0;
    const u64 pdpte = k.entry(pdpte_at, huge ? 0 : kLarge);
    if ((pdpte & kLarge) != 0) {
        k.c->tlbs[0].huge = true;
        if ((pdpte & kReserved1G) != 0) k.fault(kErrorPresent | kErrorReserved);
        return k.finish(w, above, 1, pdpte_at, pdpte, 8, (pdpte & kFrame & ~0x3fffffffull) | (k.address & 0x3ffff000u));
    }
    above[1] = {pdpte_at, pdpte};
    return walk_directory(k, w, above, 2, pdpte & kFrame);
}

bool walk_32(Walker& k, Walk& w) {
    Cpu* c = k.c;
    const Physical pde_at = (c->cr3 & 0xfffff000u) + (k.address >> 22) * 4;
    const u64 pde = c->phys_read(pde_at & c->a20_mask, 4);
    if ((pde & kPresent) == 0) k.fault();
    k.permissions &= pde;
    if ((pde & kLarge) != 0 && (c->cr4 & kCr4Pse) != 0) {
        k.note_large();
        const u64 reserved = (c->model->features_edx & kFeatPse36) != 0 ? 0x200000ull : 0x3fe000ull;
        if ((pde & (reserved | k.pse36_reserved())) != 0) k.fault(kErrorPresent | kErrorReserved);
        return k.finish(w, nullptr, 0, pde_at, pde, 4,
                        (pde & 0xffc00000u) | (pde >> 13 & 0xffu) << 32 | (k.address & 0x3ff000u));
    }
    const Walker::Above above{pde_at, pde};
    const Physical pte_at = (pde & ~0xfffull) + (k.address >> 12 & 0x3ffu) * 4;
    const u64 pte = c->phys_read(pte_at & c->a20_mask, 4);
    if ((pte & kPresent) == 0) k.fault();
    k.permissions &= pte;
    return k.finish(w, &above, 1, pte_at, pte, 4, pte & ~0xfffull);
}

bool walk_once(Walker& k, Walk& w) {
    if (k.c->long_mode()) return walk_long(k, w);
    if ((k.c->cr4 & kCr4Pae) == 0) return walk_32(k, w);
    const u64 pdpte = k.c->pdpte[k.address >> 30 & 3u];
    if ((pdpte & kPresent) == 0) k.fault();
    Walker::Above above[1];
    return walk_directory(k, w, above, 0, pdpte & kFrame);
}

Walk walk(Cpu* c, Linear address, Access access, bool user) {
    if (!c->paging()) return {(address & ~kPageMask) & c->a20_mask, true, false};
    for (;;) {
        Walk w{};
        Walker k(c, address, access, user);
        if (walk_once(k, w)) return w;
    }
}

}  // namespace

const bp_page& physical_page(Cpu* c, Physical address, int view) {
    PhysicalCache::Entry& e = c->phys_cache->entry[address >> 12 & (PhysicalCache::kSize - 1)];
    const Physical page = address & ~0xfffull;
    const Physical key = page | static_cast<unsigned>(view);
    if (e.key != key) {
        e.what = bp_page{};
        const HostFloat outside(c);
        c->bus.page(c->bus.self, page, view, &e.what);
        e.key = key;
    }
    return e.what;
}

TlbInfo& tlb_fill(Cpu* c, Linear address, bool write, bool user) {
    Tlb& t = c->tlbs[user ? 1 : 0];
    const u32 index = static_cast<u32>(address >> 12 & (kTlbSize - 1));
    TlbInfo& n = t.info[index];
    const Linear page = address & ~kPageMask;
    if (n.page == page && (!write || n.writable)) return n;
    if (t.entry[index].write != kNoPage) before_forgetting(c);
    const Walk w = walk(c, address, write ? Access::kWrite : Access::kRead, user);
    const bp_page& p = physical_page(c, w.phys, c->data_view());
    if (!n.listed) {
        n.listed = true;
        t.used_index[t.used++] = static_cast<u16>(index);
    }
    n.page = page;
    n.writable = w.writable;
    n.global = w.global;
    n.watched = (c->debug_data_enabled() && c->debug_page_watched(page)) ||
                (c->debugger != nullptr && c->debugger->watches_page(page));
    n.phys = w.phys;
    n.read_host = p.read;
    n.write_host = p.write;
    n.code_flag = p.code_flag;
    n.dirty = p.dirty;
    set_fast(t.entry[index], n);
    return n;
}

bool tlb_protect(Cpu* c, Physical page) {
    bool had = false;
    for (unsigned u = 0; u < 2; ++u) {
        Tlb& t = c->tlbs[u];
        for (u32 n = 0; n < t.used; ++n) {
            const u32 k = t.used_index[n];
            if (t.info[k].page == kNoPage || t.info[k].phys != page) continue;
            had = had || t.entry[k].write != kNoPage;
            t.entry[k].write = kNoPage;
        }
    }
    return had;
}

u8* host_span(Cpu* c, Linear address, bool write) {
    if (c->tlb == &c->tlbs[2]) return nullptr;
    TlbInfo& n = tlb_fill(c, address, write, c->user());
    if (n.watched) return nullptr;
    const u32 in_page = static_cast<u32>(address & kPageMask);
    if (!write) return n.read_host == nullptr ? nullptr : n.read_host + in_page;
    if (n.write_host == nullptr || (n.code_flag != nullptr && flag_value(n.code_flag) != 0)) return nullptr;
    if (n.dirty != nullptr) *n.dirty = 1;
    if (c->several && tlb_entry(c->tlb, address).write == kNoPage) note_span(c, n.phys);
    return n.write_host + in_page;
}

FetchPage fetch_translate(Cpu* c, Linear address) {
    const Linear page = address & ~kPageMask;
    BlockCache::FetchEntry& e = c->cache->fetch[address >> 12 & 255u];
    if (e.page != page || e.tag != c->jump_tag) {
        const Walk w = walk(c, address, Access::kFetch, c->user());
        const bp_page& p = physical_page(c, w.phys, c->code_view());
        c->cache->note_fetch(address);
        e.page = page;
        e.tag = c->jump_tag;
        e.phys = w.phys;
        e.host = p.read;
        e.code_flag = p.code_flag;
    }
    return {e.phys, e.host, e.code_flag};
}

void Cpu::tlb_flush(bool global_too) {
    before_forgetting(this);
    io_permission.map = nullptr;
    const bool keep = !global_too && (cr4 & kCr4Pge) != 0;
    for (unsigned u = 0; u < 2; ++u) {
        Tlb& t = tlbs[u];
        u32 kept = 0;
        for (u32 n = 0; n < t.used; ++n) {
            const u16 k = t.used_index[n];
            TlbInfo& i = t.info[k];
            if (keep && i.global && i.page != kNoPage) {
                t.used_index[kept++] = k;
                continue;
            }
            i.page = kNoPage;
            i.listed = false;
            t.entry[k].read = kNoPage;
            t.entry[k].write = kNoPage;
        }
        t.used = kept;
    }
    if (!keep) {
        std::memset(tlbs[0].large, 0, sizeof tlbs[0].large);
        tlbs[0].huge = false;
    }
    std::memset(cache->fetched, 0, sizeof cache->fetched);
    ++generation;
    mode_changed();
}

void Cpu::tlb_flush_page(Linear address) {
    before_forgetting(this);
    io_permission.map = nullptr;
    // A large page is cached in pieces; all of them go.
    const bool large = tlbs[0].huge || tlbs[0].large_region(address);
    const Linear region = tlbs[0].huge ? ~0x3fffffffull : ~0x3fffffull;
    for (unsigned u = 0; u < 2; ++u) {
        Tlb& t = tlbs[u];
        const auto drop = [&t](u32 k) {
            t.info[k].page = kNoPage;
            t.entry[k].read = kNoPage;
            t.entry[k].write = kNoPage;
        };
        if (large) {
            for (u32 n = 0; n < t.used; ++n) {
                const u32 k = t.used_index[n];
                if (((t.info[k].page ^ address) & region) == 0) drop(k);
            }
        } else {
            const u32 k = static_cast<u32>(address >> 12 & (kTlbSize - 1));
            if (t.info[k].page == (address & ~kPageMask)) drop(k);
        }
    }
    // What was found through this page by way of EIP is forgotten together with everything else; most pages hold data.
    if (!large && !cache->maybe_fetched(address)) return;
    std::memset(cache->fetched, 0, sizeof cache->fetched);
    ++generation;
    mode_changed();
}

bool Cpu::load_pdptes(u64 new_cr3) {
    u64 loaded[4];
    for (unsigned k = 0; k < 4; ++k) {
        loaded[k] = phys_read(((new_cr3 & 0xffffffe0u) + k * 8) & a20_mask, 8);
        // Bits 1-2, 5-8 and above MAXPHYADDR are reserved (SDM 3, 4.4.1).
        if ((loaded[k] & kPresent) != 0 && (loaded[k] & (0x1e6ull | physical_reserved() | kNoExecute)) != 0)
            return false;
    }
    std::memcpy(pdpte, loaded, sizeof pdpte);
    return true;
}

}  // namespace backplane::interp
