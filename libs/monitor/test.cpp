// The readline monitor and QEMU's commands on a machine of the test's own.
#include <catch2/catch.hpp>

#include <fstream>

#include "monitor/hmp.hpp"
#include "monitor/qmp.hpp"
#include "monitor/qmp_events.hpp"

using namespace backplane::monitor;

namespace {

// A board with a disk, a CD drive and a PCI bus.
struct FakeMachine {
    std::vector<std::string> calls;
    bool running = true, fail_second = false;
    std::string reason;  // why it does not run
    std::string format = "qcow2";
    std::string cpu_type = "cpu.interp";
    Call call = [this](const std::string& command, const Json& a) { return run(command, a); };
    Hmp hmp{call};

    static Json device(const char* name, const char* type, const Json& on, const Json& links, const Json& properties) {
        return {{"name", name}, {"type", type},   {"parent", nullptr},
                {"on", on},     {"links", links}, {"properties", properties}};
    }
    static Json offer(const char* name, const std::vector<const char*>& commands) {
        Json list = Json::array();
        for (const char* c : commands) list.push_back({{"name", c}});
        return {{"device", name}, {"commands", list}};
    }
    Json run(const std::string& command, const Json& a) {
        const Json link = Json::array({{{"name", "drive"}, {"to", "hda-drive"}}}), none = Json::array();
        const Json cd_link = Json::array({{{"name", "drive"}, {"to", "hdc-drive"}}});
        if (command == "device-list")
            return Json::array({device("hda", "ata.disk", "ide.0/0", link, none),
                                device("hda-drive", "disk.drive", nullptr, none,
                                       Json::array({{{"name", "id"}, {"value", ""}, {"given", false}}})),
                                device("hdc", "ata.cd", "ide.1/0", cd_link, none),
                                device("hdc-drive", "disk.drive", nullptr, none,
                                       Json::array({{{"name", "id"}, {"value", "mycd"}, {"given", true}}}))});
        if (command == "device-commands")
            return Json::array({offer("pci", {"pci"}),
                                offer("hda-drive", {"info", "eject", "change", "commit", "snapshot-create",
                                                    "snapshot-delete", "snapshot-apply", "snapshot-list"}),
                                offer("hdc-drive", {"info", "eject", "change", "open-tray", "close-tray"})});
        if (command == "cpu-list") {
            Json list = Json::array();
            for (int i = 0; i < 2; ++i)
                list.push_back({{"index", i},
                                {"name", "cpu" + std::to_string(i)},
                                {"type", cpu_type},
                                {"halted", i == 1},
                                {"instruction-pointer", 0x1000 + i},
                                {"where", "where " + std::to_string(i) + " is"}});
            return list;
        }
        if (command == "device-command" && a.at("command") == "statistics") return {{"kvm", a.at("device") == "cpu1"}};
        if (command == "state-get") return Json::object();
        if (command == "query-stats") return {{"time-ns", 5}};
        if (command == "query-status") {
            Json status{{"status", running ? "running" : "paused"}, {"running", running}};
            if (!reason.empty()) status["desc"] = reason;
            return status;
        }
        if (command == "memory-map")
            return Json::array({{{"space", "ports"},
                                 {"base", 0xc000},
                                 {"size", 16},
                                 {"priority", 100},
                                 {"kind", "registers"},
                                 {"name", "ide.bm"},
                                 {"access", nullptr}},
                                {{"space", "memory"},
                                 {"base", 0},
                                 {"size", 0x100000},
                                 {"priority", 200},
                                 {"kind", "memory"},
                                 {"name", "pci.ram"},
                                 {"access", "rw"}}});
        if (command == "memory-read") {
            if (a.at("address") >= 0x1000) throw std::runtime_error("no memory");
            std::string data;
            for (unsigned i = 0; i < a.at("size"); ++i)
                data += "4" + std::to_string((a.at("address").get<unsigned>() + i) % 10);
            return {{"data", data}};
        }
        if (command == "port-read") return {{"value", 0x12}};
        if (command == "device-command" && a.at("command") == "info") {
            if (a.at("device") == "hda-drive")
                return {{"file", "/tmp/disk.img"},
                        {"format", format},
                        {"bytes", 1 << 20},
                        {"read_only", false},
                        {"removable", false},
                        {"statistics", {{"reads", {{"requests", 7}, {"bytes", 4096}, {"errors", 0}}}}}};
            return {{"file", ""}, {"removable", true}, {"read_only", true}, {"locked", false}, {"tray_open", false}};
        }
        if (command == "device-command" && a.at("command") == "pci")
            return Json::parse(
                R"([{"slot":1,"function":1,"name":"ide","vendor":32902,"device":28688,"command":5,"revision":0,
                "class":257,"subsystem-vendor":6900,"subsystem":4352,"irq":0,"pin":0,
                "bases":[{"index":4,"kind":"ports","prefetch":false,"base":49152}]}])");
        calls.push_back(command + " " +
                        (command == "device-command"
                             ? a.at("device").get<std::string>() + " " + a.at("command").get<std::string>()
                             : a.dump()));
        if (command == "device-command" && a.at("command") == "snapshot-apply")
            std::ofstream(a.at("arguments").at("vm_state").get<std::string>()) << "state";
        if (command == "device-command" && a.at("command") == "snapshot-list")
            return Json::array({{{"id", "1"},
                                 {"name", "before"},
                                 {"date", 1275350400},
                                 {"vm_clock_ns", 61500000000},
                                 {"vm_state_bytes", 1048576}}});
        if (command == "device-command" && a.at("command") == "eject" && a.at("device") == "hda-drive")
            throw std::runtime_error("hda-drive: the drive is not removable");
        return Json::object();
    }
};

}  // namespace

