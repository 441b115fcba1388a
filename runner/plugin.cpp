// backplane plugin: list, inspect; new and lint are in plugin_author.cpp, check in plugin_check.cpp.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "runner/ctl.hpp"
#include "runner/options.hpp"
#include "runner/plugin_author.hpp"
#include "runner/plugin_check.hpp"

namespace backplane::runner {

namespace {

std::string joined(const std::vector<std::string>& words) {
    std::string text;
    for (const auto& w : words) text += (text.empty() ? "" : ", ") + w;
    return text.empty() ? "-" : text;
}

int list() {
    const Context context;
    std::printf("Searched:\n");
    for (const auto& folder : context.search.plugins) std::printf("  %s\n", folder.c_str());
    std::printf("\n%-28s %-9s %-8s %-34s %s\n", "PLUGIN", "KIND", "VERSION", "TYPES", "FILE");
    int broken = 0;
    for (const auto& f : context.registry->files()) {
        if (f.error.empty())
            std::printf("%-28s %-9s %-8s %-34s %s\n", f.manifest.id.c_str(), f.manifest.kind.c_str(),
                        f.manifest.version.c_str(), joined(f.manifest.types).c_str(), f.path.c_str());
        else
            ++broken;
    }
    if (broken) std::printf("\nNot usable:\n");
    for (const auto& f : context.registry->files())
        if (!f.error.empty()) std::printf("  %s\n", f.error.c_str());
    return 0;
}

int list_names() {
    const Context context;
    for (const auto& name : context.registry->type_names()) std::printf("%s\n", name.c_str());
    return 0;
}

void print_type(const kernel::TypeInfo& t) {
    std::printf("\n%s: %s\n", t.name.c_str(), t.doc.c_str());
    if (!t.properties.empty()) std::printf("  properties\n");
    for (const auto& p : t.properties)
        std::printf("    %-18s %-9s %-12s %s%s\n", p.name.c_str(), p.kind_name(),
                    p.required() ? "(required)" : p.default_text->c_str(), p.doc.c_str(),
                    p.choices.empty() ? "" : (" [" + joined(p.choices) + "]").c_str());
    for (const auto& [title, lines] : {std::pair{"lines out", &t.outputs}, {"lines in", &t.inputs}}) {
        if (!lines->empty()) std::printf("  %s\n", title);
        for (const auto& l : *lines)
            std::printf("    %-18s %s\n",
                        l.count == 1 ? l.name.c_str() : (l.name + "0.." + std::to_string(l.count - 1)).c_str(),
                        l.doc.c_str());
    }
    if (!t.regions.empty()) std::printf("  regions\n");
    for (const auto& r : t.regions)
        std::printf("    %-18s %s, 0x%llx %s\n", r.name.c_str(), r.kind == BP_REGION_PORTS ? "ports" : "memory",
                    static_cast<unsigned long long>(r.length), r.doc.c_str());
    if (!t.links.empty()) std::printf("  links\n");
    for (const auto& l : t.links)
        std::printf("    %-18s %s%s, %s\n", l.name.c_str(), l.interface_id.c_str(), l.optional ? " (optional)" : "",
                    l.doc.c_str());
    if (!t.buses.empty()) std::printf("  buses\n");
    for (const auto& b : t.buses)
        std::printf("    %-18s takes %s, %s\n", b.name.c_str(), b.child_interface_id.c_str(), b.doc.c_str());
    for (const auto& p : t.plugs) std::printf("  sits on a bus that takes %s\n", p.child_interface_id.c_str());
    for (const auto& o : t.offers)
        std::printf("  offers %s%s\n", o.interface_id.c_str(), o.name.empty() ? "" : (" as " + o.name).c_str());
    for (const auto& f : t.facts)
        std::printf("  %s the fact %s%s: %s\n", f.publishes ? "publishes" : "consumes", f.what.c_str(),
                    f.must_consume ? " (must be consumed)" : "", f.doc.c_str());
    for (const auto& p : t.traces) std::printf("  trace point %s: %s\n", p.name.c_str(), p.doc.c_str());
}

void print_manifest(const std::string& path) {
    const kernel::Manifest m = kernel::read_manifest(path);
    std::printf("file     %s\nid       %s\nkind     %s\nversion  %s\nlicence  %s\nABI      %u.%u\n", path.c_str(),
                m.id.c_str(), m.kind.c_str(), m.version.c_str(), m.licence.c_str(), m.abi_major, m.abi_minor);
    std::printf("types    %s\nneeds    %s\n", joined(m.types).c_str(), joined(m.needs).c_str());
}

// A file is only read: nothing in it runs. A type's name loads its plugin and shows what it declares.
int inspect(const std::string& what) {
    if (what.find('/') != std::string::npos || what.ends_with(".so")) {
        print_manifest(what);
        std::printf(
            "\nThe file was read; nothing in it was run. The name of a type loads it and shows what it declares.\n");
        return 0;
    }
    const Context context;
    bool any = false;
    for (const auto& f : context.registry->files()) {
        if (f.manifest.id != what) continue;
        print_manifest(f.path);
        for (const auto& t : f.manifest.types) print_type(context.registry->type(t));
        any = true;
    }
    if (!any) print_type(context.registry->type(what));
    return 0;
}

}  // namespace

void add_plugin(CLI::App& app, int& code) {
    CLI::App* sub = app.add_subcommand("plugin", "what plugins there are and what they offer");
    sub->require_subcommand(1);
    auto names = std::make_shared<bool>(false);
    CLI::App* l = sub->add_subcommand("list", "all plugins that are found, and the files that cannot be used and why");
    l->add_flag("--names", *names, "only the types' names, one a line");
    l->callback([names, &code] { code = *names ? list_names() : list(); });
    auto address = std::make_shared<std::string>(), reloaded = std::make_shared<std::string>();
    CLI::App* r =
        sub->add_subcommand("reload", "puts a new build of a plugin in the place of the one that a machine runs");
    r->add_option("plugin", *reloaded, "a device's name, a plugin's id, or the file of a new build")->required();
    add_control_option(*r, *address);
    r->callback([address, reloaded, &code] {
        const bool file = reloaded->ends_with(".so");
        const std::string name = file ? std::filesystem::absolute(*reloaded).lexically_normal().string() : *reloaded;
        code = control_call(*address, "plugin-reload", {{"plugin", name}});
    });
    auto what = std::make_shared<std::string>();
    CLI::App* i =
        sub->add_subcommand("inspect", "what a plugin file offers (nothing in it is run), or what a type declares");
    i->add_option("what", *what, "a .so file, a plugin id or a type such as rtc.mc146818")->required();
    i->callback([what, &code] { code = inspect(*what); });
    add_plugin_author(*sub, code);
    add_plugin_check(*sub, code);
}

}  // namespace backplane::runner
