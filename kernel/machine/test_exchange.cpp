// Engines of this process that are exchanged, and go on from each other's snapshots.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "backplane/abi/cpu.h"
#include "backplane/cpu_state.hpp"
#include "backplane/device.hpp"
#include "kernel/machine/machine.hpp"

using namespace backplane;
using namespace backplane::kernel;
using Catch::Contains;

namespace {

// A processor whose instructions count themselves in a register. Its own state is another one in each type.
template <char Name>
struct Engine final : Device<Engine<Name>> {
    using Base = Device<Engine<Name>>;
    using Base::Base;
    static constexpr char kName[] = {'t', 'e', 's', 't', '.', 'e', 'n', 'g', 'i', 'n', 'e', '-', Name, 0};
    static constexpr std::string_view kType{kName, sizeof kName - 1};

    bp_x86_state registers{};
    bp_vcpu* vcpu = nullptr;
    u64 own = 0;
    bool level = false;
    u32 edges = 0;
    LineOut out;

    static Engine& of(void* self) { return *static_cast<Engine*>(self); }
    static u32 run(void* self) {
        Engine& e = of(self);
        __atomic_fetch_and(&e.vcpu->attention, ~u32{BP_ATTENTION_STOP}, __ATOMIC_ACQUIRE);
        while (e.vcpu->instructions < e.vcpu->deadline) ++e.vcpu->instructions, ++e.registers.gpr[0], ++e.registers.rip;
        return BP_EXIT_DEADLINE;
    }
    static constexpr bp_cpu kCpu{
        sizeof(bp_cpu),
        [](void* self, bp_vcpu* vcpu, const bp_cpu_bus*) -> bp_status { return of(self).vcpu = vcpu, BP_OK; },
        run,
        [](void*, uint64_t, uint64_t) {},
        [](void*, char*, size_t) -> size_t { return 0; },
        [](void*, bp_str) -> bp_status { return BP_ERR_UNSUPPORTED; }};
    static constexpr bp_cpu_state kState{sizeof(bp_cpu_state),
                                         [](void* self, bp_x86_state* state) -> bp_status {
                                             return *state = of(self).registers, state->size = sizeof *state, BP_OK;
                                         },
                                         [](void* self, const bp_x86_state* state) -> bp_status {
                                             if (Name == 'r')
                                                 return of(self).fail(BP_ERR_INVALID, "it has no such feature");
                                             return of(self).registers = *state, BP_OK;
                                         },
                                         visit_cpu_state};

    void in(bool l) { level = l, edges += l ? 1 : 0; }
    void reset(Reset) { registers = {}, registers.cr0 = 0x10, edges = 0, out.lower(); }
    static void describe(Schema<Engine>& s) {
        s.template line_in<&Engine::in>("in", "a level");
        s.line_out("out", &Engine::out, "a level");
        s.offer(BP_CPU_ID, &kCpu);
        s.offer(BP_CPU_STATE_ID, &kState);
    }
    void state(StateVisitor& v) {
        v("own", own);
        v("rax", registers.gpr[0]);
        v("rip", registers.rip);
    }
};

struct Switch final : Device<Switch> {
    static constexpr std::string_view kType = "test.switch";
    using Device::Device;
    LineOut out_;
    u32 heard_ = 0;
    void in(bool) { ++heard_; }
    static void describe(Schema<Switch>& s) {
        s.ports<&Switch::read, &Switch::write>("port", 1, 1, "the line's level");
        s.line_in<&Switch::in>("in", "changes are counted");
        s.line_out("out", &Switch::out_, "as it was written");
    }
    u64 read(u64, u32) { return heard_; }
    void write(u64, u32, u64 value) { out_.set(value != 0); }
    void state(StateVisitor& v) { v("heard", heard_); }
};

const std::string kBoard =
    "name: two\nparameters:\n  engine: {type: enum, choices: [a, b, r, none], default: a}\n"
    "spaces:\n  io: {kind: ports, bits: 16}\n  memory: {kind: memory, bits: 32}\n"
    "clock: {mode: deterministic}\n"
    "devices:\n  cpu: {type: \"test.engine-${engine}\", out: switch.in}\n"
    "  switch: {type: test.switch, at: 0x70, out: cpu.in}\n"
    "when:\n  - if: {engine: none}\n    devices: {cpu: {type: test.switch}}\n";

struct Bench {
    std::filesystem::path folder =
        std::filesystem::temp_directory_path() / ("backplane-exchange-" + std::to_string(::getpid()));
    PluginRegistry registry;
    Logger logger{[](std::string_view) {}};
    Tracer tracer;
    std::unique_ptr<Machine> machine;

