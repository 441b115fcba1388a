#include "runner/at.hpp"

#include "kernel/config/convert.hpp"
#include "kernel/config/error.hpp"

namespace backplane::runner {

namespace {
constexpr u64 kMostTime = u64{1} << 61;  // ns, as in a snapshot
}

AtAction parse_at(std::string_view text) {
    const auto fail = [&](const std::string& why) { throw kernel::Error("--at " + std::string(text) + ": " + why); };
    AtAction action;
    const auto colon = text.find(':');
    const std::string_view point = text.substr(0, colon);
    if (const auto equals = point.find('='); point.substr(0, equals) == "icount") {
        const auto count =
            equals == std::string_view::npos ? std::nullopt : kernel::parse_number(point.substr(equals + 1));
        if (!count) fail("expected icount=N, a number of instructions such as icount=25_000_000 or icount=0x1000");
        action.point = AtAction::Point::kCount;
        action.count = *count;
    } else if (point.substr(0, equals) == "time") {
        const auto time =
            equals == std::string_view::npos ? std::nullopt : kernel::parse_duration(point.substr(equals + 1));
        if (!time || *time > kMostTime) fail("expected time=T, a time with its unit such as time=2.5s or time=300ms");
        action.point = AtAction::Point::kTime;
        action.count = *time;
    } else if (point != "end") {
        fail("expected a point, icount=N, time=T or end, found " + kernel::in_ticks(point));
    }
    if (colon == std::string_view::npos) fail("expected what to do there: icount=N:save=FILE, icount=N:stop ...");
    const std::string_view what = text.substr(colon + 1);
    if (what.substr(0, 5) == "save=" && what.size() > 5) {
        action.what = AtAction::What::kSave;
        action.file = what.substr(5);
    } else if (what.substr(0, 7) == "engine=" && what.size() > 7 && action.point != AtAction::Point::kEnd) {
        action.what = AtAction::What::kEngine;
        action.engine = what.substr(7);
    } else if (action.point == AtAction::Point::kEnd) {
        fail("expected end:save=FILE; nothing else can be done at the end");
    } else if (what == "stop") {
        action.what = AtAction::What::kStop;
    } else if (what == "quit") {
        action.what = AtAction::What::kQuit;
    } else {
        fail("expected save=FILE, engine=NAME, stop or quit, found " + kernel::in_ticks(what));
    }
    return action;
}

AtWork::AtWork(kernel::Machine& machine, const std::vector<AtAction>& actions) : machine_(machine), actions_(actions) {
    for (const AtAction& a : actions_) {
        if (a.point == AtAction::Point::kEnd) continue;
        const auto act = [this, a] {
            switch (a.what) {
                case AtAction::What::kSave: save(a.file); break;
                case AtAction::What::kEngine: attempt([&] { machine_.exchange_engine(a.engine); }); break;
                case AtAction::What::kStop: machine_.pause(); break;
                case AtAction::What::kQuit: machine_.quit("--at"); break;
            }
        };
        if (a.point == AtAction::Point::kTime) {
            machine_.at_time(static_cast<i64>(a.count), act);
            continue;
        }
        if (!machine_.deterministic())
            throw kernel::Error(
                "--at icount: only with the deterministic clock does a machine reach the same state at the same "
                "instruction; add --clock deterministic");
        machine_.at_instructions(a.count, act);
    }
}

void AtWork::save(const std::string& file) {
    attempt([&] { machine_.save(file); });
}

// What goes wrong ends the machine.
void AtWork::attempt(const std::function<void()>& work) {
    try {
        work();
    } catch (const kernel::Error& e) {
        if (error_.empty()) error_ = e.what();
        machine_.quit("--at");
    }
}

void AtWork::ended() {
    for (const AtAction& a : actions_)
        if (a.point == AtAction::Point::kEnd) save(a.file);
}

}  // namespace backplane::runner
