/** @file
 * Backplane plugin ABI: CPU engines and interrupt delivery. */
#ifndef BACKPLANE_ABI_CPU_H
#define BACKPLANE_ABI_CPU_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Bits of the attention word. The kernel, lines and other threads set bits with an atomic OR (release); the engine
 * clears what it has handled with an atomic AND-NOT (acquire). The engine looks at the word at least at every backward
 * branch and block entry. */
enum {
    BP_ATTENTION_LINES =
        1u << 0, /**< an input line changed (INTR, NMI, SMI, INIT, A20 ...); set by the engine's own inputs */
    BP_ATTENTION_STOP =
        1u
        << 1, /**< leave run() with BP_EXIT_STOP as soon as the current instruction is complete; the kernel clears it */
    BP_ATTENTION_VIEW = 1u << 2, /**< the memory view changed: flush what was derived from page() */
    BP_ATTENTION_INVALIDATE =
        1u << 3, /**< a page with translated code was written by somebody else: drop pages in the ring */
    BP_ATTENTION_ENGINE = 1u << 16 /**< first of 16 bits for the engine's own use */
};

/** Shared between the kernel and the engine for one vCPU, made by the kernel, stable until detach. */
typedef struct bp_vcpu {
    uint32_t attention;    /**< atomic; see above */
    uint32_t index;        /**< of the vCPU, from 0 */
    uint64_t instructions; /**< engine: retired instructions, each REP iteration and each faulting instruction counting
                              one; exact before every call out and on return of run() */
    uint64_t deadline;     /**< kernel: run() returns BP_EXIT_DEADLINE when instructions >= deadline */
    uint64_t instruction_pointer; /**< engine: linear address of the current instruction, before every call out */
} bp_vcpu;

/** What lies behind one 4 KiB page of guest-physical memory. */
typedef struct bp_page {
    uint8_t* read;  /**< host address of the page for loads and fetches, or NULL: use read() */
    uint8_t* write; /**< host address for stores, or NULL: use write() */
    uint8_t*
        code_flag;  /**< of this page, or NULL. The engine stores 1 when it caches code from the page. A store to a page
                       whose flag is 1 must drop that code first; the kernel does the same for DMA via invalidate(). */
    uint8_t* dirty; /**< a store writes 1 here, or NULL if nobody watches the page */
} bp_page;

/** Whose eyes an access to memory sees with: argument `smm` below. An answer of page() holds for one view. */
enum {
    BP_VIEW_NORMAL = 0,
    BP_VIEW_SMM = 1,     /**< in system management mode: data */
    BP_VIEW_SMM_CODE = 2 /**< in system management mode: an instruction fetch */
};

/** A stretch of guest-physical memory, in whole pages of 4 KiB, that is one stretch of the host's as well. */
typedef struct bp_memory_range {
    uint64_t address; /**< of the guest */
    uint64_t bytes;
    uint8_t* host;     /**< loads and fetches */
    uint8_t* dirty;    /**< a byte for each page, into which a store writes 1; NULL: nobody watches */
    uint32_t writable; /**< 1: stores go there as well; 0: they are accesses by bp_cpu_bus.write */
    uint32_t reserved;
} bp_memory_range;

/** Memory and port access of a vCPU; address is physical after A20. Any access size 1, 2, 4, 8; unaligned and
 * straddling accesses are split by the kernel. Calls take the machine's lock themselves: call without it. */
typedef struct bp_cpu_bus {
    uint32_t size;
    void* self;
    void (*page)(void* self, uint64_t address, int smm, bp_page* page);
    uint64_t (*read)(void* self, uint64_t address, uint32_t bytes, int smm);
    void (*write)(void* self, uint64_t address, uint32_t bytes, uint64_t value, int smm);
    uint64_t (*port_read)(void* self, uint32_t port, uint32_t bytes);
    void (*port_write)(void* self, uint32_t port, uint32_t bytes, uint64_t value);
    /** For calls into linked interfaces (interrupt acknowledge ...), which need the machine's lock. Recursive. */
    void (*lock)(void* self);
    void (*unlock)(void* self);
    int64_t (*now)(void* self); /**< virtual time in ns; in deterministic mode derived from vcpu.instructions */
    /** The engine has just set the code flag of the page at `address`: the others hear of it (bp.cpu.code/1). Without
     * the lock. */
    void (*code_cached)(void* self, uint64_t address);
    /** The engine stored to [address, address+size), where a code flag was set: other engines drop what they have of
     * it (bp_cpu.invalidate). Without the lock. */
    void (*code_written)(void* self, uint64_t address, uint64_t size);
    /** All that reads as memory in the normal view, in ascending order: what page() says, at once. Fills in at most
     * `capacity` and returns how many there are. BP_ATTENTION_VIEW tells of changes. */
    uint32_t (*ranges)(void* self, bp_memory_range* ranges, uint32_t capacity);
    /** The same for all vCPUs that share this memory, and for no others. Only to be compared. */
    const void* board;
} bp_cpu_bus;

