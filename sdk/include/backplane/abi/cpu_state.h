/** @file
 * Backplane plugin ABI: the architectural state of an x86 processor, and debugging of the program that it runs.
 *
 * Both interfaces are offered by an engine beside bp.cpu/1, with the same instance. Their functions are called while
 * the CPU is outside run() and stays there, under the machine's lock. */
#ifndef BACKPLANE_ABI_CPU_STATE_H
#define BACKPLANE_ABI_CPU_STATE_H

#include "base.h"
#include "device.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A segment register, LDTR or TR with its hidden part. */
typedef struct bp_x86_segment {
    uint64_t base;
    uint32_t limit; /**< in bytes, granularity applied */
    uint16_t selector;
    uint16_t attributes; /**< of the descriptor, bits 40-47 in bits 0-7 and 52-55 in bits 12-15; bits 8-11 are 0 */
} bp_x86_segment;

/** GDTR or IDTR. */
typedef struct bp_x86_table {
    uint64_t base;
    uint32_t limit; /**< 16 bits of it */
    uint32_t reserved;
} bp_x86_table;

/** A register of 80 bits. */
typedef struct bp_x86_float {
    uint64_t mantissa; /**< an MMX register is this part */
    uint16_t sign_exponent;
    uint16_t reserved[3];
} bp_x86_float;

/** Order of bp_x86_state.gpr: that of the encoding. */
enum {
    BP_X86_RAX = 0,
    BP_X86_RCX = 1,
    BP_X86_RDX = 2,
    BP_X86_RBX = 3,
    BP_X86_RSP = 4,
    BP_X86_RBP = 5,
    BP_X86_RSI = 6,
    BP_X86_RDI = 7 /**< R8 to R15 follow */
};

/** Order of bp_x86_state.segment: that of the encoding. */
enum { BP_X86_ES = 0, BP_X86_CS = 1, BP_X86_SS = 2, BP_X86_DS = 3, BP_X86_FS = 4, BP_X86_GS = 5 };

/** Bits of bp_x86_state.events. */
enum {
    BP_X86_HALTED = 1u << 0,           /**< HLT waits for an interrupt */
    BP_X86_WAIT_FOR_SIPI = 1u << 1,    /**< an application processor that was not started */
    BP_X86_SHUTDOWN = 1u << 2,         /**< after a triple fault */
    BP_X86_NMI_BLOCKED = 1u << 3,      /**< from the delivery of an NMI to IRET */
    BP_X86_SHADOW_STI = 1u << 4,       /**< no interrupt before the end of the next instruction */
    BP_X86_SHADOW_SS = 1u << 5,        /**< after MOV SS and POP SS: no debug trap and NMI either */
    BP_X86_NMI_PENDING = 1u << 6,      /**< an edge came and was not taken yet */
    BP_X86_INIT_PENDING = 1u << 7,     /**< likewise */
    BP_X86_SMI_PENDING = 1u << 8,      /**< likewise */
    BP_X86_IN_SMM = 1u << 9,           /**< in system management mode */
    BP_X86_SMM_NMI_BLOCKED = 1u << 10, /**< BP_X86_NMI_BLOCKED as RSM brings it back */
    BP_X86_SIPI_PENDING = 1u << 11     /**< bp_x86_state.sipi_vector is to be taken */
};

/** Everything that a program can see of one x86-64 processor, between two instructions, apart from memory and devices
 * (the local APIC is one). What a processor does not have stays at its value after a reset, and set() ignores it.
 * Levels of input lines are not here: they are the wires'. */
