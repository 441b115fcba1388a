// Debug registers (SDM 3, 17.2): matching of instruction, data and I/O breakpoints.
#include "breakpoints.hpp"
#include "system.hpp"

namespace backplane::interp {

namespace {

enum Condition : u32 { kExecute = 0, kWrite = 1, kPort = 2, kReadWrite = 3 };

u32 condition(u32 dr7, unsigned n) { return dr7 >> (16 + 4 * n) & 3u; }
bool enabled(u32 dr7, unsigned n) { return (dr7 >> (2 * n) & 3u) != 0; }
// LEN 2 is undefined on processors without 64-bit mode; later ones made it 8 bytes.
u32 length(u32 dr7, unsigned n) {
    static constexpr u32 kBytes[] = {1, 2, 8, 4};
    return kBytes[dr7 >> (18 + 4 * n) & 3u];
}

bool overlaps(u64 first, u32 bytes, u64 breakpoint, u32 size) {
    const u64 base = breakpoint & ~(u64{size} - 1);
    return first - base < size || base - first < bytes;
}

// B bits of all breakpoints that `match` accepts, but 0 if none of those is enabled.
template <typename Match>
u32 matches(u32 dr7, Match match) {
    u32 bits = 0;
    bool any = false;
    for (unsigned n = 0; n < 4; ++n) {
        if (!match(n)) continue;
        bits |= 1u << n;
        any = any || enabled(dr7, n);
    }
    return any ? bits : 0;
}

}  // namespace

void Cpu::debug_data(Linear address, u32 bytes, bool write) {
    if (debugger != nullptr) debugger->accessed(*this, address, bytes, write);
    const u32 bits = matches(dr7, [&](unsigned n) {
        const u32 want = condition(dr7, n);
        return (want == kReadWrite || (want == kWrite && write)) && overlaps(address, bytes, dr[n], length(dr7, n));
    });
    if (bits == 0) return;
    debug_pending |= bits;
    leave_after(kLeaveDebug);
}

void Cpu::debug_io(u32 port, u32 bytes) {
    if ((cr4 & kCr4De) == 0) return;
    const u32 bits = matches(
        dr7, [&](unsigned n) { return condition(dr7, n) == kPort && overlaps(port, bytes, dr[n], length(dr7, n)); });
    if (bits == 0) return;
    debug_pending |= bits;
    leave_after(kLeaveDebug);
}

u32 Cpu::debug_fetch(Linear address) const {
    return matches(dr7, [&](unsigned n) { return condition(dr7, n) == kExecute && dr[n] == address; });
}

bool Cpu::debug_page_watched(Linear page) const {
    for (unsigned n = 0; n < 4; ++n) {
        const u32 want = condition(dr7, n);
        if (enabled(dr7, n) && (want == kWrite || want == kReadWrite) && (dr[n] & ~0xfffull) == (page & ~0xfffull))
            return true;
    }
    return false;
}

}  // namespace backplane::interp
