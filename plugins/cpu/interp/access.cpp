// Guest memory: the slow paths of loads and stores, and the checks of segments (SDM 3, 5.3).
#include "access.hpp"

#include "block.hpp"

namespace backplane::interp {

void set_fast(TlbEntry& e, const TlbInfo& n) {
    e.read = n.read_host != nullptr && !n.watched ? n.page : kNoPage;
    const bool write = n.writable && n.write_host != nullptr && n.write_host == n.read_host && n.dirty == nullptr &&
                       !n.watched && (n.code_flag == nullptr || flag_value(n.code_flag) == 0);
    e.write = write ? n.page : kNoPage;
    e.addend = reinterpret_cast<u64>(n.read_host) - n.page;
}

namespace {

[[gnu::always_inline]] inline u64 bus_read(Cpu* c, Physical address, u32 bytes, int view) {
    tell_instruction(c);
    u64 v = 0;
    if (!c->sse.loaded) {
        v = c->bus.read(c->bus.self, address, bytes, view);
    } else {
        const HostFloat outside(c);
        v = c->bus.read(c->bus.self, address, bytes, view);
    }
    if (__atomic_load_n(&c->vcpu->attention, __ATOMIC_RELAXED) != 0) c->leave |= kLeaveStop;
    return v;
}

[[gnu::always_inline]] inline void bus_write(Cpu* c, Physical address, u32 bytes, u64 value) {
    tell_instruction(c);
    if (!c->sse.loaded) {
        c->bus.write(c->bus.self, address, bytes, value, c->data_view());
    } else {
        const HostFloat outside(c);
        c->bus.write(c->bus.self, address, bytes, value, c->data_view());
    }
    if (__atomic_load_n(&c->vcpu->attention, __ATOMIC_RELAXED) != 0) c->leave |= kLeaveStop;
}

// One access, as the guest made one.
u64 load(const u8* p, u32 bytes) {
    switch (bytes) {
        case 1: return reinterpret_cast<const Guest<u8>*>(p)->value;
        case 2: return reinterpret_cast<const Guest<u16>*>(p)->value;
        case 4: return reinterpret_cast<const Guest<u32>*>(p)->value;
        default: return reinterpret_cast<const Guest<u64>*>(p)->value;
    }
}
void store(u8* p, u32 bytes, u64 value) {
    switch (bytes) {
        case 1: reinterpret_cast<Guest<u8>*>(p)->value = static_cast<u8>(value); break;
        case 2: reinterpret_cast<Guest<u16>*>(p)->value = static_cast<u16>(value); break;
        case 4: reinterpret_cast<Guest<u32>*>(p)->value = static_cast<u32>(value); break;
        default: reinterpret_cast<Guest<u64>*>(p)->value = value;
    }
}

void store_host(Cpu* c, Physical address, u8* p, u8* code_flag, u8* dirty, u32 bytes, u64 value) {
    if (code_flag != nullptr && flag_value(code_flag) != 0 && c->cache->store(address, bytes)) c->leave |= kLeaveCode;
    store(p, bytes, value);
    if (dirty != nullptr) *dirty = 1;
    after_store(c, address, bytes, code_flag);
}

// tlb_fill(), which need not be called for a page of registers that was used before.
[[gnu::always_inline]] inline TlbInfo& filled(Cpu* c, Linear address, bool write, bool user) {
    TlbInfo& n = c->tlbs[user ? 1 : 0].info[address >> 12 & (kTlbSize - 1)];
    if (n.page == (address & ~kPageMask) && (!write || n.writable)) [[likely]]
        return n;
    return tlb_fill(c, address, write, user);
}

}  // namespace

u64 slow_read(Cpu* c, Linear address, u32 bytes, bool user) {
    const TlbInfo& n = filled(c, address, false, user);
    if (n.watched) c->debug_data(address, bytes, false);
    const u32 in_page = static_cast<u32>(address & kPageMask);
    if (n.read_host != nullptr) return load(n.read_host + in_page, bytes);
    return bus_read(c, n.phys + in_page, bytes, c->data_view());
}

void slow_write(Cpu* c, Linear address, u32 bytes, u64 value, bool user) {
    TlbInfo& n = filled(c, address, true, user);
    if (n.watched) c->debug_data(address, bytes, true);
    const u32 in_page = static_cast<u32>(address & kPageMask);
    if (n.write_host == nullptr) return bus_write(c, n.phys + in_page, bytes, value);
    store_host(c, n.phys + in_page, n.write_host + in_page, n.code_flag, n.dirty, bytes, value);
    // The page may have lost its last cached code.
    set_fast(tlb_entry(&c->tlbs[user ? 1 : 0], address), n);
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

bool phys_replace(Cpu* c, Physical address, u32 bytes, u64 expected, u64 value) {
    const bp_page& p = physical_page(c, address, c->data_view());
    if (p.write == nullptr || p.write != p.read) {  // registers, or memory that is not read where it is written
        c->phys_write(address, bytes, value);
        return true;
    }
    u8* const at = p.write + (address & kPageMask);
    if (p.code_flag != nullptr && flag_value(p.code_flag) != 0 && c->cache->store(address, bytes))
        c->leave |= kLeaveCode;
    const bool done = bytes == 8 ? __sync_bool_compare_and_swap(reinterpret_cast<u64*>(at), expected, value)
                                 : __sync_bool_compare_and_swap(reinterpret_cast<u32*>(at), static_cast<u32>(expected),
                                                                static_cast<u32>(value));
    if (p.dirty != nullptr) *p.dirty = 1;
    after_store(c, address, bytes, p.code_flag);
    return done;
}

void Cpu::phys_write(Physical address, u32 bytes, u64 value) {
    const bp_page& p = physical_page(this, address, data_view());
    if (p.write == nullptr || (address & kPageMask) + bytes > 0x1000u) return bus_write(this, address, bytes, value);
    store_host(this, address, p.write + (address & kPageMask), p.code_flag, p.dirty, bytes, value);
}

namespace {

[[gnu::noinline]] u64 read_straddling(Cpu* c, Linear address, u32 bytes, u32 first, bool user) {
    tlb_fill(c, address, false, user);
    tlb_fill(c, wrapped(c, address + first), false, user);
    u64 v = 0;
    for (u32 k = 0; k < bytes; ++k) v |= slow_read(c, wrapped(c, address + k), 1, user) << (8 * k);
    return v;
}
[[gnu::noinline]] void write_straddling(Cpu* c, Linear address, u32 bytes, u32 first, u64 value, bool user) {
    tlb_fill(c, address, true, user);
    tlb_fill(c, wrapped(c, address + first), true, user);
    for (u32 k = 0; k < bytes; ++k) slow_write(c, wrapped(c, address + k), 1, value >> (8 * k) & 0xffu, user);
}
// The bodies of lin_read() and lin_write(): on the way to a device's register each call counts.
template <typename T>
[[gnu::always_inline]] inline T linear_read(Cpu* c, Linear address, bool user) {
    const TlbEntry& e = tlb_entry(&c->tlbs[user ? 1 : 0], address);
    if (((address + sizeof(T) - 1) & ~kPageMask) == e.read)
        return reinterpret_cast<const Guest<T>*>(e.addend + address)->value;
    const u32 first = straddle(address, sizeof(T));
    if (first == 0) return static_cast<T>(slow_read(c, address, sizeof(T), user));
    return static_cast<T>(read_straddling(c, address, sizeof(T), first, user));
}
template <typename T>
[[gnu::always_inline]] inline void linear_write(Cpu* c, Linear address, T value, bool user) {
    const TlbEntry& e = tlb_entry(&c->tlbs[user ? 1 : 0], address);
    if (((address + sizeof(T) - 1) & ~kPageMask) == e.write) {
        reinterpret_cast<Guest<T>*>(e.addend + address)->value = value;
        return;
    }
    const u32 first = straddle(address, sizeof(T));
    if (first == 0) return slow_write(c, address, sizeof(T), value, user);
    write_straddling(c, address, sizeof(T), first, value, user);
}

}  // namespace

template <typename T>
T Cpu::lin_read(Linear address, bool user_access) {
    return linear_read<T>(this, address, user_access);
}
template <typename T>
void Cpu::lin_write(Linear address, T value, bool user_access) {
    linear_write<T>(this, address, value, user_access);
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

[[gnu::always_inline]] inline Linear checked(Cpu* c, Seg s, u64 offset, u32 bytes, bool write, u32 alignment) {
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
    return linear_read<T>(this, checked(this, s, offset, sizeof(T), false, sizeof(T)), cpl == 3);
}
template <typename T>
void Cpu::write(Seg s, u64 offset, T value) {
    linear_write<T>(this, checked(this, s, offset, sizeof(T), true, sizeof(T)), value, cpl == 3);
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

}  // namespace backplane::interp
