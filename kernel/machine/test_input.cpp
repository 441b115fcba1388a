// Input with the deterministic clock: recorded and replayed to the instruction, whatever the host does meanwhile.
#include <unistd.h>
#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "backplane/abi/cpu.h"
#include "backplane/device.hpp"
#include "kernel/control/state_field.hpp"
#include "kernel/machine/machine.hpp"

using namespace backplane;
using namespace backplane::kernel;
using Catch::Contains;

namespace {

u64 mix(u64 sum, u64 value) { return ((sum ^ value) * 0x9e3779b97f4a7c15) ^ (sum >> 29); }

// Interrupts for every byte that comes in, and from time to time of its own accord. Reading takes the next one.
struct Mailbox final : Device<Mailbox> {
    static constexpr std::string_view kType = "test.mailbox";
    using Device::Device;
    std::vector<u8> waiting_;
    u64 taken_ = 0;
    LineOut out_;
    Timer timer_;
    void reset(Reset) {
        waiting_.clear();
        out_.lower();
        timer_.arm_in(5000);
    }
    void input(const u8* data, std::size_t size) {
        waiting_.insert(waiting_.end(), data, data + size);
        out_.set(!waiting_.empty());
    }
    void expired(i64 due) {
        const u8 mark = 0xff;
        input(&mark, 1);
        timer_.arm(due + 7001);
    }
    u64 read(u64, u32) {
        if (waiting_.empty()) return 0;
        const u8 byte = waiting_.front();
        waiting_.erase(waiting_.begin());
        ++taken_;
        out_.set(!waiting_.empty());
        return byte;
    }
    void write(u64, u32, u64) {}
    void state(StateVisitor& v) { v("taken", taken_); }
    static void describe(Schema<Mailbox>& s) {
        s.line_out("out", &Mailbox::out_, "something is there");
        s.ports<&Mailbox::read, &Mailbox::write>("port", 1, 1, "the next byte");
        s.timer<&Mailbox::expired>("timer", &Mailbox::timer_);
    }
};

// Mixes into a sum what happens to it and when. Taking an interrupt is no instruction of its own; it halts now and
// then.
struct Mixer final : Device<Mixer> {
    static constexpr std::string_view kType = "test.mixer";
    using Device::Device;
    u64 limit_ = 0, sum_ = 0, resets_ = 0;
    bool halted_ = false, line_ = false, poked_ = false;
    LineOut poke_;
    bp_vcpu* vcpu_ = nullptr;
    const bp_cpu_bus* bus_ = nullptr;
    void reset(Reset) { ++resets_, halted_ = poked_ = false; }
    void state(StateVisitor& v) {
        v("sum", sum_), v("resets", resets_), v("halted", halted_), v("line", line_), v("poked", poked_);
    }
    void attention() {
        if (vcpu_) __atomic_fetch_or(&vcpu_->attention, BP_ATTENTION_LINES, __ATOMIC_RELEASE);
    }
    void on_line(bool level) { line_ = level, attention(); }
    void on_poke(bool level) {
        if (level) poked_ = true, attention();
    }
    u32 run() {
        for (;;) {
            const u32 attention = __atomic_fetch_and(&vcpu_->attention, ~u32{BP_ATTENTION_LINES}, __ATOMIC_ACQ_REL);
            if (attention & BP_ATTENTION_STOP) return BP_EXIT_STOP;
            if (vcpu_->instructions >= vcpu_->deadline) return BP_EXIT_DEADLINE;
            if (line_) {
                halted_ = false;
                sum_ = mix(sum_, bus_->port_read(bus_->self, 0x70, 1) + (vcpu_->instructions << 8));
                // Long enough for a stop from outside to come right behind it.
                std::this_thread::yield();
                continue;
            }
            if (poked_) {
                poked_ = halted_ = false;
                sum_ = mix(sum_, static_cast<u64>(bus_->now(bus_->self)));
                std::this_thread::yield();
                continue;
            }
            if (halted_) return BP_EXIT_HALT;
            sum_ = mix(sum_, ++vcpu_->instructions);
            halted_ = sum_ % 509 == 0;
            if (sum_ % 127 == 0) {
                bus_->lock(bus_->self);
                poke_.pulse();
                bus_->unlock(bus_->self);
            }
            if (vcpu_->instructions == limit_) {
                request(BP_REQUEST_EXIT, 0, "done");
                return BP_EXIT_STOP;
            }
        }
    }
    static constexpr bp_cpu kTable{sizeof(bp_cpu),
                                   [](void* i, bp_vcpu* vcpu, const bp_cpu_bus* bus) -> bp_status {
                                       static_cast<Mixer*>(i)->vcpu_ = vcpu, static_cast<Mixer*>(i)->bus_ = bus;
                                       return BP_OK;
                                   },
                                   [](void* i) { return static_cast<Mixer*>(i)->run(); },
                                   [](void*, u64, u64) {},
                                   [](void*, char*, std::size_t) -> std::size_t { return 0; },
                                   [](void*, bp_str) -> bp_status { return BP_ERR_UNSUPPORTED; }};
    static void describe(Schema<Mixer>& s) {
        s.property("limit", &Mixer::limit_, {.doc = "instructions until exit", .def = "0"});
        s.line_in<&Mixer::on_line>("interrupt", "something wants to be read");
        s.line_in<&Mixer::on_poke>("poked", "another processor says so");
        s.line_out("poke", &Mixer::poke_, "to another one");
        s.offer(BP_CPU_ID, &kTable);
    }
};

DeviceSpec device(const std::string& name, const std::string& type, const std::string& more) {
    DeviceSpec d;
    d.name = name, d.type = type;
    d.entries = parse_yaml(more, "board.yaml").entries();
    return d;
}

struct Bench {
    PluginRegistry registry;
    std::string log;
    Logger logger{[this](std::string_view line) { log += std::string(line) + "\n"; }};
    Tracer tracer;
    std::unique_ptr<Machine> machine;

