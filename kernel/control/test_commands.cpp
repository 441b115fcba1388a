// The commands on machines made of types of this process.
#include <catch2/catch.hpp>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>

#include "backplane/device.hpp"
#include "kernel/control/commands.hpp"
#include "kernel/machine/machine.hpp"

using namespace backplane;
using namespace backplane::kernel;

namespace {

// Every kind of state, and a rule between two fields.
struct Holder final : Device<Holder> {
    static constexpr std::string_view kType = "test.holder";
    using Device::Device;
    u8 index_ = 5;
    i16 offset_ = -3;
    bool on_ = true;
    u32 list_[3] = {1, 2, 3};
    u64 wide_ = ~u64{0};
    u8 raw_[4] = {0xde, 0xad, 0xbe, 0xef};
    double ratio_ = 0.5;
    u8 packed_ = 0x21;
    u8 secret_ = 9;
    struct Channel {
        u16 count = 7;
    };
    std::array<Channel, 2> channels_{};
    u64 rate_ = 0;
    LineOut out_;
    Timer tick_;
    TracePoint seen_;
    u32 restores_ = 0;

    void on_tick(i64) {}
    u64 read(u64, u32) { return index_; }
    void write(u64, u32, u64 v) {
        index_ = static_cast<u8>(v);
        out_.set(v & 1);
        if (v & 2) tick_.arm(1000);
        if (v == 0x80) request(BP_REQUEST_RESET, 0, "test");
        if (v == 0x81) request(BP_REQUEST_POWEROFF, 7, "test");
    }
    void state(StateVisitor& v) {
        v("index", index_, {.max = 100, .writable = true});
        v("offset", offset_, {.min = static_cast<u64>(i64{-10}), .max = 10, .writable = true});
        v("on", on_, {.writable = true});
        v("list", list_, {.writable = true});
        v("wide", wide_, {.writable = true});
        v.bytes("raw", raw_, sizeof raw_, {.writable = true});
        v("ratio", ratio_, {.writable = true});
        // Not a field of the object: a visitor must take and give it within the visit.
        u8 low = packed_ & 15;
        v("low", low, {.max = 15, .writable = true});
        packed_ = static_cast<u8>((packed_ & 0xf0) | low);
        v("secret", secret_);
        v.each("channel", channels_, [](StateVisitor& w, Channel& c) { w("count", c.count, {.writable = true}); });
        v.dropped("old");
    }
    bp_status restored() {
        ++restores_;
        return index_ == 66 ? fail(BP_ERR_INVALID, "66 goes with nothing") : bp_status{BP_OK};
    }
    static void describe(Schema<Holder>& s) {
        s.doc("Holds state.");
        s.property("rate", &Holder::rate_, {.doc = "a number", .def = "3"});
        s.line_out("out", &Holder::out_, "bit 0");
        s.line_in<&Holder::in>("in", "heard");
        s.ports<&Holder::read, &Holder::write>("regs", 1, 1, "the index");
        s.timer<&Holder::on_tick>("tick", &Holder::tick_);
        s.trace("seen", &Holder::seen_, "something");
        s.publishes("test.number", "its rate", false);
        s.consumes("test.number", "anybody's rate");
    }
    void in(bool) {}
    bp_status publish() { return publish_fact("test.number", "0", {{"rate", rate_}, {"unit", 0, "Hz"}}); }
    bp_status consume(const Fact&) { return BP_OK; }
    bp_status start() { return slot().control() ? fail(BP_ERR_STATE, "has the control service") : bp_status{BP_OK}; }
};

BoardSpec board(const std::string& yaml) {
    const Value v = parse_yaml(yaml, "board.yaml");
    BoardSpec b;
    b.name = "test", b.vm_name = "mine";
    SpaceSpec io;
    io.name = "io", io.kind = SpaceSpec::Kind::kPorts;
    b.spaces = {io};
    if (const Value* lines = v.find("lines"))
        for (const auto& e : lines->entries()) {
            WireSpec w;
            w.name = e.key, w.position = e.position;
            for (const Value* s : e.value.as_list()) w.sinks.push_back(*s);
            b.lines.push_back(w);
        }
    if (const Value* publish = v.find("publish"))
        for (const auto& p : publish->items())
            b.publish.push_back({p.position(), *p.find("what"), *p.find("from"), *p.find("into")});
    for (const auto& e : v.find("devices")->entries()) {
        DeviceSpec d;
        d.name = e.key, d.position = e.position, d.type = "test.holder";
        for (const auto& x : e.value.entries()) d.entries.push_back(x);
        b.devices.push_back(d);
    }
    return b;
}

// A machine without CPUs that runs in a thread of its own.
struct Rig {
    PluginRegistry registry;
    std::vector<std::string> log;
    Logger logger{[this](std::string_view line) { log.emplace_back(line); }};
    Tracer tracer;
    std::unique_ptr<Machine> machine;
    std::vector<Json> events;
    std::thread thread;

