// State of one IA-32 processor and the contract between the parts of the engine
// (Intel 64 and IA-32 Architectures SDM, volume 3).
//
// Who does what:
//   registers.hpp              the architecture's registers and their bits
//   decode*.cpp, block.cpp     bytes -> Insn records, cache of decoded blocks
//   paging.cpp, memory.hpp     translation, software TLB, guest memory, self-modifying code
//   op_*.cpp                   handlers of instructions; the system ones call the functions at the end of this struct
//   segment, transfer, exception, task, system, smm, cpuid, debug .cpp   those functions
//   run.cpp                    run loop: events, deadlines, faults
//
// Conventions for the functions at the end ("system part"):
//   * They take plain operand values; decoding and operand fetch are done. A fault leaves by raise(), that is, by
//     longjmp to the run loop: no frame that can be left that way may hold an object with a destructor.
//   * On entry `eip` is the offset of the NEXT instruction and `prev_eip` that of the current one. A fault resumes at
//     prev_eip. A function that transfers control sets `eip`.
//   * `esp_guard`: while it is true a fault restores ESP from `esp_saved`. The run loop clears it before each use.
//   * Whatever changes CR0, CR3, CR4, EFLAGS.VM, CPL, CS or a segment register goes through set_segment() /
//     mode_changed() / tlb_flush*(): cached decodings and translations depend on them.
#pragma once

#include <backplane/abi/cpu.h>

#include <atomic>
#include <csetjmp>
#include <cstdint>
#include <memory>
#include <string_view>

#include "fpu.hpp"
#include "registers.hpp"
#include "sse.hpp"

namespace backplane::interp {

// Lines into the processor, as bits of Cpu::lines (set from any thread, together with BP_ATTENTION_LINES).
enum LineBit : u32 {
    kLineIntr = 1,       // level
    kLineNmi = 2,        // latched edge
    kLineInit = 4,       // latched edge
    kLineSmi = 8,        // latched edge
    kLineA20 = 16,       // level: 1 = A20 passes
    kLineIgnne = 32,     // level
    kLineNmiLevel = 64,  // level, to find the edge
    kLineInitLevel = 128,
    kLineSmiLevel = 256,
    kLineA20Seen = 512,  // somebody drives the A20 line
    kLineSipi = 1024     // no line: a STARTUP interrupt waits, its vector in kSipiVector
};
inline constexpr u32 kSipiVector = 0xff0000;
inline constexpr unsigned kSipiVectorShift = 16;

// Reasons to leave a block after the current instruction, bits of Cpu::leave.
enum Leave : u32 {
    kLeaveCode = 1,   // a store hit cached code
    kLeaveDebug = 2,  // a debug trap is pending (debug_pending)
    kLeaveStop = 4    // back to the run loop
};

struct BlockCache;     // block.hpp
struct Tlb;            // memory.hpp
struct PhysicalCache;  // memory.hpp
struct Insn;           // insn.hpp
template <typename T>
struct Guest;       // memory.hpp
struct Tracer;      // trace.hpp
class Breakpoints;  // breakpoints.hpp

// What the engine needs from its surroundings besides memory.
struct CpuHost {
    void* self = nullptr;
    // Interrupt acknowledge: vector, or -1 if there is none. Takes the machine's lock itself.
    int (*acknowledge)(void* self) = nullptr;
    void (*set_ferr)(void* self, int level) = nullptr;
    // IA32_APIC_BASE; -1 / false where no local APIC is linked.
    i64 (*apic_base)(void* self) = nullptr;
    bool (*set_apic_base)(void* self, u64 value) = nullptr;
    // Task priority as CR8 shows it; without an interrupt controller that has one CR8 reads 0.
    u32 (*tpr)(void* self) = nullptr;
    void (*set_tpr)(void* self, u32 value) = nullptr;
    void (*log)(void* self, u32 kind, std::string_view text) = nullptr;
    u64 (*random)(void* self) = nullptr;  // RDRAND
};

struct Cpu {
    // --- registers -------------------------------------------------------------------------------------------------
    // Slots of eight bytes (little-endian host): word and byte registers are parts of them. gpr[kZeroReg] is always 0.
    static constexpr unsigned kZeroReg = 16;
    u64 gpr[17] = {};
    // Instruction pointer at which the running block began; the slot behind the registers, as the base of RIP-relative
    // operands.
    u64 block_eip = 0;
    static constexpr unsigned kIpReg = 17;
    // Lazy arithmetic flags, see flags.hpp. flag_result: sign-extended result; flag_aux: carries.
    i64 flag_result = 1;
    u64 flag_aux = 0;
    u32 eflags_rest = kFixed1;  // everything in EFLAGS that is not lazy
    u64 eip = 0;                // RIP: valid between instructions and, as "next instruction", inside the system part
    u64 prev_eip = 0;           // the current instruction

