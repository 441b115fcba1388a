// `repeat` and `refuse` of boards.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "kernel/config/board_spec.hpp"
#include "kernel/config/convert.hpp"

using namespace backplane;
using namespace backplane::kernel;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;

namespace {

class Folder {
  public:
    Folder() {
        std::filesystem::create_directories(path_ + "/machines");
        search_.machines = {path_ + "/machines"};
        search_.configs = {path_};
    }
    ~Folder() { std::filesystem::remove_all(path_); }
    void machine(const std::string& name, const std::string& text) {
        std::ofstream(path_ + "/machines/" + name + ".yaml") << text;
    }
    BoardSpec load(const std::string& vm, std::vector<Setting> settings = {}) {
        std::ofstream(path_ + "/vm.yaml") << vm;
        return load_board({"", path_ + "/vm.yaml", std::move(settings)}, search_);
    }
    std::string error(const std::string& vm, std::vector<Setting> settings = {}) {
        try {
            load(vm, std::move(settings));
        } catch (const Error& e) {
            CHECK(e.exit_code == kExitConfig);
            return e.what();
        }
        return "(no error)";
    }

  private:
    std::string path_ = std::filesystem::temp_directory_path() / ("bp-repeat-" + std::to_string(::getpid()));
    SearchPaths search_;
};

// One board with timers, whose number is a parameter.
std::string board(const std::string& more) {
    return R"(
parameters:
  timers: {type: number, default: 1, max: 4}
  rate: {type: size, default: 1K}
  shared: {type: bool, default: true}
lines: {tick: hub.in0}
devices:
  hub: {type: hub}
  timer: {type: timer, out: tick}
)" + more;
}

const char* const kTimers = R"(
repeat:
  - for: n
    from: 1
    below: "${timers}"
    devices:
      timer${n}: {type: timer, number: "${n}", text: "$${n} ${rate}-${n}", at: {"bank${n}": "0x10${n}0"}, list: ["${n}", x]}
    lines: {tick: "hub.in${n}", "tock${n}": "timer${n}.reset"}
    publish: [{what: rate, from: "timer${n}", into: hub}]
)";

std::vector<std::string> names(const BoardSpec& b) {
    std::vector<std::string> all;
    for (const DeviceSpec& d : b.devices) all.push_back(d.name);
    return all;
}

}  // namespace

TEST_CASE("each round makes devices and lines, adds ends of a line that is there, and routes") {
    Folder f;
    f.machine("base", board(kTimers));
    const BoardSpec one = f.load("machine: base\n");
    CHECK(names(one) == std::vector<std::string>{"hub", "timer"});
    CHECK(one.lines.size() == 1);
    CHECK(one.publish.empty());

    const BoardSpec three = f.load("machine: base\ntimers: 3\n");
    CHECK(names(three) == std::vector<std::string>{"hub", "timer", "timer1", "timer2"});
    const DeviceSpec* second = three.device("timer2");
    CHECK(second->find("number")->text() == "2");
    CHECK(second->find("text")->text() == "${n} 1K-2");
    CHECK(second->find("at")->find("bank2")->text() == "0x1020");
    CHECK(second->find("list")->items()[0].text() == "2");
    REQUIRE(three.lines.size() == 3);
    REQUIRE(three.lines[0].sinks.size() == 3);
    CHECK(three.lines[0].sinks[2].text() == "hub.in2");
    CHECK(three.lines[2].name == "tock2");
    CHECK(three.lines[2].sinks[0].text() == "timer2.reset");
    REQUIRE(three.publish.size() == 2);
    CHECK(three.publish[1].from.text() == "timer2");
}

TEST_CASE("a VM file and the command line change what was repeated, and may repeat themselves") {
    Folder f;
    f.machine("base", board(kTimers));
    const BoardSpec b = f.load(
        "machine: base\ntimers: 2\ndevices: {timer1: {number: 7}}\n"
        "repeat: [{for: k, below: 2, devices: {\"more${k}\": {type: timer}}}]\n",
        {{"devices.timer1.text", "new", "--set"}});
    CHECK(names(b) == std::vector<std::string>{"hub", "timer", "timer1", "more0", "more1"});
    CHECK(b.device("timer1")->find("number")->text() == "7");
    CHECK(b.device("timer1")->find("text")->text() == "new");
}

