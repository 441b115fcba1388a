// Locked accesses to guest memory (SDM 3, 8.1). Operands in memory are changed by atomic operations of the host, which
// are atomic with those of all other processors and are full barriers. What the host cannot do so - devices' registers,
// memory that is read in one place and written in another, operands that straddle cache lines - happens under the
// machine's lock: such accesses are atomic among each other, and not with a locked access to a part of the operand.
#include "access.hpp"
#include "block.hpp"

namespace backplane::interp {

namespace {

constexpr u64 kLine = 64;
bool one_line(const u8* host, u32 bytes) {
    const u64 at = reinterpret_cast<u64>(host);
    return (at & (kLine - 1)) + bytes <= kLine && (bytes != 16 || (at & 15u) == 0);
}

}  // namespace

LockedPlace locked_place(Cpu* c, Linear a, u32 bytes, bool user) {
    const TlbEntry& e = tlb_entry(&c->tlbs[user ? 1 : 0], a);
    u8* const fast = reinterpret_cast<u8*>(e.addend + a);
    if (((a + bytes - 1) & ~kPageMask) == e.write && one_line(fast, bytes)) return {fast, nullptr};
    c->lin_probe_write(a, bytes, user);
    if (straddle(a, bytes) != 0) return {nullptr, nullptr};
    TlbInfo& n = tlb_fill(c, a, true, user);
    u8* const host = n.write_host + (a & kPageMask);
    if (n.write_host == nullptr || n.write_host != n.read_host || !one_line(host, bytes)) return {nullptr, nullptr};
    if (n.watched) {
        c->debug_data(a, bytes, false);
        c->debug_data(a, bytes, true);
    }
    return {host, &n};
}

void locked_stored(Cpu* c, const TlbInfo& n, Linear a, u32 bytes, bool user) {
    const Physical at = n.phys + (a & kPageMask);
    if (n.code_flag != nullptr && flag_value(n.code_flag) != 0 && c->cache->store(at, bytes)) c->leave |= kLeaveCode;
    if (n.dirty != nullptr) *n.dirty = 1;
    after_store(c, at, bytes, n.code_flag);
    set_fast(tlb_entry(&c->tlbs[user ? 1 : 0], a), n);
}

u64 locked_read(Cpu* c, Linear a, u32 bytes, bool user) {
    if (c->bus.lock != nullptr) {
        const HostFloat outside(c);
        c->bus.lock(c->bus.self);
    }
    if (straddle(a, bytes) == 0) return slow_read(c, a, bytes, user);
    u64 v = 0;
    for (u32 k = 0; k < bytes; ++k) v |= slow_read(c, wrapped(c, a + k), 1, user) << (8 * k);
    return v;
}

void locked_write(Cpu* c, Linear a, u32 bytes, u64 value, bool user) {
    if (straddle(a, bytes) == 0) {
        slow_write(c, a, bytes, value, user);
    } else {
        for (u32 k = 0; k < bytes; ++k) slow_write(c, wrapped(c, a + k), 1, value >> (8 * k) & 0xffu, user);
    }
    if (c->bus.unlock != nullptr) {
        const HostFloat outside(c);
        c->bus.unlock(c->bus.self);
    }
}

u8 Cpu::sys_locked_or(Linear address, u8 bits) {
    return locked_update<u8>(this, address, false, [bits](u8 v) { return static_cast<u8>(v | bits); });
}
u8 Cpu::sys_locked_and(Linear address, u8 bits) {
    return locked_update<u8>(this, address, false, [bits](u8 v) { return static_cast<u8>(v & bits); });
}

}  // namespace backplane::interp
