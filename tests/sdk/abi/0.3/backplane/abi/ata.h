/** @file
 * Backplane plugin ABI: ATA drives and the channel (cable) that they share. ATA/ATAPI-5 (T13/1321D).
 *
 * The split follows the cable. The drive owns its task file, its status, its buffer and its INTRQ; the channel decodes
 * the host's addresses, knows which drive is selected, answers for a drive that is not there, gates INTRQ with nIEN,
 * and moves DMA data between a drive's buffer and memory. Drives of any kind (disk, ATAPI) plug in with `on: ide.0/1`:
 * bus = channel, address = 0 master, 1 slave. All calls are made under the machine's lock. */
#ifndef BACKPLANE_ABI_ATA_H
#define BACKPLANE_ABI_ATA_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Registers of the command block by offset, and the alternate status register of the control block. */
enum {
    BP_ATA_DATA = 0,
    BP_ATA_ERROR = 1, /**< read; FEATURES when written */
    BP_ATA_COUNT = 2,
    BP_ATA_LBA_LOW = 3,
    BP_ATA_LBA_MID = 4,
    BP_ATA_LBA_HIGH = 5,
    BP_ATA_DEVICE = 6,
    BP_ATA_STATUS = 7, /**< read, and lowers INTRQ; COMMAND when written */
    BP_ATA_ALT_STATUS = 8
};

enum { BP_ATA_KIND_DISK = 1, BP_ATA_KIND_PACKET = 2 };

/** What a drive is. Available from publish() on. The geometry is zero for a packet device. */
typedef struct bp_ata_info {
    uint32_t size;
    uint32_t kind;
    uint64_t sectors_total;                /**< 512-byte sectors */
    uint32_t cylinders, heads, sectors;    /**< as IDENTIFY reports them */
    uint32_t translation;                  /**< 0 none, 1 LBA, 2 large, 3 R-ECHS */
    uint32_t lcylinders, lheads, lsectors; /**< as INT 13h callers see the disk */
    bp_str reason;                         /**< where the geometry comes from; valid while the drive exists */
    uint32_t logical_given;                /**< 1: the owner prescribed the logical geometry */
    int32_t boot_index;                    /**< place in the boot order, lowest first; -1: not given */
} bp_ata_info;

/** "bp.ata.device/1": a drive, as its channel sees it. */
#define BP_ATA_DEVICE_ID "bp.ata.device/1"
/** Table of bp.ata.device/1. */
typedef struct bp_ata_device {
    uint32_t size;
    void (*info)(void* instance, bp_ata_info* info); /**< info->size is set by the caller */
    /** Register 1-8. Reading STATUS lowers the drive's INTRQ. */
    uint8_t (*read)(void* instance, uint32_t reg);
    /** Registers 1-6: the channel hands a write to both drives, unless the selected one is busy. Register 7: to the
     * selected drive only; a busy drive ignores what it must. */
    void (*write)(void* instance, uint32_t reg, uint8_t value);
    /** Device control register: bit 1 nIEN, bit 2 SRST. To both drives. */
    void (*control)(void* instance, uint8_t value);
    /** Data register, 2 or 4 bytes at a time. 0 and no effect unless DRQ. */
    uint32_t (*data_read)(void* instance, uint32_t bytes);
    void (*data_write)(void* instance, uint32_t bytes, uint32_t value);
    /** DMA data phase. The part of the drive's buffer that it can give or take now: *bytes is 0 if there is none (yet).
     * *to_memory is 1 if the drive gives. The pointer is valid until the next call. */
    void* (*dma_window)(void* instance, uint32_t* bytes, int* to_memory);
    /** `bytes` of the window were moved. */
    void (*dma_advance)(void* instance, uint32_t bytes);
    /** The host gave up in the middle of a transfer: the command ends, without an interrupt. */
    void (*dma_cancel)(void* instance);
} bp_ata_device;

/** Where a drive sits. */
typedef struct bp_ata_place {
    uint32_t size;
    uint32_t channel; /**< 0 primary, 1 secondary, counted within the controller */
    uint32_t device;  /**< 0 master, 1 slave */
    uint32_t dma;     /**< 1 if the host can do DMA */
} bp_ata_place;

/** "bp.ata.bus/1": what a drive gets from its channel. The instance stands for the drive's place. */
#define BP_ATA_BUS_ID "bp.ata.bus/1"
/** Table of bp.ata.bus/1. */
typedef struct bp_ata_bus {
    uint32_t size;
    void (*place)(void* instance, bp_ata_place* place); /**< place->size is set by the caller */
    /** Level of the drive's INTRQ, regardless of nIEN and selection. */
    void (*intrq)(void* instance, int level);
    /** The DMA window became non-empty. The channel may call dma_window() and dma_advance() from within. */
    void (*dma_ready)(void* instance);
    /** A DMA command came to its end, well or badly; before the INTRQ that reports it. */
    void (*dma_end)(void* instance);
} bp_ata_bus;

#ifdef __cplusplus
}
#endif
#endif
