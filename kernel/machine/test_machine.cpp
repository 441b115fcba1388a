// Machines built from types of this process: the rules of the builder, lines, facts, clock and requests.
#include <catch2/catch.hpp>

#include "backplane/abi/backend.h"
#include "backplane/device.hpp"
#include "kernel/machine/machine.hpp"
#include "kernel/machine/test_board.hpp"

using namespace backplane;
using namespace backplane::kernel;

namespace {

struct Source final : Device<Source> {
    static constexpr std::string_view kType = "test.source";
    using Device::Device;
    LineOut out_;
    Timer tick_;
    u64 count_ = 0, limit_ = 0;
    u8 value_ = 0;
    u64 read(u64 offset, u32) { return offset == 0 ? value_ : 0x40; }
    void write(u64, u32, u64 v) {
        value_ = static_cast<u8>(v);
        out_.set(v & 1);
        if (v == 0x80) request(BP_REQUEST_POWEROFF, 7, "test");
    }
    void on_tick(i64 due) {
        if (++count_ == limit_)
            request(BP_REQUEST_EXIT, 5, "ticks");
        else
            tick_.arm(due + 1000);
    }
    void reset(Reset) {
        value_ = 0;
        if (limit_) tick_.arm(1000);
    }
    void state(StateVisitor& v) { v("value", value_), v("count", count_); }
    bp_status publish() { return publish_fact("test.number", "0", {{"value", 42}}); }
    static void describe(Schema<Source>& s) {
        s.doc("A register, a line and a timer.");
        s.property("limit", &Source::limit_, {.doc = "ticks until exit", .def = "0", .max = 1000});
        s.line_out("out", &Source::out_, "bit 0 of the register");
        s.ports<&Source::read, &Source::write>("regs", 2, 1, "the register");
        s.timer<&Source::on_tick>("tick", &Source::tick_);
        s.publishes("test.number", "a number", true);
    }
};

struct Sink final : Device<Sink> {
    static constexpr std::string_view kType = "test.sink";
    using Device::Device;
    u64 number_ = 0;
    u32 rises_ = 0;
    Link<bp_nvram> nvram_;
    void in(u32, bool level) { rises_ += level; }
    bp_status consume(const Fact& f) {
        number_ = f.number("value");
        return BP_OK;
    }
    void state(StateVisitor& v) { v("number", number_), v("rises", rises_); }
    static void describe(Schema<Sink>& s) {
        s.lines_in<&Sink::in>("in", 4, "counted");
        s.consumes("test.number", "a number");
        s.link("memory", &Sink::nvram_, BP_NVRAM_ID, "optional memory", true);
    }
};

struct Bench {
    PluginRegistry registry;
    Logger logger{[](std::string_view) {}};
    Tracer tracer;
    Bench() {
        registry.add(&DeviceType<Source>::value);
        registry.add(&DeviceType<Sink>::value);
    }
    std::unique_ptr<Machine> build(const std::string& yaml) {
        return std::make_unique<Machine>(board(yaml), registry, logger, tracer);
    }
    std::string error(const std::string& yaml) {
        try {
            build(yaml);
        } catch (const Error& e) {
            return e.what();
        }
        return "no error";
    }
};

const std::string kRoute = "publish: [{what: test.number, from: a, into: b}]\n";

}  // namespace

TEST_CASE("a published value reaches its consumer before power-on") {
    Bench bench;
    auto machine = bench.build("devices: {a: {type: test.source, at: 0x70}, b: {type: test.sink}}\n" + kRoute);
    CHECK(machine->state_text("b").find("b.number = 000000000000002a") != std::string::npos);
}

TEST_CASE("a fact that must be consumed and is not keeps the board from loading") {
    Bench bench;
    CHECK(bench.error("devices:\n  a: {type: test.source}\n") ==
          "board.yaml:2:3: a: nobody consumes its `test.number`, which its type test.source requires; the board needs "
          "an entry "
          "`publish: - {what: test.number, from: a, into: ...}`");
}