    Rig() {
        registry.add(&DeviceType<Holder>::value);
        machine =
            std::make_unique<Machine>(board("lines: {w: two.in}\ndevices: {one: {at: 0x10, out: w}, two: {at: [0x20, "
                                            "0x28], rate: 8}}\npublish: [{what: test.number, from: two, into: one}]"),
                                      registry, logger, tracer);
        add_commands({*machine, logger, tracer, "1.2.3"});
        machine->control().listen(this, [this](const std::string& json) {
            Json event = Json::parse(json);
            event.erase("timestamp");
            events.push_back(std::move(event));
        });
        thread = std::thread([this] { machine->run(); });
    }
    ~Rig() {
        machine->quit("test");
        if (thread.joinable()) thread.join();
        machine->control().listen(this, {});
    }
    Json call(const std::string& command, const Json& arguments = Json::object()) {
        return machine->control().call(command, arguments);
    }
    Json get(const std::string& path) { return call("state-get", {{"path", path}}); }
    void set(const std::string& path, const Json& value) { call("state-set", {{"path", path}, {"value", value}}); }
    std::string refusal(const std::string& command, const Json& arguments = Json::object()) {
        try {
            call(command, arguments);
        } catch (const CommandError& e) {
            return (e.error_class() == "GenericError" ? "" : e.error_class() + ": ") + e.what();
        }
        return "no error";
    }
    std::string set_refusal(const std::string& path, const Json& value) {
        return refusal("state-set", {{"path", path}, {"value", value}});
    }
};

}  // namespace

TEST_CASE("state is read by path: fields, elements, groups, whole devices") {
    Rig rig;
    CHECK(rig.get("one.index") == Json{{"one.index", 5}});
    CHECK(rig.get("one.offset") == Json{{"one.offset", -3}});
    CHECK(rig.get("one.on") == Json{{"one.on", true}});
    CHECK(rig.get("one.list") == Json{{"one.list", {1, 2, 3}}});
    CHECK(rig.get("one.list[1]") == Json{{"one.list[1]", 2}});
    CHECK(rig.get("one.wide") == Json{{"one.wide", ~u64{0}}});
    CHECK(rig.get("one.raw") == Json{{"one.raw", "deadbeef"}});
    CHECK(rig.get("one.raw[3]") == Json{{"one.raw[3]", 0xef}});
    CHECK(rig.get("one.ratio") == Json{{"one.ratio", 0.5}});
    CHECK(rig.get("one.low") == Json{{"one.low", 1}});
    CHECK(rig.get("one.channel[1].count") == Json{{"one.channel[1].count", 7}});
    CHECK(rig.get("one.channel[0]") == Json{{"one.channel[0].count", 7}});
    CHECK(rig.get("one.channel").size() == 2);
    CHECK(rig.get("one").size() == 11);
    CHECK_FALSE(rig.get("one").contains("one.old"));
    const auto refused = [&](const std::string& path) { return rig.refusal("state-get", {{"path", path}}); };
    CHECK(refused("three.index") == "DeviceNotFound: there is no device `three`");
    CHECK(refused("one.indx") == "one has no state `indx`; did you mean `index`?");
    CHECK(refused("one.list[3]") == "one.list[3]: the field has 3 elements");
    CHECK(refused("one.list[-1]") == "one has no state `list[-1]`");
    CHECK(refused("one.channel[2].count") == "one has no state `channel[2].count`; did you mean `channel[0].count`?");
    CHECK(refused("one.") == "no error");
    CHECK(refused("") == "DeviceNotFound: there is no device ``");
}

