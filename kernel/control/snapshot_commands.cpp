// Saving, restoring and reloading: what changes the machine as a whole.
#include "kernel/control/commands.hpp"
#include "kernel/machine/machine.hpp"

namespace backplane::kernel {

void add_snapshot_commands(const CommandContext& context) {
    Machine& m = context.machine;
    Control& control = m.control();
    using Type = ArgumentSpec::Type;
    control.add({.name = "save-state",
                 .help = "saves the machine's state to a file",
                 .arguments = {{"path", Type::kText, false, "the file; replaced once the new one is complete"}},
                 .when = Command::When::kStandstill,
                 .run = [&m](const Arguments& a) {
                     m.save(a.text("path"));
                     return Json::object();
                 }});
    control.add({.name = "load-state",
                 .help = "restores the machine's state from a file; if that fails nothing changes",
                 .arguments = {{"path", Type::kText, false, "the file"},
                               {"force", Type::kBool, true, "even if a disk has changed since"}},
                 .when = Command::When::kStandstill,
                 .run = [&m](const Arguments& a) {
                     m.load(a.text("path"), a.flag("force"));
                     return Json::object();
                 }});
    control.add({.name = "engine-set",
                 .help = "lets the CPUs go on with another engine; if that fails the present one goes on",
                 .arguments = {{"engine", Type::kText, false, "as the board's parameter `engine`: interp ..."}},
                 .when = Command::When::kStandstill,
                 .run = [&m](const Arguments& a) -> Json {
                     return {{"desc", m.exchange_engine(a.text("engine"))}};
                 }});
    control.add({.name = "plugin-reload",
                 .help = "puts another build of a plugin in the place of the one that runs",
                 .arguments = {{"plugin", Type::kText, false, "its id, or the path of a new file"}},
                 .when = Command::When::kStandstill,
                 .run = [&m](const Arguments& a) -> Json {
                     return {{"desc", m.reload(a.text("plugin"))}};
                 }});
}

}  // namespace backplane::kernel
