// Snapshots and the second set of devices, on machines built from types of this process.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>

#include "backplane/device.hpp"
#include "kernel/machine/machine.hpp"
#include "kernel/machine/test_board.hpp"

using namespace backplane;
using namespace backplane::kernel;
using Catch::Contains;

namespace {

// One of everything that a snapshot holds of a device.
template <u32 Version>
struct Chip final : Device<Chip<Version>> {
    using Base = Device<Chip<Version>>;
    using Base::Base;
    static constexpr std::string_view kType = "test.chip";
    static constexpr u32 kStateVersion = Version;
    enum class Phase : u8 { kIdle, kBusy };

    u64 size_ = 4096, level_ = 0;
    u32 counter_ = 7;
    i16 balance_ = -3;
    bool on_ = false;
    Phase phase_ = Phase::kIdle;
    std::array<u16, 3> channel_{};
    u8 extra_ = 99;  // since version 2
    LineOut out_;
    Timer timer_;
    u32 block_ = 0;
    u8* memory_ = nullptr;

    static void describe(Schema<Chip>& s) {
        s.doc("One of everything.");
        s.property("size", &Chip::size_, {.doc = "bytes of memory", .def = "4096"});
        s.property("level", &Chip::level_, {.doc = "some setting", .def = "1"});
        s.template ports<&Chip::read, &Chip::write>("port", 4, 4, "counter");
        s.line_out("out", &Chip::out_, "on");
        s.template timer<&Chip::expired>("timer", &Chip::timer_);
    }
    bp_status start() {
        const Slot& slot = this->slot();
        if (slot.ram().create(slot.self(), to_bp("memory"), size_, &block_) != BP_OK) return BP_ERR_NO_MEMORY;
        memory_ = static_cast<u8*>(slot.ram().data(slot.self(), block_));
        memory_[0] = 0xee;  // as a ROM fills its block
        u32 mapping = 0;
        return slot.ram().map(slot.self(), block_, 0, 0x1000, 4096, BP_MAP_READ | BP_MAP_WRITE, BP_PRIORITY_RAM,
                              &mapping);
    }
    void reset(Reset) { counter_ = 7, out_.lower(), timer_.cancel(); }
    u64 read(u64, u32) { return counter_; }
    void write(u64, u32, u64 value) {
        counter_ = static_cast<u32>(value), phase_ = Phase::kBusy, channel_[2] = static_cast<u16>(value);
        out_.set(value & 1);
        timer_.arm_in(1000);
    }
    void expired(i64) { counter_ += 100; }
    void state(StateVisitor& v) {
        v("counter", counter_, {.max = 1'000'000, .writable = true});
        v("balance", balance_, {.min = static_cast<u64>(-10), .max = 10});
        v("on", on_);
        v("phase", phase_, {.max = 1});
        v("channel", channel_);
        if constexpr (Version >= 2) v("extra", extra_, {.since = 2});
        if constexpr (Version == 3) v.dropped("old"), v("renamed", extra_, {.since = 3});
    }
    bp_status restored() {
        return counter_ == 666 ? this->fail(BP_ERR_INVALID, "666 is not a count") : bp_status{BP_OK};
    }
};

struct Listener final : Device<Listener> {
    static constexpr std::string_view kType = "test.listener";
    using Device::Device;
    u32 heard_ = 0;
    void in(bool) { ++heard_; }
    static void describe(Schema<Listener>& s) { s.line_in<&Listener::in>("in", "changes are counted"); }
    void state(StateVisitor& v) { v("heard", heard_); }
};

// A back end: stays, whatever is restored.
struct Image final : Device<Image> {
    static constexpr std::string_view kType = "test.image";
    using Device::Device;
    u64 changed_ = 1;
    int stops_ = 0;
    static void describe(Schema<Image>& s) { s.doc("a back end"); }
    void state(StateVisitor& v) { v.identity("changed", changed_); }
    void stop() { ++stops_; }
};

const std::string kDevices =
    "lines: {w: [b.in]}\ndevices: {a: {type: test.chip, at: 0x70, out: w}, b: {type: test.listener}, i: {type: "
    "test.image}}\n";

// All benches of a test share one file.
struct Bench {
    PluginRegistry registry;
    Logger logger{[](std::string_view) {}};
    Tracer tracer;
    std::unique_ptr<Machine> machine;
    std::string path =
        (std::filesystem::temp_directory_path() / ("backplane-state-" + std::to_string(::getpid()))).string();

    explicit Bench(const bp_device_type* chip = &DeviceType<Chip<1>>::value, const std::string& yaml = kDevices) {
        registry.add(chip);
        registry.add(&DeviceType<Listener>::value);
        registry.add(&DeviceType<Image>::value, true);
        machine = std::make_unique<Machine>(board(yaml), registry, logger, tracer);
    }
    ~Bench() { ::unlink(path.c_str()); }

