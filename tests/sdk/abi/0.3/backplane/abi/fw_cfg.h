/** @file
 * Backplane plugin ABI: contributions to a firmware configuration device. */
#ifndef BACKPLANE_ABI_FW_CFG_H
#define BACKPLANE_ABI_FW_CFG_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** "bp.fw_cfg.source/1": offered by what plugs into a firmware configuration device. It has no functions: a source
 * hands its contents over before power-on, through the interface below. */
#define BP_FW_CFG_SOURCE_ID "bp.fw_cfg.source/1"
/** The source's side. */
typedef struct bp_fw_cfg_source {
    uint32_t size;
} bp_fw_cfg_source;

/** "bp.fw_cfg/1": what a source gets. All data is copied. Before power-on. */
#define BP_FW_CFG_ID "bp.fw_cfg/1"
/** The bus's side. */
typedef struct bp_fw_cfg {
    uint32_t size;
    /** The address that the board gave the source (`on: fw_cfg/ADDRESS`). Valid for the life of the machine. */
    bp_str (*address)(void* instance);
    /** An entry of the file directory. */
    bp_status (*put_file)(void* instance, bp_str name, const void* data, size_t data_size);
    /** The contents of a numbered item, replacing what the device has there. */
    bp_status (*put_item)(void* instance, uint32_t selector, const void* data, size_t data_size);
} bp_fw_cfg;

#ifdef __cplusplus
}
#endif
#endif
