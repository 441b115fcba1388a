// backplane machine: list, show, check, graph, schema.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>

#include "kernel/machine/machine.hpp"
#include "kernel/plugin/schema.hpp"
#include "runner/graph.hpp"
#include "runner/options.hpp"

namespace backplane::runner {

namespace {

int list() {
    const Context context;
    std::printf("Boards are looked for in:\n");
    for (const auto& f : context.search.machines) std::printf("  %s\n", f.c_str());
    std::printf("\n");
    for (const auto& m : kernel::list_machines(context.search))
        if (!m.hidden) std::printf("%-14s %s\n%-14s %s\n", m.name.c_str(), m.description.c_str(), "", m.path.c_str());
    std::printf("\nVM files are looked for in:\n");
    for (const auto& f : context.search.configs) std::printf("  %s\n", f.c_str());
    std::printf("\n");
    for (const auto& m : kernel::list_vms(context.search))
        if (!m.hidden) std::printf("%-14s %s\n%-14s %s\n", m.name.c_str(), m.description.c_str(), "", m.path.c_str());
    std::printf("\nPlugins are looked for in:\n");
    for (const auto& f : context.search.plugins) std::printf("  %s\n", f.c_str());
    std::printf("\nFirmware is looked for in:\n");
    for (const auto& f : context.search.firmware) std::printf("  %s\n", f.c_str());
    return 0;
}

int list_names() {
    const Context context;
    for (const auto& m : kernel::list_machines(context.search))
        if (!m.hidden) std::printf("%s\n", m.name.c_str());
    return 0;
}

std::string value_text(const kernel::Value& v) {
    if (v.is_scalar()) return v.text();
    std::string text;
    if (v.is_list()) {
        for (const auto& i : v.items()) text += (text.empty() ? "" : ", ") + value_text(i);
        return "[" + text + "]";
    }
    if (v.is_map()) {
        for (const auto& e : v.entries()) text += (text.empty() ? "" : ", ") + e.key + ": " + value_text(e.value);
        return "{" + text + "}";
    }
    return "~";
}

int show(const BoardOptions& o) {
    const Context context;
    const kernel::BoardSpec b = kernel::load_board(o.request(), context.search);
    std::printf("%s: %s\nfile: %s\n", b.name.c_str(), b.description.c_str(), b.machine_file.c_str());
    for (const auto& a : b.ancestry) std::printf("extends: %s\n", a.c_str());
    std::printf("\nparameters (set them in a VM file, with --set, or by the option that stands behind):\n");
    for (const auto& p : b.parameters) {
        std::string alias;
        for (const auto& a : b.aliases)
            if (a.parameter == p.path) alias += " --" + a.name;
        std::printf("  %-22s %-9s %-14s %s%s\n", p.path.c_str(), p.type_name(), p.has_value ? p.value.c_str() : "-",
                    p.doc.c_str(), alias.c_str());
    }
    std::printf("\ndevices:\n");
    for (const auto& d : b.devices) {
        std::printf("  %-14s %s\n", d.name.c_str(), d.type.c_str());
        for (const auto& e : d.entries) std::printf("    %s: %s\n", e.key.c_str(), value_text(e.value).c_str());
    }
    std::printf("\nwires:\n");
    for (const auto& w : b.lines) {
        std::string sinks;
        for (const auto& s : w.sinks) sinks += " " + value_text(s);
        std::printf("  %-14s ->%s\n", w.name.c_str(), sinks.c_str());
    }
    std::printf("\nfacts:\n");
    for (const auto& p : b.publish)
        std::printf("  %-14s %s -> %s\n", p.what.text().c_str(), p.from.text().c_str(), p.into.text().c_str());
    return 0;
}

// Builds the machine as far as it goes without opening an image or starting anything.
int check(const BoardOptions& o) {
    Context context;
    const kernel::BoardSpec b = kernel::load_board(o.request(), context.search);
    kernel::Logger logger;
    kernel::Tracer tracer;
    kernel::MachineOptions options;
    options.search = context.search;
    options.verify_only = true;
    const kernel::Machine machine(b, *context.registry, logger, tracer, std::move(options));
    std::printf("%s: %zu devices, %zu wires, no errors\n", b.name.c_str(), b.devices.size(), b.lines.size());
    return 0;
}

int write_or_print(const std::string& text, const std::string& path) {
    if (path.empty()) {
        std::fwrite(text.data(), 1, text.size(), stdout);
        return 0;
    }
    std::ofstream out(path, std::ios::binary);
    out << text;
    out.close();
    if (!out) throw kernel::Error(path + ": cannot be written");
    return 0;
}

}  // namespace

void add_machine(CLI::App& app, int& code) {
    CLI::App* sub = app.add_subcommand("machine", "boards: list, show, check, draw");
    sub->require_subcommand(1);
    auto names = std::make_shared<bool>(false);
    CLI::App* l = sub->add_subcommand("list", "all boards and VM files, and the searched folders");
    l->add_flag("--names", *names, "only the boards' names, one a line");
    l->callback([names, &code] { code = *names ? list_names() : list(); });
    const auto with_board = [&](const char* name, const char* help, int (*action)(const BoardOptions&)) {
        auto o = std::make_shared<BoardOptions>();
        CLI::App* s = sub->add_subcommand(name, help);
        add_board_options(*s, *o);
        s->callback([o, action, &code] { code = action(*o); });
    };
    with_board("show", "the board with everything merged: parameters, devices, wires, facts", show);
    with_board("check", "finds every mistake that can be found without starting the machine", check);
    auto o = std::make_shared<BoardOptions>();
    auto out = std::make_shared<std::string>();
    CLI::App* g = sub->add_subcommand("graph", "draws the board (SVG)");
    add_board_options(*g, *o);
    g->add_option("--output,-o", *out, "file; otherwise standard output")->type_name("FILE");
    g->callback([o, out, &code] {
        Context context;
        code = write_or_print(board_svg(kernel::load_board(o->request(), context.search), *context.registry), *out);
    });
    auto schema_out = std::make_shared<std::string>();
    auto kind = std::make_shared<std::string>("machine");
    CLI::App* s = sub->add_subcommand(
        "schema", "JSON Schema for machine or VM files, made from what the plugins declare; editors complete from it");
    s->add_option("kind", *kind, "machine or vm")->check(CLI::IsMember({"machine", "vm"}));
    s->add_option("--output,-o", *schema_out, "file; otherwise standard output")->type_name("FILE");
    s->callback([kind, schema_out, &code] {
        Context context;
        code = write_or_print(*kind == "vm" ? kernel::vm_schema(*context.registry, context.search)
                                            : kernel::machine_schema(*context.registry),
                              *schema_out);
    });
}

}  // namespace backplane::runner