typedef struct bp_x86_state {
    uint32_t size; /**< of this struct, as the caller knows it. get() fills and set() takes so much and leaves the rest
                      alone */
    uint32_t events; /**< BP_X86_HALTED and so on */
    uint64_t gpr[16];
    uint64_t rip; /**< offset of the next instruction */
    uint64_t rflags;
    bp_x86_segment segment[6]; /**< the bases of FS and GS are the MSRs FS_BASE and GS_BASE */
    bp_x86_segment ldtr;
    bp_x86_segment tr;
    bp_x86_table gdtr;
    bp_x86_table idtr;
    uint64_t cr0;
    uint64_t cr2;
    uint64_t cr3;
    uint64_t cr4;
    uint64_t cr8; /**< the local APIC's; set() hands it on only if it is another value there */
    uint64_t xcr0;
    uint64_t efer;
    uint64_t pdpte[4]; /**< page-directory pointers of PAE paging, as they were loaded with CR3 */
    uint64_t dr[4];
    uint64_t dr6;
    uint64_t dr7;
    uint32_t debug_pending;     /**< bits of DR6 for a debug trap that is due before the next instruction */
    uint32_t smm_debug_pending; /**< likewise, as RSM brings it back */
    uint8_t cpl;
    uint8_t sipi_vector;
    uint8_t reserved0[2];
    uint32_t smbase;

    bp_x86_float st[8]; /**< ST(0) to ST(7), that is, by the top of the stack */
    uint16_t fcw;
    uint16_t fsw; /**< with the top of the stack in bits 11-13 */
    uint8_t ftw;  /**< as FXSAVE stores it: bit n is set if physical register n is not empty */
    uint8_t reserved1;
    uint16_t fop;
    uint64_t fip;
    uint64_t fdp;
    uint16_t fcs;
    uint16_t fds;
    uint32_t mxcsr;
    uint8_t ymm[16][32]; /**< little-endian; XMM registers are the first half */

    uint64_t tsc;     /**< time-stamp counter at `tsc_time` */
    int64_t tsc_time; /**< virtual time in ns; set() lets the counter go on from there, so that nothing is lost in
                         between */
    uint64_t tsc_aux;
    uint64_t apic_base; /**< IA32_APIC_BASE; belongs to the local APIC where there is one, as CR8 does */
    uint64_t pat;
    uint64_t sysenter_cs;
    uint64_t sysenter_esp;
    uint64_t sysenter_eip;
    uint64_t star;
    uint64_t lstar;
    uint64_t cstar;
    uint64_t sfmask;
    uint64_t kernel_gs_base;
    uint64_t misc_enable;
    uint64_t debug_ctl;
    uint64_t mtrr_def_type;
    uint64_t mtrr_fixed[11];
    uint64_t mtrr_variable[16]; /**< pairs of base and mask */
    uint64_t mcg_cap;
    uint64_t mcg_status;
    uint64_t mcg_ctl;
    uint64_t mc_bank[32]; /**< eight banks: CTL, STATUS, ADDR, MISC */
    uint64_t perf_event[8];
    uint64_t perf_counter[8];
    uint64_t microcode; /**< IA32_BIOS_SIGN_ID */
    uint64_t platform_id;
    uint64_t ebl_cr_poweron;
    uint32_t cpuid_features[8]; /**< what CPUID shows of features: leaves 1 EDX, 1 ECX, 80000001 EDX, 80000001 ECX,
                                   80000007 EDX, 7 EBX, 7 ECX, 0D part 1 EAX; without what depends on the state. All 0:
                                   not told. set() refuses features that the engine lacks, and shows no others from
                                   then on: a program does not ask twice */
    uint64_t tsc_frequency; /**< of the time-stamp counter, in Hz of virtual time; 0: not told. set() goes on with it
                               where the engine can: a program has measured it */
    uint64_t reserved2[11];
} bp_x86_state;

/** "bp.cpu.state/1": reads and replaces the whole state. set() with what get() gave changes nothing that a program can
 * see; set() on another engine lets it go on where the first one stood. */
#define BP_CPU_STATE_ID "bp.cpu.state/1"
/** Table of bp.cpu.state/1. */
typedef struct bp_cpu_state {
    uint32_t size;
    /** The caller sets state->size. */
    bp_status (*get)(void* instance, bp_x86_state* state);
    /** BP_ERR_INVALID, with nothing changed, if no processor could be in that state (bp_slot_api.fail says why). */
    bp_status (*set)(void* instance, const bp_x86_state* state);
    /** Shows every field of a state by name (backplane/cpu_state.hpp does it), for who keeps or compares states without
     * knowing their meaning. The same names in every engine; the flags are 0. */
    void (*visit)(bp_x86_state* state, const bp_state_visitor* visitor);
} bp_cpu_state;

/** What a processor has, by its model: answer of bp_cpu_debug.features(). */
enum {
    BP_CPU_HAS_X87 = 1u << 0,
    BP_CPU_HAS_SSE = 1u << 1, /**< MXCSR and XMM registers */
    BP_CPU_HAS_AVX = 1u << 2,
    BP_CPU_HAS_LONG_MODE = 1u << 3
};

