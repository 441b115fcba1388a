// What is traced and logged.
#include "kernel/config/convert.hpp"
#include "kernel/control/commands.hpp"
#include "kernel/machine/machine.hpp"

namespace backplane::kernel {

namespace {

Json set_trace(Tracer& tracer, const Arguments& a) {
    if (!a.has("patterns") && !a.has("on") && !a.has("off") && !a.has("file"))
        throw CommandError("expected one of the arguments `patterns`, `on`, `off` and `file`");
    if (a.has("file")) tracer.open(a.text("file"));
    if (a.has("patterns")) tracer.configure(a.text("patterns"));
    if (a.has("on")) tracer.change(a.text("on"), true);
    if (a.has("off")) tracer.change(a.text("off"), false);
    std::size_t enabled = 0;
    for (const Tracer::State& p : tracer.list()) enabled += p.on;
    return {{"patterns", tracer.patterns()}, {"enabled", enabled}};
}

}  // namespace

void add_trace_commands(const CommandContext& context) {
    Machine& m = context.machine;
    Control& control = m.control();
    using Type = ArgumentSpec::Type;
    control.add({.name = "trace-list",
                 .help = "trace points and register banks by name, and which are traced",
                 .arguments = {{"pattern", Type::kText, true, "only names that match, with * and ?"}},
                 .run = [&tracer = context.tracer](const Arguments& a) {
                     Json list = Json::array();
                     for (const Tracer::State& p : tracer.list())
                         if (!a.has("pattern") || matches(a.text("pattern"), p.name))
                             list.push_back({{"name", p.name}, {"enabled", p.on}});
                     return list;
                 }});
    control.add({.name = "trace-set",
                 .help = "what is traced; returns the patterns that hold now",
                 .arguments = {{"patterns", Type::kText, true, "takes the place of all patterns; as with --trace"},
                               {"on", Type::kText, true, "patterns to be traced as well"},
                               {"off", Type::kText, true, "patterns not to be traced any more"},
                               {"file", Type::kText, true, "where the trace goes from now on"}},
                 .run = [&tracer = context.tracer](const Arguments& a) { return set_trace(tracer, a); }});
    control.add({.name = "trace-instructions",
                 .help = "writes every executed instruction of the first CPU to a file, or ends that",
                 .arguments = {{"file", Type::kText, true, "left out: no more"}},
                 .when = Command::When::kStandstill,
                 .run = [&m](const Arguments& a) { return m.trace_instructions(a.text("file")), Json::object(); }});
    control.add({.name = "log-set",
                 .help = "what is logged",
                 .arguments = {{"levels", Type::kText, false, "DEVICE=LEVEL,...; as with --log"}},
                 .run = [&logger = context.logger](const Arguments& a) {
                     logger.configure(a.text("levels"), "levels");
                     return Json::object();
                 }});
}

}  // namespace backplane::kernel