TEST_CASE("a monitor speaks of one processor, the first until another one is chosen") {
    FakeMachine m;
    CHECK(m.hmp.run("info cpus") == "* CPU #0: pc=0x0000000000001000\n  CPU #1: pc=0x0000000000001001 (halted)\n");
    CHECK(m.hmp.run("info registers") == "where 0 is\n");
    CHECK(m.hmp.run("cpu 1").empty());
    CHECK(m.hmp.run("info cpus") == "  CPU #0: pc=0x0000000000001000\n* CPU #1: pc=0x0000000000001001 (halted)\n");
    CHECK(m.hmp.run("info registers") == "where 1 is\n");
    CHECK(m.hmp.run("cpu 2") == "Error: there is no processor 2; the board has 2\n");
    CHECK(m.hmp.run("cpu").starts_with("Error: expected the number"));
}

TEST_CASE("info block names drives as monitors always have") {
    FakeMachine m;
    CHECK(m.hmp.run("info block") ==
          "ide0-hd0: type=hd removable=0 file=/tmp/disk.img ro=0 drv=qcow2 encrypted=0\n"
          "mycd: type=cdrom removable=1 locked=0 tray-open=0 [not inserted]\n");
    CHECK(m.hmp.run("info blockstats").starts_with("ide0-hd0: rd_bytes=4096 wr_bytes=0 rd_operations=7 "));
    CHECK(m.hmp.run("info status") == "VM status: running\n");
    m.running = false;
    m.reason = "disk.img: writing: No space left on device";
    CHECK(m.hmp.run("info status") == "VM status: paused (disk.img: writing: No space left on device)\n");
    CHECK(m.hmp.run("info pci").find("IDE controller: PCI device 8086:7010") != std::string::npos);
    CHECK(m.hmp.run("info pci").find("BAR4: I/O at 0xc000 [0xc00f].") != std::string::npos);
    CHECK(m.hmp.run("info mtree").find("0000000000000000-00000000000fffff (prio 200, ram, rw): pci.ram") !=
          std::string::npos);
    CHECK(m.hmp.run("info nonsense").starts_with("Error: there is no `info nonsense`"));
}

