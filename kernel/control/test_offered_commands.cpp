// Commands that devices offer, and the machine driven from outside.
#include <catch2/catch.hpp>

#include <filesystem>
#include <thread>

#include "backplane/abi/commands.h"
#include "backplane/device.hpp"
#include "kernel/control/commands.hpp"
#include "kernel/machine/machine.hpp"
#include "kernel/machine/test_board.hpp"

using namespace backplane;
using namespace backplane::kernel;

namespace {

// A tray, a port whose reading has an effect, a timer that drives a line.
struct Tray final : Device<Tray> {
    static constexpr std::string_view kType = "test.tray";
    using Device::Device;
    bool open_ = false;
    u8 reads_ = 0, last_ = 0;
    std::string list_;
    LineOut line_;
    Timer timer_;

    static const bp_commands kTable;
    bp_str list() const { return to_bp(list_); }
    bp_status execute(std::string_view command, const Json& a, const std::function<void(const Json&)>& answer) {
        if (command == "info") return answer({{"open", open_}}), BP_OK;
        if (command == "garbage") return answer(Json()), BP_OK;
        if (a.value("force", false) == open_) return fail(BP_ERR_STATE, "the tray is %s", open_ ? "open" : "shut");
        open_ = !open_;
        return BP_OK;
    }
    u64 read(u64, u32) { return ++reads_; }
    void write(u64, u32, u64 v) {
        last_ = static_cast<u8>(v);
        if (v == 1) timer_.arm_in(1000);
        if (v == 2) request(BP_REQUEST_RESET, 0, "test");
    }
    void on_timer(i64) { line_.set(!line_.level()); }
    void heard(bool) {}
    void reset(Reset) { last_ = 0x77; }
    void state(StateVisitor& v) {
        v("reads", reads_);
        v("last", last_);
    }
    bp_status start() {
        list_ = R"([{"name": "info", "help": "how it is", "query": true},
                    {"name": "move", "standstill": true,
                     "arguments": [{"name": "force", "type": "bool", "required": true}]},
                    {"name": "garbage", "query": true}])";
        if (slot().core().name(slot().self()).size == 6) list_ = "no list";
        return BP_OK;
    }
    static void describe(Schema<Tray>& s) {
        s.doc("A tray.");
        s.ports<&Tray::read, &Tray::write>("regs", 1, 1, "counts its reads");
        s.memory<&Tray::read, &Tray::write>("window", 0x1000, 1, "the same");
        s.line_out("line", &Tray::line_, "turns when the timer expires");
        s.line_in<&Tray::heard>("in", "heard");
        s.timer<&Tray::on_timer>("timer", &Tray::timer_);
        s.offer(BP_COMMANDS_ID, &kTable);
    }
};
const bp_commands Tray::kTable{
    sizeof(bp_commands), [](void* i) { return static_cast<Tray*>(i)->list(); },
    [](void* i, bp_str command, bp_str arguments, void (*answer)(void*, bp_str), void* context) -> bp_status {
        return static_cast<Tray*>(i)->execute(to_view(command), Json::parse(to_view(arguments)),
                                              [&](const Json& value) {
                                                  const std::string text = value.is_null() ? "{garbage" : value.dump();
                                                  answer(context, to_bp(text));
                                              });
    }};

struct Plain final : Device<Plain> {
    static constexpr std::string_view kType = "test.plain";
    using Device::Device;
    u32 block_ = 0, mapping_ = 0;
    bp_status start() {
        slot().ram().create(slot().self(), to_bp("ram"), 0x4000, &block_);
        return slot().ram().map(slot().self(), block_, 0, 0, 0x4000, BP_MAP_READ | BP_MAP_WRITE, BP_PRIORITY_RAM,
                                &mapping_);
    }
    void state(StateVisitor&) {}
    static void describe(Schema<Plain>& s) { s.doc("Memory."); }
};

struct Rig {
    PluginRegistry registry;
    Logger logger{[](std::string_view) {}};
    Tracer tracer;
    std::unique_ptr<Machine> machine;
    std::vector<Json> events;
    std::thread thread;

