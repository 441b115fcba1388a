/** @file
 * Backplane plugin ABI: PS/2 devices (keyboard, mouse) and the ports of the controller that they sit on.
 *
 * The split follows the cable. The device owns what it has to send; the controller clocks one byte after the other out
 * of it when it has room and has not switched the port off. All calls are made under the machine's lock. */
#ifndef BACKPLANE_ABI_PS2_H
#define BACKPLANE_ABI_PS2_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** "bp.ps2.device/1": offered by what plugs into a port. */
#define BP_PS2_DEVICE_ID "bp.ps2.device/1"
/** The device's side. */
typedef struct bp_ps2_device {
    uint32_t size;
    /** The next byte that the device sends, or -1 if it has none. */
    int32_t (*take)(void* instance);
    /** A byte from the host. Answers are queued and announced with ready(). */
    void (*receive)(void* instance, uint8_t byte);
} bp_ps2_device;

/** "bp.ps2.port/1": what a device gets from its port. */
#define BP_PS2_PORT_ID "bp.ps2.port/1"
/** The port's side. */
typedef struct bp_ps2_port {
    uint32_t size;
    /** The device has something to send. The controller may call take() from within. */
    void (*ready)(void* instance);
} bp_ps2_port;

#ifdef __cplusplus
}
#endif
#endif
