// Page walks, TLB fills and the slow paths of guest memory access (SDM volume 3, chapter 4).
#include "block.hpp"
#include "breakpoints.hpp"
#include "memory.hpp"

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
    void finish(Walk& w, const Above* above, unsigned count, Physical leaf_at, u64 leaf, u32 width, u64 phys) {
        const bool write = access == Access::kWrite;
        if (!permitted(write) || (access == Access::kFetch && (no_execute != 0 || users_code()))) fault(kErrorPresent);
        for (unsigned n = 0; n < count; ++n) {
            if ((above[n].value & kAccessed) == 0)
                c->phys_write(above[n].at & c->a20_mask, width, above[n].value | kAccessed);
        }
        const u64 marked = leaf | kAccessed | (write ? kDirty : 0u);
        if (marked != leaf) c->phys_write(leaf_at & c->a20_mask, width, marked);
        w.phys = phys & c->a20_mask;
        w.writable = (marked & kDirty) != 0 && permitted(true);
        w.global = (leaf & kGlobal) != 0 && (c->cr4 & kCr4Pge) != 0;
    }
    // Bits 13 to 20 of a 4M entry are bits 32 to 39 of the address, as far as those exist.
    [[nodiscard]] u64 pse36_reserved() const { return c->physical_reserved() >> 32 << 13 & 0x1fe000ull; }
    void note_large() { c->tlbs[0].large[address >> 28 & 15u] |= 1ull << (address >> 22 & 63u); }
};

constexpr u64 kFrame = 0x000ffffffffff000ull;
// Bits between the frame's alignment and bit 12, PAT apart.
constexpr u64 kReserved2M = 0x1fe000ull, kReserved1G = 0x3fffe000ull;

// From the page directory on, which PAE and long mode have in common.
void walk_directory(Walker& k, Walk& w, Walker::Above* above, unsigned count, Physical directory) {
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
    k.finish(w, above, count, pte_at, pte, 8, pte & kFrame);
}

void walk_long(Walker& k, Walk& w) {
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
    walk_directory(k, w, above, 2, pdpte & kFrame);
}

void walk_32(Walker& k, Walk& w) {
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
    k.finish(w, &above, 1, pte_at, pte, 4, pte & ~0xfffull);
}

Walk walk(Cpu* c, Linear address, Access access, bool user) {
    if (!c->paging()) return {(address & ~kPageMask) & c->a20_mask, true, false};
    Walk w{};
    Walker k(c, address, access, user);
    if (c->long_mode()) {
        walk_long(k, w);
    } else if ((c->cr4 & kCr4Pae) != 0) {
        const u64 pdpte = c->pdpte[address >> 30 & 3u];
        if ((pdpte & kPresent) == 0) k.fault();
        Walker::Above above[1];
        walk_directory(k, w, above, 0, pdpte & kFrame);
    } else {
        walk_32(k, w);
    }
    return w;
}

void set_fast(TlbEntry& e, const TlbInfo& n) {
    e.read = n.read_host != nullptr && !n.watched ? n.page : kNoPage;
    const bool write = n.writable && n.write_host != nullptr && n.write_host == n.read_host && n.dirty == nullptr &&
                       !n.watched && (n.code_flag == nullptr || *n.code_flag == 0);
    e.write = write ? n.page : kNoPage;
    e.addend = reinterpret_cast<u64>(n.read_host) - n.page;
}

u32 straddle(Linear address, u32 bytes) {  // bytes in the first page, 0 if all are
    const u32 room = 0x1000u - static_cast<u32>(address & kPageMask);
    return bytes > room ? room : 0;
}

u64 bus_read(Cpu* c, Physical address, u32 bytes, int view) {
    c->sync_out();
    const HostFloat outside(c);
    const u64 v = c->bus.read(c->bus.self, address, bytes, view);
    if (__atomic_load_n(&c->vcpu->attention, __ATOMIC_RELAXED) != 0) c->leave |= kLeaveStop;
    return v;
}

void bus_write(Cpu* c, Physical address, u32 bytes, u64 value) {
    c->sync_out();
    const HostFloat outside(c);
    c->bus.write(c->bus.self, address, bytes, value, c->data_view());
    if (__atomic_load_n(&c->vcpu->attention, __ATOMIC_RELAXED) != 0) c->leave |= kLeaveStop;
}

u64 load(const u8* p, u32 bytes) {
    u64 v = 0;
    std::memcpy(&v, p, bytes);
    return v;
}

