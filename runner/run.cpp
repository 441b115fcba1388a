// backplane run: builds a machine and runs it.
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <thread>

#include "kernel/control/commands.hpp"
#include "kernel/control/machine_events.hpp"
#include "kernel/machine/machine.hpp"
#include "runner/at.hpp"
#include "runner/control.hpp"
#include "runner/cross_check.hpp"
#include "runner/gdb.hpp"
#include "runner/monitor.hpp"
#include "runner/options.hpp"
#include "runner/request.hpp"
#include "runner/run.hpp"
#include "runner/terminal.hpp"
#include "runner/version.hpp"

namespace backplane::runner {

namespace {

sigset_t handled_signals() {
    sigset_t set;
    ::sigemptyset(&set);
    for (const int s : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2}) ::sigaddset(&set, s);
    return set;
}

// A crash leaves the terminal usable.
void on_crash(int signal) {
    restore_terminal();
    ::signal(signal, SIG_DFL);
    ::raise(signal);
}

// Signals are taken by one thread, never in the middle of other work.
class SignalThread {
  public:
    SignalThread(kernel::Machine& machine, Monitor& monitor)
        : machine_(machine), monitor_(monitor), thread_([this] { loop(); }) {}
    ~SignalThread() {
        done_ = true;
        ::pthread_kill(thread_.native_handle(), SIGUSR2);
        thread_.join();
    }

  private:
    void loop() {
        const sigset_t set = handled_signals();
        for (;;) {
            int signal = 0;
            if (::sigwait(&set, &signal) != 0 || done_) return;
            if (signal == SIGUSR1 || signal == SIGQUIT) {
                const std::string text = machine_.report() + monitor_.screen();
                std::fputs(text.c_str(), stderr);
            } else if (signal != SIGUSR2) {
                machine_.quit(std::string(kernel::kQuitSignal) + ::strsignal(signal));
            }
        }
    }
    kernel::Machine& machine_;
    Monitor& monitor_;
    std::atomic<bool> done_{false};
    std::thread thread_;
};

// The machine of a snapshot, changed by what the command line says: most of all the engine. Who commanded it then has
// no part in it now.
kernel::BoardRequest restored_request(const RunOptions& o) {
    kernel::BoardRequest request = saved_request(o.restore);
    const std::vector<kernel::Setting> mine = o.board.request().settings;
    std::erase_if(request.settings, [&](const kernel::Setting& s) {
        const bool again = std::ranges::any_of(mine, [&](const kernel::Setting& m) { return m.path == s.path; });
        return again || s.path == "control" || s.path.starts_with("devices.control-");
    });
    request.settings.insert(request.settings.end(), mine.begin(), mine.end());
    return request;
}

kernel::BoardRequest request_of(const RunOptions& o) {
    if (o.machine) return *o.machine;
    const bool named = !o.board.vm.empty() || !o.board.machine.empty();
    return o.restore.empty() || named ? o.board.request() : restored_request(o);
}

}  // namespace

int run_machine(const RunOptions& o) {
    const sigset_t set = handled_signals();
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
    for (const int s : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT}) ::signal(s, on_crash);
    ::signal(SIGPIPE, SIG_IGN);

    if (o.display != "none")
        throw kernel::Error("--display " + o.display +
                            ": this version has no such display; use none (the text screen: Ctrl-A c, screen)");
    if (!o.script.empty() && ::access(o.script.c_str(), R_OK) != 0)
        throw kernel::Error("--script " + o.script + ": " + std::strerror(errno));
    if (!o.record.empty() && !o.replay.empty())
        throw kernel::Error("--record and --replay: a session is either recorded or replayed");
    std::vector<AtAction> at;
    for (const std::string& text : o.at) at.push_back(parse_at(text));
    kernel::Logger logger;
    if (!o.log.empty()) logger.configure(o.log);
    Context context;
    kernel::BoardRequest request = request_of(o);
    if (!o.record.empty() || !o.replay.empty())
        require_deterministic(request, context.search, o.record.empty() ? "--replay" : "--record");
    if (!o.cross_check.empty()) require_deterministic(request, context.search, "--cross-check");
    const kernel::BoardSpec board = kernel::load_board(request, context.search);
    kernel::Tracer tracer;
    if (!o.trace_file.empty()) tracer.open(o.trace_file);
    if (!o.trace.empty()) tracer.configure(o.trace);
    kernel::MachineOptions options;
    options.search = context.search;
    options.reboot = !o.no_reboot;
    if (!o.cross_check.empty()) options.cross_check = parse_cross_check(o.cross_check, context.search);
    options.program_version = version_number();
    options.request_json = [](const kernel::BoardSpec& b) { return request_json(kernel::request_of(b), b); };

    struct Restore {
        ~Restore() {
            set_terminal_handlers({});
            restore_terminal();
        }
    } restore;
    kernel::Machine machine(board, *context.registry, logger, tracer, std::move(options));
    if (!o.restore.empty()) machine.load(o.restore, o.force);
    Inputs inputs(machine);
    AtWork at_work(machine, at);
    if (!o.record.empty()) machine.record_input(o.record);
    if (!o.replay.empty()) machine.replay_input(o.replay);
    Monitor monitor(machine, inputs);
    kernel::add_commands({machine, logger, tracer, version_number()});
    set_terminal_handlers(
        {[&] { machine.quit("Ctrl-A x"); }, [&](const std::string& line) { return monitor.run(line); }});
    if (o.paused) machine.pause();
    if (!o.trace_instructions.empty()) machine.trace_instructions(o.trace_instructions);

    std::atomic<bool> ended{false};
    std::string script_error;
    std::thread script;
    kernel::Outcome outcome;
    {
        RunnerCommands commands(machine, monitor);
        std::unique_ptr<GdbServer> gdb;
        if (!o.gdb.empty()) gdb = std::make_unique<GdbServer>(machine, monitor, o.gdb);
        SignalThread signals(machine, monitor);
        if (!o.script.empty())
            script = std::thread([&] {
                script_error = run_script(
                    o.script, monitor, [&] { return ended.load(); },
                    [](const std::string& text) { std::fputs(text.c_str(), stdout), std::fflush(stdout); });
                if (!script_error.empty()) machine.quit("script");
            });
        outcome = machine.run();
        ended = true;
        if (gdb) gdb->ended(outcome.code);
        if (script.joinable()) script.join();
    }
    if (outcome.reason != kernel::Outcome::Reason::kError) at_work.ended();
    set_terminal_handlers({});
    restore_terminal();
    if (o.print_stats)
        std::fprintf(stderr, "backplane: %llu instructions, %.3f s of machine time\n",
                     static_cast<unsigned long long>(machine.instructions()),
                     static_cast<double>(machine.now()) * 1e-9);
    for (const std::string& error : {script_error, at_work.error()}) {
        if (error.empty()) continue;
        std::fprintf(stderr, "backplane: %s\n", error.c_str());
        return kernel::kExitFailure;
    }
    switch (outcome.reason) {
        case kernel::Outcome::Reason::kPowerOff:
        case kernel::Outcome::Reason::kExit: return outcome.code;
        case kernel::Outcome::Reason::kReset: return kExitReset;
        case kernel::Outcome::Reason::kQuit: return kernel::kExitOk;
        case kernel::Outcome::Reason::kError: break;
    }
    std::fprintf(stderr, "backplane: %s\n", outcome.text.c_str());
    return outcome.code ? outcome.code : kernel::kExitFailure;
}

