// Declared state by path.
#include "kernel/control/commands.hpp"
#include "kernel/control/state_field.hpp"
#include "kernel/machine/machine.hpp"

namespace backplane::kernel {

void add_state_commands(const CommandContext& context) {
    Machine& m = context.machine;
    using Type = ArgumentSpec::Type;
    m.control().add({.name = "state-list",
                     .help = "the declared state: paths, kinds, sizes, and what may be set",
                     .arguments = {{"path", Type::kText, true, "only what is below: DEVICE or DEVICE.group"}},
                     .run = [&m](const Arguments& a) { return list_state(m, a.text("path")); }});
    m.control().add(
        {.name = "state-get",
         .help = "values of declared state",
         .arguments = {{"path", Type::kText, false, "DEVICE, DEVICE.field, DEVICE.group[1].field or DEVICE.field[3]"}},
         .run = [&m](const Arguments& a) { return get_state(m, a.text("path")); }});
    m.control().add(
        {.name = "state-set",
         .help = "sets a field that its device lets others set",
         .arguments = {{"path", Type::kText, false, "DEVICE.field or DEVICE.field[3]"},
                       {"value", Type::kAny, false, "a number, true or false, a list of them; bytes as hex"}},
         .when = Command::When::kStandstill,
         .run = [&m](const Arguments& a) {
             set_state(m, a.text("path"), a.value("value"));
             return Json::object();
         }});
}

}  // namespace backplane::kernel