/** Why run() returned. */
enum {
    BP_EXIT_DEADLINE = 1, /**< the instruction deadline was reached */
    BP_EXIT_STOP = 2,     /**< the STOP bit was seen */
    BP_EXIT_HALT = 3,     /**< HLT (or waiting for SIPI): nothing to do until an attention bit comes */
    BP_EXIT_SHUTDOWN = 4, /**< triple fault */
    BP_EXIT_BREAK = 5,    /**< breakpoint or single step asked for through bp.cpu.debug/1 */
    BP_EXIT_ERROR = 6     /**< the engine cannot go on; it has called fail() */
};

/** "bp.cpu/1": offered by an engine. The engine is a device like any other: its model is a property, its INTR, NMI ...
 * are input lines, its registers are declared state. */
#define BP_CPU_ID "bp.cpu/1"
/** Table of bp.cpu/1. */
typedef struct bp_cpu {
    uint32_t size;
    bp_status (*attach)(void* instance, bp_vcpu* vcpu,
                        const bp_cpu_bus* bus); /**< after start(), before the first run() */
    uint32_t (*run)(void* instance);            /**< in the vCPU's thread, without the lock */
    /** Somebody else wrote [address, address+size) and a code flag there was set. Under the lock, any thread; the
     * engine queues it and takes notice through its attention word. */
    void (*invalidate)(void* instance, uint64_t address, uint64_t size);
    /** Writes one or more lines about where the CPU is (CS:IP, mode, flags, disassembly) into text; returns the length.
     * Called while the CPU stands or, for a hang report, while it runs (then approximate). */
    size_t (*where)(void* instance, char* text, size_t capacity);
    /** Starts (or with an empty path ends) an instruction trace into a file: one line an instruction with disassembly.
     */
    bp_status (*trace_instructions)(void* instance, bp_str path);
} bp_cpu;

/** "bp.cpu.code/1": offered beside bp.cpu/1 by an engine that does not look at a page's code flag with every store. */
#define BP_CPU_CODE_ID "bp.cpu.code/1"
/** Table of bp.cpu.code/1. */
typedef struct bp_cpu_code {
    uint32_t size;
    /** Another engine has set the code flag of the page at `address`. From now on a store there is told of by
     * bp_cpu_bus.code_written; one that is under way at the latest when the block of instructions that it belongs to
     * ends. Under the lock, any thread. */
    void (*cached)(void* instance, uint64_t address);
} bp_cpu_code;

/** "bp.cpu.hardware/1": offered beside bp.cpu/1 by an engine that hands the guest to the host's processor, which looks
 * at no attention word and writes no dirty flags. */
#define BP_CPU_HARDWARE_ID "bp.cpu.hardware/1"
/** Table of bp.cpu.hardware/1. */
typedef struct bp_cpu_hardware {
    uint32_t size;
    /** The attention word has got bits: the engine looks at it soon. Any thread, with or without the lock. */
    void (*attend)(void* instance);
    /** Somebody is about to look at dirty flags: brings them up to date. Those of the last milliseconds may be missing
     * while run() goes on; none is missing after it. Under the lock. */
    void (*collect_dirty)(void* instance);
} bp_cpu_hardware;

/** "bp.cpu.startup/1": offered beside bp.cpu/1 by an engine that can be an application processor. Its local APIC links
 * to it. Called under the lock, any thread. */
#define BP_CPU_STARTUP_ID "bp.cpu.startup/1"
/** Table of bp.cpu.startup/1. */
typedef struct bp_cpu_startup {
    uint32_t size;
    /** A STARTUP interrupt came. A CPU that waits for one after INIT begins at vector * 1000h in real mode; any other
     * ignores it. (INIT itself is an input line; whether the CPU waits after it, or after a reset, says the BSP bit of
     * bp_intr.apic_base.) */
    void (*startup)(void* instance, uint32_t vector);
} bp_cpu_startup;

/** "bp.intr/1": the interrupt controller next to a CPU (local APIC, or a PIC directly). Called under the lock. */
#define BP_INTR_ID "bp.intr/1"
/** Table of bp.intr/1. */
typedef struct bp_intr {
    uint32_t size;
    /** The CPU takes an interrupt: returns its vector (0-255), or -1 if there is none any more (spurious). */
    int32_t (*acknowledge)(void* instance);
    /** IA32_APIC_BASE as RDMSR/WRMSR see it; -1 / BP_ERR_UNSUPPORTED for a controller without a local APIC. */
    int64_t (*apic_base)(void* instance);
    bp_status (*set_apic_base)(void* instance, uint64_t value);
    /** Task priority as CR8 sees it (bits 3:0). */
    uint32_t (*tpr)(void* instance);
    void (*set_tpr)(void* instance, uint32_t value);
} bp_intr;

#ifdef __cplusplus
}
#endif
#endif