/** What a watchpoint waits for; bits. */
enum { BP_WATCH_READ = 1u << 0, BP_WATCH_WRITE = 1u << 1 };

/** A request for a single step. */
enum {
    BP_STEP_OFF = 0,
    BP_STEP_ONE = 1,     /**< until behind the next instruction, or until an interrupt or exception was delivered */
    BP_STEP_ONE_HELD = 2 /**< the same, but interrupts wait, unless the CPU waits for one in HLT */
};

/** Why run() returned BP_EXIT_BREAK. */
enum {
    BP_STOP_NONE = 0,       /**< it did not */
    BP_STOP_BREAKPOINT = 1, /**< before the instruction at `address` */
    BP_STOP_STEP = 2,       /**< the step is done */
    BP_STOP_WATCHPOINT = 3  /**< behind the instruction that accessed what is watched */
};

/** What stopped a CPU. */
typedef struct bp_cpu_stop {
    uint32_t size;    /**< of this struct, set by the caller */
    uint32_t kind;    /**< BP_STOP_... */
    uint64_t address; /**< linear: of the breakpoint or of the watchpoint, as it was added */
    uint32_t length;  /**< of the watchpoint */
    uint32_t watched; /**< BP_WATCH_...: what the watchpoint waits for */
    uint32_t access;  /**< BP_WATCH_...: what the access was */
    uint32_t reserved;
    uint64_t accessed; /**< linear address of the access */
} bp_cpu_stop;

/** How translate(), read() and write() take an address; bits. */
enum {
    BP_DEBUG_PHYSICAL = 1u << 0, /**< read(), write(): it is a physical one, after A20 */
    BP_DEBUG_WRITE = 1u << 1,    /**< translate(): only if a write were allowed. Without the next bits nothing but
                                    presence is looked at */
    BP_DEBUG_USER = 1u << 2,     /**< translate(): only if code with CPL 3 may do so */
    BP_DEBUG_FETCH = 1u << 3     /**< translate(): only if code may be executed there */
};

/** "bp.cpu.debug/1": what a debugger needs. A program cannot see any of it: nothing is written into its memory, no
 * debug register is used, and its own breakpoints keep working. Addresses are linear. Nothing of it is part of the
 * state. */
#define BP_CPU_DEBUG_ID "bp.cpu.debug/1"
/** Table of bp.cpu.debug/1. */
typedef struct bp_cpu_debug {
    uint32_t size;
    uint32_t (*features)(void* instance); /**< BP_CPU_HAS_...; from start() on */
    /** run() returns BP_EXIT_BREAK before the instruction at the address is executed, but for the one that it stopped
     * at the time before. Adding twice is the same as once. BP_ERR_NO_MEMORY: there are too many. */
    bp_status (*add_breakpoint)(void* instance, uint64_t address);
    bp_status (*remove_breakpoint)(void* instance, uint64_t address); /**< BP_ERR_NOT_FOUND */
    /** Stops behind an instruction that accesses one of `length` bytes (1 to 8, any alignment) in a way that `access`
     * (BP_WATCH_...) names. Accesses of the processor itself (page tables) do not count. */
    bp_status (*add_watchpoint)(void* instance, uint64_t address, uint32_t length, uint32_t access);
    bp_status (*remove_watchpoint)(void* instance, uint64_t address, uint32_t length, uint32_t access);
    void (*clear)(void* instance); /**< all breakpoints and watchpoints and the request for a step */
    /** BP_STEP_...: for the next run(), and the ones after it until the step is done. An instruction with a REP prefix
     * is one. */
    void (*step)(void* instance, uint32_t mode);
    void (*last_stop)(void* instance, bp_cpu_stop* stop); /**< of the last run() */
    /** The physical address, or -1. Without side effects: no fault, no accessed and dirty bits. */
    int64_t (*translate)(void* instance, uint64_t address, uint32_t how);
    /** Copies memory as the CPU sees it, whatever the rights; returns how many bytes it got through. Stops before a
     * page that is not mapped or is no memory: registers of devices are not touched. */
    uint64_t (*read)(void* instance, uint64_t address, void* data, uint64_t size, uint32_t how);
    /** Likewise; ROM is no memory for it. Code that the engine keeps of these bytes is dropped. */
    uint64_t (*write)(void* instance, uint64_t address, const void* data, uint64_t size, uint32_t how);
} bp_cpu_debug;

#ifdef __cplusplus
}
#endif
#endif
