// Going on, stepping, and what is told of a stop.
#include <algorithm>
#include <cstdio>

#include "gdb/session.hpp"

namespace backplane::gdb {

namespace {
std::string two_digits(unsigned value) {
    char text[8];
    std::snprintf(text, sizeof text, "%02x", value & 0xffu);
    return text;
}
}  // namespace

// c [ADDRESS], C SIGNAL[;ADDRESS], s, S. Signals mean nothing to a processor.
std::string Session::resume(std::string_view text) {
    const char command = text.front();
    std::string_view rest = text.substr(1);
    if (command == 'C' || command == 'S') {
        if (!take_hex(rest)) return kErrorInvalid;
        if (!rest.empty() && rest.front() == ';') rest.remove_prefix(1);
    }
    if (!rest.empty()) {
        const auto address = take_hex(rest);
        if (!address || !rest.empty()) return kErrorInvalid;
        const std::size_t cpu = only_.value_or(cpu_);
        bp_x86_state state = target_.state(cpu);
        state.rip = *address;
        if (!target_.set_state(cpu, state)) return kErrorInvalid;
    }
    const bool step = command == 's' || command == 'S';
    // A step is that of one processor, and the others stand meanwhile.
    std::vector<Target::Go> what(target_.cpus(), step || only_ ? Target::Go::kStay : Target::Go::kOn);
    if (step || only_) what[only_.value_or(cpu_)] = step ? Target::Go::kStep : Target::Go::kOn;
    go(what);
    return "";
}

// vCont: ";ACTION[:THREAD]" several times; the first that fits a processor counts.
std::string Session::continue_threads(std::string_view text) {
    std::vector<std::optional<Target::Go>> chosen(target_.cpus());
    while (!text.empty()) {
        text.remove_prefix(1);
        const std::string_view action = text.substr(0, std::min(text.find(';'), text.size()));
        text.remove_prefix(action.size());
        const std::size_t colon = action.find(':');
        std::string_view what = action.substr(0, colon);
        if (what.empty()) return kErrorInvalid;
        const char kind = what.front();
        what.remove_prefix(1);
        const bool signal = kind == 'C' || kind == 'S';
        if ((kind != 'c' && kind != 's' && !signal) || (signal && !take_hex(what)) || !what.empty())
            return kErrorInvalid;
        const Target::Go go = kind == 's' || kind == 'S' ? Target::Go::kStep : Target::Go::kOn;
        const std::string_view id = colon == std::string_view::npos ? "-1" : action.substr(colon + 1);
        const bool all = id == "-1";
        const auto cpu = cpu_of(id);
        if (!cpu || *cpu >= chosen.size()) return kErrorInvalid;
        for (std::size_t i = 0; i < chosen.size(); ++i)
            if ((all || i == *cpu) && !chosen[i]) chosen[i] = go;
    }
    std::vector<Target::Go> plan;
    for (const auto& c : chosen) plan.push_back(c.value_or(Target::Go::kStay));
    if (std::all_of(plan.begin(), plan.end(), [](Target::Go g) { return g == Target::Go::kStay; }))
        return kErrorInvalid;
    go(plan);
    return "";
}

void Session::go(const std::vector<Target::Go>& what) {
    running_ = true;
    stop_ = {};
    target_.go(what, (steps_ & kStepHolds) != 0);
}

void Session::interrupt() {
    if (running_) target_.pause();
}

void Session::stopped(const std::vector<Stop>& stops) {
    if (!running_ || over_) return;
    running_ = false;
    signal_ = stops.empty() ? kSignalInterrupt : kSignalTrap;
    stop_ = stops.empty() ? Stop{} : stops.front();
    if (stops.empty()) stop_.cpu = std::min(cpu_, target_.cpus() - 1);
    cpu_ = stop_.cpu;
    reply(stop_reply());
}

void Session::ended(int code) {
    if (over_) return;
    over_ = true;
    if (running_) reply("W" + two_digits(static_cast<unsigned>(code)));
}

std::string Session::stop_reply() const {
    std::string text = "T" + two_digits(signal_) + "thread:" + hex_number(stop_.cpu + 1) + ";";
    const bp_cpu_stop& what = stop_.what;
    if (what.kind == BP_STOP_WATCHPOINT) {
        const bool both = what.watched == (BP_WATCH_READ | BP_WATCH_WRITE);
        text += (both                            ? "awatch:"
                 : what.watched == BP_WATCH_READ ? "rwatch:"
                                                 : "watch:") +
                hex_number(what.address) + ";";
    } else if (what.kind == BP_STOP_BREAKPOINT) {
        const bool hard = std::find(hard_.begin(), hard_.end(), what.address) != hard_.end();
        if (hard && client_knows_hwbreak_) text += "hwbreak:;";
        if (!hard && client_knows_swbreak_) text += "swbreak:;";
    }
    return text;
}

}  // namespace backplane::gdb
