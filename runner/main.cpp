// backplane: the command-line program.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "kernel/config/convert.hpp"
#include "kernel/config/error.hpp"
#include "runner/foreign.hpp"
#include "runner/options.hpp"
#include "runner/version.hpp"

namespace {

namespace runner = backplane::runner;

int command_line(int argc, char** argv) {
    const std::string path = argc > 0 ? argv[0] : "";
    const std::string program = path.substr(path.rfind('/') + 1);
    const std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
    if (program != "backplane")
        if (const auto result = runner::run_as(program, arguments)) return *result;
    CLI::App app{
        "Backplane, a PC built from plugins.\n\n"
        "  backplane run --hda disk.img               boot a disk on the default board (pc-0.12)\n"
        "  backplane run my-vm.yaml                   run the machine that a VM file describes\n"
        "  backplane machine list                     which boards there are, and where they are looked for\n"
        "  backplane ctl stop                         command a machine that runs with --control\n"
        "  backplane disk info disk.img               what a disk is, and the geometry that it will get\n"
        "  backplane disk doctor disk.img             why an old disk does not boot, and what helps\n"
        "  backplane snapshot diff a.snapshot b.snapshot   what differs between two saved states\n",
        "backplane"};
    app.require_subcommand(1);
    app.set_version_flag("--version", runner::version_text(), "print the version and the plugin ABI's version");
    app.footer([] {
        return runner::foreign_help() +
               "`backplane COMMAND --help` lists the options of a command; `man backplane` says more.\n"
               "Exit codes: 0 done, 1 failed, 2 wrong configuration or command line, 3 plugin problem.";
    });
    int code = 0;
    runner::add_run(app, code);
    runner::add_machine(app, code);
    runner::add_cpu(app, code);
    runner::add_plugin(app, code);
    runner::add_disk(app, code);
    runner::add_snapshot(app, code);
    runner::add_ctl(app, code);
    runner::add_import(app, code);
    // CLI11 would only say that a command is missing.
    if (argc > 1 && argv[1][0] != '-') {
        std::vector<std::string> known;
        for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; }))
            known.push_back(sub->get_name());
        if (std::find(known.begin(), known.end(), argv[1]) == known.end()) {
            if (const auto result = runner::run_foreign(arguments[0], {arguments.begin() + 1, arguments.end()}))
                return *result;
            std::fprintf(stderr, "backplane: there is no command `%s`%s; the commands are %s\n", argv[1],
                         backplane::kernel::did_you_mean(argv[1], known).c_str(),
                         backplane::kernel::list_of(known).c_str());
            return backplane::kernel::kExitConfig;
        }
    }
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        const int result = app.exit(e);
        return result == 0 ? 0 : backplane::kernel::kExitConfig;
    }
    return code;
}

}  // namespace

int main(int argc, char** argv) {
    // A file that reaches the limit on its size (`ulimit -f`) is a write that fails, not the end of the program.
    std::signal(SIGXFSZ, SIG_IGN);
    try {
        return command_line(argc, argv);
    } catch (const backplane::kernel::Error& e) {
        std::fprintf(stderr, "backplane: %s\n", e.what());
        return e.exit_code;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "backplane: %s\n", e.what());
        return backplane::kernel::kExitFailure;
    }
}
