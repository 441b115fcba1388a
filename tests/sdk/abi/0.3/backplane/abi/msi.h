/** @file
 * Backplane plugin ABI: message-signalled interrupts (PCI Local Bus Specification 2.2, section 6.8). */
#ifndef BACKPLANE_ABI_MSI_H
#define BACKPLANE_ABI_MSI_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** "bp.msi/1": where a function's messages go; offered by the bus of the local APICs. Under the machine's lock. */
#define BP_MSI_ID "bp.msi/1"
/** Table of bp.msi/1. */
typedef struct bp_msi {
    uint32_t size;
    /** A write of `data` to `address`. */
    void (*send)(void* instance, uint64_t address, uint32_t data);
} bp_msi;

#ifdef __cplusplus
}
#endif
#endif