TEST_CASE("media are ejected and changed by any name of the drive") {
    FakeMachine m;
    CHECK(m.hmp.run("eject -f mycd").empty());
    CHECK(m.hmp.run("change hdc \"/tmp/a b.iso\" raw").empty());
    CHECK(m.calls == std::vector<std::string>{"device-command hdc-drive eject", "device-command hdc-drive change"});
    CHECK(m.hmp.run("eject ide0-hd0") == "Error: hda-drive: the drive is not removable\n");
    CHECK(m.hmp.run("eject ide7-cd0") == "Error: there is no drive `ide7-cd0`; there are ide0-hd0, mycd\n");
    CHECK(m.hmp.run("change mycd").starts_with("Error: change DRIVE FILE"));
}

TEST_CASE("savevm and loadvm stop the machine, and keep its state in the first drive") {
    FakeMachine m;
    CHECK(m.hmp.run("savevm before").empty());
    REQUIRE(m.calls.size() == 4);
    CHECK(m.calls[0] == "stop {}");
    CHECK(m.calls[1].starts_with("save-state"));
    CHECK(m.calls[2] == "device-command hda-drive snapshot-create");
    CHECK(m.calls[3] == "cont {}");
    m.calls.clear();
    CHECK(m.hmp.run("loadvm before").empty());
    REQUIRE(m.calls.size() == 4);
    CHECK(m.calls[1] == "device-command hda-drive snapshot-apply");
    CHECK(m.calls[2].starts_with("load-state"));
    CHECK(m.hmp.run("info snapshots") ==
          "ID        TAG                      VM SIZE                 DATE       VM CLOCK\n"
          "1         before                   1.0 MiB  2010-06-01 00:00:00   00:01:01.500\n");
    CHECK(m.hmp.run("delvm before").empty());
    m.format = "raw";
    CHECK(m.hmp.run("savevm x") ==
          "Error: drive ide0-hd0 (raw) is writable and cannot keep snapshots; qcow2 images can\n");
    CHECK(m.hmp.run("savevm").starts_with("Error: savevm NAME"));
}

TEST_CASE("memory, ports and numbers") {
    FakeMachine m;
    CHECK(m.hmp.run("xp /4xb 0x10") == "0000000000000010: 0x46 0x47 0x48 0x49\n");
    CHECK(m.hmp.run("xp/2hd 0") == "0000000000000000: 16704 17218\n");
    CHECK(m.hmp.run("xp /2xw 0xffc").find("Cannot access memory") != std::string::npos);
    CHECK(m.hmp.run("i /b 0x70") == "portb[0x0070] = 0x12\n");
    CHECK(m.hmp.run("p/x 255") == "0xff\n");
    CHECK(m.hmp.run("print 0x10") == "16\n");
    CHECK(m.hmp.run("xp /4z 0").starts_with("Error: expected /COUNT"));
    CHECK(m.hmp.run("xp /99999999xb 0").starts_with("Error: expected a count"));
}

TEST_CASE("keys are pressed together") {
    FakeMachine m;
    CHECK(m.hmp.run("sendkey ctrl-alt-delete").empty());
    CHECK(
        m.calls.at(0) ==
        R"(send-key {"hold-time":100,"keys":[{"data":"ctrl","type":"qcode"},{"data":"alt","type":"qcode"},{"data":"delete","type":"qcode"}]})");
}

TEST_CASE("what is no command is said to be none") {
    FakeMachine m;
    CHECK(m.hmp.run("").empty());
    CHECK(m.hmp.run("frobnicate").starts_with("unknown command"));
    CHECK(m.hmp.run("change \"x").starts_with("Error: a quotation mark"));
    CHECK(Hmp::knows("info block"));
    CHECK(Hmp::knows("xp/4 0"));
    CHECK_FALSE(Hmp::knows("screen"));
    CHECK(m.hmp.complete("s") ==
          std::vector<std::string>{"stop", "system_reset", "system_powerdown", "savevm", "sendkey", "screendump"});
    CHECK(m.hmp.complete("info sn") == std::vector<std::string>{"snapshots"});
    CHECK(m.hmp.complete("eject my") == std::vector<std::string>{"mycd"});
}