    explicit Bench(const std::string& engine = "a") {
        std::filesystem::create_directories(folder);
        std::ofstream(folder / "two.yaml") << kBoard;
        registry.add(&DeviceType<Engine<'a'>>::value);
        registry.add(&DeviceType<Engine<'b'>>::value);
        registry.add(&DeviceType<Engine<'r'>>::value);
        registry.add(&DeviceType<Switch>::value);
        make(engine);
    }
    ~Bench() {
        machine.reset();
        std::filesystem::remove_all(folder);
    }
    void make(const std::string& engine) {
        const BoardRequest request{(folder / "two.yaml").string(), "", {{"engine", engine, "--engine"}}};
        machine = std::make_unique<Machine>(load_board(request, {}), registry, logger, tracer);
    }
    // Runs until so many instructions have been executed, with some work on the way.
    void run(u64 until, std::map<u64, std::function<void()>> work = {}) {
        for (auto& [count, what] : work) machine->at_instructions(count, what);
        machine->at_instructions(until, [this] { machine->quit("done"); });
        machine->run();
    }
    std::string type() { return machine->device("cpu")->type->name; }
    template <char Name>
    Engine<Name>& engine() {
        return *static_cast<Engine<Name>*>(machine->device("cpu")->object);
    }
    std::string failure(const std::string& name) {
        try {
            machine->exchange_engine(name);
        } catch (const Error& e) {
            return e.what();
        }
        return "";
    }
    std::string file(const char* name) { return (folder / name).string(); }
};

}  // namespace

TEST_CASE("the other engine goes on at the same instruction with everything the first one had") {
    Bench b;
    b.run(1000, {{400, [&] {
                      b.machine->port_write(0x70, 1, 1);
                      b.engine<'a'>().own = 5;
                      b.engine<'a'>().registers.mtrr_variable[3] = 0x1234567890;
                      CHECK(b.machine->exchange_engine("b") == "the CPUs go on with cpu: test.engine-b");
                      CHECK(b.machine->instructions() == 400);
                  }}});
    REQUIRE(b.type() == "test.engine-b");
    CHECK(b.machine->instructions() == 1000);
    CHECK(b.engine<'b'>().registers.gpr[0] == 1000);
    CHECK(b.engine<'b'>().registers.mtrr_variable[3] == 0x1234567890);
    CHECK(b.engine<'b'>().own == 0);
    CHECK(b.engine<'b'>().level);
    CHECK(b.machine->board().parameter("engine")->value == "b");
}

TEST_CASE("an engine is exchanged for a new instance of its own type, and back and forth") {
    Bench b;
    std::map<u64, std::function<void()>> work;
    for (u64 n = 0; n < 100; ++n)
        work[10 * n] = [&b, n] { b.machine->exchange_engine(n % 3 == 0 ? "" : n % 3 == 1 ? "b" : "a"); };
    b.run(2000, work);
    CHECK(b.machine->instructions() == 2000);
    CHECK(b.machine->now() == 20000);
    CHECK(b.type() == "test.engine-a");
    CHECK(b.engine<'a'>().registers.gpr[0] == 2000);
}