    explicit Bench(const std::string& limit = "0", const std::string& mode = "deterministic", unsigned cpus = 1) {
        registry.add(&DeviceType<Mailbox>::value);
        registry.add(&DeviceType<Mixer>::value);
        BoardSpec b;
        b.name = "test";
        SpaceSpec io, memory;
        io.name = "io", io.kind = SpaceSpec::Kind::kPorts;
        memory.name = "memory", memory.kind = SpaceSpec::Kind::kMemory, memory.bits = 32;
        b.spaces = {io, memory};
        b.clock = parse_yaml("{mode: " + mode + "}", "board.yaml");
        b.devices = {device("cpu", "test.mixer", "limit: " + limit),
                     device("box", "test.mailbox", "{at: 0x70, out: cpu.interrupt}")};
        // Each interrupts the next one; the first takes the input.
        for (unsigned i = 1; i < cpus; ++i) {
            const std::string number = std::to_string(i);
            b.devices.push_back(device("cpu" + number, "test.mixer",
                                       "poke: " + (i + 1 < cpus ? "cpu" + std::to_string(i + 1) : "cpu") + ".poked"));
        }
        if (cpus > 1) b.devices[0].entries.push_back(parse_yaml("poke: cpu1.poked", "board.yaml").entries()[0]);
        machine = std::make_unique<Machine>(b, registry, logger, tracer);
    }
    Machine* operator->() { return machine.get(); }
    std::string state() { return machine->state_text() + std::to_string(machine->instructions()); }
};

struct File {
    std::string path;
    File() : path((std::filesystem::temp_directory_path() / "backplane-session-XXXXXX").string()) {
        const int fd = ::mkstemp(path.data());
        if (fd >= 0) ::close(fd);
    }
    ~File() { std::filesystem::remove(path); }
};

void rest(std::mt19937& random) { std::this_thread::sleep_for(std::chrono::microseconds(random() % 300)); }

// Types, and stops the machine for no good reason, at moments of the host's choice.
void disturb(Machine& machine, unsigned seed, unsigned rounds) {
    std::mt19937 random(seed);
    for (unsigned i = 0; i < rounds; ++i) {
        rest(random);
        switch (random() % 5) {
            case 0:
            case 1: machine.input("box", std::string(1 + random() % 3, static_cast<char>('a' + i % 26))); break;
            case 2:
                machine.pause();
                rest(random);
                machine.resume();
                break;
            case 3: machine.standstill([] {}); break;
            default: i % 7 ? machine.post([] {}) : machine.reset(); break;
        }
    }
}

}  // namespace