void store_host(Cpu* c, Physical address, u8* p, u8* code_flag, u8* dirty, u32 bytes, u64 value) {
    if (code_flag != nullptr && *code_flag != 0 && c->cache->store(address, bytes)) c->leave |= kLeaveCode;
    std::memcpy(p, &value, bytes);
    if (dirty != nullptr) *dirty = 1;
}

// Linear addresses have 32 bits outside long mode.
Linear wrapped(const Cpu* c, Linear a) { return c->long_mode() ? a : a & 0xffffffffu; }

// Inside one page.
u64 slow_read(Cpu* c, Linear address, u32 bytes, bool user) {
    const TlbInfo& n = tlb_fill(c, address, false, user);
    if (n.watched) c->debug_data(address, bytes, false);
    const u32 in_page = static_cast<u32>(address & kPageMask);
    if (n.read_host != nullptr) return load(n.read_host + in_page, bytes);
    return bus_read(c, n.phys + in_page, bytes, c->data_view());
}

void slow_write(Cpu* c, Linear address, u32 bytes, u64 value, bool user) {
    TlbInfo& n = tlb_fill(c, address, true, user);
    if (n.watched) c->debug_data(address, bytes, true);
    const u32 in_page = static_cast<u32>(address & kPageMask);
    if (n.write_host == nullptr) return bus_write(c, n.phys + in_page, bytes, value);
    store_host(c, n.phys + in_page, n.write_host + in_page, n.code_flag, n.dirty, bytes, value);
    // The page may have lost its last cached code.
    set_fast(tlb_entry(&c->tlbs[user ? 1 : 0], address), n);
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

void tlb_protect(Cpu* c, Physical page) {
    for (unsigned u = 0; u < 2; ++u) {
        Tlb& t = c->tlbs[u];
        for (u32 n = 0; n < t.used; ++n) {
            const u32 k = t.used_index[n];
            if (t.info[k].page != kNoPage && t.info[k].phys == page) t.entry[k].write = kNoPage;
        }
    }
}

u8* host_span(Cpu* c, Linear address, bool write) {
    if (c->tlb == &c->tlbs[2]) return nullptr;
    TlbInfo& n = tlb_fill(c, address, write, c->user());
    if (n.watched) return nullptr;
    const u32 in_page = static_cast<u32>(address & kPageMask);
    if (!write) return n.read_host == nullptr ? nullptr : n.read_host + in_page;
    if (n.write_host == nullptr || (n.code_flag != nullptr && *n.code_flag != 0)) return nullptr;
    if (n.dirty != nullptr) *n.dirty = 1;
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

u64 Cpu::phys_read(Physical address, u32 bytes) {
    const bp_page& p = physical_page(this, address, data_view());
    if (p.read != nullptr && (address & kPageMask) + bytes <= 0x1000u)
        return load(p.read + (address & kPageMask), bytes);
    return bus_read(this, address, bytes, data_view());
}

u8 Cpu::phys_fetch(Physical address) {
    const bp_page& p = physical_page(this, address, code_view());
    if (p.read != nullptr) return p.read[address & kPageMask];
    return static_cast<u8>(bus_read(this, address, 1, code_view()));
}

void Cpu::phys_write(Physical address, u32 bytes, u64 value) {
    const bp_page& p = physical_page(this, address, data_view());
    if (p.write == nullptr || (address & kPageMask) + bytes > 0x1000u) return bus_write(this, address, bytes, value);
    store_host(this, address, p.write + (address & kPageMask), p.code_flag, p.dirty, bytes, value);
}

template <typename T>
T Cpu::lin_read(Linear address, bool user_access) {
    const TlbEntry& e = tlb_entry(&tlbs[user_access ? 1 : 0], address);
    if (((address + sizeof(T) - 1) & ~kPageMask) == e.read) {
        return reinterpret_cast<const Guest<T>*>(e.addend + address)->value;
    }
    const u32 first = straddle(address, sizeof(T));
    if (first == 0) return static_cast<T>(slow_read(this, address, sizeof(T), user_access));
    tlb_fill(this, address, false, user_access);
    tlb_fill(this, wrapped(this, address + first), false, user_access);
    u64 v = 0;
    for (u32 k = 0; k < sizeof(T); ++k) v |= slow_read(this, wrapped(this, address + k), 1, user_access) << (8 * k);
    return static_cast<T>(v);
}

template <typename T>
void Cpu::lin_write(Linear address, T value, bool user_access) {
    const TlbEntry& e = tlb_entry(&tlbs[user_access ? 1 : 0], address);
    if (((address + sizeof(T) - 1) & ~kPageMask) == e.write) {
        reinterpret_cast<Guest<T>*>(e.addend + address)->value = value;
        return;
    }
    const u32 first = straddle(address, sizeof(T));
    if (first == 0) return slow_write(this, address, sizeof(T), value, user_access);
    tlb_fill(this, address, true, user_access);
    tlb_fill(this, wrapped(this, address + first), true, user_access);
    for (u32 k = 0; k < sizeof(T); ++k)
        slow_write(this, wrapped(this, address + k), 1, static_cast<u64>(value) >> (8 * k) & 0xffu, user_access);
}

void Cpu::lin_probe_write(Linear address, u32 size, bool user_access) {
    tlb_fill(this, address, true, user_access);
    const u32 first = straddle(address, size);
    if (first != 0) tlb_fill(this, wrapped(this, address + first), true, user_access);
}

namespace {

// The full segment check; returns if the access is allowed.
void check_segment(Cpu* c, Seg s, u64 offset, u32 bytes, bool write) {
    const Segment& g = c->seg[s];
    const u8 vector = s == kSs ? kSsFault : kGp;
    if (!g.present()) c->raise(vector, 0);
    const bool code = (g.attr & kAttrCode) != 0;
    if (write ? code || (g.attr & kAttrWritable) == 0 : code && (g.attr & kAttrReadable) == 0) {
        if (c->protected_mode()) c->raise(vector, 0);
    }
    const u64 last = offset + bytes - 1;
    if (!code && (g.attr & kAttrExpandDown) != 0) {
        const u64 top = g.big() ? 0xffffffffull : 0xffffull;
        if (offset <= g.limit || last > top) c->raise(vector, 0);
    } else if (last > g.limit) {
        c->raise(vector, 0);
    }
}

Linear checked(Cpu* c, Seg s, u64 offset, u32 bytes, bool write, u32 alignment) {
    const Segment& g = c->seg[s];
    Linear a = 0;
    if (c->mode64) {
        a = c->segment_base(s) + offset;
        if (!canonical(a) || !canonical(a + bytes - 1)) [[unlikely]]
            c->raise(s == kSs ? kSsFault : kGp, 0);
    } else {
        if (offset + bytes > (write ? g.write_end : g.read_end)) [[unlikely]]
            check_segment(c, s, offset, bytes, write);
        a = (g.base + offset) & 0xffffffffu;
    }
    if (c->alignment_checks && (a & (alignment - 1)) != 0) [[unlikely]]
        c->raise(kAcFault, 0);
    return a;
}

}  // namespace

Linear Cpu::check_data(Seg s, u64 offset, u32 bytes, bool write, u32 alignment) {
    return checked(this, s, offset, bytes, write, alignment);
}
template <typename T>
T Cpu::read(Seg s, u64 offset) {
    return lin_read<T>(checked(this, s, offset, sizeof(T), false, sizeof(T)), cpl == 3);
}
template <typename T>
void Cpu::write(Seg s, u64 offset, T value) {
    lin_write<T>(checked(this, s, offset, sizeof(T), true, sizeof(T)), value, cpl == 3);
}
void Cpu::probe_write(Seg s, u64 offset, u32 size) {
    lin_probe_write(checked(this, s, offset, size, true, size), size, cpl == 3);
}

template u8 Cpu::lin_read<u8>(Linear, bool);
template u16 Cpu::lin_read<u16>(Linear, bool);
template u32 Cpu::lin_read<u32>(Linear, bool);
template u64 Cpu::lin_read<u64>(Linear, bool);
template void Cpu::lin_write<u8>(Linear, u8, bool);
template void Cpu::lin_write<u16>(Linear, u16, bool);
template void Cpu::lin_write<u32>(Linear, u32, bool);
template void Cpu::lin_write<u64>(Linear, u64, bool);
template u8 Cpu::read<u8>(Seg, u64);
template u16 Cpu::read<u16>(Seg, u64);
template u32 Cpu::read<u32>(Seg, u64);
template u64 Cpu::read<u64>(Seg, u64);
template void Cpu::write<u8>(Seg, u64, u8);
template void Cpu::write<u16>(Seg, u64, u16);
template void Cpu::write<u32>(Seg, u64, u32);
template void Cpu::write<u64>(Seg, u64, u64);

void Cpu::tlb_flush(bool global_too) {
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
