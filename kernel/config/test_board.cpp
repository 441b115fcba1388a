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

// A folder of YAML files, gone at the end of the test.
struct Folder {
    std::string path = std::filesystem::temp_directory_path() / ("bp-board-" + std::to_string(::getpid()));
    SearchPaths search;
    Folder() {
        std::filesystem::create_directories(path + "/machines");
        search.machines = {path + "/machines"};
        search.configs = {path};
    }
    ~Folder() { std::filesystem::remove_all(path); }
    void machine(const std::string& name, const std::string& text) {
        std::ofstream(path + "/machines/" + name + ".yaml") << text;
    }
    std::string vm(const std::string& text) {
        std::ofstream(path + "/vm.yaml") << text;
        return path + "/vm.yaml";
    }
    BoardSpec load(const std::string& vm_text, std::vector<Setting> settings = {}) {
        return load_board({"", vm(vm_text), std::move(settings)}, search);
    }
    std::string error(const std::string& vm_text, std::vector<Setting> settings = {}) {
        try {
            load(vm_text, std::move(settings));
        } catch (const Error& e) {
            CHECK(e.exit_code == kExitConfig);
            return e.what();
        }
        return "(no error)";
    }
};

constexpr const char* kBase = R"(
name: base
description: A board
parameters:
  memory: {type: size, default: 128M, min: 1M, max: 64G, doc: Guest RAM}
  cpu:
    model: {type: enum, choices: [fast, slow], default: fast}
    engine: {type: string, default: auto, map: {auto: interp}}
  video: {type: enum, choices: [std, none], default: std}
  fancy: {type: bool, default: false}
  drives:
    a: {file: {type: path, optional: true}, read_only: {type: bool, default: false}}
  tag: {type: string, optional: true}
aliases: {a: drives.a.file, cpu: cpu.model}
spaces:
  io: {kind: ports, bits: 16}
  mem: {kind: memory, bits: 36}
lines:
  irq8: [pic.ir8, other.in8]
devices:
  ram: {type: "ram.${cpu.model}", size: "${memory}", tag: "${tag}", list: [1, "${tag}"]}
  clock: {type: clock.x, at: 0x1000, irq: irq8, label: "m${memory}-$${x}"}
when:
  - if: drives.a.file
    devices:
      image: {type: image.raw, file: "${drives.a.file}", read_only: "${drives.a.read_only}"}
  - if: {video: std}
    devices: {video: {type: video.std}}
  - unless: fancy
    devices: {plain: {type: plain.x}}
publish:
  - {what: geometry, from: clock, into: [ram, clock]}
)";

}  // namespace

TEST_CASE("a VM file fills in its machine's parameters") {
    Folder f;
    f.machine("base", kBase);
    const BoardSpec b = f.load("machine: base\nmemory: 256M\ncpu: {model: slow}\n");
    CHECK(b.name == "base");
    CHECK(b.vm_name == "vm");
    CHECK(b.description == "A board");
    REQUIRE(b.spaces.size() == 2);
    CHECK(b.spaces[1].bits == 36);
    REQUIRE(b.device("ram"));
    CHECK(b.device("ram")->type == "ram.slow");
    CHECK(b.device("ram")->find("size")->text() == "256M");
    CHECK_THAT(b.device("ram")->find("size")->position().text(), EndsWith("vm.yaml:2:9"));
    CHECK(b.device("clock")->find("label")->text() == "m256M-${x}");
    REQUIRE(b.lines.size() == 1);
    CHECK(b.lines[0].sinks[1].text() == "other.in8");
    REQUIRE(b.publish.size() == 2);
    CHECK(b.publish[1].into.text() == "clock");
    CHECK(b.parameter("cpu.engine")->value == "interp");
    CHECK_FALSE(b.parameter("cpu.engine")->given);
    CHECK(b.parameter("memory")->given);
}

TEST_CASE("a value that is one parameter without a value leaves its entry out") {
    Folder f;
    f.machine("base", kBase);
    CHECK(f.load("machine: base\n").device("ram")->find("tag") == nullptr);
    CHECK(f.load("machine: base\n").device("ram")->find("list")->items()[1].is_null());
    CHECK(f.load("machine: base\ntag: x\n").device("ram")->find("tag")->text() == "x");
}

TEST_CASE("fragments follow their conditions") {
    Folder f;
    f.machine("base", kBase);
    const BoardSpec plain = f.load("machine: base\n");
    CHECK(plain.device("image") == nullptr);
    CHECK(plain.device("video"));
    CHECK(plain.device("plain"));
    const BoardSpec given =
        f.load("machine: base\nvideo: none\nfancy: yes\ndrives: {a: {file: disk.img, read_only: true}}\n");
    CHECK(given.device("video") == nullptr);
    CHECK(given.device("plain") == nullptr);
    REQUIRE(given.device("image"));
    CHECK(given.device("image")->find("file")->text() == f.path + "/disk.img");
    CHECK(given.device("image")->find("read_only")->text() == "true");
}

