/** @file
 * Backplane plugin ABI: foreign command lines and files of virtual machines, translated into a VM file.
 *
 * A plugin of kind frontend whose factory knows "bp.command-line/1" needs no instance: translating is a function of its
 * arguments and the files that they name. Its manifest lists the id under "provides". */
#ifndef BACKPLANE_ABI_COMMAND_LINE_H
#define BACKPLANE_ABI_COMMAND_LINE_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Who asked. */
typedef struct bp_command_line_sink {
    uint32_t size;
    void* self;
    /** One remark for the user: something is not served, or differs. */
    void (*warning)(void* self, bp_str text);
    /** Why it cannot be translated; names the option or line and what to do. Once, with a failure. */
    void (*error)(void* self, bp_str text);
    /** The VM file, YAML. A comment at the end of a line, after two blanks and "# ", says which option the line comes
     * from; errors of the machine then name that option. */
    void (*machine)(void* self, bp_str yaml);
    /** How the program itself shall run: an option of `backplane run` without its dashes and its value (empty for a
     * flag), such as "no-reboot" or "paused". May be called several times. Besides: "print-machine" (only the VM file
     * is wanted) and "print" (only the value, a text, is wanted; then machine() need not be called). */
    void (*option)(void* self, bp_str name, bp_str value);
} bp_command_line_sink;

/** "bp.command-line/1". */
#define BP_COMMAND_LINE_ID "bp.command-line/1"
/** Table of bp.command-line/1. */
typedef struct bp_command_line {
    uint32_t size;
    bp_str name; /**< subcommand of the program: "qemu" */
    bp_str help; /**< one line */
    /** 1 if a program that was started under this name (last part of argv[0]) means this command line. */
    int (*called_as)(bp_str program);
    /** Arguments without the program's name. */
    bp_status (*translate)(bp_str program, const bp_str* arguments, uint32_t count, const bp_command_line_sink* sink);
    /** A file that describes a machine, by its contents: 1 if this plugin can read it. */
    int (*recognises)(bp_str path, bp_str contents);
    bp_status (*import)(bp_str path, bp_str contents, const bp_command_line_sink* sink);
} bp_command_line;

#ifdef __cplusplus
}
#endif
#endif