TEST_CASE("the list of state says what each field is") {
    Rig rig;
    const Json all = rig.call("state-list");
    CHECK(all.size() == 22);
    const Json index = rig.call("state-list", {{"path", "two.index"}});
    CHECK(index == Json::array({{{"path", "two.index"},
                                 {"kind", "unsigned"},
                                 {"bytes", 1},
                                 {"count", 1},
                                 {"writable", true},
                                 {"minimum", 0},
                                 {"maximum", 100}}}));
    CHECK(rig.call("state-list", {{"path", "two.channel"}}).size() == 2);
    CHECK(rig.refusal("state-list", {{"path", "two.x"}}) == "two has no state `x`");
}

TEST_CASE("fields that may be set are set, in range and in whole") {
    Rig rig;
    const auto round = [&](const std::string& path, const Json& value) {
        rig.set(path, value);
        CHECK(rig.get(path) == Json{{path, value}});
    };
    round("one.index", 100);
    round("one.offset", -10);
    round("one.on", false);
    round("one.list", {7, 0, 0xffffffff});
    round("one.list[0]", 8);
    round("one.wide", ~u64{0} - 1);
    round("one.raw", "00ff10aa");
    round("one.raw[1]", 3);
    round("one.ratio", -2.5);
    round("one.low", 15);
    round("one.channel[1].count", 0xffff);
    CHECK(rig.get("one.list") == Json{{"one.list", {8, 0, 0xffffffff}}});
    CHECK(rig.get("one.raw") == Json{{"one.raw", "000310aa"}});
    CHECK(rig.get("one.channel[0].count") == Json{{"one.channel[0].count", 7}});
}

TEST_CASE("values that do not fit are refused by what was expected, and change nothing") {
    Rig rig;
    const Json before = rig.get("one");
    CHECK(rig.set_refusal("one.index", 101) == "one.index: expected a whole number from 0 to 100");
    CHECK(rig.set_refusal("one.index", -1) == "one.index: expected a whole number from 0 to 100");
    CHECK(rig.set_refusal("one.index", 1.0) == "one.index: expected a whole number from 0 to 100");
    CHECK(rig.set_refusal("one.index", "1") == "one.index: expected a whole number from 0 to 100");
    CHECK(rig.set_refusal("one.offset", 11) == "one.offset: expected a whole number from -10 to 10");
    CHECK(rig.set_refusal("one.offset", ~u64{0}) == "one.offset: expected a whole number from -10 to 10");
    CHECK(rig.set_refusal("one.on", 1) == "one.on: expected true or false");
    CHECK(rig.set_refusal("one.list", {1, 2}) == "one.list: expected a list of 3 values, or one element as the path");
    CHECK(rig.set_refusal("one.list", {1, 2, 0x100000000}) ==
          "one.list[2]: expected a whole number from 0 to 4294967295");
    CHECK(rig.set_refusal("one.list[3]", 1) == "one.list[3]: the field has 3 elements");
    CHECK(rig.set_refusal("one.raw", "00") == "one.raw: expected a text of 8 hexadecimal digits");
    CHECK(rig.set_refusal("one.raw", "0000000g") == "one.raw: expected a text of 8 hexadecimal digits");
    CHECK(rig.set_refusal("one.raw[0]", 256) == "one.raw[0]: expected a whole number from 0 to 255");
    CHECK(rig.set_refusal("one.ratio", "x") == "one.ratio: expected a number");
    CHECK(rig.set_refusal("one.secret", 1) == "one.secret cannot be set");
    CHECK(rig.set_refusal("one.channel[0]", 1) == "one has no state `channel[0]`; did you mean `channel[0].count`?");
    CHECK(rig.set_refusal("one", 1) == "one: expected DEVICE.field");
    CHECK(rig.set_refusal("three.index", 1) == "DeviceNotFound: there is no device `three`");
    CHECK(rig.set_refusal("one.index", 66) == "one refuses this value of one.index: 66 goes with nothing");
    CHECK(rig.get("one") == before);
}

TEST_CASE("stop and cont: status, events, and state that can be looked at meanwhile") {
    Rig rig;
    CHECK(rig.call("query-status") == Json{{"status", "running"}, {"running", true}});
    rig.call("stop");
    CHECK(rig.events == std::vector<Json>{{{"event", "STOP"}, {"data", Json::object()}}});
    rig.call("stop");
    CHECK(rig.events.size() == 1);
    CHECK(rig.call("query-status") == Json{{"status", "paused"}, {"running", false}});
    const Json time = rig.call("query-stats").at("time-ns");
    rig.set("one.index", 1);
    CHECK(rig.call("query-stats").at("time-ns") == time);
    rig.call("cont");
    CHECK(rig.events.back().at("event") == "RESUME");
    rig.call("cont");
    CHECK(rig.events.size() == 2);
    CHECK(rig.call("query-status").at("running") == true);
}

