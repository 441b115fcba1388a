/** @file
 * Backplane plugin ABI: what the kernel offers to a device through its slot.
 *
 * A device instance gets one bp_slot. Services are tables asked for by id; every function takes the slot's `self`
 * first. All calls are made under the machine's lock unless a function says "any thread". Indices number the items of
 * one kind in the order in which describe() declared them, from 0. Times are nanoseconds of the machine's virtual
 * clock. */
#ifndef BACKPLANE_ABI_HOST_H
#define BACKPLANE_ABI_HOST_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Where a device instance sits. */
typedef struct bp_slot {
    void* self;
    /** Returns the table for an id such as "bp.clock/1", or NULL if this kernel does not offer it. */
    const void* (*service)(void* self, bp_str id);
} bp_slot;

/** "bp.slot/1": identity, properties, joined interfaces, errors. */
#define BP_SLOT_API "bp.slot/1"
/** Table of bp.slot/1. */
typedef struct bp_slot_api {
    uint32_t size;
    /** The device's name on the board, for example "ide". Valid for the life of the instance. */
    bp_str (*name)(void* self);
    /** Records the text of a failure (the kernel adds device name and YAML position) and returns `status`. */
    bp_status (*fail)(void* self, bp_status status, bp_str text);
    /** Value of a declared property, already checked against its declaration and defaulted. A wrong index yields 0 /
     * "".
     */
    uint64_t (*property_u64)(void* self, uint32_t index);
    bp_str (*property_str)(void* self, uint32_t index); /**< valid for the life of the instance */
    /** 1 if the user wrote the property, 0 if it has its default. */
    int (*property_given)(void* self, uint32_t index);
    /** The interface that link `index` was joined to; table is NULL if an optional link is open. */
    bp_interface (*link)(void* self, uint32_t index);
} bp_slot_api;

/** "bp.log/1". Kinds of message; the first four are the named kinds of ignorance (rate-limited, de-duplicated). */
#define BP_LOG_API "bp.log/1"
enum {
    BP_LOG_GUEST = 0,         /**< the guest did something odd */
    BP_LOG_UNIMPLEMENTED = 1, /**< the guest asked for something that the model lacks */
    BP_LOG_UNUSUAL = 2,       /**< legal, but no known guest does it */
    BP_LOG_UNVERIFIED = 3,    /**< behaviour believed, not checked */
    BP_LOG_DEBUG = 4,
    BP_LOG_INFO = 5,
    BP_LOG_WARN = 6,
    BP_LOG_ERROR = 7
};
/** Table of bp.log/1. */
typedef struct bp_log_api {
    uint32_t size;
    void (*log)(void* self, uint32_t kind, bp_str text); /**< any thread */
    int (*enabled)(void* self, uint32_t kind);           /**< any thread */
} bp_log_api;

/** "bp.trace/1". A trace point is declared in describe(); its flag word is nonzero while somebody listens. */
#define BP_TRACE_API "bp.trace/1"
/** Table of bp.trace/1. */
typedef struct bp_trace_api {
    uint32_t size;
    const uint32_t* (*flag)(void* self, uint32_t index); /**< stable for the life of the instance */
    void (*emit)(void* self, uint32_t index, bp_str text);
} bp_trace_api;

/** "bp.vcpu/1": who asks, and registers that only one vCPU sees. For what every CPU has at the same address (local
 * APICs). */
#define BP_VCPU_API "bp.vcpu/1"
/** Table of bp.vcpu/1. */
typedef struct bp_vcpu_api {
    uint32_t size;
    /** Index (bp_vcpu.index) of the vCPU whose access is under way, or -1: another bus master's, or none. */
    int32_t (*current)(void* self);
    /** Places memory region `region` at `base` in the eyes of vCPU `vcpu` alone, in front of whatever else is there. A
     * region has at most one such place: mapping again moves it. From reset() on; not kept in a snapshot. Returns
     * BP_ERR_NOT_FOUND if there is no such vCPU. */
    bp_status (*map)(void* self, uint32_t vcpu, uint32_t region, uint64_t base);
    void (*unmap)(void* self, uint32_t region);
} bp_vcpu_api;

/** "bp.clock/1". */
#define BP_CLOCK_API "bp.clock/1"
/** Table of bp.clock/1. */
typedef struct bp_clock_api {
    uint32_t size;
    int64_t (*now)(void* self); /**< any thread: virtual time in ns since power-on */
    /** Arms timer `index` to expire once at absolute virtual time `when` (a past time expires at the next opportunity).
     */
    void (*arm)(void* self, uint32_t index, int64_t when);
    void (*cancel)(void* self, uint32_t index);
    int64_t (*due)(void* self, uint32_t index); /**< absolute time, or -1 if not armed */
    /** Wall-clock start of the machine: seconds since 1970-01-01 00:00 UTC at virtual time 0, as the board configures
     * it. */
    int64_t (*start_time)(void* self);
} bp_clock_api;

