/** @file
 * Backplane plugin ABI: messages between I/O APICs, message-signalled interrupts and local APICs (Intel SDM volume 3,
 * chapter "Advanced Programmable Interrupt Controller"; 82093AA data sheet). All calls under the machine's lock. */
#ifndef BACKPLANE_ABI_APIC_H
#define BACKPLANE_ABI_APIC_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Delivery modes, as in an interrupt command or redirection register. */
enum {
    BP_APIC_FIXED = 0,
    BP_APIC_LOWEST_PRIORITY = 1,
    BP_APIC_SMI = 2,
    BP_APIC_NMI = 4,
    BP_APIC_INIT = 5,
    BP_APIC_STARTUP = 6,
    BP_APIC_EXTINT = 7
};
/** Destination shorthands, as in an interrupt command register. */
enum { BP_APIC_TO_DESTINATION = 0, BP_APIC_TO_SELF = 1, BP_APIC_TO_ALL = 2, BP_APIC_TO_OTHERS = 3 };

/** One interrupt message. */
typedef struct bp_apic_message {
    uint32_t size;
    uint32_t mode;            /**< BP_APIC_FIXED ... */
    uint32_t vector;          /**< 0-255 */
    uint32_t logical;         /**< destination is a logical one (0: an APIC id) */
    uint32_t destination;     /**< 8 bits; FFh: everybody */
    uint32_t shorthand;       /**< BP_APIC_TO_...; other than BP_APIC_TO_DESTINATION only from a local APIC */
    uint32_t level_triggered; /**< the receiver's end of interrupt is broadcast to the I/O APICs */
    uint32_t assert_level;    /**< 0: the de-assertion that follows a level-triggered INIT */
} bp_apic_message;

/** A local APIC, as the bus sees it. */
typedef struct bp_apic_local {
    uint32_t size;
    /** 1 if it is among the addressees of an APIC id or logical destination. */
    int (*matches)(void* instance, uint32_t destination, uint32_t logical);
    /** For lowest-priority delivery: the processor priority, or FFFFFFFFh if it accepts no such interrupt now. */
    uint32_t (*priority)(void* instance);
    void (*accept)(void* instance, const bp_apic_message* message);
} bp_apic_local;

/** An I/O APIC, as the bus sees it. */
typedef struct bp_apic_io {
    uint32_t size;
    void (*end_of_interrupt)(void* instance, uint32_t vector);
} bp_apic_io;

/** "bp.apic.bus/1" */
#define BP_APIC_BUS_ID "bp.apic.bus/1"
/** Table of bp.apic.bus/1. */
typedef struct bp_apic_bus {
    uint32_t size;
    /** Join the bus. Call in start(). */
    void (*join_local)(void* instance, const bp_apic_local* local, void* local_instance);
    void (*join_io)(void* instance, const bp_apic_io* io, void* io_instance);
    /** Sends a message. `sender` is the local APIC's instance, NULL for others. Returns how many took it. */
    uint32_t (*deliver)(void* instance, const bp_apic_message* message, const void* sender);
    /** A message-signalled interrupt: a write of `data` to address FEExxxxxh. */
    void (*msi)(void* instance, uint64_t address, uint32_t data);
    /** A local APIC ended a level-triggered interrupt. */
    void (*end_of_interrupt)(void* instance, uint32_t vector);
} bp_apic_bus;

#ifdef __cplusplus
}
#endif
#endif
