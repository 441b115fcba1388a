// The user's terminal as a character back end (type chardev.terminal): raw mode, Ctrl-A commands, always restored.
#pragma once

#include <functional>
#include <string>

#include "backplane/abi/device.h"

namespace backplane::runner {

// In-process device type: `console: {type: chardev.terminal}`. Several devices may share the terminal through several
// instances; input goes to the one that connected first, Ctrl-A c moves it to the monitor and back.
const bp_device_type* terminal_type();

// What the terminal's owner (subcommand run) reacts to.
struct TerminalHandlers {
    std::function<void()> quit;                                      // Ctrl-A x
    std::function<std::string(const std::string& command)> monitor;  // a line typed at the monitor's prompt
};
void set_terminal_handlers(TerminalHandlers handlers);

// Puts the terminal back as it was found. Safe in a signal handler.
void restore_terminal();

}  // namespace backplane::runner
