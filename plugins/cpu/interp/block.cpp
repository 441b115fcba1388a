// Building, finding and dropping blocks of decoded code.
#include "block.hpp"

#include <algorithm>
#include <cstddef>

#include "breakpoints.hpp"
#include "decode.hpp"

namespace backplane::interp {
namespace {

u32 bucket_of(Physical phys, u32 mode) {
    return static_cast<u32>((phys ^ phys >> 13 ^ static_cast<u64>(mode) << 10) & (BlockCache::kBuckets - 1));
}
u64 lines_of(u32 first, u32 last) {  // bits of the 64-byte lines first..last of a page
    const u64 upto = last / 64 == 63 ? ~0ull : (1ull << (last / 64 + 1)) - 1;
    return upto & ~((1ull << first / 64) - 1);
}
// Which of the block's two list links belongs to this page.
unsigned side(const Block* b, Physical page) { return (b->phys & ~0xfffull) == page ? 0 : 1; }
// The part of the block in that page, as offsets.
void extent(const Block* b, Physical page, u32& first, u32& last) {
    const u32 start = static_cast<u32>(b->phys & 0xfffu);
    if (side(b, page) == 0) {
        first = start;
        last = std::min(start + b->bytes - 1, 0xfffu);
    } else {
        first = 0;
        last = start + b->bytes - 1 - 0x1000u;
    }
}

void unlink_hash(BlockCache& k, Block* b) {
    Block** at = &k.bucket[bucket_of(b->phys, b->mode)];
    while (*at != nullptr && *at != b) at = &(*at)->hash_next;
    if (*at == b) *at = b->hash_next;
}
u32 start_line(const Block* b, Physical page) {
    return side(b, page) == 0 ? static_cast<u32>(b->phys & 0xfffu) / 64 : 0;
}

void unlink_page(BlockCache& k, Block* b, Physical page) {
    CodePage* p = k.find_page(page);
    if (p == nullptr) return;
    Block** at = &p->starts[start_line(b, page)];
    while (*at != nullptr && *at != b) at = &(*at)->page_next[side(*at, page)];
    if (*at != b) return;
    *at = b->page_next[side(b, page)];
    p->lines_stale = true;
    if (--p->blocks != 0) return;
    p->lines = 0;
    p->idle = 0;
}
// A page that has lost all its code stays protected for a while: who generates code will soon run it there again.
constexpr u32 kIdleStores = 1024;

void recompute_lines(CodePage& p, Physical page) {
    p.lines = 0;
    for (Block* head : p.starts) {
        for (const Block* q = head; q != nullptr; q = q->page_next[side(q, page)]) {
            u32 first = 0;
            u32 last = 0;
            extent(q, page, first, last);
            p.lines |= lines_of(first, last);
        }
    }
    p.lines_stale = false;
}
void kill(BlockCache& k, Block* b) {
    b->dead = true;
    unlink_hash(k, b);
    unlink_page(k, b, b->phys & ~0xfffull);
    if (b->phys2 != ~0ull) unlink_page(k, b, b->phys2);
    b->insns()[0].fn = stale_handler();
}

// Before code is read from the page: from now on stores there are told of (shared.cpp).
void claim_page(Cpu* c, Physical page, u8* flag) {
    if (flag == nullptr) return;  // nobody can write there
    BlockCache& k = *c->cache;
    CodePage* known = k.find_page(page);
    CodePage& p = known != nullptr ? *known : k.pages[page];
    p.flag = flag;
    if (p.claimed && (flag_value(flag) & k.code_bit) != 0) return;
    p.claimed = true;
    __atomic_fetch_or(flag, k.code_bit, __ATOMIC_SEQ_CST);
    before_forgetting(c);
    tlb_protect(c, page);
    if (!k.several) return;
    constexpr std::size_t kMany = 256;
    const HostFloat outside(c);
    if (k.provisional.size() >= kMany && c->bus.code_settled(c->bus.self) != 0) k.provisional.clear();
    k.provisional.push_back(page);
    c->bus.code_cached(c->bus.self, page);
}

void register_page(Cpu* c, Block* b, Physical page, u8* flag) {
    if (flag == nullptr) return;
    BlockCache& k = *c->cache;
    CodePage& p = *k.find_page(page);
    p.idle = 0;
    u32 first = 0;
    u32 last = 0;
    extent(b, page, first, last);
    p.lines |= lines_of(first, last);
    Block*& head = p.starts[start_line(b, page)];
    b->page_next[side(b, page)] = head;
    head = b;
    ++p.blocks;
}

// Decodes up to kMaxBlock instructions from `bytes` into b. 0 if not even one is complete.
unsigned decode_run(Cpu* c, Block* b, const u8* bytes, u32 available, unsigned limit, u32 mode) {
    Insn* insns = b->insns();
    unsigned n = 0;
    u32 at = 0;
    Decoded previous;
    bool ends_flow = false;
    while (n < limit && at < available) {
        if (n != 0 && c->debugger != nullptr && c->debugger->cuts(b->phys + at)) break;
        Insn& o = insns[n];
        o.ip = static_cast<u16>(at);
        Decoded what;
        const DecodeInput in{bytes + at, std::min(available - at, kMaxLength), mode, c->model, c->cache.get()};
        if (decode(in, o, what) == DecodeStatus::kMore) break;
        if (what.jcc && previous.compares) {
            const Handler h = fused_handler(previous.op, previous.operands, previous.size, previous.form, what.code,
                                            (mode & kModeLong) != 0);
            if (h != nullptr) insns[n - 1].fn = h;
        }
        at += o.len;
        ++n;
        previous = what;
        if (what.end != DecodeEnd::kNone) {
            ends_flow = what.end == DecodeEnd::kFlow;
            break;
        }
    }
    if (n == 0) return 0;
    for (unsigned k = 0; k < n; ++k) insns[k].left = static_cast<u8>(n - 1 - k);
    b->count = static_cast<u8>(n);
    b->bytes = static_cast<u16>(at);
    if (!ends_flow) {
        Insn& e = insns[n];
        e = Insn{};
        e.fn = end_handler((mode & kModeSingle) != 0, (mode & kModeLong) != 0);
        e.ip = static_cast<u16>(at);
        e.imm = at;
    }
    return n;
}

// A block where a breakpoint may be: the run loop decides.
unsigned stop_run(Block* b) {
    b->count = 0;
    b->bytes = 1;
    Insn& e = b->insns()[0];
    e = Insn{};
    e.fn = break_handler();
    return 1;
}

Block* build(Cpu* c, Linear linear, const FetchPage& page, u32 mode) {
    BlockCache& k = *c->cache;
    const u32 offset = static_cast<u32>(linear & kPageMask);
    // Bytes up to the end of the page or of the segment.
    const u64 in_segment = c->mode64 ? 0x10000u : static_cast<u64>(c->seg[kCs].limit) - c->eip + 1;
    const u32 available = static_cast<u32>(std::min<u64>(0x1000u - offset, in_segment));
    constexpr std::size_t kWorst = sizeof(Block) + (kMaxBlock + 2) * sizeof(Insn);
    if (k.used + kWorst > BlockCache::kArenaSize) k.flush(c);
    const unsigned limit = (mode & kModeSingle) != 0 ? 1 : kMaxBlock;
    ++k.decoded;
    u8 buffer[2 * kMaxLength];
    Block* b = reinterpret_cast<Block*>(page.host == nullptr ? k.scratch.get() : k.arena.get() + k.used);
    b->mode = mode;
    b->dead = false;
    b->phys = page.host == nullptr ? ~0ull : page.phys + offset;
    b->phys2 = ~0ull;
    b->hash_next = nullptr;
    b->page_next[0] = b->page_next[1] = nullptr;
    unsigned n = 0;
    if (page.host != nullptr) claim_page(c, page.phys, page.code_flag);
    if ((mode & kModeSingle) == 0 && c->debugger != nullptr && c->debugger->cuts(offset))
        n = stop_run(b);
    else if (page.host != nullptr)
        n = decode_run(c, b, page.host + offset, available, limit, mode);
    u8* second_flag = nullptr;
    if (n == 0) {  // code that is no memory, or an instruction that reaches beyond the page or the segment
        const u32 first = std::min(available, kMaxLength);
        for (u32 m = 0; m < first; ++m) {
            buffer[m] = page.host != nullptr ? page.host[offset + m] : c->phys_fetch(page.phys + offset + m);
        }
        n = decode_run(c, b, buffer, first, 1, mode | kModeSingle);
        if (n == 0) {
            if (available == in_segment) c->raise(kGp, 0);
            const FetchPage next_page = fetch_translate(c, linear + available);
            if (next_page.host != nullptr) claim_page(c, next_page.phys, next_page.code_flag);
            const u32 total = static_cast<u32>(std::min<u64>(kMaxLength, in_segment));
            for (u32 m = first; m < total; ++m) {
                buffer[m] =
                    next_page.host != nullptr ? next_page.host[m - first] : c->phys_fetch(next_page.phys + m - first);
            }
            n = decode_run(c, b, buffer, total, 1, mode);
            if (n == 0) c->raise(kGp, 0);
            if (next_page.host == nullptr) b->phys = ~0ull;
            b->phys2 = next_page.phys;
            second_flag = next_page.code_flag;
        }
    }
    if (b->phys == ~0ull) return b;  // not cached: rebuilt each time
    k.used += sizeof(Block) + (b->count + 1u) * sizeof(Insn);
    Block*& head = k.bucket[bucket_of(b->phys, mode)];
    b->hash_next = head;
    head = b;
    register_page(c, b, b->phys & ~0xfffull, page.code_flag);
    if (b->phys2 != ~0ull) register_page(c, b, b->phys2, second_flag);
    return b;
}

}  // namespace

void BlockCache::forget_jumps() {
    for (JumpEntry& j : jump) j = {0, ~0ull, nullptr};
    for (FetchEntry& f : fetch) f.page = 1;  // no page address
}

void BlockCache::flush(Cpu*) {
    ++flushes;
    used = 0;
    std::fill_n(bucket.get(), kBuckets, nullptr);
    for (auto& [page, p] : pages) unflag(p);
    pages.clear();
    provisional.clear();
    for (Recent& r : recent) r = {};
    forget_jumps();
}

CodePage* BlockCache::find_page(Physical page) {
    Recent& r = recent[page >> 12 & (kPageSlots - 1)];
    if (r.page == page) return r.what;
    const auto found = pages.find(page);
    if (found == pages.end()) return nullptr;
    r = {page, &found->second};  // unordered_map: nodes stay where they are
    return r.what;
}

bool BlockCache::store(Physical address, u64 size) {
    bool any = false;
    while (size != 0) {
        const Physical page = address & ~0xfffull;
        const u32 first = static_cast<u32>(address & 0xfffu);
        const u32 part = static_cast<u32>(std::min<u64>(size, 0x1000u - first));
        const u32 last = first + part - 1;
        CodePage* p = find_page(page);
        if (p != nullptr && (p->lines & lines_of(first, last)) != 0) {
            // A block is at most this many lines long.
            constexpr u32 kLongest = (kMaxBlock * kMaxLength + 63) / 64;
            bool hit = false;
            for (u32 line = first / 64 > kLongest ? first / 64 - kLongest : 0; line <= last / 64; ++line) {
                for (Block* b = p->starts[line]; b != nullptr;) {
                    Block* next_block = b->page_next[side(b, page)];
                    u32 from = 0;
                    u32 to = 0;
                    extent(b, page, from, to);
                    if (from <= last && first <= to) {
                        kill(*this, b);
                        hit = true;
                    }
                    b = next_block;
                }
            }
            any = any || hit;
            if (!hit && p->lines_stale) recompute_lines(*p, page);
        } else if (p != nullptr && p->blocks == 0 && ++p->idle >= kIdleStores) {
            unflag(*p);
        }
        address += part;
        size -= part;
    }
    return any;
}

Block* find_block(Cpu* c) {
    const u64 eip = c->eip;
    const u32 tag = c->jump_tag;
    BlockCache& k = *c->cache;
    JumpEntry& j = k.jump[BlockCache::jump_index(eip)];
    if (j.matches(eip, tag) && !j.block->dead) return j.block;
    if (c->mode64 ? !canonical(eip) : eip > c->seg[kCs].limit) c->raise(kGp, 0);
    const Linear linear = c->code_address(eip);
    const FetchPage page = fetch_translate(c, linear);
    const Physical phys = page.phys + (linear & kPageMask);
    const u32 mode = c->mode & kModeDecode;
    const u64 in_segment = c->mode64 ? 0x10000u : static_cast<u64>(c->seg[kCs].limit) - eip + 1;
    for (Block* b = k.bucket[bucket_of(phys, mode)]; b != nullptr; b = b->hash_next) {
        if (b->phys != phys || b->mode != mode || b->bytes > in_segment) continue;
        if (b->phys2 != ~0ull && fetch_translate(c, (linear & ~kPageMask) + 0x1000u).phys != b->phys2) continue;
        if ((mode & kModeSingle) == 0) j = {eip, tag, b};
        return b;
    }
    Block* b = build(c, linear, page, mode);
    if ((mode & kModeSingle) == 0 && b->phys != ~0ull) k.jump[BlockCache::jump_index(eip)] = {eip, tag, b};
    return b;
}

}  // namespace backplane::interp