TEST_CASE("paths are relative to the VM file, on the command line to the working directory") {
    Folder f;
    f.machine("base", kBase);
    CHECK(f.load("machine: base\na: disk.img\n").parameter("drives.a.file")->value == f.path + "/disk.img");
    CHECK(f.load("machine: base\n", {{"a", "disk: 1.img", "--a"}}).parameter("drives.a.file")->value ==
          std::filesystem::current_path() / "disk: 1.img");
}

TEST_CASE("settings override the VM file") {
    Folder f;
    f.machine("base", kBase);
    const BoardSpec b = f.load("machine: base\nmemory: 1G\n", {{"memory", "2G", "--memory 2G"},
                                                               {"cpu", "slow", "--cpu slow"},
                                                               {"devices.clock.at", "[1, 2]", "--set"},
                                                               {"devices.plain", "~", "--set"},
                                                               {"lines.irq8", "clock.x", "--set"}});
    CHECK(b.parameter("memory")->value == "2G");
    CHECK(b.parameter("cpu.model")->value == "slow");
    CHECK(b.device("clock")->find("at")->items().size() == 2);
    CHECK(b.device("plain") == nullptr);
    CHECK(b.lines[0].sinks.size() == 1);
    CHECK_THAT(f.error("machine: base\n", {{"memory", "1Z", "--memory 1Z"}}),
               Contains("--memory 1Z: `memory` must be a size"));
    CHECK_THAT(f.error("machine: base\n", {{"memroy", "1G", "--set memroy=1G"}}), Contains("did you mean `memory`?"));
    CHECK_THAT(f.error("machine: base\n", {{"devices.clok.at", "1", "--set devices.clok.at=1"}}),
               Contains("did you mean `clock`?"));
    CHECK_THAT(f.error("machine: base\n", {{"drives", "1", "--set drives=1"}}), Contains("is a group"));
    CHECK_THAT(f.error("machine: base\n", {{"devices.clock.at", "[1", "--set devices.clock.at=[1"}}),
               Contains("--set devices.clock.at=[1: not valid YAML"));
}

TEST_CASE("a VM file overrides, adds and removes devices") {
    Folder f;
    f.machine("base", kBase);
    const BoardSpec b = f.load(
        "machine: base\ndevices:\n  clock: {type: clock.other}\n  ram: ~\n  extra: {type: extra.x}\n"
        "publish: [{what: w, from: extra, into: clock}]\n");
    CHECK(b.device("clock")->type == "clock.other");
    CHECK(b.device("clock")->find("irq")->text() == "irq8");
    CHECK(b.device("ram") == nullptr);
    CHECK(b.device("extra"));
    CHECK(b.publish.size() == 3);
    CHECK_THAT(f.error("machine: base\ndevices: {clokc: ~}\n"),
               Contains("to remove") && Contains("did you mean `clock`?"));
    CHECK_THAT(f.error("machine: base\ndevices: {clokc: {at: 1}}\n"),
               Contains("vm.yaml:2:11: device `clokc` has no `type`; did you mean `clock`?"));
}

TEST_CASE("a board's name in place of a VM file means the board alone") {
    Folder f;
    f.machine("base", kBase);
    BoardRequest request;
    request.vm_file = "base";
    const BoardSpec b = load_board(request, f.search);
    CHECK(b.name == "base");
    CHECK(b.vm_file.empty());
}

TEST_CASE("a section without entries changes nothing, but a null list removes it") {
    Folder f;
    f.machine("base", kBase);
    const BoardSpec b = f.load("machine: base\ndevices:\n  # ram: ~\nlines:\nspaces:\n");
    CHECK(b.device("ram"));
    CHECK(b.lines.size() == 1);
    CHECK(b.publish.size() == 2);
    CHECK(b.spaces.size() == 2);
    CHECK(f.load("machine: base\npublish: ~\n").publish.empty());
}

TEST_CASE("mistakes in a VM file are placed and explained") {
    Folder f;
    f.machine("base", kBase);
    CHECK_THAT(f.error("machine: base\nmemmory: 1G\n"),
               Contains("vm.yaml:2:1: the board has no parameter `memmory`; did you mean `memory`?"));
    CHECK_THAT(f.error("machine: base\ncpu: {modl: fast}\n"),
               Contains("vm.yaml:2:7") && Contains("did you mean `cpu.model`?"));
    CHECK_THAT(f.error("machine: base\ndrivs: {}\n"), Contains("did you mean `drives`?"));
    CHECK_THAT(f.error("machine: base\nmemory: 100G\n"),
               Contains("vm.yaml:2:9: `memory` must be from 1M to 64G, not `100G`"));
    CHECK_THAT(f.error("machine: bsae\n"), Contains("vm.yaml:1:10: there is no machine `bsae`; did you mean `base`?"));
    CHECK_THAT(f.error("memory: 1G\n"), Contains("names no machine"));
    CHECK_THAT(f.error("[1, 2]\n"), Contains("not a list"));
    CHECK_THAT(f.error(""), Contains("a VM file is a map"));
    CHECK_THAT(f.error("machine: base\ndrives: 5\n"), Contains("expected a map"));
}