    Tlb* tlb = nullptr;  // of the current privilege (see mode_changed)
    bp_vcpu* vcpu = nullptr;
    u64 count = 0;               // instructions retired at the end of the running block
    const Insn* insn = nullptr;  // the instruction that may fault, set by every handler that can
    u32 leave = 0;               // Leave bits
    u32 mode = 0;                // key of decoded blocks, see block.hpp
    Segment seg[kSegCount];
    Segment ldtr, tr;
    TableRegister gdtr, idtr;
    u32 cr0 = 0x60000010, cr4 = 0;
    u64 cr2 = 0, cr3 = 0;
    u64 dr[4] = {};
    u32 dr6 = 0xffff0ff0, dr7 = 0x400;
    u8 cpl = 0;
    FpuState fpu;
    SseState sse;
    Msrs msr;
    u64 pdpte[4] = {};  // PAE page-directory pointers, loaded with CR3 (SDM 3, 4.4.1)

    // --- events ----------------------------------------------------------------------------------------------------
    std::atomic<u32> lines{kLineA20};
    bool halted = false;
    bool wait_for_sipi = false;
    bool startup_undecided = false;  // after a reset: wait_for_sipi is to follow from the local APIC's BSP bit
    bool shutdown = false;
    bool nmi_blocked = false;         // from NMI delivery to IRET
    bool inhibit_interrupts = false;  // one instruction after STI
    bool inhibit_all = false;         // one instruction after MOV SS / POP SS: no debug trap, NMI or INTR
    bool step_suppressed = false;     // INT n and the like: no single-step trap after them
    u32 debug_pending = 0;  // DR6 bits of traps to report after this instruction (data, I/O, single step, task)
    bool esp_guard = false;
    u64 esp_saved = 0;
    bool ferr = false;  // level of the FERR# output

    // An event that another engine has begun to deliver when this one takes over: it comes before everything else.
    struct HandedEvent {
        enum class Kind : u8 { kNone, kException, kInterrupt, kNmi } kind = Kind::kNone;
        Fault what;  // its vector, and the error code of an exception
    };
    HandedEvent handed;

    // --- system management mode (smm.cpp) --------------------------------------------------------------------------
    static constexpr u32 kSmbaseAtReset = 0x30000;
    bool smm = false;
    bool smm_nmi_blocked = false;  // as it was on entry; RSM brings it back
    u32 smm_debug_pending = 0;     // likewise
    u32 smbase = kSmbaseAtReset;
    // How memory is seen, a BP_VIEW_*.
    [[nodiscard]] int data_view() const { return smm ? BP_VIEW_SMM : BP_VIEW_NORMAL; }
    [[nodiscard]] int code_view() const { return smm ? BP_VIEW_SMM_CODE : BP_VIEW_NORMAL; }

    bool delivering_event = false;  // the run loop is inside deliver_*() or an external interrupt
    // An interrupt line that stays up and a handler that leaves IF alone must not keep time from passing. Far more than
    // an interrupt controller can nest.
    static constexpr u32 kMaxEventsInARow = 512;
    u32 events_in_a_row = 0;  // delivered without an instruction between them
    // Exception being delivered, for the double-fault rules; -1: none (exception.cpp).
    int delivering = -1;
    u32 ext = 0;  // 1 while an event external to the program is delivered: bit 0 of error codes
    Fault fault;
    jmp_buf fault_exit;  // of the run loop

