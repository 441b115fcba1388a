/** @file
 * Backplane plugin ABI: commands that a device offers to the machine's user (eject a medium, list an image's
 * snapshots). The kernel hands them through from front ends without understanding them. */
#ifndef BACKPLANE_ABI_COMMANDS_H
#define BACKPLANE_ABI_COMMANDS_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** "bp.commands/1": offered by any device, linked to by nobody: the kernel finds it. */
#define BP_COMMANDS_ID "bp.commands/1"
/** Table of bp.commands/1. Under the machine's lock. */
typedef struct bp_commands {
    uint32_t size;
    /** JSON array: [{"name", "help", "standstill": bool, "query": bool, "arguments": [{"name", "type":
     * "string|number|bool", "required": bool, "help"}]}]. Valid while the instance exists. A standstill command runs
     * while all CPUs stand and no request is under way on the host. A query changes nothing, so it is allowed while a
     * session is recorded or replayed. What is left out is false. */
    bp_str (*list)(void* instance);
    /** Runs a command. `arguments` is a JSON object that the kernel has checked against the list. The answer, a JSON
     * value, is given by calling answer() at most once before returning BP_OK; without a call it is {}. A failure's
     * text is handed over with bp_slot_api.fail. */
    bp_status (*execute)(void* instance, bp_str command, bp_str arguments, void (*answer)(void* context, bp_str json),
                         void* context);
} bp_commands;

#ifdef __cplusplus
}
#endif
#endif