TEST_CASE("machines extend one another") {
    Folder f;
    f.machine("base", kBase);
    f.machine("next",
              "extends: base\nparameters: {memory: {default: 64M}}\ndevices: {plain2: {type: p.x}, clock: {at: 0x70, "
              "label: ~}}\n"
              "when:\n  - if: fancy\n    devices: {fancy: {type: f.x}}\n");
    const BoardSpec b = f.load("machine: next\nfancy: on\n");
    CHECK(b.name == "next");
    CHECK(b.description == "A board");
    CHECK(b.parameter("memory")->value == "64M");
    CHECK(b.device("clock")->find("at")->text() == "0x70");
    CHECK(b.device("clock")->find("label") == nullptr);
    CHECK(b.device("fancy"));
    CHECK(b.device("video"));
    REQUIRE(b.ancestry.size() == 1);
    CHECK_THAT(b.ancestry[0], EndsWith("base.yaml"));
}

TEST_CASE("a circle of extends is printed") {
    Folder f;
    f.machine("a", "extends: b\n");
    f.machine("b", "extends: c\n");
    f.machine("c", "extends: a\n");
    CHECK_THAT(f.error("machine: a\n"), Contains("c.yaml:1:10: `extends` goes round in a circle: ") &&
                                            Contains("a.yaml -> ") && Contains("b.yaml -> ") &&
                                            Contains("c.yaml -> ") && EndsWith("a.yaml"));
    f.machine("d", "extends: nothing\n");
    CHECK_THAT(f.error("machine: d\n"), Contains("d.yaml:1:10: there is no machine `nothing`"));
}

TEST_CASE("mistakes in a machine file are placed and explained") {
    Folder f;
    const auto error = [&](const std::string& text) {
        f.machine("m", text);
        return f.error("machine: m\n");
    };
    CHECK_THAT(error("devicess: {}\n"),
               Contains("m.yaml:1:1: `devicess` is not known in a machine file; did you mean `devices`?"));
    CHECK_THAT(error("devices: [a]\n"), Contains("`devices` must be a map, not a list"));
    CHECK_THAT(error("devices: {a b: {type: x}}\n"), Contains("device names consist of"));
    CHECK_THAT(error("devices: {a: 5}\n"), Contains("device `a` must be a map"));
    CHECK_THAT(error("devices: {a: {type: x, p: \"${nope}\"}}\n"),
               Contains("m.yaml:1:27: there is no parameter `nope`"));
    CHECK_THAT(error("devices: {a: {type: x, p: \"${nope\"}}\n"), Contains("without its `}`"));
    CHECK_THAT(error("lines: {w: [nodot]}\n"), Contains("must be DEVICE.INPUT, not `nodot`"));
    CHECK_THAT(error("spaces: {io: {kind: prots}}\n"), Contains("did you mean `ports`?"));
    CHECK_THAT(error("parameters: {x: {type: sice}}\n"), Contains("did you mean `size`?"));
    CHECK_THAT(error("parameters: {x: {type: size, default: lots}}\n"), Contains("`x` must be a size"));
    CHECK_THAT(error("parameters: {x: {type: size}}\n"), Contains("needs a value for `x`"));
    CHECK_THAT(error("parameters: {devices: {type: size, default: 1}}\n"),
               Contains("cannot be the name of a parameter"));
    CHECK_THAT(error("aliases: {m: memory}\n"), Contains("there is no parameter `memory`"));
    CHECK_THAT(error("when: [{devices: {}}]\n"), Contains("needs `if` or `unless`"));
    CHECK_THAT(error("when: [{if: nope, devices: {}}]\n"), Contains("there is no parameter `nope`"));
    CHECK_THAT(error("publish: [{what: a, from: b}]\n"), Contains("needs `into`"));
    f.machine("m", "machine: x\n");
    CHECK_THAT(f.error("machine: machines/m.yaml\n"), Contains("m.yaml:1:10: this is a VM file"));
}

TEST_CASE("machines and VM files are listed with their paths") {
    Folder f;
    f.machine("base", kBase);
    f.machine("next", "extends: base\n");
    f.vm("machine: base\ndescription: Mine\n");
    const auto machines = list_machines(f.search);
    REQUIRE(machines.size() == 2);
    CHECK(machines[0].name == "base");
    CHECK(machines[0].description == "A board");
    const auto vms = list_vms(f.search);
    REQUIRE(vms.size() == 1);
    CHECK(vms[0].description == "Mine");
}

TEST_CASE("firmware is looked for in the search path, then beside the board") {
    Folder f;
    std::ofstream(f.path + "/rom.bin") << "x";
    CHECK(find_firmware(f.search, "rom.bin", {f.path}) == f.path + "/rom.bin");
    CHECK_FALSE(find_firmware(f.search, "none.bin", {f.path}));
    CHECK(find_firmware(f.search, f.path + "/rom.bin", {}) == f.path + "/rom.bin");
}
