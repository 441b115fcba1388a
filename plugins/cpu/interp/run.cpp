// The run loop: events between instructions, deadlines, single stepping, and where faults land.
#include "block.hpp"
#include "breakpoints.hpp"
#include "memory.hpp"
#include "trace.hpp"

namespace backplane::interp {
namespace {

constexpr u32 kDr6SingleStep = 1u << 14;

void drop_written_code(Cpu* c) {
    std::vector<std::pair<Physical, u64>> queue;
    bool all = false;
    {
        const std::lock_guard<std::mutex> guard(c->cache->queue_lock);
        queue.swap(c->cache->queue);
        all = c->cache->queue_all;
        c->cache->queue_all = false;
    }
    if (all)
        c->cache->flush(c);
    else
        for (const auto& [address, size] : queue) c->cache->store(address, size);
}

void view_changed(Cpu* c) {
    for (PhysicalCache::Entry& e : c->phys_cache->entry) e.key = ~0ull;
    c->cache->flush(c);
    c->tlb_flush(true);
}

void apply_a20(Cpu* c) {
    const u64 before = c->a20_mask;
    c->update_a20_mask();
    if (c->a20_mask != before) c->tlb_flush(true);
}

// 0, or BP_EXIT_STOP.
u32 take_attention(Cpu* c) {
    const u32 a = __atomic_load_n(&c->vcpu->attention, __ATOMIC_ACQUIRE);
    const u32 mine = a & (BP_ATTENTION_LINES | BP_ATTENTION_VIEW | BP_ATTENTION_INVALIDATE | 0xffff0000u);
    __atomic_fetch_and(&c->vcpu->attention, ~mine, __ATOMIC_ACQUIRE);
    if ((a & BP_ATTENTION_VIEW) != 0) view_changed(c);
    if ((a & BP_ATTENTION_INVALIDATE) != 0) drop_written_code(c);
    if ((a & BP_ATTENTION_LINES) != 0) apply_a20(c);
    return (a & BP_ATTENTION_STOP) != 0 ? static_cast<u32>(BP_EXIT_STOP) : 0u;
}

void set_single(Cpu* c, bool on) {
    if (((c->mode & kModeSingle) != 0) == on) return;
    c->mode ^= kModeSingle;
    c->jump_tag ^= kModeSingle;
}

// Interrupts and traps at an instruction boundary, by priority (SDM 3, 6.9). True if something was delivered.
bool take_events(Cpu* c, bool shadow_intr, bool shadow_all) {
    const u32 held = c->debugger != nullptr ? c->debugger->held_lines(*c) : 0;
    const u32 lines = c->lines.load(std::memory_order_acquire) & ~held;
    // Behind STI and MOV SS an SMI waits for one instruction more: their shadow has no place in the save area.
    if ((lines & kLineSmi) != 0 && !c->smm && !c->wait_for_sipi && !shadow_intr && !shadow_all) {
        c->lines.fetch_and(~static_cast<u32>(kLineSmi));
        c->enter_smm();
        return true;
    }
    if ((lines & kLineInit) != 0 && !c->smm) {
        c->lines.fetch_and(~static_cast<u32>(kLineInit));
        c->init_signal();
        return true;
    }
    if (c->wait_for_sipi) return false;
    if (c->debug_pending != 0 && !shadow_all) {
        c->halted = false;
        c->deliver_debug_trap();
        return true;
    }
    if ((lines & kLineNmi) != 0 && !c->nmi_blocked && !shadow_all) {
        c->lines.fetch_and(~static_cast<u32>(kLineNmi));
        c->halted = false;
        c->deliver_nmi();
        return true;
    }
    if ((lines & kLineIntr) != 0 && (c->eflags_rest & kIf) != 0 && !shadow_intr && !shadow_all) {
        c->halted = false;
        c->sync_out();
        const int vector = c->host.acknowledge != nullptr ? c->host.acknowledge(c->host.self) : -1;
        if (vector >= 0) {
            c->external_interrupt(static_cast<u8>(vector));
            return true;
        }
    }
    return false;
}

void deliver_handed(Cpu* c) {
    const Cpu::HandedEvent h = c->handed;
    c->handed = {};
    c->prev_eip = c->eip;
    c->halted = false;
    c->delivering_event = true;
    switch (h.kind) {
        case Cpu::HandedEvent::Kind::kException: c->deliver_fault(h.what); break;
        case Cpu::HandedEvent::Kind::kInterrupt: c->external_interrupt(h.what.vector); break;
        case Cpu::HandedEvent::Kind::kNmi: c->deliver_nmi(); break;
        case Cpu::HandedEvent::Kind::kNone: break;
    }
    c->delivering_event = false;
    if (c->debugger != nullptr) c->debugger->delivered();
}

void take_fault(Cpu* c) {
    const bool nested = c->delivering_event;
    if (c->insn != nullptr) {
        c->eip = c->block_eip + c->insn->ip;
        c->count -= c->insn->left;
        c->insn = nullptr;
    } else if (!nested) {
        ++c->count;  // the fetch failed: the faulting instruction counts as well
    }
    if (c->esp_guard) {
        c->gpr[kEsp] = c->esp_saved;
        c->esp_guard = false;
    }
    c->prev_eip = c->eip;
    c->leave = 0;
    c->debug_pending = 0;
    c->inhibit_interrupts = c->inhibit_all = false;
    c->halted = false;
    c->delivering_event = true;
    if (c->debugger != nullptr && !nested) c->debugger->faulted();
    const Fault f = c->fault;
    c->deliver_fault(f);
    c->delivering_event = false;
    if (c->debugger != nullptr) c->debugger->delivered();
}

u32 loop(Cpu* c) {
    for (;;) {
        c->leave = 0;
        if (c->debugger != nullptr && c->debugger->stop_due()) return BP_EXIT_BREAK;
        if (c->handed.kind != Cpu::HandedEvent::Kind::kNone) deliver_handed(c);
        if (__atomic_load_n(&c->vcpu->attention, __ATOMIC_RELAXED) != 0) {
            const u32 why = take_attention(c);
            if (why != 0) return why;
        }
        if (c->shutdown) {
            if ((c->lines.load() & kLineInit) == 0 || c->smm) return BP_EXIT_SHUTDOWN;
            c->shutdown = false;
        }
        if (c->count >= c->vcpu->deadline) return BP_EXIT_DEADLINE;
        const bool shadow_intr = c->inhibit_interrupts;
        const bool shadow_all = c->inhibit_all;
        c->esp_guard = false;
        c->prev_eip = c->eip;
        c->delivering_event = true;
        const bool looking = c->events_in_a_row < Cpu::kMaxEventsInARow;
        c->events_in_a_row = looking ? c->events_in_a_row + 1 : 0;
        const bool taken = looking && take_events(c, shadow_intr, shadow_all);
        c->delivering_event = false;
        if (taken) {
            if (c->debugger != nullptr) c->debugger->delivered();
            continue;
        }
        if (c->halted || c->wait_for_sipi) {
            c->events_in_a_row = 0;  // there was none
            return BP_EXIT_HALT;
        }
        const Linear linear = c->code_address(c->eip);
        // With RF set the instruction goes on: it was here before.
        if (c->debugger != nullptr && (c->eflags_rest & kRf) == 0 && c->debugger->stops_before(linear)) {
            c->events_in_a_row = 0;
            return BP_EXIT_BREAK;
        }
        c->inhibit_interrupts = c->inhibit_all = false;
        const bool stepping = (c->eflags_rest & kTf) != 0;
        const bool watching = (c->dr7 & 0xffu) != 0;
        const bool single = stepping || watching || shadow_intr || shadow_all || c->tracer != nullptr ||
                            (c->debugger != nullptr && c->debugger->single(linear));
        set_single(c, single);
        if (watching && (c->eflags_rest & kRf) == 0) {
            const u32 hit = c->debug_fetch(linear);
            if (hit != 0) {
                c->dr6 |= hit;
                c->raise(kDb);
            }
        }
        c->eflags_rest &= ~kRf;
        Block* b = find_block(c);
        if (c->count + b->count > c->vcpu->deadline) {
            set_single(c, true);
            b = find_block(c);
        }
        if (c->tracer != nullptr) c->tracer->instruction(*c);
        c->step_suppressed = false;
        c->events_in_a_row = 0;
        c->block_eip = c->eip;
        c->count += b->count;
        Insn* i = b->insns();
        const auto begun_at = c->eip;
        i->fn(c, i);
        if (c->debugger != nullptr) c->debugger->executed(*c, begun_at);
        if (stepping && !c->step_suppressed && !c->inhibit_all) c->debug_pending |= kDr6SingleStep;
    }
}

}  // namespace

u32 Cpu::run() {
    count = vcpu->instructions;  // a restore may have set it
    if (debugger != nullptr) debugger->begin(*this);
    sse_enter(this);
    if (_setjmp(fault_exit) != 0) take_fault(this);
    const u32 why = loop(this);
    sse_leave(this);
    insn = nullptr;
    sync_out();
    return why;
}

}  // namespace backplane::interp
