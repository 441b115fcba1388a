/** @file
 * Backplane plugin ABI: PCI functions and the bus they sit on (PCI Local Bus Specification 2.1). */
#ifndef BACKPLANE_ABI_PCI_H
#define BACKPLANE_ABI_PCI_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** "bp.pci.function/1": offered by every PCI function. Registers 0-255, sizes 1, 2, 4, aligned, never straddling a
 * dword. Configuration space, its write masks and its BARs belong to the function (sdk: backplane/pci.hpp does the
 * work). */
#define BP_PCI_FUNCTION_ID "bp.pci.function/1"
/** What a function offers to its bus. */
typedef struct bp_pci_function {
    uint32_t size;
    uint32_t (*config_read)(void* instance, uint32_t reg, uint32_t bytes);
    void (*config_write)(void* instance, uint32_t reg, uint32_t bytes, uint32_t value);
} bp_pci_function;

/** "bp.pci.bus/1": what a function gets from the bus it was plugged into. The table's instance stands for the
 * function's place, so the bus knows who calls. */
#define BP_PCI_BUS_ID "bp.pci.bus/1"
/** What a function gets from its bus. */
typedef struct bp_pci_bus {
    uint32_t size;
    /** Level of the function's interrupt pin: pin 1-4 = INTA-INTD. */
    void (*intx)(void* instance, uint32_t pin, int level);
    /** (device << 3) | function. */
    uint32_t (*devfn)(void* instance);
} bp_pci_bus;

#ifdef __cplusplus
}
#endif
#endif
