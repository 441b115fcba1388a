// Saving, restoring and reloading: what changes the machine as a whole.
#include "kernel/control/commands.hpp"
#include "kernel/machine/machine.hpp"

namespace backplane::kernel {

void add_snapshot_commands(const CommandContext& context) {
    Control& control = context.machine.control();
    using Type = ArgumentSpec::Type;
    if (context.save)
        control.add({.name = "save-state",
                     .help = "saves the machine's state to a file",
                     .arguments = {{"path", Type::kText, false, "the file; replaced once the new one is complete"}},
                     .when = Command::When::kStandstill,
                     .run = [&control, save = context.save](const Arguments& a) {
                         save(a.text("path"));
                         control.emit("BACKPLANE_SNAPSHOT_SAVED", {{"path", a.text("path")}});
                         return Json::object();
                     }});
    if (context.load)
        control.add({.name = "load-state",
                     .help = "restores the machine's state from a file; if that fails nothing changes",
                     .arguments = {{"path", Type::kText, false, "the file"},
                                   {"force", Type::kBool, true, "even if a disk has changed since"}},
                     .when = Command::When::kStandstill,
                     .run = [&control, load = context.load](const Arguments& a) {
                         load(a.text("path"), a.flag("force"));
                         control.emit("BACKPLANE_SNAPSHOT_RESTORED", {{"path", a.text("path")}});
                         return Json::object();
                     }});
    if (context.reload)
        control.add({.name = "plugin-reload",
                     .help = "puts another build of a plugin in the place of the one that runs",
                     .arguments = {{"plugin", Type::kText, false, "its id, or the path of a new file"}},
                     .when = Command::When::kStandstill,
                     .run = [&control, reload = context.reload](const Arguments& a) -> Json {
                         const std::string done = reload(a.text("plugin"));
                         control.emit("BACKPLANE_PLUGIN_RELOADED", {{"plugin", a.text("plugin")}, {"desc", done}});
                         return {{"desc", done}};
                     }});
}

}  // namespace backplane::kernel