    // --- surroundings ----------------------------------------------------------------------------------------------
    bp_cpu_bus bus{};  // calls are made under a HostFloat (sse.hpp)
    CpuHost host;
    const CpuModel* model = nullptr;
    u32 apic_id = 0;     // as CPUID shows it
    u32 processors = 1;  // in this one's package, likewise
    u64 tsc_hz = 0;
    u64 tsc_offset = 0;  // added to the clock-derived count
    u64 a20_mask = ~0ull;
    std::unique_ptr<BlockCache> cache;
    std::unique_ptr<Tlb[]> tlbs;  // [0] supervisor, [1] user, [2] always empty
    std::unique_ptr<PhysicalCache> phys_cache;
    Tracer* tracer = nullptr;
    std::unique_ptr<Breakpoints> debugger;  // a debugger's outside the machine; mostly nullptr
    bool derived_for_protected = false;     // Segment::read_end and write_end were computed for this
    bool alignment_checks = false;          // CR0.AM, EFLAGS.AC and CPL 3
    u32 generation = 0;                     // of address translation, see BlockCache
    u32 jump_tag = 0;                       // generation and mode, tag of the jump cache
    bool mode64 = false;                    // 64-bit mode: EFER.LMA and CS.L

    // --- several processors (shared.cpp) ---------------------------------------------------------------------------
    bool several = false;  // others have the same memory
    u8 code_bit = 1;       // this processor's in the code flags of pages; several may share the last one
    u32 pauses = 0;        // PAUSE instructions without much between them
    u64 last_pause = 0;    // `count` then

    Cpu();
    ~Cpu();
    Cpu(const Cpu&) = delete;
    Cpu& operator=(const Cpu&) = delete;

    void attach(bp_vcpu* vcpu_in, const bp_cpu_bus* bus_in);
    void reset(bool power_on);                    // RESET#; INIT# is init_signal()
    void init_signal();                           // registers as after INIT#: FPU, MSRs, TSC, caches keep their state
    void startup(u32 vector);                     // a STARTUP interrupt came; any thread, as set_line()
    void start_at(u32 vector);                    // what it does to a processor that waits for it
    void decide_startup();                        // settles startup_undecided
    u32 run();                                    // BP_EXIT_*
    void invalidate(Physical address, u64 size);  // queued; any thread
    void set_line(LineBit line, bool level);      // any thread
    void state_replaced();                        // after a restore: recompute all that derives from declared state

    // --- registers, parts ------------------------------------------------------------------------------------------
    [[nodiscard]] Reg32 r32(unsigned n) { return {&gpr[n]}; }
    [[nodiscard]] u16& r16(unsigned n) { return *reinterpret_cast<u16*>(&gpr[n]); }
    [[nodiscard]] u8& r8(unsigned n) { return *(reinterpret_cast<u8*>(&gpr[n & 3]) + (n >> 2 & 1)); }
    [[nodiscard]] u32 r32(unsigned n) const { return static_cast<u32>(gpr[n]); }
    [[nodiscard]] u16 r16(unsigned n) const { return static_cast<u16>(gpr[n]); }
    // Stack pointer by the size of the current stack segment (SS.B).
    [[nodiscard]] u64 sp() const { return mode64 ? gpr[kEsp] : seg[kSs].big() ? r32(kEsp) : r16(kEsp); }
    [[nodiscard]] u64 stack_mask() const { return mode64 ? ~0ull : seg[kSs].big() ? 0xffffffffu : 0xffffu; }
    void set_sp(u64 value) {
        if (mode64)
            gpr[kEsp] = value;
        else if (seg[kSs].big())
            r32(kEsp) = static_cast<u32>(value);
        else
            r16(kEsp) = static_cast<u16>(value);
    }

    // --- flags -----------------------------------------------------------------------------------------------------
    [[nodiscard]] u32 flags() const;  // all of EFLAGS, bit 1 set
    void set_flags(u32 value);        // all of EFLAGS; calls mode_changed() if TF or VM changed
    void set_flags(u32 value, u32 mask) { set_flags((flags() & ~mask) | (value & mask)); }
    void set_arith(u32 value);  // the six arithmetic flags only
    [[nodiscard]] bool flag(u32 bit) const { return (flags() & bit) != 0; }
    [[nodiscard]] unsigned iopl() const { return eflags_rest >> kIoplShift & 3u; }

