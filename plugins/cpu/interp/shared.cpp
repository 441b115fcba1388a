// Several processors with one memory: decoded code that another one writes to, serializing instructions, PAUSE.
//
// A page from which some processor caches code has a bit in its flag. A store that finds the flag set tells the others
// (bp_cpu_bus.code_written) when it has been made. What has to be right is that no store is missed:
//
// * A processor that begins to cache code from a page sets its bit, tells the others (code_cached), and only then reads
//   the bytes. A slow store is made first and looks at the flag afterwards, with a fence between: either the store is
//   in the bytes that are read, or it finds the bit.
// * Fast stores go by an entry of the TLB and look at nothing. Who hears of the page takes the permission from its
//   entries before its next block; if one had it, the whole page counts as written. Until then BP_ATTENTION_CODE stands
//   in its attention word. Before an entry is forgotten that bit is looked at, behind a fence, so that none goes
//   unseen.
// * In between, code that was decoded may be older than a store that a program has every right to rely on. By the
// manual
//   (SDM 3, 8.1.3) that program executes a serializing instruction before it runs the new code. There a processor drops
//   what it decoded from pages that not all others have taken notice of yet (`provisional`), and what it was told of.
//   Nobody waits for anybody.
//
// With one processor there is none of this.
#include <algorithm>
#include <thread>

#include "access.hpp"
#include "block.hpp"

namespace backplane::interp {

void before_forgetting_slow(Cpu* c) {
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if ((__atomic_load_n(&c->vcpu->attention, __ATOMIC_ACQUIRE) & BP_ATTENTION_CODE) != 0) notice_foreign_code(c);
}

void after_store_slow(Cpu* c, Physical address, u64 size, const u8* code_flag) {
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if ((flag_value(code_flag) & ~c->code_bit) == 0 && c->cache->may_unflag) return;
    if (flag_value(code_flag) == 0) return;
    const HostFloat outside(c);
    c->bus.code_written(c->bus.self, address, size);
}

void note_span(Cpu* c, Physical page) {
    PhysicalCache& k = *c->phys_cache;
    before_forgetting(c);  // the oldest one goes
    k.span[k.next_span++ % std::size(k.span)] = page;
}

void notice_foreign_code(Cpu* c) {
    const PhysicalCache& k = *c->phys_cache;
    for (;;) {
        std::vector<Physical> pages;
        {
            const std::lock_guard<std::mutex> guard(c->cache->queue_lock);
            if (c->cache->foreign.empty()) {
                __atomic_fetch_and(&c->vcpu->attention, ~u32{BP_ATTENTION_CODE}, __ATOMIC_RELEASE);
                return;
            }
            pages.swap(c->cache->foreign);
        }
        for (const Physical page : pages) {
            const bool had = tlb_protect(c, page);
            if (!had && std::find(std::begin(k.span), std::end(k.span), page) == std::end(k.span)) continue;
            const HostFloat outside(c);
            c->bus.code_written(c->bus.self, page, 0x1000);
        }
    }
}

void Cpu::code_cached_by_other(Physical page) {
    const std::lock_guard<std::mutex> guard(cache->queue_lock);
    if (!cache->running) {  // nor will it begin before this is done
        tlb_protect(this, page);
        return;
    }
    cache->foreign.push_back(page);
    __atomic_fetch_or(&vcpu->attention, BP_ATTENTION_CODE, __ATOMIC_SEQ_CST);
}

void enter_shared(Cpu* c) {
    const std::lock_guard<std::mutex> guard(c->cache->queue_lock);
    c->cache->running = true;
}

void leave_shared(Cpu* c) {
    for (;;) {
        notice_foreign_code(c);
        const std::lock_guard<std::mutex> guard(c->cache->queue_lock);
        c->cache->running = !c->cache->foreign.empty();
        if (!c->cache->running) return;
    }
}

void Cpu::serialize_slow() {
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    BlockCache& k = *cache;
    if (!k.provisional.empty()) {
        bool settled = false;
        {
            const HostFloat outside(this);
            settled = bus.code_settled(bus.self) != 0;
        }
        if (settled) {
            k.provisional.clear();
        } else {
            for (const Physical page : k.provisional) {
                if (k.store(page, 0x1000)) leave |= kLeaveCode;
            }
        }
    }
    if (__atomic_load_n(&vcpu->attention, __ATOMIC_ACQUIRE) != 0) leave |= kLeaveStop;
}

// A program that spins waits for another processor, which may wait for the host's.
void Cpu::pause() {
    constexpr u32 kPatience = 256;  // a microsecond or two
    constexpr u64 kFar = 1000;      // instructions: no longer the same loop
    if (count - last_pause > kFar) pauses = 0;
    last_pause = count;
    // A deadline means the deterministic clock: no other processor has a thread of its own that waits for this one.
    if (++pauses < kPatience || vcpu->deadline != ~u64{0}) return;
    pauses = 0;
    std::this_thread::yield();
}

}  // namespace backplane::interp