TEST_CASE("a session that was disturbed at every turn replays to the same state") {
    const unsigned cpus = GENERATE(1u, 2u, 5u);
    for (unsigned seed = 1; seed <= 5; ++seed) {
        File file;
        Bench live("0", "deterministic", cpus);
        live->record_input(file.path);
        std::thread other([&] {
            disturb(*live.machine, seed, 150);
            live->quit("enough");
        });
        CHECK(live->run().reason == Outcome::Reason::kQuit);
        other.join();
        const Recording recorded = Recording::read(file.path);
        REQUIRE(recorded.events.size() > 20);
        REQUIRE(recorded.end);

        Bench again("0", "deterministic", cpus);
        again->replay_input(file.path);
        std::thread noise([&] {
            for (int i = 0; i < 50; ++i) {
                again->pause();
                again->resume();
                std::this_thread::sleep_for(std::chrono::microseconds(100));
            }
        });
        const Outcome outcome = again->run();
        noise.join();
        CHECK(outcome.reason == Outcome::Reason::kQuit);
        CHECK_THAT(outcome.text, Contains("enough"));
        CHECK(again.state() == live.state());
        CHECK(again->now() == live->now());
    }
}

TEST_CASE("a session that ended by itself is replayed to its end, and live input does not get in") {
    File file;
    Bench live("300000");
    live->record_input(file.path);
    live->input("box", "early");
    CHECK(live->run().reason == Outcome::Reason::kExit);
    Bench again("300000");
    again->replay_input(file.path);
    std::atomic<int> arrived{0}, refused{0};
    again->input("box", "intruder", [&](bool yes) { ++(yes ? arrived : refused); });
    CHECK(again->run().reason == Outcome::Reason::kExit);
    again->input("box", "late", [&](bool yes) { ++(yes ? arrived : refused); });
    CHECK(arrived == 0);
    CHECK(refused == 2);
    CHECK(again.state() == live.state());
    CHECK_THAT(again.log, Contains("other input and resets are ignored"));
    Bench without("300000");
    CHECK(without->run().reason == Outcome::Reason::kExit);
    CHECK(without.state() != live.state());
}