    // --- mode ------------------------------------------------------------------------------------------------------
    [[nodiscard]] bool protected_mode() const { return (cr0 & kCr0Pe) != 0; }  // V86 included
    [[nodiscard]] bool v86() const { return (eflags_rest & kVm) != 0; }
    [[nodiscard]] bool real_or_v86() const { return !protected_mode() || v86(); }
    [[nodiscard]] bool long_mode() const { return (msr.efer & kEferLma) != 0; }  // compatibility mode included
    // Bits of a table entry, NX apart, that no physical address of the model reaches; bits 52 to 62 are free for
    // software in long mode.
    [[nodiscard]] u64 physical_reserved() const {
        const u64 top = long_mode() ? 1ull << 52 : 1ull << 63;
        return top - (1ull << model->physical_bits);
    }
    [[nodiscard]] bool has_long_mode() const { return (model->extended_edx & kFeatLm) != 0; }
    [[nodiscard]] bool paging() const { return (cr0 & kCr0Pg) != 0; }
    [[nodiscard]] bool user() const { return cpl == 3; }
    // Loads a cache as given (no checks) and derives what depends on it. The only way to change seg[].
    void set_segment(Seg s, u16 selector, u64 base, u32 limit, u16 attr);
    void set_segment_base(Seg s, u64 base);  // FS and GS by MSR
    // Real mode / V86 load: base = selector << 4; V86 also sets limit FFFF and attributes of a DPL 3 data segment,
    // real mode keeps limit and attributes (but CS becomes writable again), SDM 3, 21.1 and 23.
    void set_segment_real(Seg s, u16 selector);
    // CPL, CR0.PE/PG/WP, CR4, EFLAGS.VM/TF, DR7, CS.D, SS.B changed: recomputes `mode`, `tlb` and the like.
    void mode_changed();
    void set_cpl(unsigned value) {
        cpl = static_cast<u8>(value);
        mode_changed();
    }

    // --- faults ----------------------------------------------------------------------------------------------------
    // Every fault of an instruction. Restores EIP (and ESP under esp_guard) and continues in the run loop, which calls
    // deliver_fault(). Page faults have CR2 set already.
    [[noreturn]] void raise(u8 vector);             // without error code
    [[noreturn]] void raise(u8 vector, u32 error);  // with error code

    // --- memory ----------------------------------------------------------------------------------------------------
    // By segment: limit, type and null checks (#GP(0), #SS(0) for SS), alignment check, paging at the current CPL.
    // T: u8, u16, u32, u64. Offsets are already truncated to the address size.
    template <typename T>
    [[nodiscard]] T read(Seg s, u64 offset);
    template <typename T>
    void write(Seg s, u64 offset, T value);
    // Checks that a write would succeed (also its page permissions) without doing it.
    void probe_write(Seg s, u64 offset, u32 size);
    // The segment's checks of an operand of any size, and the alignment check for multiples of `alignment`.
    [[nodiscard]] Linear check_data(Seg s, u64 offset, u32 bytes, bool write, u32 alignment);
    // Linear, with explicit privilege: user = CPL 3 rules. Straddling pages is handled; a fault in the second page
    // leaves the first unwritten.
    template <typename T>
    [[nodiscard]] T lin_read(Linear address, bool user_access);
    template <typename T>
    void lin_write(Linear address, T value, bool user_access);
    void lin_probe_write(Linear address, u32 size, bool user_access);
    // Implicit supervisor accesses: descriptor tables, TSS, IDT.
    template <typename T>
    [[nodiscard]] T sys_read(Linear address) {
        return lin_read<T>(address, false);
    }
    template <typename T>
    void sys_write(Linear address, T value) {
        lin_write<T>(address, value, false);
    }
    // Physical, after A20.
    [[nodiscard]] u64 phys_read(Physical address, u32 bytes);
    void phys_write(Physical address, u32 bytes, u64 value);
    [[nodiscard]] u8 phys_fetch(Physical address);  // a byte of code
    void update_a20_mask();                         // from the line, which system management mode ignores
    // Sets bits in a byte at a linear address, or clears them, in one locked access; returns the old value.
    u8 sys_locked_or(Linear address, u8 bits);
    u8 sys_locked_and(Linear address, u8 bits);