/** "bp.line/1". Wires. A wire is the OR of everything that drives it; a sink hears level changes only. */
#define BP_LINE_API "bp.line/1"
/** Table of bp.line/1. */
typedef struct bp_line_api {
    uint32_t size;
    void (*set)(void* self, uint32_t out_index, int level);
    int (*level)(void* self, uint32_t in_index);
    int (*driven)(void* self, uint32_t out_index); /**< the level that an output was last set to, or restored with */
} bp_line_api;

/** Priorities of claims in an address space; the higher one wins where ranges overlap (architecture, "Memory view"). */
enum {
    BP_PRIORITY_PCI = 100, /**< PCI BARs; among them the lower function wins */
    BP_PRIORITY_RAM = 200,
    BP_PRIORITY_FIXED = 300, /**< fixed chip ranges: APICs, HPET, flash, legacy VGA window, legacy ports */
    BP_PRIORITY_BRIDGE = 400 /**< the northbridge's decision on A0000-FFFFF */
};

/** "bp.space/1": claims that come and go at run time. Claims with `at:` in the YAML are made by the kernel. */
#define BP_SPACE_API "bp.space/1"
/** Table of bp.space/1. */
typedef struct bp_space_api {
    uint32_t size;
    /** Claims [base, base + the region's declared size) for region `index` in the space of the region's kind. A region
     * has at most one such claim: mapping again moves it. */
    bp_status (*map)(void* self, uint32_t region, uint64_t base, int32_t priority);
    void (*unmap)(void* self, uint32_t region);
    /** Changes the size of a region that is not mapped (a ROM or BAR whose size follows from a property). */
    bp_status (*resize)(void* self, uint32_t region, uint64_t size);
} bp_space_api;

/** "bp.dma/1": guest physical memory as a bus master sees it (normal view, no SMRAM). RAM and video RAM only: registers
 * are never reached, and message-signalled interrupts go through bp.msi/1. */
#define BP_DMA_API "bp.dma/1"
/** Table of bp.dma/1. */
typedef struct bp_dma_api {
    uint32_t size;
    /** Copies. BP_ERR_INVALID: part of the range is no memory (nothing, or registers of another device); the reachable
     * part is copied, the rest reads as FFh. BP_ERR_REENTRANT: part of the range are registers of the device itself;
     * nothing is written, all reads as FFh. The kernel counts such transfers and logs a device's first one. */
    bp_status (*read)(void* self, uint64_t address, void* data, uint64_t size);
    bp_status (*write)(void* self, uint64_t address, const void* data, uint64_t size);
} bp_dma_api;

/** "bp.ram/1": memory of the guest, for memory controllers, ROMs and display cards. */
#define BP_RAM_API "bp.ram/1"
enum {
    BP_MAP_READ = 1,       /**< reads come from the block */
    BP_MAP_WRITE = 2,      /**< writes go to the block */
    BP_MAP_DROP_WRITE = 4, /**< writes are claimed and dropped (ROM) */
    BP_MAP_DROP_READ = 8,  /**< reads are claimed and yield all ones */
    BP_MAP_SMM = 16,       /**< only CPUs in system management mode see the mapping; the other flags say how */
    BP_MAP_SMM_CODE = 32   /**< the same, and of their accesses only instruction fetches */
};
/** Table of bp.ram/1. */
typedef struct bp_ram_api {
    uint32_t size;
    /** Makes a zeroed block (size is rounded up to 4 KiB), saved in snapshots under `name`. Only in start(). */
    bp_status (*create)(void* self, bp_str name, uint64_t size, uint32_t* block);
    /** Host address of the block; stable for the life of the instance. Writing through it bypasses the page flags: call
     * touched() afterwards. */
    void* (*data)(void* self, uint32_t block);
    void (*touched)(void* self, uint32_t block, uint64_t offset, uint64_t size);
    /** Maps [offset, offset+size) of a block at `base` of the memory space. A direction without a flag falls through to
     * lower priorities. Returns a handle > 0 in *mapping. */
    bp_status (*map)(void* self, uint32_t block, uint64_t offset, uint64_t base, uint64_t size, uint32_t flags,
                     int32_t priority, uint32_t* mapping);
    /** Changes flags of a mapping in place (0 disables it). Changes made between begin() and end() appear as one. */
    bp_status (*set_flags)(void* self, uint32_t mapping, uint32_t flags);
    void (*unmap)(void* self, uint32_t mapping);
    void (*begin)(void* self);
    void (*end)(void* self);
    /** 1 and clears it if page (offset >> 12) of the block was written since the last call; for displays. */
    int (*test_and_clear_dirty)(void* self, uint32_t block, uint64_t offset);
} bp_ram_api;

/** A fact: one value with many consumers, computed once at power-on. */
typedef struct bp_fact_field {
    bp_str name;
    uint64_t number;
    bp_str text; /**< data == NULL if the field is a number */
} bp_fact_field;
/** The whole of it. */
typedef struct bp_fact {
    bp_str what; /**< "disk.geometry" */
    bp_str key;  /**< which one, in the publisher's own terms: "0" */
    const bp_fact_field* fields;
    size_t field_count;
} bp_fact;

