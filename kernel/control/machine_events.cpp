#include "kernel/control/machine_events.hpp"

#include "kernel/machine/machine.hpp"

namespace backplane::kernel {

namespace {
const char* reset_reason(bool by_guest) { return by_guest ? "guest-reset" : "host-qmp-system-reset"; }
}  // namespace

void tell_stopped(Control& control, const std::string& reason) {
    control.emit("STOP", reason.empty() ? Json::object() : Json{{"desc", reason}});
}
void tell_stopped_soon(Control& control, const std::string& reason) {
    control.emit_soon("STOP", reason.empty() ? Json::object() : Json{{"desc", reason}});
}
void tell_resumed(Control& control) { control.emit_soon("RESUME"); }

// Data that is no object is the plugin's mistake: the event alone is told.
void tell_of_device(Control& control, const std::string& device, std::string_view event, std::string_view data) {
    Json value = data.empty() ? Json::object() : Json::parse(data.begin(), data.end(), nullptr, false);
    if (!value.is_object()) value = Json::object();
    control.emit_soon("BACKPLANE_DEVICE", {{"device", device}, {"event", std::string(event)}, {"data", value}});
}

void tell_saved(Control& control, const std::string& path) {
    control.emit("BACKPLANE_SNAPSHOT_SAVED", {{"path", path}});
}

void tell_restored(Control& control, const std::string& path) {
    control.emit("BACKPLANE_SNAPSHOT_RESTORED", {{"path", path}});
}

void tell_reloaded(Control& control, const std::string& plugin, const std::string& desc) {
    control.emit("BACKPLANE_PLUGIN_RELOADED", {{"plugin", plugin}, {"desc", desc}});
}

void tell_engine(Control& control, const std::string& desc) {
    control.emit("BACKPLANE_ENGINE_CHANGED", {{"desc", desc}});
}

void tell_reset(Control& control, bool by_guest) {
    control.emit("RESET", {{"guest", by_guest}, {"reason", reset_reason(by_guest)}});
}

void tell_ended(Control& control, const Outcome& outcome, bool reset_by_guest) {
    const char* reason = "host-ui";
    bool guest = false;
    switch (outcome.reason) {
        case Outcome::Reason::kPowerOff:
        case Outcome::Reason::kExit: guest = true, reason = "guest-shutdown"; break;
        case Outcome::Reason::kReset: guest = reset_by_guest, reason = reset_reason(guest); break;
        case Outcome::Reason::kError: reason = "host-error"; break;
        case Outcome::Reason::kQuit:
            if (outcome.text == kQuitCommand) reason = "host-qmp-quit";
            if (outcome.text.starts_with(kQuitSignal)) reason = "host-signal";
            break;
    }
    control.end("SHUTDOWN", {{"guest", guest}, {"reason", reason}, {"desc", outcome.text}});
}

void add_machine_events(Control& control) {
    control.add_event("STOP", "the machine stands still; desc says why, if a device had to stop it");
    control.add_event("RESUME", "the machine goes on");
    control.add_event("RESET", "the machine was reset: by whom (guest), and reason");
    control.add_event("SHUTDOWN", "the machine has ended: by whom (guest), reason, and desc in words; the last event");
    control.add_event("BACKPLANE_DEVICE", "device tells of an event of its own, with data");
    control.add_event("BACKPLANE_SNAPSHOT_SAVED", "the state was saved to path");
    control.add_event("BACKPLANE_SNAPSHOT_RESTORED", "the state of path was restored");
    control.add_event("BACKPLANE_ENGINE_CHANGED", "the CPUs go on with another engine; desc says which");
    control.add_event("BACKPLANE_PLUGIN_RELOADED", "plugin was reloaded; desc says what was done");
}

}  // namespace backplane::kernel
