// Running, stopping, and what the machine is.
#include <chrono>
#include <sstream>

#include "kernel/control/commands.hpp"
#include "kernel/control/machine_events.hpp"
#include "kernel/machine/machine.hpp"

namespace backplane::kernel {

namespace {

Json described(const Command& command) {
    Json arguments = Json::array();
    for (const ArgumentSpec& a : command.arguments)
        arguments.push_back({{"name", a.name}, {"type", a.type_name()}, {"optional", a.optional}, {"help", a.help}});
    return {{"name", command.name}, {"help", command.help}, {"arguments", arguments}};
}

Json version_triple(const std::string& version) {
    std::istringstream in(version);
    int major = 0, minor = 0, micro = 0;
    char dot = 0;
    in >> major >> dot >> minor >> dot >> micro;
    return {{"major", major}, {"minor", minor}, {"micro", micro}};
}

Json stats(Machine& m, std::chrono::steady_clock::time_point since) {
    const auto host = std::chrono::nanoseconds(std::chrono::steady_clock::now() - since).count();
    const double seconds = static_cast<double>(host) * 1e-9;
    Json cpus = Json::array();
    for (const Vcpu& c : m.assembly().vcpus)
        cpus.push_back({{"name", c.device->name()},
                        {"instructions", __atomic_load_n(&c.shared.instructions, __ATOMIC_RELAXED)},
                        {"halted", c.halted}});
    return {{"time-ns", m.now()},
            {"host-ns", host},
            {"ratio", seconds > 0 ? static_cast<double>(m.now()) / static_cast<double>(host) : 0.0},
            {"instructions", m.instructions()},
            {"instructions-per-second", seconds > 0 ? static_cast<double>(m.instructions()) / seconds : 0.0},
            {"guest-memory", m.guest_memory()},
            {"cpus", cpus}};
}

void add_lists(const CommandContext& context) {
    Control& control = context.machine.control();
    control.add(
        {.name = "query-commands", .help = "the commands with their arguments", .run = [&control](const Arguments&) {
             Json list = Json::array();
             for (const auto& [name, command] : control.commands()) list.push_back(described(command));
             return list;
         }});
    control.add({.name = "query-events", .help = "the events", .run = [&control](const Arguments&) {
                     Json list = Json::array();
                     for (const auto& [name, help] : control.events()) list.push_back({{"name", name}, {"help", help}});
                     return list;
                 }});
    control.add({.name = "query-version",
                 .help = "the program's version",
                 .run = [version = context.program_version](const Arguments&) -> Json {
                     return {{"backplane", version_triple(version)}, {"package", "Backplane " + version}};
                 }});
}

void add_identity(const CommandContext& context) {
    Machine& m = context.machine;
    Control& control = m.control();
    control.add({.name = "query-name", .help = "the virtual machine's name", .run = [&m](const Arguments&) {
                     Json names = Json::object();
                     if (!m.board().vm_name.empty()) names["name"] = m.board().vm_name;
                     return names;
                 }});
    control.add({.name = "query-uuid", .help = "the machine's UUID", .run = [&m](const Arguments&) -> Json {
                     const Parameter* p = m.board().parameter("uuid");
                     if (!p || !p->has_value) throw CommandError("the board has no UUID");
                     return {{"UUID", p->value}};
                 }});
    control.add({.name = "query-machine", .help = "the board and how it runs", .run = [&m](const Arguments&) -> Json {
                     Json parameters = Json::object();
                     for (const Parameter& p : m.board().parameters)
                         parameters[p.path] = p.has_value ? Json(p.value) : Json();
                     return {{"board", m.board().name},
                             {"description", m.board().description},
                             {"machine-file", m.board().machine_file},
                             {"vm-file", m.board().vm_file},
                             {"clock", m.deterministic() ? "deterministic" : "realtime"},
                             {"parameters", parameters}};
                 }});
}

}  // namespace

void add_run_commands(const CommandContext& context) {
    Machine& m = context.machine;
    Control& control = m.control();
    control.add({.name = "query-status", .help = "whether the machine runs", .run = [&m](const Arguments&) -> Json {
                     Json status{{"status", m.paused() ? "paused" : "running"}, {"running", !m.paused()}};
                     if (const std::string reason = m.pause_reason(); !reason.empty()) status["desc"] = reason;
                     return status;
                 }});
    control.add({.name = "stop",
                 .help = "stops the machine; its time stands still too",
                 .when = Command::When::kAfter,
                 .run = [&m](const Arguments&) { return m.pause(), Json::object(); }});
    control.add({.name = "cont", .help = "lets a stopped machine go on", .begin = [&m](const Arguments&, Reply reply) {
                     m.resume();
                     reply.ok(Json::object());  // after the event
                 }});
    control.add({.name = "system_reset",
                 .help = "resets the machine, as its reset button does",
                 .when = Command::When::kAfter,
                 .run = [&m](const Arguments&) { return m.reset(), Json::object(); }});
    control.add({.name = "quit", .help = "ends the emulator; disks are flushed", .run = [&m](const Arguments&) {
                     return m.quit(kQuitCommand), Json::object();
                 }});
    control.add({.name = "query-stats",
                 .help = "executed instructions and machine time, against the host's time since the start",
                 .run = [&m, since = std::chrono::steady_clock::now()](const Arguments&) { return stats(m, since); }});
    add_lists(context);
    add_identity(context);
}

void add_commands(const CommandContext& context) {
    add_machine_events(context.machine.control());
    add_run_commands(context);
    add_device_commands(context);
    add_state_commands(context);
    add_trace_commands(context);
    add_snapshot_commands(context);
    add_offered_commands(context);
    add_inspect_commands(context);
    add_probe_commands(context);
}

}  // namespace backplane::kernel