    // What a serializing instruction does besides its own work (SDM 3, 8.3): stores are visible to all, and code that
    // others have written is decoded anew.
    void serialize() {
        if (several) serialize_slow();
    }
    void serialize_slow();
    void code_cached_by_other(Physical page);  // bp.cpu.code/1; any thread, under the machine's lock
    void pause();                              // PAUSE, MWAIT

    void tlb_flush(bool global_too);      // CR3 load: false (global pages stay if CR4.PGE)
    void tlb_flush_page(Linear address);  // INVLPG: also global
    // PAE: reads the four PDPTEs at cr3; false if a reserved bit is set (#GP). Nothing changes then.
    [[nodiscard]] bool load_pdptes(u64 new_cr3);

    // Before a call out of the engine (bus, host): stores the exact instruction count and pointer in vcpu.
    void sync_out();
    [[nodiscard]] u64 read_tsc();
    void write_tsc(u64 value);
    [[nodiscard]] u32 port_in(u32 port, u32 bytes);  // no permission check
    void port_out(u32 port, u32 bytes, u32 value);
    // An instruction pointer: 32 bits outside 64-bit mode.
    [[nodiscard]] u64 truncated_eip(u64 a) const { return mode64 ? a : a & 0xffffffffu; }
    // Recomputes the FERR# output from the FPU state and CR0.NE (mine: op_fpu.cpp).
    void update_ferr();
    // Leave the block after this instruction.
    void leave_after(Leave why) { leave |= why; }

    // =============================== system part (segment.cpp ... debug.cpp) ==========================
    // segment.cpp
    void load_segment(Seg s, u16 selector);  // MOV/POP/LxS to ES SS DS FS GS with all checks, every mode
    struct Descriptor {
        u32 low = 0, high = 0;
        [[nodiscard]] u32 base() const { return low >> 16 | (high & 0xffu) << 16 | (high & 0xff000000u); }
        [[nodiscard]] u32 limit() const {
            const u32 raw = (low & 0xffffu) | (high & 0xf0000u);
            return (high & 0x800000u) != 0 ? raw << 12 | 0xfffu : raw;
        }
        [[nodiscard]] u16 attr() const { return static_cast<u16>(high >> 8 & 0xf0ffu); }
    };
    // Base of a segment as addresses are formed with it now: only FS and GS have one in 64-bit mode.
    [[nodiscard]] u64 segment_base(unsigned s) const { return mode64 && s < kFs ? 0 : seg[s].base; }
    // Linear address of an offset in the code segment.
    [[nodiscard]] Linear code_address(u64 offset) const {
        return mode64 ? offset : static_cast<u32>(seg[kCs].base + offset);
    }
    void load_ldtr(u16 selector);  // LLDT
    void load_tr(u16 selector);    // LTR
    // LAR, LSL: true and the value if the selector is accessible (ZF is the caller's business). VERR/VERW likewise.
    [[nodiscard]] bool lar(u16 selector, u32& value);
    [[nodiscard]] bool lsl(u16 selector, u32& value);
    [[nodiscard]] bool verr(u16 selector);
    [[nodiscard]] bool verw(u16 selector);

    // transfer.cpp; `bytes` is the operand size 2, 4 or 8
    void far_jump(u16 selector, u64 offset, u32 bytes);
    void far_call(u16 selector, u64 offset, u32 bytes);
    void far_return(u32 bytes, u32 release);  // RETF imm16
    void interrupt_return(u32 bytes);         // IRET, also unblocks NMI
    void sysenter();
    void sysexit(u32 bytes = 4);
    // long_mode.cpp
    void syscall();
    void sysret(u32 bytes);
    void swapgs();