TEST_CASE("a reset says who asked for it") {
    Rig rig;
    rig.call("system_reset");
    CHECK(rig.events ==
          std::vector<Json>{{{"event", "RESET"}, {"data", {{"guest", false}, {"reason", "host-qmp-system-reset"}}}}});
    rig.machine->port_write(0x10, 1, 0x80);
    rig.call("stop");
    CHECK(rig.events.at(1) == Json{{"event", "RESET"}, {"data", {{"guest", true}, {"reason", "guest-reset"}}}});
}

TEST_CASE("quit answers, then the machine ends with an event") {
    Rig rig;
    CHECK(rig.call("quit") == Json::object());
    rig.thread.join();
    CHECK(rig.events ==
          std::vector<Json>{{{"event", "SHUTDOWN"},
                             {"data", {{"guest", false}, {"reason", "host-qmp-quit"}, {"desc", "the command quit"}}}}});
    CHECK(rig.refusal("query-status") == "the machine has ended");
}

TEST_CASE("the guest's own end is an event too") {
    Rig rig;
    rig.machine->port_write(0x10, 1, 0x81);
    rig.thread.join();
    CHECK(rig.events.back() ==
          Json{{"event", "SHUTDOWN"}, {"data", {{"guest", true}, {"reason", "guest-shutdown"}, {"desc", "test"}}}});
}

TEST_CASE("devices are listed with what they are made of") {
    Rig rig;
    rig.machine->port_write(0x10, 1, 3);
    const Json all = rig.call("device-list");
    REQUIRE(all.size() == 2);
    const Json& one = all.at(0);
    CHECK(one.at("name") == "one");
    CHECK(one.at("type") == "test.holder");
    CHECK(one.at("parent").is_null());
    CHECK(one.at("properties").at(0) ==
          Json{{"name", "rate"}, {"kind", "number"}, {"value", 3}, {"given", false}, {"help", "a number"}});
    CHECK(one.at("outputs").at(0) == Json{{"name", "out"}, {"help", "bit 0"}, {"level", true}, {"wires", {"w"}}});
    CHECK(one.at("regions").at(0).at("at") == Json::array({0x10}));
    CHECK(one.at("timers").at(0).at("name") == "tick");
    const Json two = rig.call("device-list", {{"device", "two"}});
    REQUIRE(two.size() == 1);
    CHECK(two.at(0).at("properties").at(0).at("value") == 8);
    CHECK(two.at(0).at("properties").at(0).at("given") == true);
    CHECK(two.at(0).at("inputs").at(0).at("level") == true);
    CHECK(two.at(0).at("regions").at(0).at("at") == Json::array({0x20, 0x28}));
    CHECK(two.at(0).at("regions").at(0).at("kind") == "ports");
    CHECK(rig.refusal("device-list", {{"device", "to"}}) ==
          "DeviceNotFound: there is no device `to`; did you mean `two`?");
}

TEST_CASE("facts are listed with who hears them") {
    Rig rig;
    const Json facts = rig.call("facts");
    REQUIRE(facts.size() == 2);
    for (const Json& f : facts) {
        CHECK(f.at("what") == "test.number");
        CHECK(f.at("key") == "0");
        const bool two = f.at("from") == "two";
        CHECK(f.at("fields") == Json{{"rate", two ? "8" : "3"}, {"unit", "Hz"}});
        CHECK(f.at("into") == (two ? Json::array({"one"}) : Json::array()));
    }
}

