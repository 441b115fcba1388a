// What a machine tells its front ends by itself.
#pragma once

#include "kernel/control/control.hpp"

namespace backplane::kernel {

struct Outcome;

// In the machine's thread, under its lock.
void tell_stopped(Control& control, const std::string& reason);
void tell_stopped_soon(Control& control, const std::string& reason);  // any thread
void tell_reset(Control& control, bool by_guest);
void tell_saved(Control& control, const std::string& path);
void tell_restored(Control& control, const std::string& path);
void tell_engine(Control& control, const std::string& desc);
void tell_reloaded(Control& control, const std::string& plugin, const std::string& desc);
// The last event; commands that wait are answered.
void tell_ended(Control& control, const Outcome& outcome, bool reset_by_guest);
// Any thread.
void tell_resumed(Control& control);
// What a device says of itself; `data` is the text of a JSON object.
void tell_of_device(Control& control, const std::string& device, std::string_view event, std::string_view data);

// Reasons for Machine::quit() that have a name of their own in the event.
inline constexpr const char* kQuitCommand = "the command quit";
inline constexpr const char* kQuitSignal = "signal ";  // begins with

// The names and meanings of these events and of those that the commands bring.
void add_machine_events(Control& control);

}  // namespace backplane::kernel