TEST_CASE("a fragment may repeat, and the extending machine repeats in addition") {
    Folder f;
    f.machine("base", board("when:\n  - if: shared\n    repeat:\n      - for: n\n        below: \"${timers}\"\n"
                            "        devices:\n          t${n}: {type: timer}\n"));
    f.machine("more", "extends: base\nrepeat: [{for: n, from: 5, below: 7, devices: {\"u${n}\": {type: timer}}}]\n");
    CHECK(f.load("machine: base\nshared: false\n").devices.size() == 2);
    CHECK(names(f.load("machine: more\ntimers: 2\n")) ==
          std::vector<std::string>{"hub", "timer", "u5", "u6", "t0", "t1"});
}

TEST_CASE("mistakes in a repetition are told with their place") {
    Folder f;
    const auto said = [&](const std::string& repeat, const char* vm = "machine: base\ntimers: 3\n") {
        f.machine("base", board(repeat));
        return f.error(vm);
    };
    CHECK_THAT(said("repeat:\n  - for: n\n    below: 3\n    devices:\n      same: {type: timer}\n"),
               Contains("base.yaml:14:7: ") && Contains("with n = 1 there is a device `same` already") &&
                   Contains("base.yaml:14:7)") && EndsWith("put ${n} into its name"));
    CHECK_THAT(said("repeat:\n  - for: n\n    below: 3\n    devices:\n      timer: {type: timer}\n"),
               Contains("base.yaml:14:7: ") && Contains("(") && Contains("base.yaml:9:3)"));
    CHECK_THAT(said("repeat:\n  - for: n\n    below: 3\n    device: {}\n"),
               Contains("base.yaml:13:5: `device` cannot stand in `repeat`; did you mean `devices`?"));
    CHECK_THAT(said("repeat:\n  - for: n\n    devices: {}\n"), Contains("base.yaml:11:5: an entry of `repeat` needs"));
    CHECK_THAT(said("repeat:\n  - for: rate\n    below: 2\n"),
               Contains("base.yaml:11:10: ") && Contains("`rate` is a parameter of the board"));
    CHECK_THAT(said("repeat:\n  - for: \"a b\"\n    below: 2\n"),
               Contains("base.yaml:11:10: ") && Contains("a name of letters and digits"));
    CHECK_THAT(said("repeat:\n  - for: n\n    below: many\n"),
               Contains("base.yaml:12:12: ") && Contains("repeat: `below`"));
    CHECK_THAT(said("repeat:\n  - for: n\n    below: \"${tymers}\"\n"),
               Contains("base.yaml:12:12: ") && Contains("did you mean `timers`?"));
    CHECK_THAT(said("repeat:\n  - for: n\n    below: 2\n    devices:\n      t${n}: {type: timer, x: \"${m}\"}\n"),
               Contains("base.yaml:14:31: ") && Contains("there is no parameter `m`"));
    CHECK_THAT(said("repeat:\n  - for: n\n    below: 2\n    devices:\n      t${m}: {type: timer}\n"),
               Contains("base.yaml:14:7: "));
    CHECK_THAT(said("repeat: 5\n"), Contains("base.yaml:10:9: ") && Contains("`repeat` must be a list"));
    CHECK_THAT(said("repeat:\n  - for: n\n    below: 1000000\n"), Contains("base.yaml:12:12: "));
    f.machine("base", board(""));
    CHECK_THAT(f.error("machine: base\n", {{"repeat.x", "1", "--set repeat.x"}}),
               Contains("`repeat` is a list and cannot be set here"));
}

TEST_CASE("a repetition cannot grow without bounds") {
    Folder f;
    std::string text = "repeat:\n  - for: n\n    below: 1024\n    devices:\n";
    for (int i = 0; i < 100; ++i) text += "      d" + std::to_string(i) + "-${n}: {type: timer, a: 1}\n";
    f.machine("base", board(text));
    CHECK_THAT(f.error("machine: base\n"), Contains("base.yaml:11:5: ") && Contains("more than 20000 values"));
}

TEST_CASE("a fragment refuses a board where the user has asked for it") {
    Folder f;
    f.machine("base", board("when:\n  - if: {shared: false}\n    unless: {timers: 1}\n"
                            "    refuse: \"one timer without sharing, not ${timers}\"\n"));
    CHECK(f.load("machine: base\ntimers: 3\n").devices.size() == 2);
    CHECK(f.load("machine: base\nshared: false\n").devices.size() == 2);
    CHECK_THAT(f.error("machine: base\ntimers: 3\nshared: false\n"),
               Contains("vm.yaml:3:9: one timer without sharing, not 3"));
    CHECK_THAT(f.error("machine: base\nshared: false\n", {{"timers", "2", "--timers 2"}}),
               Contains("vm.yaml:2:9: one timer without sharing, not 2"));
}