/** "bp.publish/1". publish() may be called in device callback publish() only. */
#define BP_PUBLISH_API "bp.publish/1"
/** Table of bp.publish/1. */
typedef struct bp_publish_api {
    uint32_t size;
    bp_status (*publish)(void* self, const bp_fact* fact);
} bp_publish_api;

/** "bp.machine/1": what a device may ask of the whole machine. Orderly: acted on after the current instruction. */
#define BP_MACHINE_API "bp.machine/1"
enum {
    BP_REQUEST_RESET = 1,    /**< system reset */
    BP_REQUEST_POWEROFF = 2, /**< argument: exit code of the process if nonzero */
    BP_REQUEST_STOP = 3,     /**< pause; the text says why */
    BP_REQUEST_EXIT = 4      /**< a guest asked the emulator to end with exit code `argument` (debug exit) */
};
/** Table of bp.machine/1. */
typedef struct bp_machine_api {
    uint32_t size;
    void (*request)(void* self, uint32_t what, uint32_t argument, bp_str reason);
    /** Runs fn(argument) under the machine's lock, soon, in the machine's thread. Any thread. Backends come back this
     * way. */
    void (*post)(void* self, void (*fn)(void* argument), void* argument);
    /** 1 while the clock is deterministic. */
    int (*deterministic)(void* self);
    /** Fills with random bytes: from the host, or from the machine's seed in deterministic mode. */
    void (*random)(void* self, void* data, size_t size);
} bp_machine_api;

/** "bp.run-state/1": whether the machine runs. */
#define BP_RUN_STATE_API "bp.run-state/1"
/** Table of bp.run-state/1. */
typedef struct bp_run_state_api {
    uint32_t size;
    int (*running)(void* self); /**< 0 while it is stopped */
    /** Calls back after each stop (0) and before each continuation (1), in the machine's thread, under the lock. One
     * listener an instance; NULL ends it. */
    void (*listen)(void* self, void (*changed)(void* context, int running), void* context);
} bp_run_state_api;

/** "bp.input/1": the one door for what comes from outside the machine (typed characters, bytes of a socket). A back end
 * hands its bytes in; they come back to the same instance through bp_device_type.input. So they can be recorded with
 * their point of time, and on replay the recorded bytes come instead. */
#define BP_INPUT_API "bp.input/1"
/** Table of bp.input/1. */
typedef struct bp_input_api {
    uint32_t size;
    void (*submit)(void* self, const uint8_t* data, size_t size); /**< any thread; copies */
} bp_input_api;

/** "bp.control/1": for plugins of kind frontend: commands on the whole machine, as JSON texts. The names and arguments
 * are those of the control socket (docs/control.md). */
#define BP_CONTROL_API "bp.control/1"
/** Table of bp.control/1. */
typedef struct bp_control_api {
    uint32_t size;
    /** Runs a command soon, in the machine's thread. `arguments` is a JSON object or empty. done() is called exactly
     * once, in the machine's thread or from within execute(): status BP_OK and the value that the command returns, or a
     * failure and {"class": ..., "desc": ...}. Any thread. */
    void (*execute)(void* self, bp_str command, bp_str arguments,
                    void (*done)(void* context, bp_status status, bp_str json), void* context);
    /** Calls back for every event, {"event": ..., "data": {...}, "timestamp": ...}, in the machine's thread, under the
     * lock. One listener an instance; NULL ends it, after which no call comes. */
    void (*listen)(void* self, void (*event)(void* context, bp_str json), void* context);
} bp_control_api;

/** "bp.events/1": what a device tells the machine's users. The kernel hands it to front ends without understanding it,
 * as the event BACKPLANE_DEVICE of the control socket with the device's name. */
#define BP_EVENTS_API "bp.events/1"
/** Table of bp.events/1. */
typedef struct bp_events_api {
    uint32_t size;
    /** `event` is a name of the device's own choice ("tray-moved"), `data` a JSON object. Both are copied. Heard soon,
     * and before the machine acts on a request that follows. Any thread. */
    void (*tell)(void* self, bp_str event, bp_str data);
} bp_events_api;

/** "bp.files/1": for plugins that declare `needs: [files]`. */
#define BP_FILES_API "bp.files/1"
/** Table of bp.files/1. */
typedef struct bp_files_api {
    uint32_t size;
    /** Finds a firmware file by name or path (board folder, firmware search path). Writes the path, at most `capacity`
     * bytes, to `path` and its length to *length. On BP_ERR_NOT_FOUND the failure text names the searched folders. */
    bp_status (*find_firmware)(void* self, bp_str name, char* path, size_t capacity, size_t* length);
} bp_files_api;

#ifdef __cplusplus
}
#endif
#endif
