/** @file
 * Backplane plugin ABI: a drive, between an image and the device that a guest sees (ATA, floppy, virtio, SCSI).
 *
 * A drive is the medium (bp.block/1, offered by the same instance) and what its owner prescribed about it: geometry,
 * serial number, cache and error policy, removable or not. Every attachment reads the same drive, so a guest sees the
 * same disk whichever way it was attached. All calls are made under the machine's lock. */
#ifndef BACKPLANE_ABI_DRIVE_H
#define BACKPLANE_ABI_DRIVE_H

#include "backend.h"
#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Where a geometry comes from if it is not given: sizes and partition table as qemu-kvm 0.12 did it, or also the
 * image's header and the boot sectors of its file systems. */
enum { BP_GEOMETRY_QEMU_0_12 = 0, BP_GEOMETRY_AUTO = 1 };
/** Translation that the firmware is told; by default it follows from the geometry. */
enum {
    BP_TRANSLATION_DEFAULT = 0,
    BP_TRANSLATION_NONE = 1,
    BP_TRANSLATION_LBA = 2,
    BP_TRANSLATION_LARGE = 3,
    BP_TRANSLATION_RECHS = 4
};

/** What the owner prescribed. Fixed while the machine exists. */
typedef struct bp_drive_info {
    uint32_t size;
    uint32_t removable;                    /**< 1: the medium can be changed; there may be none (bytes 0) */
    uint32_t cylinders, heads, sectors;    /**< physical; 0: not given */
    uint32_t lcylinders, lheads, lsectors; /**< what INT 13h shall say; 0: not given */
    uint32_t translation;                  /**< BP_TRANSLATION_... */
    uint32_t policy;                       /**< BP_GEOMETRY_... */
    uint32_t write_cache;                  /**< 1: writes may wait for a flush */
    int32_t boot_index;                    /**< place in the boot order, lowest first; -1: not given */
    bp_str serial;                         /**< empty: not given; valid while the instance exists */
} bp_drive_info;

/** The attachment's side of a removable drive. */
typedef struct bp_drive_listener {
    uint32_t size;
    /** The medium was taken out or another one inserted (bp_block.info: bytes 0 if there is none). Requests to the old
     * one have been completed. */
    void (*medium_changed)(void* instance);
    /** Somebody outside would like to take the medium out and the guest has locked it. */
    void (*eject_request)(void* instance);
} bp_drive_listener;

/** "bp.drive/1". The same instance answers the functions of `block`. */
#define BP_DRIVE_ID "bp.drive/1"
/** Table of bp.drive/1. */
typedef struct bp_drive {
    uint32_t size;
    const bp_block* block;
    void (*info)(void* instance, bp_drive_info* info); /**< info->size is set by the caller */
    /** Who hears of changes; takes the place of an earlier one. Call in connect(). */
    void (*connect)(void* instance, const bp_drive_listener* listener, void* listener_instance);
    /** The guest moved the tray. An open one yields no medium to the guest; the image stays open. */
    void (*tray)(void* instance, int open);
    /** The guest keeps the tray from opening. */
    void (*lock)(void* instance, int locked);
} bp_drive;

#ifdef __cplusplus
}
#endif
#endif
