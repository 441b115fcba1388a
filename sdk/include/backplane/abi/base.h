/** @file
 * Backplane plugin ABI: basic types. C11 and C++20.
 *
 * Rules that hold for every call across the line: no exceptions, no RTTI, no STL types, no transfer of ownership, and
 * no pointer that outlives the call unless its documentation says so. Strings are (pointer, length), UTF-8, not
 * terminated. Every struct begins with its own size where it may grow; the ABI otherwise grows by new interface ids. */
#ifndef BACKPLANE_ABI_BASE_H
#define BACKPLANE_ABI_BASE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A plugin built for another major.minor is refused while the major is 0. */
#define BP_ABI_MAJOR 0u
/** The second part; raised with every change of a layout. */
#define BP_ABI_MINOR 3u

/** A string: UTF-8, not terminated; data is NULL where its owner says so. */
typedef struct bp_str {
    const char* data;
    size_t size;
} bp_str;

/** Status of a call. The text that belongs to a failure is handed over with bp_slot_api.fail. */
typedef int32_t bp_status;
enum {
    BP_OK = 0,
    BP_ERR_INVALID = 1,     /**< an argument or property value is not acceptable */
    BP_ERR_NOT_FOUND = 2,   /**< a name, file or interface does not exist */
    BP_ERR_CONFLICT = 3,    /**< something else already claims it */
    BP_ERR_IO = 4,          /**< the host failed to read or write */
    BP_ERR_UNSUPPORTED = 5, /**< known, but not offered */
    BP_ERR_STATE = 6,       /**< not possible in the present state */
    BP_ERR_NO_MEMORY = 7,
    BP_ERR_READ_ONLY = 8,
    BP_ERR_REENTRANT = 9 /**< a device tried to reach its own registers through DMA */
};

/** A pair of function table and instance: how plugins see each other. `table` points to a struct whose layout the
 * interface id names (for example "bp.block/1" is bp_block). Valid while the machine that joined the two exists. */
typedef struct bp_interface {
    const void* table;
    void* instance;
} bp_interface;

#ifdef __cplusplus
}
#endif
#endif
