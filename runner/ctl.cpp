#include "runner/ctl.hpp"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "kernel/config/error.hpp"
#include "runner/control_client.hpp"
#include "runner/ctl_forms.hpp"
#include "runner/options.hpp"

namespace backplane::runner {

using nlohmann::json;

namespace {

struct CtlOptions {
    std::string address;
    std::vector<std::string> words;
    bool events = false, force = false;
};

std::string chosen(const std::string& address) {
    if (!address.empty()) return address;
    if (const char* e = std::getenv("BACKPLANE_CONTROL"); e && *e) return e;
    throw kernel::Error("which machine? --control ADDRESS or the environment variable BACKPLANE_CONTROL says it");
}

void print(const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
}

int failed(const CommandFailed& e) {
    std::fprintf(stderr, "backplane: %s\n", e.what());
    return kernel::kExitFailure;
}

int list_commands(ControlClient& client) {
    std::string text;
    for (const ShortForm& f : short_forms()) {
        char line[200];
        std::snprintf(line, sizeof line, "  %-28s %s\n", f.usage.c_str(), f.help.c_str());
        text += line;
    }
    print("Short forms:\n" + text +
          "\nCommands (key=value for each argument, or one JSON object; [..] may be left out):\n");
    for (const json& c : client.call("query-commands")) {
        print("  " + c.at("name").get<std::string>() + "\n      " + c.value("help", "") + "\n");
        for (const json& a : c.value("arguments", json::array())) {
            const std::string name = a.value("name", "") + "=" + a.value("type", "");
            print("      " + (a.value("optional", false) ? "[" + name + "]" : name) + "  " + a.value("help", "") +
                  "\n");
        }
    }
    return 0;
}

// One event a line, until the machine ends. `wanted`: names; none: all.
int follow(ControlClient& client, const std::vector<std::string>& wanted) {
    while (const auto event = client.event())
        if (wanted.empty() || std::find(wanted.begin(), wanted.end(), event->value("event", "")) != wanted.end())
            print(event->dump(-1, ' ', false, json::error_handler_t::replace) + "\n");
    return 0;
}

int ctl(const CtlOptions& o) {
    ControlClient client(chosen(o.address));
    if (o.events) return follow(client, o.words);
    try {
        if (o.words.empty()) return list_commands(client);
        const Call call = make_call(o.words, o.force, [&](const std::string& command) -> json {
            for (const json& c : client.call("query-commands"))
                if (c.at("name") == command) return c.value("arguments", json::array());
            return json::array();
        });
        print(show(call, client.call(call.command, call.arguments), ::isatty(STDOUT_FILENO)));
    } catch (const CommandFailed& e) {
        return failed(e);
    }
    return 0;
}

}  // namespace

int control_call(const std::string& address, const std::string& command, const json& arguments) {
    ControlClient client(chosen(address));
    try {
        const Call call{command, arguments};
        print(show(call, client.call(command, arguments), ::isatty(STDOUT_FILENO)));
    } catch (const CommandFailed& e) {
        return failed(e);
    }
    return 0;
}

void add_control_option(CLI::App& app, std::string& address) {
    app.add_option("--control", address,
                   "the machine's control socket: unix:PATH or tcp:127.0.0.1:PORT (default: $BACKPLANE_CONTROL)")
        ->type_name("ADDRESS");
}

void add_ctl(CLI::App& app, int& code) {
    auto o = std::make_shared<CtlOptions>();
    CLI::App* sub = app.add_subcommand("ctl", "command a running machine over its control socket");
    sub->footer(
        "Without a command: the list of all commands. docs/control.md describes them.\n"
        "Exit codes: 0 done, 1 the command failed or the machine cannot be reached, 2 wrong command line.");
    add_control_option(*sub, o->address);
    sub->add_flag("--events", o->events, "print the machine's events as they happen, or only those that are named");
    sub->add_flag("--force", o->force, "with load: even if a disk has changed since");
    sub->add_option("command", o->words, "status, stop, cont, save FILE ..., or a command with key=value or JSON")
        ->type_name("COMMAND [ARGUMENT...]");
    sub->callback([o, &code] { code = ctl(*o); });
}

}  // namespace backplane::runner
