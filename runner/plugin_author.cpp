// backplane plugin new, lint: for those who write plugins.
#include "runner/plugin_author.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "kernel/config/error.hpp"
#include "kernel/plugin/lint.hpp"
#include "runner/options.hpp"
#include "runner/plugin_new.hpp"

namespace backplane::runner {

namespace {

struct NewOptions {
    std::string name, kind = "device", output = ".";
};

int make_new(const NewOptions& o) {
    const std::string folder = make_plugin(kernel::SearchPaths::standard(), o.name, o.kind, o.output);
    const char* what = o.kind == "device" ? "a device" : o.kind == "pci" ? "a PCI function" : "a back end";
    std::printf(
        "%s: %s, with a test, a guest that uses it and a VM file; README.md says more. Next:\n\n"
        "  cd %s\n"
        "  cmake -B build && cmake --build build && ctest --test-dir build\n"
        "  backplane run %s.yaml\n",
        folder.c_str(), what, folder.c_str(), o.name.c_str());
    return 0;
}

int lint(const std::vector<std::string>& files) {
    int code = 0;
    for (const std::string& file : files) {
        const kernel::LintReport report = kernel::lint_plugin(file);
        for (const kernel::LintFinding& f : report.findings)
            std::printf("%s: %s%s: %s\n", file.c_str(), f.note ? "note: " : "", f.what.c_str(), f.why.c_str());
        if (report.clean())
            std::printf("%s: nothing against it (%s %s)\n", file.c_str(), report.manifest.kind.c_str(),
                        report.manifest.id.c_str());
        else
            code = kernel::kExitFailure;
    }
    return code;
}

}  // namespace

void add_plugin_author(CLI::App& plugin, int& code) {
    auto options = std::make_shared<NewOptions>();
    CLI::App* n = plugin.add_subcommand("new", "a folder with a new plugin that works: source, test, guest, VM file");
    n->add_option("name", options->name, "its name: a C++ identifier")->required()->type_name("NAME");
    n->add_option("--kind", options->kind,
                  "device: ports, interrupt, timer; pci: a PCI function with DMA; backend: a character stream")
        ->check(CLI::IsMember({"device", "pci", "backend"}))
        ->type_name("KIND")
        ->capture_default_str();
    n->add_option("--output", options->output, "where to make the folder NAME")
        ->type_name("DIR")
        ->capture_default_str();
    n->callback([options, &code] { code = make_new(*options); });

    auto files = std::make_shared<std::vector<std::string>>();
    CLI::App* l = plugin.add_subcommand(
        "lint", "what plugin files do that a plugin of their kind must not; they are read, and nothing in them is run");
    l->add_option("file", *files, "a .so file")->required()->type_name("FILE.so");
    l->footer("Exit codes: 0 nothing but notes, 1 findings, 3 no plugin.");
    l->callback([files, &code] { code = lint(*files); });
}

}  // namespace backplane::runner