TEST_CASE("QEMU's commands are put together from the machine's own") {
    FakeMachine m;
    const auto run = [&](const char* name, const Json& a = Json::object()) {
        return qmp_commands().at(name).run(m.call, a);
    };
    const Json block = run("query-block");
    CHECK(block.at(0).at("device") == "ide0-hd0");
    CHECK(block.at(0).at("inserted").at("drv") == "qcow2");
    CHECK_FALSE(block.at(1).contains("inserted"));
    CHECK(block.at(1).at("tray_open") == false);
    CHECK(run("query-pci").at(0).at("devices").at(0).at("regions").at(0).at("size") == 16);
    CHECK(run("query-blockstats").at(0).at("stats").at("rd_operations") == 7);
    run("eject", {{"device", "mycd"}, {"force", true}});
    run("blockdev-change-medium", {{"id", "hdc"}, {"filename", "x.iso"}, {"read-only-mode", "retain"}});
    CHECK(m.calls.size() == 2);
    run("blockdev-open-tray", {{"device", "mycd"}, {"force", true}});
    run("blockdev-close-tray", {{"id", "hdc"}});
    CHECK(m.calls[2] == "device-command hdc-drive open-tray");
    CHECK(m.calls[3] == "device-command hdc-drive close-tray");
    CHECK_THROWS_WITH(run("blockdev-close-tray", {{"id", "hdc"}, {"force", true}}), "unknown argument `force`");
    CHECK_THROWS_WITH(run("eject", {{"devcie", "mycd"}}), "unknown argument `devcie`");
    CHECK_THROWS_WITH(run("eject"), "argument `device` is missing");
    CHECK_THROWS_WITH(run("change", {{"device", 3}, {"target", "x"}}), "argument `device`: expected a text");
}

TEST_CASE("what drives tell has QEMU's names; other events stay as they are") {
    FakeMachine m;
    QmpEvents events(m.call);
    const auto heard = [&](const char* device, const char* event, const Json& data) {
        const Json said = {{"event", "BACKPLANE_DEVICE"},
                           {"data", {{"device", device}, {"event", event}, {"data", data}}},
                           {"timestamp", 7}};
        const Json e = Json::parse(events.translate(said.dump()));
        return e == said ? Json("as it was") : e;
    };
    CHECK(heard("hdc-drive", "tray-moved", {{"open", true}}) ==
          Json{{"event", "DEVICE_TRAY_MOVED"},
               {"data", {{"device", "mycd"}, {"id", "hdc"}, {"tray-open", true}}},
               {"timestamp", 7}});
    const Json error = {{"operation", "write"}, {"action", "stop"}, {"nospace", true}, {"reason", "full"}};
    Json expected = error;
    expected["device"] = expected["node-name"] = "ide0-hd0";
    CHECK(heard("hda-drive", "io-error", error) ==
          Json{{"event", "BLOCK_IO_ERROR"}, {"data", expected}, {"timestamp", 7}});
    CHECK(heard("lamp", "tray-moved", {{"open", true}}) == "as it was");
    CHECK(heard("hdc-drive", "burning", Json::object()) == "as it was");
    CHECK(heard("hdc-drive", "tray-moved", {{"open", 3}}) == "as it was");
    const std::string stop = R"({"event":"STOP","data":{"a":"\"BACKPLANE_DEVICE\""}})";
    CHECK(events.translate(stop) == stop);
    const std::string broken = R"({"event":"BACKPLANE_DEVICE")";
    CHECK(events.translate(broken) == broken);
}

TEST_CASE("the monitor tells whether the host's processor runs the guest") {
    FakeMachine m;
    const auto enabled = [&m] { return qmp_commands().at("query-kvm").run(m.call, Json::object()).at("enabled"); };
    CHECK_FALSE(enabled());
    CHECK(m.hmp.run("info kvm") == "kvm support: disabled\n");
    m.cpu_type = "cpu.auto";
    CHECK(m.hmp.run("info kvm") == "kvm support: enabled\n");
    CHECK(enabled());
}
