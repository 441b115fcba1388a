// backplane COMMAND ARGUMENT... for commands that plugins bring, the same by the program's name, and backplane import.
#include "runner/foreign.hpp"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>

#include "backplane/abi/command_line.h"
#include "kernel/config/convert.hpp"
#include "runner/run.hpp"

namespace backplane::runner {
namespace {

constexpr std::size_t kMostImported = std::size_t{8} << 20;

std::vector<const bp_command_line*> command_lines(kernel::PluginRegistry& registry) {
    std::vector<const bp_command_line*> out;
    for (const void* table : registry.provided(BP_COMMAND_LINE_ID)) {
        const auto* t = static_cast<const bp_command_line*>(table);
        if (t->size < sizeof(bp_command_line))
            throw kernel::Error("a plugin's " BP_COMMAND_LINE_ID " has another layout than this program's ABI",
                                kernel::kExitPlugin);
        out.push_back(t);
    }
    return out;
}

// What a plugin says while it translates.
struct Translation {
    std::string machine, error, text;
    bool only_machine = false, only_text = false;
    std::vector<std::string> warnings, options;

    bp_command_line_sink sink() {
        static constexpr auto self = [](void* p) -> Translation& { return *static_cast<Translation*>(p); };
        return {sizeof(bp_command_line_sink),
                this,
                [](void* p, bp_str text) { self(p).warnings.emplace_back(to_view(text)); },
                [](void* p, bp_str text) { self(p).error = to_view(text); },
                [](void* p, bp_str yaml) { self(p).machine = to_view(yaml); },
                [](void* p, bp_str name, bp_str value) { self(p).option(to_view(name), to_view(value)); }};
    }
    void option(std::string_view name, std::string_view value) {
        if (name == "print-machine")
            only_machine = true;
        else if (name == "print")
            only_text = true, text += value;
        else
            options.push_back("--" + std::string(name) + (value.empty() ? "" : "=" + std::string(value)));
    }
    void finish(bp_status status) const {
        for (const std::string& w : warnings) std::fprintf(stderr, "backplane: %s\n", w.c_str());
        if (status != BP_OK || !error.empty())
            throw kernel::Error(error.empty() ? "it cannot be translated, and the plugin does not say why" : error);
    }
    // A VM file to keep, with what does not fit into one.
    std::string file() const {
        std::string out = machine;
        if (!options.empty()) {
            out += "\n# To be run with";
            for (const std::string& o : options) out += " " + o;
            out += "\n";
        }
        return out;
    }
};

RunOptions run_options(const Translation& t) {
    RunOptions o;
    CLI::App app;
    add_run_options(app, o);
    std::vector<std::string> reversed(t.options.rbegin(), t.options.rend());
    try {
        app.parse(reversed);
    } catch (const CLI::ParseError& e) {
        throw kernel::Error(std::string("the plugin asked for something that a run cannot be told: ") + e.what(),
                            kernel::kExitPlugin);
    }
    return o;
}

int translate_and_run(const bp_command_line& plugin, const std::string& program,
                      const std::vector<std::string>& arguments) {
    std::vector<bp_str> texts;
    for (const std::string& a : arguments) texts.push_back(to_bp(a));
    Translation t;
    const bp_command_line_sink sink = t.sink();
    t.finish(plugin.translate(to_bp(program), texts.data(), static_cast<u32>(texts.size()), &sink));
    if (t.only_text) {
        std::fputs(t.text.c_str(), stdout);
        return 0;
    }
    if (t.only_machine) {
        std::fputs(t.file().c_str(), stdout);
        return 0;
    }
    RunOptions o = run_options(t);
    o.machine = request_of_vm(t.machine, program);
    return run_machine(o);
}

std::optional<int> run_with(const std::string& program, const std::vector<std::string>& arguments, const auto& claims) {
    Context context;
    for (const bp_command_line* plugin : command_lines(*context.registry))
        if (claims(*plugin)) return translate_and_run(*plugin, program, arguments);
    return std::nullopt;
}

std::string contents_of(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    std::string text;
    if (in) {
        text.resize(kMostImported + 1);
        in.read(text.data(), static_cast<std::streamsize>(text.size()));
        text.resize(static_cast<std::size_t>(in.gcount()));
    }
    if (!in.eof() && in.fail()) throw kernel::Error(path + ": cannot be read: " + std::strerror(errno));
    if (text.size() > kMostImported) throw kernel::Error(path + ": too large for a description of a machine");
    return text;
}

void write_new(const std::string& path, const std::string& text, bool force) {
    if (!force && ::access(path.c_str(), F_OK) == 0)
        throw kernel::Error(path + ": exists already; --force writes over it");
    std::ofstream out(path, std::ios::binary);
    out << text;
    out.close();
    if (!out) throw kernel::Error(path + ": cannot be written");
}

int import(const std::string& path, const std::string& output, bool force) {
    Context context;
    const std::string contents = contents_of(path);
    for (const bp_command_line* plugin : command_lines(*context.registry)) {
        if (!plugin->recognises(to_bp(path), to_bp(contents))) continue;
        Translation t;
        const bp_command_line_sink sink = t.sink();
        t.finish(plugin->import(to_bp(path), to_bp(contents), &sink));
        if (output.empty())
            std::fputs(t.file().c_str(), stdout);
        else
            write_new(output, t.file(), force);
        return 0;
    }
    throw kernel::Error(path +
                        ": this is no description of a machine that any plugin can read (libvirt's XML, a command "
                        "line, .vbox, .vmx)");
}

}  // namespace

std::optional<int> run_as(const std::string& program, const std::vector<std::string>& arguments) {
    return run_with(program, arguments,
                    [&](const bp_command_line& plugin) { return plugin.called_as(to_bp(program)) != 0; });
}

std::optional<int> run_foreign(const std::string& command, const std::vector<std::string>& arguments) {
    return run_with(command, arguments, [&](const bp_command_line& plugin) { return to_view(plugin.name) == command; });
}

std::string foreign_help() {
    std::string text;
    Context context;
    for (const bp_command_line* plugin : command_lines(*context.registry)) {
        const std::string command = "  backplane " + std::string(to_view(plugin->name)) + " ARGUMENT...";
        text += command + std::string(command.size() < 44 ? 44 - command.size() : 1, ' ') +
                std::string(to_view(plugin->help)) + "\n";
    }
    return text.empty() ? "" : "Other command lines, which plugins bring:\n" + text + "\n";
}

void add_import(CLI::App& app, int& code) {
    struct Options {
        std::string file, output;
        bool force = false;
    };
    auto o = std::make_shared<Options>();
    CLI::App* sub = app.add_subcommand("import", "makes a VM file of another program's description of a machine");
    sub->add_option("file", o->file, "what plugins can read: libvirt's XML, a command line in a file, .vbox, .vmx")
        ->type_name("FILE")
        ->required();
    sub->add_option("--output,-o", o->output, "VM file to write; otherwise standard output")->type_name("VM.yaml");
    sub->add_flag("--force", o->force, "write over a file that exists");
    sub->callback([o, &code] { code = import(o->file, o->output, o->force); });
}

}  // namespace backplane::runner