    explicit Rig(const std::string& clock = "deterministic", const std::string& record = "") {
        registry.add(&DeviceType<Tray>::value);
        registry.add(&DeviceType<Plain>::value);
        machine = std::make_unique<Machine>(
            kernel::board("clock: {mode: " + clock +
                          "}\nlines: {w: ear.in}\ndevices: {tray: {type: test.tray, at: {regs: 0x10, window: "
                          "0x100000}, line: w}, ear: {type: test.tray}, broken: {type: test.tray}, plain: {type: "
                          "test.plain}}"),
            registry, logger, tracer);
        add_commands({*machine, logger, tracer, "1.2.3"});
        machine->control().listen(this, [this](const std::string& json) { events.push_back(Json::parse(json)); });
        if (!record.empty()) machine->record_input(record);
        thread = std::thread([this] { machine->run(); });
    }
    ~Rig() {
        machine->quit("test");
        thread.join();
        machine->control().listen(this, {});
    }
    Json call(const std::string& command, const Json& arguments = Json::object()) {
        return machine->control().call(command, arguments);
    }
    Json tray(const std::string& command, const Json& arguments = Json::object()) {
        return call("device-command", {{"device", "tray"}, {"command", command}, {"arguments", arguments}});
    }
    std::string refusal(const std::string& command, const Json& arguments = Json::object()) {
        try {
            call(command, arguments);
        } catch (const CommandError& e) {
            return (e.error_class() == "GenericError" ? "" : e.error_class() + ": ") + e.what();
        }
        return "no error";
    }
    std::string tray_refusal(const std::string& command, const Json& arguments = Json::object()) {
        return refusal("device-command", {{"device", "tray"}, {"command", command}, {"arguments", arguments}});
    }
    u64 in(u32 port) { return call("port-read", {{"port", port}, {"bytes", 1}}).at("value"); }
    void out(u32 port, u32 value) { call("port-write", {{"port", port}, {"bytes", 1}, {"value", value}}); }
};

}  // namespace

TEST_CASE("devices' commands are listed and run, at a standstill where they ask for it") {
    Rig rig;
    const Json commands = rig.call("device-commands", {{"device", "tray"}});
    REQUIRE(commands.size() == 1);
    CHECK(commands[0].at("device") == "tray");
    CHECK(commands[0].at("commands")[0] == Json{{"name", "info"},
                                                {"help", "how it is"},
                                                {"standstill", false},
                                                {"query", true},
                                                {"arguments", Json::array()}});
    CHECK(commands[0].at("commands")[1].at("arguments")[0] ==
          Json{{"name", "force"}, {"type", "bool"}, {"optional", false}, {"help", ""}});
    CHECK(rig.tray("info") == Json{{"open", false}});
    CHECK(rig.tray("move", {{"force", true}}) == Json::object());
    CHECK(rig.tray("info") == Json{{"open", true}});
}

TEST_CASE("a device's refusal comes out in its words, with its name") {
    Rig rig;
    CHECK(rig.tray_refusal("move", {{"force", false}}) == "tray: the tray is shut");
    CHECK(rig.tray("info") == Json{{"open", false}});
}

TEST_CASE("arguments of devices' commands are checked against the list") {
    Rig rig;
    CHECK(rig.tray_refusal("move") == "argument `force` is missing");
    CHECK(rig.tray_refusal("move", {{"force", 1}}) == "argument `force`: expected true or false");
    CHECK(rig.tray_refusal("info", {{"force", true}}).find("unknown argument `force`") == 0);
    CHECK(rig.tray_refusal("mvoe") == "CommandNotFound: tray has no command `mvoe`; did you mean `move`?");
    CHECK(rig.refusal("device-command", {{"device", "plain"}, {"command", "info"}}) == "plain offers no commands");
    CHECK(rig.refusal("device-command", {{"device", "nobody"}, {"command", "info"}}).find("DeviceNotFound") == 0);
    CHECK(rig.refusal("device-commands", {{"device", "plain"}}) == "plain offers no commands");
    CHECK(rig.refusal("device-command", {{"device", "tray"}, {"command", "info"}, {"arguments", 3}}) ==
          "argument `arguments`: expected an object");
}

TEST_CASE("a plugin whose list or answer is no JSON is named, and hurts nobody") {
    Rig rig;
    CHECK(rig.tray_refusal("garbage").find("gives no proper answer") != std::string::npos);
    CHECK(rig.refusal("device-commands", {{"device", "broken"}}).find("gives no proper list") != std::string::npos);
    CHECK(rig.tray("info") == Json{{"open", false}});
}