TEST_CASE("an output of the engine that is high stays high, and nobody hears of the exchange") {
    Bench b;
    b.engine<'a'>().out.raise();
    b.machine->exchange_engine("b");
    CHECK(b.machine->device("cpu")->levels[0]);
    CHECK(b.machine->assembly().wires.input(b.machine->device("switch")->index, 0));
    CHECK(b.machine->port_read(0x70, 1) == 1);
}

TEST_CASE("what goes wrong leaves the old engine running and is said") {
    Bench b;
    b.engine<'a'>().registers.gpr[3] = 7;
    CHECK_THAT(b.failure("c"), Contains("the old one goes on") && Contains("engine c") && Contains("a, b"));
    CHECK_THAT(b.failure("r"), Contains("cpu: test.engine-r: it has no such feature"));
    CHECK_THAT(b.failure("none"), Contains("0 CPUs instead of 1"));
    CHECK(b.type() == "test.engine-a");
    CHECK(b.engine<'a'>().registers.gpr[3] == 7);
    b.run(50);
    CHECK(b.engine<'a'>().registers.gpr[0] == 50);
}

TEST_CASE("a snapshot goes on with an engine of another type by the fields that both know") {
    Bench b;
    b.run(300, {{200, [&] { b.machine->port_write(0x70, 1, 1); }}});
    b.engine<'a'>().registers.lstar = 0xffffffff81000000;
    b.machine->save(b.file("a.snapshot"));
    b.make("b");
    b.machine->load(b.file("a.snapshot"), false);
    CHECK(b.engine<'b'>().registers.gpr[0] == 300);
    CHECK(b.engine<'b'>().registers.lstar == 0xffffffff81000000);
    CHECK(b.engine<'b'>().level);
    CHECK(b.machine->instructions() == 300);
    // Of the same type an engine has its own state, which is more.
    b.make("a");
    b.machine->load(b.file("a.snapshot"), false);
    CHECK(b.engine<'a'>().registers.gpr[0] == 300);
    CHECK(b.engine<'a'>().registers.lstar == 0);
    b.make("r");
    CHECK_THROWS_WITH(b.machine->load(b.file("a.snapshot"), false), Contains("it has no such feature"));
}

TEST_CASE("a snapshot without the shared state is for the same type only") {
    Bench b;
    b.machine->save(b.file("a.snapshot"));
    const SnapshotFile saved(b.file("a.snapshot"));
    Snapshot old = saved.snapshot();
    CHECK(old.devices[0].cpu.size() > 50);
    CHECK(old.devices[1].cpu.empty());
    old.devices[0].cpu.clear();
    write_snapshot(b.file("old.snapshot"), old, [](std::size_t) -> const u8* { return nullptr; });
    b.machine->load(b.file("old.snapshot"), false);
    b.make("b");
    CHECK_THROWS_WITH(b.machine->load(b.file("old.snapshot"), false),
                      Contains("was a test.engine-a") && Contains("processor state is not in the snapshot"));
}

TEST_CASE("a field that nobody knows must not be in use") {
    Bench b;
    b.machine->save(b.file("a.snapshot"));
    Snapshot later = SnapshotFile(b.file("a.snapshot")).snapshot();
    StateValue more = later.devices[0].cpu.front();
    more.name = "future";
    more.bytes.assign(more.bytes.size(), '\0');
    later.devices[0].cpu.push_back(more);
    const auto none = [](std::size_t) -> const u8* { return nullptr; };
    write_snapshot(b.file("later.snapshot"), later, none);
    b.make("b");
    b.machine->load(b.file("later.snapshot"), false);
    later.devices[0].cpu.back().bytes[0] = 1;
    write_snapshot(b.file("later.snapshot"), later, none);
    CHECK_THROWS_WITH(b.machine->load(b.file("later.snapshot"), false), Contains("future is in use"));
}

TEST_CASE("something happens at a time of the machine") {
    Bench b;
    std::int64_t at = 0;
    b.machine->at_time(3005, [&] { at = b.machine->now(); });
    b.run(1000);
    CHECK(at == 3010);
}
