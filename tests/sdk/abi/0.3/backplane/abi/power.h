/** @file
 * Backplane plugin ABI: what a front end presses on the machine's case. */
#ifndef BACKPLANE_ABI_POWER_H
#define BACKPLANE_ABI_POWER_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** "bp.power/1": under the machine's lock. */
#define BP_POWER_ID "bp.power/1"
/** The table. */
typedef struct bp_power {
    uint32_t size;
    /** A short press. Returns 1 if the guest gets to know, 0 if its operating system does not listen. */
    int (*press)(void* instance);
} bp_power;

#ifdef __cplusplus
}
#endif
#endif
