/** @file
 * Backplane plugin ABI: what a plugin exports and how a device type declares itself. */
#ifndef BACKPLANE_ABI_DEVICE_H
#define BACKPLANE_ABI_DEVICE_H

#include "base.h"
#include "host.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Values of properties. */
enum {
    BP_PROPERTY_BOOL = 1,
    BP_PROPERTY_U64 = 2,      /**< number, decimal or 0x */
    BP_PROPERTY_SIZE = 3,     /**< bytes; suffixes K M G T (powers of 1024) */
    BP_PROPERTY_DURATION = 4, /**< nanoseconds; suffixes ns us ms s */
    BP_PROPERTY_STRING = 5,
    BP_PROPERTY_ENUM = 6, /**< one of `choices`, separated by '|' */
    BP_PROPERTY_PATH = 7  /**< host file; relative to the YAML file that names it */
};
/** A property: what the YAML may say about a device. */
typedef struct bp_property {
    uint32_t size;
    uint32_t kind;
    bp_str name;
    bp_str doc;
    bp_str default_text; /**< data == NULL: required */
    bp_str choices;
    uint64_t minimum, maximum; /**< for numbers, sizes and durations; both inclusive */
} bp_property;

enum { BP_LINE_IN = 1, BP_LINE_OUT = 2 };
/** A line, or a bundle of them. */
typedef struct bp_line {
    uint32_t size;
    uint32_t direction;
    bp_str name;
    bp_str doc;
    uint32_t count; /**< 1, or the number of lines of a bundle "name0".."nameN-1" with consecutive indices */
    /** Inputs: called when the level changes. line counts from 0 within the bundle. */
    void (*changed)(void* instance, uint32_t line, int level);
} bp_line;

enum { BP_REGION_PORTS = 1, BP_REGION_MEMORY = 2 };
/** A bank of registers: ports or memory. */
typedef struct bp_region {
    uint32_t size;
    uint32_t kind;
    bp_str name;
    bp_str doc;
    uint64_t length; /**< bytes or ports */
    uint32_t widths; /**< OR of the access sizes in bytes that are decoded: 1 | 2 | 4 | 8 */
    /** offset counts from the region's start; the access lies wholly inside. NULL: that direction is not claimed. */
    uint64_t (*read)(void* instance, uint64_t offset, uint32_t bytes);
    void (*write)(void* instance, uint64_t offset, uint32_t bytes, uint64_t value);
} bp_region;

/** A one-shot timer on the virtual clock. */
typedef struct bp_timer {
    uint32_t size;
    bp_str name;
    void (*expired)(void* instance, int64_t due);
} bp_timer;

/** A link: an interface that this device uses, joined by name in the YAML (`image: disk0`). */
typedef struct bp_link {
    uint32_t size;
    bp_str name;
    bp_str doc;
    bp_str interface_id;
    int optional;
} bp_link;

/** A bus: a place that other devices plug into (`on: ide.0/1` = device ide, bus "0", address "1"). */
typedef struct bp_bus {
    uint32_t size;
    bp_str name;
    bp_str doc;
    bp_str child_interface_id; /**< what a child must offer */
    bp_str host_interface_id;  /**< what a child gets in return */
    /** Plugs a child in before start(). *host is what the child gets. Refuses with a status and fail(). */
    bp_status (*attach)(void* instance, bp_str address, bp_str child_name, bp_interface child, bp_interface* host);
} bp_bus;

/** A plug: this device sits on a bus (`on:`). */
typedef struct bp_plug {
    uint32_t size;
    bp_str child_interface_id; /**< what this device offers there */
    bp_str host_interface_id;  /**< what it expects from the bus */
} bp_plug;

/** An interface that other devices may link to. */
typedef struct bp_offer {
    uint32_t size;
    bp_str interface_id;
    bp_str name; /**< to tell several of the same id apart; "" for the only one */
} bp_offer;

/** A fact that this type publishes or consumes. */
typedef struct bp_fact_use {
    uint32_t size;
    bp_str what;
    bp_str doc;
    int publishes;    /**< 1 publishes, 0 consumes */
    int must_consume; /**< publisher only: a board where nobody consumes it does not load */
} bp_fact_use;

/** A trace point. */
typedef struct bp_trace_point {
    uint32_t size;
    bp_str name;
    bp_str doc;
} bp_trace_point;

/** The kernel's ear for describe(). Each call returns the item's index among its kind (a bundle: the first). */
typedef struct bp_describer {
    uint32_t size;
    void* self;
    void (*doc)(void* self, bp_str text);
    uint32_t (*property)(void* self, const bp_property*);
    uint32_t (*line)(void* self, const bp_line*); /**< inputs and outputs are numbered separately */
    uint32_t (*region)(void* self, const bp_region*);
    uint32_t (*timer)(void* self, const bp_timer*);
    uint32_t (*link)(void* self, const bp_link*);
    uint32_t (*bus)(void* self, const bp_bus*);
    void (*plug)(void* self, const bp_plug*);
    void (*offer)(void* self, const bp_offer*);
    void (*fact)(void* self, const bp_fact_use*);
    uint32_t (*trace)(void* self, const bp_trace_point*);
} bp_describer;

