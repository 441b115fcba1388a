// What the files about guest memory share: paging.cpp, access.cpp, locked.cpp, shared.cpp.
#pragma once

#include "memory.hpp"

namespace backplane::interp {

// Allows the accesses of an entry that need no more than an addition.
void set_fast(TlbEntry& e, const TlbInfo& n);
// Cpu::sync_out(), where its call would be felt.
[[gnu::always_inline]] inline void tell_instruction(Cpu* c) {
    const Insn* const i = c->insn;
    c->vcpu->instructions = i != nullptr ? c->count - i->left - 1 : c->count;
    c->vcpu->instruction_pointer = c->code_address(i != nullptr ? c->block_eip + i->ip : c->eip);
}
// Bytes in the first page, 0 if all are.
[[nodiscard]] inline u32 straddle(Linear address, u32 bytes) {
    const u32 room = 0x1000u - static_cast<u32>(address & kPageMask);
    return bytes > room ? room : 0;
}
// Linear addresses have 32 bits outside long mode.
[[nodiscard]] inline Linear wrapped(const Cpu* c, Linear a) { return c->long_mode() ? a : a & 0xffffffffu; }

// Inside one page.
[[nodiscard]] u64 slow_read(Cpu* c, Linear address, u32 bytes, bool user);
void slow_write(Cpu* c, Linear address, u32 bytes, u64 value, bool user);

// One page table entry, naturally aligned: replaces it if it is what it was. False: it is not.
[[nodiscard]] bool phys_replace(Cpu* c, Physical address, u32 bytes, u64 expected, u64 value);
// host_span() has given away memory without an entry of the TLB that tells of it.
void note_span(Cpu* c, Physical page);

}  // namespace backplane::interp