TEST_CASE("trace points and register banks go on and off while the machine runs") {
    Rig rig;
    const Json list = rig.call("trace-list", {{"pattern", "two.*"}});
    CHECK(list.size() == 2);
    CHECK(list.at(0).at("enabled") == false);
    CHECK(rig.call("trace-set", {{"patterns", "two.*"}}) == Json{{"patterns", "two.*"}, {"enabled", 2}});
    CHECK(rig.call("trace-set", {{"off", "*.seen"}}) == Json{{"patterns", "two.*,-*.seen"}, {"enabled", 1}});
    CHECK(rig.call("trace-set", {{"on", "one.regs"}}).at("enabled") == 2);
    const auto path = std::filesystem::temp_directory_path() / ("backplane-trace-" + std::to_string(::getpid()));
    rig.call("trace-set", {{"file", path.string()}});
    rig.machine->port_write(0x10, 1, 1);
    CHECK(rig.call("trace-set", {{"patterns", ""}}).at("enabled") == 0);
    rig.machine->port_write(0x10, 1, 1);
    rig.tracer.open("/dev/null");
    std::ifstream in(path);
    std::string first, second;
    std::getline(in, first);
    CHECK(first.find("one.regs write8 +0 <- 1") != std::string::npos);
    CHECK_FALSE(std::getline(in, second));
    std::filesystem::remove(path);
    CHECK(rig.refusal("trace-set") == "expected one of the arguments `patterns`, `on`, `off` and `file`");
    CHECK(rig.refusal("trace-set", {{"file", "/nonexistent/x"}}).find("/nonexistent/x") != std::string::npos);
}

TEST_CASE("log levels change while the machine runs") {
    Rig rig;
    const u32 device = rig.logger.device("one");
    CHECK_FALSE(rig.logger.enabled(device, BP_LOG_DEBUG));
    for (int i = 0; i < 3; ++i) rig.call("log-set", {{"levels", "one=debug"}});
    CHECK(rig.logger.enabled(device, BP_LOG_DEBUG));
    rig.call("log-set", {{"levels", "*=warn"}});
    CHECK_FALSE(rig.logger.enabled(device, BP_LOG_DEBUG));
    CHECK(rig.refusal("log-set", {{"levels", "one=loud"}}).find("expected DEVICE=LEVEL") != std::string::npos);
}

TEST_CASE("saving and restoring are carried out and announced; a failure changes nothing") {
    Rig rig;
    const auto path = std::filesystem::temp_directory_path() / ("backplane-state-" + std::to_string(::getpid()));
    rig.set("one.index", 7);
    rig.call("save-state", {{"path", path.string()}});
    rig.set("one.index", 8);
    CHECK(rig.refusal("load-state", {{"path", "/nonexistent/x"}}).find("/nonexistent/x") != std::string::npos);
    CHECK(rig.refusal("save-state", {{"path", "/nonexistent/x"}}).find("/nonexistent/x") != std::string::npos);
    CHECK(rig.get("one.index") == Json{{"one.index", 8}});
    rig.call("load-state", {{"path", path.string()}, {"force", false}});
    CHECK(rig.get("one.index") == Json{{"one.index", 7}});
    CHECK(rig.refusal("plugin-reload", {{"plugin", "one"}}).find("one") != std::string::npos);
    CHECK(rig.events ==
          std::vector<Json>{{{"event", "BACKPLANE_SNAPSHOT_SAVED"}, {"data", {{"path", path.string()}}}},
                            {{"event", "BACKPLANE_SNAPSHOT_RESTORED"}, {"data", {{"path", path.string()}}}}});
    std::filesystem::remove(path);
}

TEST_CASE("what the machine is") {
    Rig rig;
    CHECK(rig.call("query-version").at("backplane") == Json{{"major", 1}, {"minor", 2}, {"micro", 3}});
    CHECK(rig.call("query-name") == Json{{"name", "mine"}});
    CHECK(rig.refusal("query-uuid") == "the board has no UUID");
    CHECK(rig.call("query-machine").at("board") == "test");
    CHECK(rig.call("query-machine").at("clock") == "realtime");
    const Json stats = rig.call("query-stats");
    CHECK(stats.at("cpus") == Json::array());
    CHECK(stats.at("instructions") == 0);
    CHECK(stats.at("host-ns").get<i64>() > 0);
}

TEST_CASE("every command and event is listed with its help") {
    Rig rig;
    const Json commands = rig.call("query-commands");
    CHECK(commands.size() >= 20);
    for (const Json& c : commands) {
        INFO(c.dump());
        CHECK_FALSE(c.at("help").get<std::string>().empty());
        for (const Json& a : c.at("arguments")) CHECK_FALSE(a.at("help").get<std::string>().empty());
    }
    for (const Json& e : rig.call("query-events")) CHECK_FALSE(e.at("help").get<std::string>().empty());
}
