/** @file
 * Backplane plugin ABI: a channel of an ISA DMA controller, as the device on the other end of DREQ and DACK sees it.
 *
 * The controller offers one interface for each channel, named "ch0" ... (a device's YAML: `dma: dma.ch2`). */
#ifndef BACKPLANE_ABI_ISA_DMA_H
#define BACKPLANE_ABI_ISA_DMA_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    BP_ISA_DMA_VERIFY =
        0, /**< the device takes part, but no data counts: data from it is dropped, data to it is undefined */
    BP_ISA_DMA_FROM_DEVICE = 1, /**< device to memory ("write transfer") */
    BP_ISA_DMA_TO_DEVICE = 2    /**< memory to device ("read transfer") */
};

/** The device's side. Called under the machine's lock, and only while the device requests. */
typedef struct bp_isa_dma_device {
    uint32_t size;
    /** Moves up to `count` bytes (1 or more; on a 16-bit channel a multiple of 2) in the given direction and returns
     * how many were moved. A device that moves fewer has withdrawn its request with that. May call request(), which
     * takes effect after the return. */
    uint32_t (*transfer)(void* instance, uint32_t direction, uint8_t* data, uint32_t count);
    /** The TC pin: the byte moved last was the last of the programmed count. Called after that transfer() returned.
     * Unless the guest set up auto-initialisation, the channel is masked now. */
    void (*terminal_count)(void* instance);
} bp_isa_dma_device;

/** "bp.isa.dma/1": one channel. */
#define BP_ISA_DMA_ID "bp.isa.dma/1"
/** The controller's side. */
typedef struct bp_isa_dma {
    uint32_t size;
    /** The device on this channel; one only (BP_ERR_CONFLICT). Call in start(). */
    bp_status (*connect)(void* instance, const bp_isa_dma_device* device, void* device_instance);
    /** DREQ. If the guest has the channel open, transfer() is called before this returns; otherwise as soon as it opens
     * it. */
    void (*request)(void* instance, int level);
} bp_isa_dma;

#ifdef __cplusplus
}
#endif
#endif
