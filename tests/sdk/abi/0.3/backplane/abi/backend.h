/** @file
 * Backplane plugin ABI: host-side back ends that devices are joined to. */
#ifndef BACKPLANE_ABI_BACKEND_H
#define BACKPLANE_ABI_BACKEND_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** "bp.block/1": an image under a drive. Byte addressed; offsets and lengths are multiples of 512. */
#define BP_BLOCK_ID "bp.block/1"
/** What an image is. */
typedef struct bp_block_info {
    uint32_t size;
    uint64_t bytes; /**< of the medium, rounded down to 512 */
    uint32_t read_only;
    uint32_t hint_cylinders, hint_heads, hint_sectors; /**< geometry from the image's header; 0: none */
} bp_block_info;
enum { BP_BLOCK_READ = 1, BP_BLOCK_WRITE = 2, BP_BLOCK_FLUSH = 3, BP_BLOCK_DISCARD = 4 };
/** One request. */
typedef struct bp_block_request {
    uint32_t size;
    uint32_t operation;
    uint64_t offset;
    uint64_t length;
    void* data; /**< caller's buffer; stays valid until done() was called */
    /** Called under the machine's lock, in the machine's thread, exactly once, never from within submit(). `error` is 0
     * or a host errno value. */
    void (*done)(void* argument, int32_t error);
    void* argument;
} bp_block_request;
/** Table of bp.block/1. */
typedef struct bp_block {
    uint32_t size;
    void (*info)(void* instance, bp_block_info* info); /**< info->size is set by the caller */
    /** Starts a request. The structure may go away after the call; the buffer must not. */
    bp_status (*submit)(void* instance, const bp_block_request* request);
    /** Synchronous, for power-on (partition table) and tools. Returns 0 or errno. */
    int32_t (*read_now)(void* instance, uint64_t offset, void* data, uint64_t length);
    /** Waits until every submitted request is complete on the host (their done() may still be queued). */
    void (*drain)(void* instance);
} bp_block;

/** "bp.chardev/1": a character stream (terminal, file, socket). */
#define BP_CHARDEV_ID "bp.chardev/1"
/** The device's side; called under the machine's lock. */
typedef struct bp_char_receiver {
    uint32_t size;
    /** How many bytes the device can take now. */
    uint32_t (*room)(void* instance);
    void (*receive)(void* instance, const uint8_t* data, uint32_t count);
    void (*line_break)(void* instance); /**< may be NULL */
} bp_char_receiver;
/** The host's side: table of bp.chardev/1. */
typedef struct bp_chardev {
    uint32_t size;
    /** Takes bytes from the device; never blocks the guest for long; returns how many were taken. */
    uint32_t (*write)(void* instance, const uint8_t* data, uint32_t count);
    /** The device that reads from this stream; takes the place of an earlier one. Call in connect(). */
    void (*connect)(void* instance, const bp_char_receiver* receiver, void* receiver_instance);
    /** The device has room again. */
    void (*room_changed)(void* instance);
} bp_chardev;

/** "bp.keyboard/1": a keyboard that front ends press keys on. Under the machine's lock. */
#define BP_KEYBOARD_ID "bp.keyboard/1"
/** Table of bp.keyboard/1. */
typedef struct bp_keyboard {
    uint32_t size;
    /** Scan code set 1 ("XT"): 01h-7Fh; extended keys have 100h added (E0h prefix). down: 1 press, 0 release. Returns 0
     * if the keyboard's buffer was full and the key is lost. */
    int (*key)(void* instance, uint32_t code, int down);
} bp_keyboard;

/** "bp.mouse/1": a mouse that front ends move. Under the machine's lock. */
#define BP_MOUSE_ID "bp.mouse/1"
enum { BP_MOUSE_LEFT = 1, BP_MOUSE_RIGHT = 2, BP_MOUSE_MIDDLE = 4, BP_MOUSE_SIDE = 8, BP_MOUSE_EXTRA = 16 };
/** Table of bp.mouse/1. */
typedef struct bp_mouse {
    uint32_t size;
    /** Relative motion: dx to the right, dy downwards, wheel towards the user; `buttons` is the set of buttons held
     * now.
     */
    void (*move)(void* instance, int32_t dx, int32_t dy, int32_t wheel, uint32_t buttons);
} bp_mouse;

/** "bp.display/1": a display adapter that front ends look at. Under the machine's lock. */
#define BP_DISPLAY_ID "bp.display/1"
/** Size of the picture. */
typedef struct bp_display_size {
    uint32_t size;
    uint32_t text_columns, text_rows; /**< 0 in graphics modes */
    uint32_t width, height;           /**< pixels of the rendered picture */
} bp_display_size;
/** Table of bp.display/1. */
typedef struct bp_display {
    uint32_t size;
    void (*dimensions)(void* instance, bp_display_size* out); /**< out->size is set by the caller */
    /** Text of the screen, code page 437 converted to UTF-8, one line a row, trailing blanks removed, each line ended
     * by \n. Returns the length; at most `capacity` bytes are written. 0 in graphics modes. */
    size_t (*text)(void* instance, char* out, size_t capacity);
    /** Renders the whole picture as 0x00RRGGBB, `stride` in pixels; width and height as in dimensions(). */
    void (*render)(void* instance, uint32_t* pixels, uint32_t stride);
} bp_display;

/** "bp.nvram/1": battery-backed memory of a clock chip, for what a board's factory setting fills in. Under the lock. */
#define BP_NVRAM_ID "bp.nvram/1"
/** Table of bp.nvram/1. */
typedef struct bp_nvram {
    uint32_t size;
    uint8_t (*get)(void* instance, uint32_t index);
    void (*set)(void* instance, uint32_t index, uint8_t value);
} bp_nvram;

#ifdef __cplusplus
}
#endif
#endif