/** Declared state: visited on a live instance, the same way for saving, restoring, inspecting and comparing. */
enum {
    BP_STATE_UNSIGNED = 1,
    BP_STATE_SIGNED = 2,
    BP_STATE_BOOL = 3,
    BP_STATE_BYTES = 4, /**< raw, for buffers */
    BP_STATE_FLOAT = 5
};
enum {
    BP_STATE_WRITABLE = 1, /**< front ends may set it on a machine that stands still; restored() is called afterwards */
    /** Of a back end: what must be the same when a snapshot is restored (size of an image, its last change). Compared,
     * never written. */
    BP_STATE_IDENTITY = 2,
    /** Older versions of the type had this field: it is taken from an old snapshot and ignored. count is 0. */
    BP_STATE_DROPPED = 4
};
/** One field, or an array of equal elements. */
typedef struct bp_state_field {
    uint32_t size;
    uint32_t kind;
    bp_str name;           /**< "index", or with a path: "channel[1].count" */
    uint32_t element_size; /**< bytes: 1, 2, 4, 8 */
    uint32_t since;        /**< state version that brought the field; older snapshots leave it at its reset value */
    uint32_t flags;        /**< BP_STATE_WRITABLE ... */
    uint64_t count;        /**< elements */
    void* data;            /**< the live field: the visitor reads it (save) or writes it (restore) */
    /** What each element may be, both inclusive, in the field's own signedness; a snapshot with another value is
     * refused before anything is changed. Not for BP_STATE_BYTES and BP_STATE_FLOAT. */
    uint64_t minimum, maximum;
} bp_state_field;
/** Who visits. */
typedef struct bp_state_visitor {
    uint32_t size;
    void* self;
    void (*field)(void* self, const bp_state_field*);
} bp_state_visitor;

enum {
    BP_RESET_POWER_ON = 1, /**< all state as after applying power */
    BP_RESET_SYSTEM = 2    /**< the board's reset line */
};

/** One device type. All functions get the instance that create() made. Calls come in this order:
 * create, bus attach calls, start, publish, consume..., reset(POWER_ON), connect, then whatever the guest does, stop,
 * destroy. An instance that takes over from another one (a restored snapshot, a reloaded plugin) gets its state between
 * reset and connect: visit_state, restored. If that fails it is destroyed without connect, and the old one goes on. */
typedef struct bp_device_type {
    uint32_t size;
    bp_str type; /**< "rtc.mc146818" */
    uint32_t state_version;
    void (*describe)(const bp_describer*);
    bp_status (*create)(const bp_slot*, void** instance);
    void (*destroy)(void* instance);
    bp_status (*start)(
        void* instance);          /**< properties, links and buses are joined; other devices may not have started */
    void (*stop)(void* instance); /**< without the lock: threads and files of backends end here */
    bp_status (*publish)(void* instance); /**< every device has started */
    bp_status (*consume)(void* instance, const bp_fact*);
    void (*reset)(void* instance, uint32_t kind);
    void (*visit_state)(void* instance, const bp_state_visitor*);
    /** Fields were replaced: check them against each other, and recompute what derives from them. Drives no lines and
     * arms no timers: the kernel restores both. A failure refuses the snapshot. */
    bp_status (*restored)(void* instance);
    /** The instance becomes part of the running machine: register here with links that call back (the receiver of a
     * character stream). */
    void (*connect)(void* instance);
    /** Waits until every request that was handed to the host is complete there; completions may still be queued. Under
     * the lock. */
    void (*drain)(void* instance);
    /** What was given to bp.input/1 arrives, under the lock, at its point of the machine's time. */
    void (*input)(void* instance, const uint8_t* data, size_t size);
    /** An offered interface; `name` as declared. table NULL if there is none. */
    bp_interface (*offer)(void* instance, bp_str interface_id, bp_str name);
    /** The interface from the bus this device was plugged into. */
    void (*plugged)(void* instance, bp_interface host);
} bp_device_type;

/** "bp.device-types/1": what factory() returns for that id. */
#define BP_DEVICE_TYPES_ID "bp.device-types/1"
/** All types of a plugin. */
typedef struct bp_device_types {
    uint32_t size;
    uint32_t count;
    const bp_device_type* const* types;
} bp_device_types;

/** The one exported symbol: constant data, named backplane_plugin. */
#define BP_PLUGIN_MAGIC 0x4e4c505055504b42ull
#define BP_PLUGIN_SYMBOL "backplane_plugin" /**< its name */
/** What the symbol is. */
typedef struct bp_plugin {
    uint64_t magic;
    uint32_t size;
    uint32_t abi_major, abi_minor;
    bp_str id, version, licence, manifest;
    const void* (*factory)(bp_str interface_id);
    uint32_t size_at_end; /**< equals size: a struct of another layout is noticed */
} bp_plugin;

/** The same facts, readable without running anything: section ".backplane.manifest" holds this header and then
 * `text_size` bytes of JSON: {"id", "version", "licence", "kind", "types": [...], "needs": [...]}. */
#define BP_MANIFEST_SECTION ".backplane.manifest"
#define BP_MANIFEST_MAGIC "BPMANIF1" /**< first bytes of the section */
/** First part of the section. */
typedef struct bp_manifest_header {
    char magic[8];
    uint32_t abi_major, abi_minor;
    uint32_t text_size;
    uint32_t reserved;
} bp_manifest_header;

#ifdef __cplusplus
}
#endif
#endif