TEST_CASE("ports are accessed as by a CPU, and their effects are seen by the next command") {
    Rig rig;
    CHECK(rig.in(0x10) == 1);
    CHECK(rig.in(0x10) == 2);
    CHECK(rig.in(0x99) == 0xff);
    rig.out(0x10, 0x41);
    CHECK(rig.call("state-get", {{"path", "tray.last"}}).at("tray.last") == 0x41);
    for (int i = 0; i < 50; ++i) {
        rig.out(0x10, 2);  // asks for a reset
        REQUIRE(rig.call("state-get", {{"path", "tray.last"}}).at("tray.last") == 0x77);
        rig.out(0x10, 0x41);
    }
    CHECK(rig.refusal("port-read", {{"port", 65536}, {"bytes", 1}}) == "argument `port`: expected 0 to 65535");
    CHECK(rig.refusal("port-read", {{"port", 1}, {"bytes", 3}}) == "argument `bytes`: expected 1, 2 or 4");
}

TEST_CASE("memory is read and written whole; registers only if that is asked for") {
    Rig rig;
    rig.call("memory-write", {{"address", 0xffe}, {"data", "0102fffe"}});
    CHECK(rig.call("memory-read", {{"address", 0xffd}, {"size", 6}}).at("data") == "000102fffe00");
    CHECK(rig.call("memory-read", {{"address", 0xffe}, {"size", 4}, {"access", 4}}).at("data") == "0102fffe");
    CHECK(rig.refusal("memory-read", {{"address", 0x100000}, {"size", 2}}).find("is no memory") != std::string::npos);
    CHECK(rig.call("state-get", {{"path", "tray.reads"}}).at("tray.reads") == 0);
    CHECK(rig.call("memory-read", {{"address", 0x100000}, {"size", 2}, {"access", 1}}).at("data") == "0102");
    rig.call("memory-write", {{"address", 0x100000}, {"data", "33"}, {"access", 1}});
    CHECK(rig.call("state-get", {{"path", "tray.last"}}).at("tray.last") == 0x33);
    CHECK(rig.refusal("memory-write", {{"address", 0}, {"data", "1"}}) ==
          "argument `data`: expected two digits a byte");
    CHECK(rig.refusal("memory-write", {{"address", 0}, {"data", "1g"}}) ==
          "argument `data`: expected hexadecimal digits");
    CHECK(rig.refusal("memory-read", {{"address", -1}, {"size", 1}}) == "argument `address`: expected a whole number");
    CHECK(rig.refusal("memory-read", {{"address", 0}, {"size", 3}, {"access", 2}}).find("no multiple") !=
          std::string::npos);
}

TEST_CASE("time goes on as far as it is let, and watched lines tell of what happens then") {
    Rig rig;
    rig.call("line-watch", {{"device", "ear"}});
    rig.out(0x10, 1);
    CHECK(rig.call("clock-advance", {{"until", 999}}).at("time-ns") == 999);
    CHECK(rig.call("clock-advance").at("time-ns") == 1000);
    CHECK(rig.call("clock-advance", {{"until", 500}}).at("time-ns") == 1000);
    CHECK(rig.call("clock-advance").at("time-ns") == 1000);  // nothing is due
    rig.call("line-watch", {{"device", "tray"}, {"outputs", true}});
    rig.call("line-watch", {{"device", "ear"}, {"on", false}});
    rig.out(0x10, 1);
    rig.call("clock-advance", {{"until", 5000}});
    std::vector<Json> lines;
    for (const Json& e : rig.events)
        if (e.at("event") == "BACKPLANE_LINE") lines.push_back(e.at("data"));
    CHECK(lines ==
          std::vector<Json>{{{"device", "ear"}, {"output", false}, {"line", 0}, {"name", "in"}, {"level", true}},
                            {{"device", "tray"}, {"output", true}, {"line", 0}, {"name", "line"}, {"level", false}}});
}

TEST_CASE("a machine whose time goes on by itself does not let others do it") {
    Rig rig("realtime");
    CHECK(rig.refusal("clock-advance", {{"until", 1}}).find("goes on by itself") != std::string::npos);
    CHECK(rig.in(0x10) == 1);
}