    template <class T>
    T& of(const char* name) {
        return *static_cast<T*>(machine->device(name)->object);
    }
    // Changes what the file says, with everything that guards it made right again.
    void change(const std::function<void(Snapshot&)>& edit) {
        const SnapshotFile file(path);
        Snapshot s = file.snapshot();
        std::vector<std::vector<u8>> memory;
        for (std::size_t i = 0; i < s.memory.size(); ++i)
            file.load_memory(i, memory.emplace_back(s.memory[i].size).data());
        edit(s);
        write_snapshot(path, s, [&](std::size_t i) { return memory[i].data(); });
    }
    StateValue& field(Snapshot& s, const char* name) {
        for (DeviceState& d : s.devices)
            for (StateValue& v : d.fields)
                if (d.name == "a" && v.name == name) return v;
        throw Error("no field");
    }
    // The refusal, after which everything must be as before.
    std::string refused(bool force = false) {
        const std::string before = machine->state_text();
        const u64 memory = machine->memory_read(0x1000, 8);
        try {
            machine->load(path, force);
        } catch (const Error& e) {
            CHECK(machine->state_text() == before);
            CHECK(machine->memory_read(0x1000, 8) == memory);
            machine->port_write(0x70, 4, 4);
            CHECK(machine->port_read(0x70, 4) == 4);
            return e.what();
        }
        return "accepted";
    }
};

}  // namespace

TEST_CASE("a restored machine is as it was: fields, lines, timers, memory and time") {
    Bench bench;
    Machine& m = *bench.machine;
    m.port_write(0x70, 4, 41);
    m.memory_write(0x1008, 8, 0x1122334455667788);
    const std::string before = m.state_text(), report = m.report();
    m.save(bench.path);
    m.port_write(0x70, 4, 2);
    m.memory_write(0x1008, 8, 0);
    m.load(bench.path, false);
    CHECK(m.state_text() == before);
    CHECK(m.report() == report);
    CHECK(m.memory_read(0x1008, 8) == 0x1122334455667788);
    CHECK(bench.of<Listener>("b").heard_ == 1);  // nobody was told of the restored level
    m.port_write(0x70, 4, 43);                   // still high
    CHECK(bench.of<Listener>("b").heard_ == 1);
    m.port_write(0x70, 4, 42);
    CHECK(bench.of<Listener>("b").heard_ == 2);
}

TEST_CASE("what is saved, restored and saved again is the same file") {
    Bench bench;
    bench.machine->port_write(0x70, 4, 41);
    bench.machine->save(bench.path);
    const auto bytes = [&] {
        std::ifstream in(bench.path, std::ios::binary);
        return std::string(std::istreambuf_iterator<char>(in), {});
    };
    const std::string first = bytes();
    bench.machine->load(bench.path, false);
    bench.machine->save(bench.path);
    CHECK(bytes() == first);
}