TEST_CASE("ports claimed twice are an error that names both places") {
    Bench bench;
    CHECK(
        bench.error(
            "devices:\n  a: {type: test.source, at: 0x70}\n  c: {type: test.source, at: 0x71}\n  b: {type: test.sink}\n"
            "publish: [{what: test.number, from: a, into: b}, {what: test.number, from: c, into: b}]\n") ==
        "board.yaml:3:30: c: ports 0x71-0x72 (regs) are already claimed by a.regs (board.yaml:2:30)");
}

TEST_CASE("an unknown property, device, wire or line is an error with the nearest name") {
    Bench bench;
    CHECK(bench.error("devices: {a: {type: test.source, limt: 3}, b: {type: test.sink}}\n" + kRoute)
              .find("did you mean `limit`?") != std::string::npos);
    CHECK(bench.error("devices: {a: {type: test.source, out: c.in0}, b: {type: test.sink}}\n" + kRoute)
              .find("`c.in0` is neither a wire") != std::string::npos);
    CHECK(bench.error("devices: {a: {type: test.source, out: b.in7}, b: {type: test.sink}}\n" + kRoute)
              .find("has no input line `in7`") != std::string::npos);
    CHECK(bench
              .error("lines: {irq3: [b.in0]}\ndevices: {a: {type: test.source, out: irq4}, b: {type: test.sink}}\n" +
                     kRoute)
              .find("no wire `irq4`") != std::string::npos);
    CHECK(bench.error("devices: {a: {type: test.source, at: 0x10000}, b: {type: test.sink}}\n" + kRoute)
              .find("does not fit into the port space") != std::string::npos);
    CHECK(bench.error("devices: {a: {type: test.source}, b: {type: test.sink, memory: a}}\n" + kRoute)
              .find("does not offer bp.nvram/1") != std::string::npos);
    CHECK(bench.error("devices: {a: {type: test.source, on: b/1}, b: {type: test.sink}}\n" + kRoute)
              .find("has no property, line or link `on`") != std::string::npos);
}

TEST_CASE("a machine without a CPU runs its timers until a device asks to exit") {
    Bench bench;
    auto machine = bench.build("devices: {a: {type: test.source, limit: 20}, b: {type: test.sink}}\n" + kRoute);
    const Outcome outcome = machine->run();
    CHECK(outcome.reason == Outcome::Reason::kExit);
    CHECK(outcome.code == 5);
    CHECK(machine->now() >= 20000);
}

TEST_CASE("quit from another thread ends a machine that has nothing to do") {
    Bench bench;
    auto machine = bench.build("devices: {a: {type: test.source}, b: {type: test.sink}}\n" + kRoute);
    std::thread other([&] {
        for (int i = 0; i < 100; ++i) machine->post([] {});
        machine->pause();
        machine->resume();
        machine->quit("enough");
    });
    const Outcome outcome = machine->run();
    other.join();
    CHECK(outcome.reason == Outcome::Reason::kQuit);
    CHECK(outcome.text == "enough");
}

TEST_CASE("without a CPU a deterministic machine's time stands still until somebody lets it go on") {
    Bench bench;
    auto machine =
        bench.build("clock: {mode: deterministic}\ndevices: {a: {type: test.source}, b: {type: test.sink}}\n" + kRoute);
    CHECK(machine->waits_for_time());
    std::thread other([&] {
        machine->standstill([&] { machine->advance_to(5000); });
        machine->quit("enough");
    });
    CHECK(machine->run().reason == Outcome::Reason::kQuit);
    other.join();
    CHECK(machine->now() == 5000);
}

TEST_CASE("without a CPU no session can be recorded") {
    Bench bench;
    auto machine =
        bench.build("clock: {mode: deterministic}\ndevices: {a: {type: test.source}, b: {type: test.sink}}\n" + kRoute);
    machine->record_input("/dev/null");
    const Outcome outcome = machine->run();
    CHECK(outcome.reason == Outcome::Reason::kError);
    CHECK(outcome.text.find("need a CPU") != std::string::npos);
}
