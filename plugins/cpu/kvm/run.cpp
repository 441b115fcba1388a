// The run loop: who has the registers, what KVM asks for, and what it is given.
#include <x86intrin.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>

#include "../interp/breakpoints.hpp"
#include "model.hpp"

namespace backplane {
namespace {

using kvm::Exit;

constexpr u64 kApicPage = ~u64{0xfff};
constexpr u32 kApicEnabled = 1u << 11;
// How long the interpreter goes on at a time.
constexpr u64 kSmmInstructions = 10'000, kA20Instructions = 10'000, kDebuggedInstructions = 100'000;
// Instructions before KVM is tried again after it failed; more each time that it fails at once.
constexpr u64 kFailedInstructions = 2'000, kMostFailedInstructions = 2'000'000;
constexpr u64 kForgiven = 1'000;         // exits after which a failure no longer counts
constexpr i64 kSampleAge = 900'000'000;  // ns
constexpr unsigned kStuckSamples = 5;
constexpr u64 kMcgCap = 0x105;  // as the interpreter's IA32_MCG_CAP
constexpr u32 kMcgBanks = 5;
constexpr i64 kPause = 5'000'000;  // ns that virtual time stood still

}  // namespace

void KvmCpu::attend() {
    // The word was written before: whoever is about to enter the guest sees it, or is seen here.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (inside_.load(std::memory_order_seq_cst)) signals_.send();
}

// --- who has the registers
// --------------------------------------------------------------------------------------------

// What depends on facts that come after attach(): the number of processors is one, and a guest that is taken over may
// have been shown less than this engine has.
void KvmCpu::prepare_hardware() {
    if (prepared_ == cpumodel::words_of(selected)) return;
    const kvm::CpuidTable table =
        kvm::cpuid_table(selected, [this](u32 leaf, u32 part, u32(&r)[4]) { cpu->cpuid_leaf(leaf, part, r); });
    hardware->set_cpuid(table);
    hardware->setup_mce(kMcgCap, kMcgBanks);
    prepared_ = cpumodel::words_of(selected);
}

// False: KVM does not take them, and the interpreter goes on.
bool KvmCpu::push() {
    try {
        prepare_hardware();
        bp_x86_state s{};
        s.size = sizeof s;
        interp::export_state(*cpu, s);
        hardware->store(s);
        priority_ = static_cast<u32>(s.cr8);
        apic_base_ = s.apic_base;
        halted_ = (s.events & BP_X86_HALTED) != 0;
        interruptible_ = (s.rflags & interp::kIf) != 0;
    } catch (const std::exception& e) {
        if ((reported_ & 1u << static_cast<u32>(Reason::kRefused)) == 0) log_warn("%s; it is interpreted", e.what());
        hold_back(Reason::kRefused, kFailedInstructions);
        return false;
    }
    if (tsc_offset_ != cpu->tsc_offset || !lent_before_) hardware->set_tsc(cpu->read_tsc());
    tsc_offset_ = cpu->tsc_offset;
    lent_before_ = true;
    // KVM writes code without a look at flags, and DMA need not tell of code that is forgotten.
    cpu->state_replaced();
    ready_ = unanswered_ = false;
    samples_ = 0;
    lent_ = true;
    return true;
}

void KvmCpu::pull() {
    if (!lent_) return;
    finish_exit();
    if (!lent_) return;  // what came out of it was the end
    // Edges that come meanwhile must not be lost.
    cpu->bus.lock(cpu->bus.self);
    bp_x86_state s{};
    s.size = sizeof s;
    interp::export_state(*cpu, s);
    kvm::Unfinished event;
    const char* refused = nullptr;
    try {
        hardware->load(s, event);
        if (halted_)
            s.events |= BP_X86_HALTED;
        else
            s.events &= ~u32{BP_X86_HALTED};
        s.tsc = hardware->read_msr(kvm::kMsrTsc, s.tsc);
        s.tsc_time = cpu->bus.now(cpu->bus.self);
        refused = interp::import_state(*cpu, s);
    } catch (const std::exception& e) {
        log_error("%s", e.what());
    }
    if (refused != nullptr) log_error("KVM's state of the processor is refused: %s", refused);
    cpu->bus.unlock(cpu->bus.self);
    using Kind = interp::Cpu::HandedEvent::Kind;
    switch (event.kind) {
        case kvm::Unfinished::Kind::kNone: cpu->handed = {}; break;
        case kvm::Unfinished::Kind::kException:
            cpu->handed = {Kind::kException, {event.vector, event.has_error, event.error}};
            break;
        case kvm::Unfinished::Kind::kInterrupt: cpu->handed = {Kind::kInterrupt, {event.vector, false, 0}}; break;
        case kvm::Unfinished::Kind::kNmi: cpu->handed = {Kind::kNmi, {event.vector, false, 0}}; break;
    }
    tsc_offset_ = cpu->tsc_offset;
    lent_ = false;
}

void KvmCpu::take_back() {
    if (hardware != nullptr) pull();
}

// Why the interpreter has to run the guest now; kCount: it need not.
kvm::Reason KvmCpu::obstacle() {
    const u32 l = lines();
    if (hold_ > 0) return held_for_;
    if (cpu->tracer != nullptr || (cpu->debugger != nullptr && cpu->debugger->active())) return Reason::kDebugger;
    if ((l & (u32{interp::kLineInit} | interp::kLineSipi)) != 0 || cpu->startup_undecided) return Reason::kStartup;
    if ((l & interp::kLineSmi) != 0) return Reason::kSmm;
    if ((l & interp::kLineA20) == 0) return Reason::kA20;
    if (lent_) return Reason::kCount;
    if (cpu->smm) return Reason::kSmm;
    if (cpu->wait_for_sipi || cpu->shutdown) return Reason::kStartup;
    if (cpu->debug_pending != 0 || cpu->handed.kind != interp::Cpu::HandedEvent::Kind::kNone) return Reason::kTrap;
    return Reason::kCount;
}

void KvmCpu::hold_back(Reason reason, u64 instructions) {
    held_for_ = reason;
    hold_ = instructions;
    for (u64 n = 0; n < failures_ && hold_ < kMostFailedInstructions; ++n) hold_ *= 2;
    ++failures_;
    const u32 bit = 1u << static_cast<u32>(reason);
    if ((reported_ & bit) == 0) {
        const std::string_view name = kvm::name_of(reason);
        log_info("KVM does not go on here (%.*s); the interpreter does", static_cast<int>(name.size()), name.data());
    }
    reported_ |= bit;
}

// Runs the interpreter for a while: BP_EXIT_DEADLINE, or why run() has to return.
u32 KvmCpu::interpret(Reason reason) {
    pull();
    // Other processors write code without a look at this one's flags. A new state is a decided one: after a reset it is
    // still to be decided who waits for STARTUP.
    if (hardware->vm().processors() > 1) {
        cpu->decide_startup();
        cpu->state_replaced();
    }
    const u64 most = hold_ > 0                     ? std::min<u64>(hold_, kDebuggedInstructions)
                     : reason == Reason::kSmm      ? kSmmInstructions
                     : reason == Reason::kA20      ? kA20Instructions
                     : reason == Reason::kDebugger ? kDebuggedInstructions
                                                   : 1;
    bp_vcpu& v = *cpu->vcpu;
    const u64 begun = v.instructions;
    v.deadline = begun + most;
    const u32 why = cpu->run();
    v.deadline = ~u64{0};
    const u64 done = v.instructions - begun;
    const auto index = static_cast<std::size_t>(reason);
    if (reason != last_reason_) ++statistics.handed[index];
    last_reason_ = reason;
    statistics.instructions[index] += done;
    hold_ -= std::min(hold_, std::max<u64>(done, 1));
    // What the interpreter heard of it, the slots have not.
    memory_stale_ = true;
    return why;
}

// --- events
// -----------------------------------------------------------------------------------------------------------

// 0, or BP_EXIT_STOP.
u32 KvmCpu::take_attention() {
    u32& word = cpu->vcpu->attention;
    const u32 a = __atomic_load_n(&word, __ATOMIC_ACQUIRE);
    __atomic_fetch_and(&word, u32{BP_ATTENTION_STOP}, __ATOMIC_ACQUIRE);
    if ((a & BP_ATTENTION_VIEW) != 0) memory_stale_ = true;
    return (a & BP_ATTENTION_STOP) != 0 ? u32{BP_EXIT_STOP} : 0u;
}

void KvmCpu::offer_events() {
    if ((lines() & interp::kLineNmi) != 0 && hardware->nmi()) {
        cpu->lines.fetch_and(~u32{interp::kLineNmi});
        ++statistics.nmis;
    }
    kvm_run& a = area();
    a.request_interrupt_window = 0;
    if ((lines() & interp::kLineIntr) == 0) return;
    if (ready_ && a.ready_for_interrupt_injection != 0 && a.if_flag != 0) {
        const int vector = cpu->host.acknowledge(cpu->host.self);
        if (vector >= 0 && hardware->interrupt(static_cast<kvm::u8>(vector))) ++statistics.interrupts;
        ready_ = false;
        if ((lines() & interp::kLineIntr) == 0) return;
    }
    a.request_interrupt_window = 1;
}

// CR8 and the base of the local APIC go through KVM, and belong to the interrupt controller.
void KvmCpu::adopt_priority() {
    const kvm_run& a = area();
    if (a.apic_base != apic_base_) {
        apic_base_ = a.apic_base;
        if (cpu->host.apic_base(cpu->host.self) >= 0) cpu->host.set_apic_base(cpu->host.self, apic_base_);
    }
    if (a.cr8 != priority_) {
        priority_ = static_cast<u32>(a.cr8 & 15u);
        cpu->host.set_tpr(cpu->host.self, priority_);
    }
}

// --- exits
// ------------------------------------------------------------------------------------------------------------

void KvmCpu::input_output() {
    kvm_run& a = area();
    u8* data = reinterpret_cast<u8*>(&a) + a.io.data_offset;
    const bp_cpu_bus& bus = cpu->bus;
    for (u32 i = 0; i < a.io.count; ++i, data += a.io.size) {
        u64 value = 0;
        if (a.io.direction == KVM_EXIT_IO_OUT) {
            std::memcpy(&value, data, a.io.size);
            bus.port_write(bus.self, a.io.port, a.io.size, value);
        } else {
            value = bus.port_read(bus.self, a.io.port, a.io.size);
            std::memcpy(data, &value, a.io.size);
        }
    }
}

void KvmCpu::memory_access() {
    kvm_run& a = area();
    const bp_cpu_bus& bus = cpu->bus;
    // Pieces of accesses that straddle pages may have any size.
    const u32 n = std::min<u32>(a.mmio.len, 8);
    const bool whole = n == 1 || n == 2 || n == 4 || n == 8;
    if (a.mmio.is_write != 0) {
        u64 value = 0;
        std::memcpy(&value, a.mmio.data, n);
        if (whole)
            bus.write(bus.self, a.mmio.phys_addr, n, value, BP_VIEW_NORMAL);
        else
            for (u32 i = 0; i < n; ++i) bus.write(bus.self, a.mmio.phys_addr + i, 1, a.mmio.data[i], BP_VIEW_NORMAL);
    } else {
        u64 value = 0;
        if (whole)
            value = bus.read(bus.self, a.mmio.phys_addr, n, BP_VIEW_NORMAL);
        else
            for (u32 i = 0; i < n; ++i)
                value |= (bus.read(bus.self, a.mmio.phys_addr + i, 1, BP_VIEW_NORMAL) & 0xffu) << (8 * i);
        std::memcpy(a.mmio.data, &value, n);
    }
    // The task priority is a register there as well.
    if ((apic_base_ & kApicEnabled) != 0 && (a.mmio.phys_addr & kApicPage) == (apic_base_ & kApicPage))
        priority_ = cpu->host.tpr(cpu->host.self) & 15u;
}

// A register that KVM does not know: the interpreter has it, or nobody.
void KvmCpu::model_register(bool write) {
    kvm_run& a = area();
    u64 value = a.msr.data;
    const bool known = write ? cpu->put_msr(a.msr.index, value) : cpu->get_msr(a.msr.index, value);
    a.msr.error = known ? 0 : 1;
    if (!write) a.msr.data = known ? value : 0;
}

void KvmCpu::handle_exit() {
    kvm_run& a = area();
    unanswered_ = false;
    ready_ = true;
    if (const kvm_regs* r = hardware->registers(); r != nullptr) cpu->vcpu->instruction_pointer = r->rip;
    adopt_priority();
    switch (a.exit_reason) {
        case KVM_EXIT_IO:
            statistics.count(Exit::kIo);
            input_output();
            unanswered_ = true;
            break;
        case KVM_EXIT_MMIO:
            statistics.count(Exit::kMmio);
            memory_access();
            unanswered_ = true;
            break;
        case KVM_EXIT_X86_RDMSR:
        case KVM_EXIT_X86_WRMSR:
            statistics.count(Exit::kMsr);
            model_register(a.exit_reason == KVM_EXIT_X86_WRMSR);
            unanswered_ = true;
            break;
        case KVM_EXIT_HLT:
            statistics.count(Exit::kHalt);
            halted_ = true;
            break;
        case KVM_EXIT_IRQ_WINDOW_OPEN: statistics.count(Exit::kWindow); break;
        case KVM_EXIT_INTR: statistics.count(Exit::kSignal); break;
        case KVM_EXIT_SET_TPR: statistics.count(Exit::kOther); break;
        case KVM_EXIT_SHUTDOWN:
            statistics.count(Exit::kOther);
            // The host may have reset the processor already: nothing of its state is of use.
            pull();
            cpu->shutdown = true;
            break;
        case KVM_EXIT_FAIL_ENTRY:
            statistics.count(Exit::kOther);
            if ((reported_ & 1u << static_cast<u32>(Reason::kRefused)) == 0)
                log_warn("the host's processor refuses the guest's state (reason %llx)",
                         static_cast<unsigned long long>(a.fail_entry.hardware_entry_failure_reason));
            hold_back(Reason::kRefused, kFailedInstructions);
            break;
        case KVM_EXIT_INTERNAL_ERROR:
            statistics.count(Exit::kOther);
            pull();
            // Hosts before Linux 5.15 have begun to deliver an exception instead.
            if (cpu->handed.kind == interp::Cpu::HandedEvent::Kind::kException &&
                cpu->handed.what.vector == interp::kUd)
                cpu->handed = {};
            hold_back(Reason::kInternalError, kFailedInstructions);
            break;
        default:
            statistics.count(Exit::kOther);
            hold_back(Reason::kUnknownExit, kFailedInstructions);
            break;
    }
}

// KVM takes the answer to what it asked for last; only then the registers are whole.
void KvmCpu::finish_exit() {
    // An access in pieces, or a repeated one, asks again; no instruction does so for ever.
    for (unsigned n = 0; unanswered_ && n < 100'000; ++n) {
        if (hardware->complete()) {
            unanswered_ = false;
            return;
        }
        handle_exit();
    }
}

// Each second comes a signal, and who enters the guest with work to be done is sent out by one.
void KvmCpu::after_signal() {
    kvm::Signals::drain();
    const i64 now = cpu->bus.now(cpu->bus.self);
    if (now - sampled_at_ < kSampleAge) return;
    sampled_at_ = now;
    const kvm_regs* r = hardware->registers();
    if (r == nullptr) return;
    if (samples_ > 0 && std::memcmp(&sample_, r, sizeof sample_) == 0) {
        if (++samples_ > kStuckSamples) {
            samples_ = 0;
            failures_ = 0;
            hold_back(Reason::kNoProgress, kFailedInstructions);
        }
        return;
    }
    sample_ = *r;
    samples_ = 1;
}

// --- the loop
// ---------------------------------------------------------------------------------------------------------

u32 KvmCpu::leave(u32 why) {
    // Between two runs the registers may be asked for at any time, and must not depend on what KVM has in mind.
    if (why != BP_EXIT_HALT && lent_) {
        pull();
        if (cpu->handed.kind != interp::Cpu::HandedEvent::Kind::kNone) {
            cpu->vcpu->deadline = 0;
            cpu->run();
            cpu->vcpu->deadline = ~u64{0};
        }
    }
    left_at_ = cpu->bus.now(cpu->bus.self);
    left_tsc_ = __rdtsc();
    left_ = true;
    running_.store(false);
    return why;
}

u32 KvmCpu::run() {
    if (hardware == nullptr) return cpu->run();
    running_.store(true);
    signals_.claim_thread();
    if (!masked_) {
        try {
            hardware->set_signal_mask();
        } catch (const std::exception& e) {
            fail(BP_ERR_UNSUPPORTED, "%s", e.what());
            return leave(BP_EXIT_ERROR);
        }
        masked_ = true;
    }
    if (left_ && lent_) {
        const i64 passed = cpu->bus.now(cpu->bus.self) - left_at_;
        const auto counted = static_cast<i64>(static_cast<double>(__rdtsc() - left_tsc_) * 1e9 /
                                              static_cast<double>(hardware->host_tsc_hz()));
        if (counted - passed > kPause) hardware->set_tsc(cpu->read_tsc());
    }
    for (;;) {
        if (const Reason reason = obstacle(); reason != Reason::kCount) {
            const u32 why = interpret(reason);
            if (why != BP_EXIT_DEADLINE) return leave(why);
            continue;
        }
        last_reason_ = Reason::kCount;
        if (const u32 why = take_attention(); why != 0) return leave(why);
        if (obstacle() != Reason::kCount) continue;  // a line has changed
        if (memory_stale_) {
            memory_stale_ = false;
            try {
                hardware->vm().sync(cpu->bus);
            } catch (const std::exception& e) {
                fail(BP_ERR_UNSUPPORTED, "%s", e.what());
                return leave(BP_EXIT_ERROR);
            }
        }
        if (!lent_ && !push()) continue;
        if (halted_) {
            const u32 l = lines();
            if ((l & interp::kLineNmi) == 0 && ((l & interp::kLineIntr) == 0 || !interruptible_))
                return leave(BP_EXIT_HALT);
            halted_ = false;
        }
        offer_events();
        area().cr8 = priority_;
        inside_.store(true, std::memory_order_seq_cst);
        if (__atomic_load_n(&cpu->vcpu->attention, __ATOMIC_SEQ_CST) != 0) {
            inside_.store(false, std::memory_order_release);
            continue;
        }
        hardware->vm().enter();
        const int error = hardware->run();
        hardware->vm().leave();
        inside_.store(false, std::memory_order_release);
        ++statistics.entries;
        if (error == EINTR || error == EAGAIN) {
            statistics.count(Exit::kSignal);
            unanswered_ = false;
            ready_ = true;
            adopt_priority();
            interruptible_ = area().if_flag != 0;
            after_signal();
            continue;
        }
        if (error != 0) {
            if ((reported_ & 1u << static_cast<u32>(Reason::kUnknownExit)) == 0)
                log_warn("KVM_RUN: %s", kvm::error_text(error).c_str());
            unanswered_ = false;
            hold_back(Reason::kUnknownExit, kFailedInstructions);
            continue;
        }
        interruptible_ = area().if_flag != 0;
        const u64 failures = failures_;
        handle_exit();
        if (failures == failures_ && failures_ > 0 && ++successes_ > kForgiven) failures_ = successes_ = 0;
    }
}

}  // namespace backplane