    // exception.cpp
    void deliver_fault(const Fault& f);  // from the run loop, eip = prev_eip; handles double and triple faults
    enum class SoftInt { kIntN, kInt3, kInto, kIcebp };
    void software_interrupt(u8 vector, SoftInt kind);  // with IOPL / VME checks of INT n
    void external_interrupt(u8 vector);
    void deliver_nmi();
    void deliver_debug_trap();  // #DB for debug_pending, eip = next instruction

    // task.cpp
    enum class TaskSwitch { kJump, kCall, kIret, kInterrupt };
    void task_switch(u16 selector, TaskSwitch how, bool push_error = false, u32 error = 0);

    // smm.cpp
    void enter_smm();        // SMI, between instructions
    void resume_from_smm();  // RSM; #UD outside

    [[nodiscard]] static bool cr0_consistent(u64 value);  // system.cpp: PG needs PE, NW needs CD
    [[nodiscard]] static u32 cr0_stored(u64 value);       // what a load of CR0 makes of it
    [[nodiscard]] u64 efer_bits() const;                  // that the model has, LMA included; msr.cpp
    [[nodiscard]] u32 cr4_writable() const;               // bits of CR4 that the model has

    // system.cpp; all check CPL/IOPL themselves and raise
    void lgdt(u64 base, u16 limit, u32 bytes);
    void lidt(u64 base, u16 limit, u32 bytes);
    void lmsw(u16 value);
    void clts();
    [[nodiscard]] u64 mov_from_cr(unsigned n);
    void mov_to_cr(unsigned n, u64 value);
    [[nodiscard]] u64 mov_from_dr(unsigned n);
    void mov_to_dr(unsigned n, u64 value);
    void invlpg(Linear address);
    void rdmsr();
    void wrmsr();
    // RDMSR and WRMSR without the privilege check; false: #GP(0).
    [[nodiscard]] bool get_msr(u32 address, u64& value);
    [[nodiscard]] bool put_msr(u32 address, u64 value);
    void rdtsc();
    void rdtscp();
    void rdpmc();
    [[nodiscard]] const u64* performance_counter(u32 index) const;  // nullptr if there is none; msr.cpp
    void wbinvd();                                                  // also INVD: CPL check only
    void halt();                                                    // HLT: CPL check, sets halted
    void cli();
    void sti();                                    // sets inhibit_interrupts if IF changes
    void push_flags_value(u32 bytes, u32& value);  // PUSHF: the checks (V86/VME) and the image; the handler pushes it
    void pop_flags_value(u32 bytes, u32 value);    // POPF: checks and effect of the popped image
    // Where check_io() found its last answer, in host memory; valid until translations are forgotten.
    struct IoPermission {
        const Guest<u16>* base = nullptr;  // the map's offset in the task state segment
        const Guest<u16>* map = nullptr;   // the two bytes of the map; nullptr: there is none
        u64 tss = 0;
        u32 limit = 0;
        u32 port = 0;  // in eights
        u16 attr = 0;
        u16 offset = 0;  // what `base` held
    };
    IoPermission io_permission;
    void check_io(u32 port, u32 bytes);  // I/O permission: IOPL or TSS bitmap, else #GP(0)
    void require_cpl0() {
        if (cpl != 0) raise(kGp, 0);
    }
    void require_table_access();  // SGDT, SIDT, SLDT, STR, SMSW: UMIP leaves them to the supervisor
    void cpuid();                 // cpuid.cpp
    void cpuid_leaf(u32 leaf, u32 part, u32 (&registers)[4]);  // EAX to EDX

    // debug.cpp
    [[nodiscard]] bool debug_data_enabled() const { return (dr7 & 0xffu) != 0; }  // any breakpoint armed
    void debug_data(Linear address, u32 bytes,
                    bool write);  // records matches in debug_pending, leave_after(kLeaveDebug)
    void debug_io(u32 port, u32 bytes);
    // Instruction breakpoint at this linear address (RF clear)? Returns the DR6 bits, 0 if none.
    [[nodiscard]] u32 debug_fetch(Linear address) const;
    // True if a data breakpoint lies in this page: its accesses must take the slow path.
    [[nodiscard]] bool debug_page_watched(Linear page) const;
};

}  // namespace backplane::interp
