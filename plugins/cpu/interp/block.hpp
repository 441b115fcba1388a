// Cache of decoded blocks.
//
// A block is a run of instructions decoded once; its key is the physical address of its first byte and the mode bits
// that decoding depends on. Blocks live in an arena that is only ever emptied as a whole; one that was overwritten is
// made stale: its first handler looks the target up again, so that links into it need not be found.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "insn.hpp"

namespace backplane::interp {

// Bits of Cpu::mode.
inline constexpr u32 kModeCode32 = 1;    // CS.D
inline constexpr u32 kModeStack32 = 2;   // SS.B
inline constexpr u32 kModeFlatData = 4;  // DS, ES and SS: base 0, limit 4G, writable
inline constexpr u32 kModeFlatCode = 8;  // CS: base 0, limit 4G
inline constexpr u32 kModeSingle = 16;   // blocks of one instruction
inline constexpr u32 kModeLong = 32;     // 64-bit mode
inline constexpr u32 kModeUser = 256;    // CPL 3; no part of a block's key
inline constexpr unsigned kModeBits = 9;
inline constexpr u32 kModeDecode = kModeUser - 1;

inline constexpr unsigned kMaxBlock = 48;  // instructions

struct Block {
    Physical phys;   // of the first byte
    Physical phys2;  // second page of a block that straddles, else ~0
    u32 mode;
    u16 bytes;
    u8 count;
    bool dead;
    Block* hash_next;
    Block* page_next[2];  // in the lists of the first and second page

    Insn* insns() { return reinterpret_cast<Insn*>(this + 1); }
    static Block* of(Insn* first) { return reinterpret_cast<Block*>(first) - 1; }
};

struct JumpEntry {
    u64 eip;
    u64 tag;  // jump_tag
    Block* block;
    [[nodiscard]] bool matches(u64 at, u32 t) const { return ((eip ^ at) | (tag ^ t)) == 0; }
};

struct CodePage {
    u64 lines = 0;           // 64-byte lines that may hold cached code
    Block* starts[64] = {};  // blocks by the line in which their part of this page begins
    u32 blocks = 0;
    u32 idle = 0;              // stores since the last block went
    bool lines_stale = false;  // blocks went away since `lines` was computed
    bool claimed = false;      // this processor's bit is set in the flag, and the others know
    u8* flag = nullptr;
};

struct BlockCache {
    static constexpr std::size_t kArenaSize = 24u << 20;
    static constexpr u32 kBuckets = 1u << 15;
    static constexpr u32 kJumps = 1u << 12;
    static constexpr u32 kPageSlots = 256;

    std::unique_ptr<u8[]> arena{new u8[kArenaSize]};
    std::size_t used = 0;
    std::unique_ptr<Block* []> bucket { new Block*[kBuckets]() };
    JumpEntry jump[kJumps];
    std::unordered_map<Physical, CodePage> pages;
    struct Recent {
        Physical page = ~0ull;
        CodePage* what = nullptr;
    } recent[kPageSlots];
    // Code pages recently fetched from.
    struct FetchEntry {
        Linear page;
        u64 tag;  // jump_tag
        Physical phys;
        const u8* host;
        u8* code_flag;
    } fetch[256];
    // Which linear pages were fetched from since translations were last forgotten, by a few bits of their number.
    u64 fetched[64] = {};
    void note_fetch(Linear a) { fetched[a >> 18 & 63u] |= 1ull << (a >> 12 & 63u); }
    [[nodiscard]] bool maybe_fetched(Linear a) const { return (fetched[a >> 18 & 63u] >> (a >> 12 & 63u) & 1u) != 0; }
    // Pages written by others, see Cpu::invalidate().
    std::mutex queue_lock;
    std::vector<std::pair<Physical, u64>> queue;
    bool queue_all = false;
    // With several processors; see shared.cpp. Under queue_lock: pages from which others cache code, and whether this
    // processor runs.
    std::vector<Physical> foreign;
    bool running = false;
    // Pages that others may not have taken notice of yet.
    std::vector<Physical> provisional;
    bool several = false;
    u8 code_bit = 1;
    bool may_unflag = true;  // nobody else has the bit
    void unflag(CodePage& p) const {
        p.claimed = false;
        if (p.flag != nullptr && may_unflag) __atomic_fetch_and(p.flag, static_cast<u8>(~code_bit), __ATOMIC_RELEASE);
    }
    // Block for code that cannot be cached.
    std::unique_ptr<u8[]> scratch{new u8[sizeof(Block) + 4 * sizeof(Insn)]()};
    u64 decoded = 0, flushes = 0;
    // x87 and MMX handlers in use; an Insn names them by index.
    std::vector<FpuEntry> fpu_entries;
    std::unordered_map<u32, u16> fpu_index;

    BlockCache() { forget_jumps(); }
    static u32 jump_index(u64 eip) { return static_cast<u32>(eip ^ eip >> 12) & (kJumps - 1); }
    void forget_jumps();
    void flush(Cpu* c);  // everything
    // A store of `size` bytes to physical memory: makes overlapping blocks stale. True if there were any.
    bool store(Physical address, u64 size);
    CodePage* find_page(Physical page);
};

// The block at c->eip, decoded if need be. Faults like an instruction fetch (c->insn is nullptr then).
Block* find_block(Cpu* c);

}  // namespace backplane::interp