TEST_CASE("a replay that misses its point ends with an error that says where") {
    File file;
    {
        Bench live("300000");
        live->record_input(file.path);
        live->input("box", "x");
        live->run();
    }
    const Recording good = Recording::read(file.path);
    REQUIRE(good.events.size() == 1);
    REQUIRE(good.end);
    const auto replayed = [&](InputStamp at, InputStamp end) {
        RecordingWriter writer;
        std::string all = writer.header(good.machine);
        all += writer.channel(0, "box");
        all += writer.input(at, 0, good.events[0].bytes);
        std::ofstream(file.path, std::ios::binary)
            << all << writer.end({end, static_cast<u32>(Outcome::Reason::kExit), 0, ""});
        Bench b("300000");
        b->replay_input(file.path);
        const Outcome outcome = b->run();
        CHECK(outcome.reason == Outcome::Reason::kError);
        CHECK(outcome.code == kExitFailure);
        CHECK_THAT(outcome.text, Contains(file.path + ": this run is not the recorded one: "));
        return outcome.text;
    };
    // Nothing happens at that time; no such number of timers then; never.
    CHECK_THAT(replayed({1000, 1, 10'005}, good.end->at), Contains("event 1 of 1 (1 bytes for box) belongs at instr"));
    CHECK_THAT(replayed({1000, 77, 10'000}, good.end->at), Contains("timer 77"));
    CHECK_THAT(replayed({300'001, 5'000, 1ll << 40}, {300'001, 5'000, 1ll << 40}), Contains("where it ended"));
    InputStamp early = good.end->at;
    early.time -= 1;
    CHECK_THAT(replayed(good.events[0].at, early), Contains("the end of the session belongs at"));
}

TEST_CASE("a recording whose process was killed is replayed as far as it goes, and the machine goes on live") {
    File file;
    {
        Bench live;
        live->record_input(file.path);
        live->input("box", "x");
        live->at_instructions(300'000, [&] { live->quit("there"); });
        live->run();
    }
    const Recording whole = Recording::read(file.path);
    RecordingWriter writer;
    std::string all = writer.header(whole.machine);
    all += writer.channel(0, "box");
    all += writer.input(whole.events[0].at, 0, whole.events[0].bytes);
    std::ofstream(file.path, std::ios::binary) << all;
    Bench again;
    again->replay_input(file.path);
    std::thread other([&] {
        bool arrived = false;
        for (int i = 0; i < 1000 && !arrived; ++i) {
            std::atomic<int> answer{-1};
            again->input("box", "live", [&](bool yes) { answer = yes; });
            while (answer < 0) std::this_thread::yield();
            arrived = answer == 1;
        }
        CHECK(arrived);
        again->quit("enough");
    });
    CHECK(again->run().text == "enough");
    other.join();
    CHECK_THAT(again.log, Contains("has no end"));
}

TEST_CASE("while a session is recorded or replayed nothing but input changes the machine") {
    File file, snapshot;
    Bench live("100000");
    live->save(snapshot.path);
    CHECK_THROWS_WITH(set_state(*live.machine, "cpu.sum", 1), Contains("cannot be set") && !Contains("session"));
    live->record_input(file.path);
    CHECK_THROWS_WITH(live->load(snapshot.path, true), Contains("a session that is recorded or replayed"));
    CHECK_THROWS_WITH(set_state(*live.machine, "cpu.sum", 1), Contains("a session is recorded or replayed"));
    live->run();
    Bench again("100000");
    again->replay_input(file.path);
    CHECK_THROWS_WITH(again->load(snapshot.path, true), Contains("a session that is recorded or replayed"));
    CHECK(again->run().reason == Outcome::Reason::kExit);
}

TEST_CASE("several processors take turns, and all count together") {
    Bench b("0", "deterministic", 3);
    std::vector<std::vector<u64>> seen;
    for (const u64 count : {9'999, 10'000, 25'000, 30'001})
        b->at_instructions(count, [&, count] {
            seen.emplace_back();
            for (const Vcpu& v : b->assembly().vcpus) seen.back().push_back(v.shared.instructions);
            CHECK(b->instructions() == count);
            CHECK(b->now() >= static_cast<i64>(10 * count));
        });
    b->at_instructions(40'000, [&] { b->quit("there"); });
    b->run();
    CHECK(b->instructions() == 40'000);
    REQUIRE(seen.size() == 4);
    for (const auto& counts : seen)
        for (const u64 count : counts) CHECK(count <= 20'014);  // nobody has had more than two turns
    CHECK(seen[3][1] > 0);
    CHECK(seen[3][2] > 0);
}

TEST_CASE("a restored machine with several processors goes on where the saved one would") {
    File snapshot;
    Bench b("0", "deterministic", 3);
    std::string undisturbed;
    b->at_instructions(123'457, [&] { b->save(snapshot.path); });
    b->at_instructions(400'000, [&] { undisturbed = b.state() + b->state_text(), b->quit("there"); });
    b->run();
    REQUIRE_FALSE(undisturbed.empty());

    Bench again("0", "deterministic", 3);
    again->load(snapshot.path, false);
    CHECK(again->instructions() == 123'457);
    again->at_instructions(400'000, [&] {
        CHECK(again.state() + again->state_text() == undisturbed);
        again->quit("there");
    });
    again->run();
    CHECK(again->now() == b->now());
}

TEST_CASE("work at an instruction count is done exactly there") {
    Bench b("100000");
    std::vector<u64> seen;
    for (const u64 count : {u64{0}, u64{777}, u64{50'000}, u64{777}, u64{50'001}})
        b->at_instructions(count, [&] { seen.push_back(b->instructions()); });
    CHECK(b->run().reason == Outcome::Reason::kExit);
    CHECK(seen == std::vector<u64>{0, 777, 777, 50'000, 50'001});
    CHECK_THROWS_WITH(b->at_instructions(5, [] {}), Contains("instruction 5 is past: the machine has executed 100000"));
    Bench realtime("0", "realtime");
    CHECK_THROWS_WITH(realtime->at_instructions(5, [] {}), Contains("deterministic"));
    CHECK_THROWS_WITH(realtime->record_input("/nonexistent"), Contains("deterministic"));
    CHECK_THROWS_WITH(realtime->replay_input("/nonexistent"), Contains("deterministic"));
}

TEST_CASE("a machine can be stopped and ended at an instruction count") {
    Bench b;
    b->at_instructions(1000, [&] { b->pause(); });
    b->at_instructions(2000, [&] { b->quit("there"); });
    std::thread other([&] {
        while (!b->paused()) std::this_thread::yield();
        b->locked([&] { CHECK(b->instructions() == 1000); });
        b->resume();
    });
    CHECK(b->run().text == "there");
    other.join();
    CHECK(b->instructions() == 2000);
}