void add_run_options(CLI::App& app, RunOptions& o) {
    app.add_option("--display", o.display, "none")->type_name("KIND");
    app.add_option("--log", o.log, "log levels: debug info warn error off, by device: ide=debug,*=warn")
        ->type_name("LEVELS");
    app.add_option("--trace", o.trace, "trace points and registers by name: 'ide.*,pic.*'")->type_name("PATTERNS");
    app.add_option("--trace-file", o.trace_file, "write the trace there instead of standard error")->type_name("FILE");
    app.add_option("--trace-instructions", o.trace_instructions,
                   "write every executed instruction, disassembled, to a file")
        ->type_name("FILE");
    app.add_option("--script", o.script, "keys and checks of the text screen from a file (see the man page)")
        ->type_name("FILE");
    app.add_option(
           "--restore", o.restore,
           "go on from a snapshot; without a VM file or --machine: on the machine that it was taken of, but for what "
           "other options change, such as --engine")
        ->type_name("FILE");
    app.add_flag("--force", o.force,
                 "with --restore: also if a disk image is not as it was when the snapshot was taken");
    app.add_option("--record", o.record,
                   "record the session (keys, serial input, resets) for --replay; implies --clock deterministic")
        ->type_name("FILE");
    app.add_option("--replay", o.replay, "replay a recorded session on the same machine, exactly as it was")
        ->type_name("FILE");
    app.add_option("--at", o.at,
                   "at an exact instruction count or time: icount=N:save=FILE, time=2.5s:stop, icount=N:quit, "
                   "time=T:engine=NAME; or end:save=FILE; may be repeated")
        ->type_name("POINT:ACTION")
        ->allow_extra_args(false);
    app.add_option(
           "--cross-check", o.cross_check,
           "let a second engine execute everything as well, N instructions at a time, and compare; implies --clock "
           "deterministic")
        ->type_name("N[,ENGINE]");
    app.add_flag("--no-reboot", o.no_reboot, "end with exit code 4 when the guest resets the machine");
    app.add_flag("--paused", o.paused,
                 "the machine stands still until it is told to go on (monitor, --control, --gdb)");
    app.add_option("--gdb", o.gdb, "a debugger may attach there (gdb: target remote): tcp:127.0.0.1:PORT or unix:PATH")
        ->type_name("WHERE");
    app.add_flag("--stats", o.print_stats, "print instruction count and machine time at the end");
}

void add_run(CLI::App& app, int& code) {
    auto o = std::make_shared<RunOptions>();
    CLI::App* sub = app.add_subcommand("run", "run a machine");
    sub->footer(
        "Exit codes: 0 the guest powered off or you ended it; 1 the machine failed; 2 configuration or command line;\n"
        "3 plugin; 4 the guest reset the machine and --no-reboot was given; a debug exit device in the guest gives its "
        "own.\n"
        "Keys on --serial stdio: Ctrl-A h lists them (Ctrl-A x ends). SIGUSR1 or SIGQUIT prints where every CPU is.");
    add_board_options(*sub, o->board);
    add_run_options(*sub, *o);
    sub->callback([o, &code] { code = run_machine(*o); });
}

}  // namespace backplane::runner