TEST_CASE("a restored timer expires at its time") {
    Bench bench(&DeviceType<Chip<1>>::value, "clock: {mode: deterministic}\n" + kDevices);
    Machine& m = *bench.machine;
    m.port_write(0x70, 4, 40);
    m.advance(400);
    m.save(bench.path);
    m.advance(10'000);
    m.load(bench.path, false);
    CHECK(m.now() == 400);
    m.advance(599);
    CHECK(m.port_read(0x70, 4) == 40);
    m.advance(1);
    CHECK(m.port_read(0x70, 4) == 140);
}

TEST_CASE("a back end stays, a device is made anew") {
    Bench bench;
    Image* image = &bench.of<Image>("i");
    bench.machine->save(bench.path);
    bench.machine->load(bench.path, false);
    CHECK(&bench.of<Image>("i") == image);
    CHECK(image->stops_ == 0);
    CHECK(bench.machine->device("a")->machine == bench.machine.get());
}

TEST_CASE("an image that changed meanwhile is refused by name, and can be forced") {
    Bench bench;
    bench.machine->save(bench.path);
    bench.of<Image>("i").changed_ = 2;
    CHECK_THAT(bench.refused(), Contains("i is not as it was when the snapshot was taken: changed was 1 and is 2"));
    CHECK(bench.refused(true) == "accepted");
    CHECK(bench.of<Image>("i").changed_ == 2);
}

TEST_CASE("state that a device cannot have is refused by the field's name, and nothing has changed") {
    Bench bench;
    bench.machine->port_write(0x70, 4, 5);
    bench.machine->memory_write(0x1000, 8, 0x0102030405060708);
    bench.machine->save(bench.path);
    const auto with = [&](const char* name, const std::string& bytes) {
        bench.machine->save(bench.path);
        bench.change([&](Snapshot& s) { bench.field(s, name).bytes = bytes; });
        return bench.refused();
    };
    using namespace std::string_literals;
    CHECK_THAT(with("counter", "\x41\x42\x0f\x00"s),
               Contains("a.counter cannot be 1000001; it lies between 0 and 1000000"));
    CHECK_THAT(with("balance", "\xf5\xff"s), Contains("a.balance cannot be -11; it lies between -10 and 10"));
    CHECK_THAT(with("balance", "\x0b\x00"s), Contains("a.balance cannot be 11"));
    CHECK_THAT(with("phase", "\x02"s), Contains("a.phase cannot be 2"));
    CHECK_THAT(with("counter", "\x9a\x02\x00\x00"s), Contains("a: 666 is not a count"));
}

TEST_CASE("a snapshot of another machine is refused by the first difference") {
    Bench bench;
    Machine& m = *bench.machine;
    const auto with = [&](const std::function<void(Snapshot&)>& edit) {
        m.save(bench.path);
        bench.change(edit);
        return bench.refused();
    };
    CHECK_THAT(with([](Snapshot& s) { s.board = "other"; }), Contains("taken on the board `other`"));
    CHECK_THAT(with([](Snapshot& s) { s.deterministic = true; }), Contains("deterministic clock"));
    CHECK_THAT(with([](Snapshot& s) { s.instructions = {1}; }), Contains("1 processors, this board has 0"));
    CHECK_THAT(with([](Snapshot& s) { s.time_ns = std::int64_t{1} << 62; }), Contains("its time"));
    CHECK_THAT(with([](Snapshot& s) { s.start_time = ~u64{0}; }), Contains("its start"));
    CHECK_THAT(with([](Snapshot& s) { s.instructions = {~u64{0}}; }), Contains("its count of instructions"));
    CHECK_THAT(with([](Snapshot& s) { s.devices[0].type = "test.other"; }), Contains("a is a test.chip here"));
    CHECK_THAT(with([](Snapshot& s) { s.devices[0].name = "x"; }), Contains("x (test.chip) is not on this board"));
    CHECK_THAT(with([](Snapshot& s) { s.devices.erase(s.devices.begin() + 1); }),
               Contains("b (test.listener) is not in"));
    CHECK_THAT(with([](Snapshot& s) { s.devices[0].properties[1].second = "9"; }),
               Contains("a: its property `level` is 1 here and was 9"));
    CHECK_THAT(with([](Snapshot& s) {
                   s.facts.push_back({"a", "disk.geometry", "0", {{"heads", "16"}}});
               }),
               Contains("the fact disk.geometry of a (0) is not published here"));
    CHECK_THAT(with([](Snapshot& s) { s.devices[0].lines[0].first = "irq"; }),
               Contains("a.irq stands in the saved state"));
    CHECK_THAT(with([](Snapshot& s) { s.devices[0].timers.push_back({"tick", 5, 1}); }), Contains("a.tick stands in"));
    CHECK_THAT(with([](Snapshot& s) { s.memory[0].name = "ram"; }),
               Contains("memory `memory` of a is not in the snapshot"));
}

TEST_CASE("an older state version leaves new fields at their reset value; a newer one is refused") {
    Bench old;
    old.machine->port_write(0x70, 4, 5);
    old.machine->save(old.path);
    {
        Bench second(&DeviceType<Chip<2>>::value);
        second.of<Chip<2>>("a").extra_ = 1;
        second.machine->load(second.path, false);
        CHECK(second.machine->port_read(0x70, 4) == 5);
        CHECK(second.of<Chip<2>>("a").extra_ == 99);
        second.machine->save(second.path);
        second.change([&](Snapshot& s) {
            for (DeviceState& d : s.devices)
                std::erase_if(d.fields, [](const StateValue& v) { return v.name == "extra"; });
        });
        CHECK_THAT(second.refused(), Contains("a.extra is missing in the saved state"));
    }
    Bench newer(&DeviceType<Chip<3>>::value);
    newer.machine->save(newer.path);
    Bench first;
    CHECK_THAT(first.refused(),
               Contains("a: its state was written by a newer test.chip (state version 3; this one knows 1)"));
}

TEST_CASE("a field that no version knows is refused, a dropped one is not") {
    Bench bench;
    const auto add = [&](const char* name) {
        bench.machine->save(bench.path);
        bench.change([&](Snapshot& s) {
            StateValue v;
            v.name = name, v.kind = BP_STATE_UNSIGNED, v.element_size = 1, v.count = 1, v.bytes = "x";
            s.devices[0].fields.push_back(v);
        });
    };
    add("old");
    CHECK_THAT(bench.refused(), Contains("a.old stands in the saved state, but test.chip has no such field"));
    add("old");
    Bench third(&DeviceType<Chip<3>>::value);
    CHECK(third.refused() == "accepted");
}

TEST_CASE("work at a standstill throws at whoever asked for it, also after the machine ended") {
    Bench bench;
    std::thread other([&] {
        CHECK_THROWS_AS(bench.machine->standstill([] { throw Error("no"); }), Error);
        bench.machine->standstill([&] { bench.machine->save(bench.path); });
        bench.machine->quit("enough");
    });
    bench.machine->run();
    other.join();
    bench.machine->standstill([&] { bench.machine->load(bench.path, false); });
    CHECK(bench.machine->device("a"));
}
