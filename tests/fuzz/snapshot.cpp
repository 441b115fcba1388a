// Damaged snapshots in front of a whole board: values, names, times and shapes of the devices' state are changed, the
// checksums are right. Each is refused, and then nothing has changed, or restored, and then the machine goes on.
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <random>
#include <thread>

#include "kernel/machine/machine.hpp"
#include "kernel/state/diff.hpp"
#include "kernel/state/test_parts.hpp"
#include "kernel/state/testing.hpp"

using namespace backplane;
using namespace backplane::kernel;
using namespace backplane::kernel::testing;

namespace {

std::string environment(const char* name) {
    const char* text = std::getenv(name);
    return text ? text : "";
}

// BACKPLANE_RANDOM_CASES sets how many.
int cases() {
    const std::string text = environment("BACKPLANE_RANDOM_CASES");
    return text.empty() ? 1000 : std::atoi(text.c_str());
}

// A board, deterministic, with a disk; everything goes away when the test ends.
struct Board {
    Folder folder;
    SearchPaths search = SearchPaths::standard();
    PluginRegistry registry;
    Logger logger{[](std::string_view) {}};
    Tracer tracer;
    std::unique_ptr<Machine> machine;

    Board() {
        std::string disk(1 << 20, '\0');
        disk[510] = '\x55', disk[511] = '\xaa';
        write_bytes(folder.file("disk"), disk);
        search.machines = {environment("BACKPLANE_MACHINES")};
        registry.scan(environment("BACKPLANE_PLUGIN_PATH"));
        start();
    }
    void start() {
        machine.reset();
        BoardRequest request;
        request.machine = "pc-0.12";
        request.settings = {
            {"hda", folder.file("disk"), "test"}, {"memory", "4M", "test"}, {"clock.mode", "deterministic", "test"}};
        MachineOptions options;
        options.search = search;
        machine = std::make_unique<Machine>(load_board(request, search), registry, logger, tracer, options);
    }
};

class Mutator {
  public:
    explicit Mutator(unsigned seed) : random_(seed) {}
    u64 below(u64 limit) { return random_() % limit; }

    // Mostly values: they are what a board must bear; what else is changed is refused as a rule.
    void mutate(Snapshot& s) {
        for (u64 n = below(3) + 1; n; --n) {
            switch (below(24)) {
                case 0: machine(s); break;
                case 1: shape(s); break;
                case 2:
                case 3:
                case 4: timer(s); break;
                case 5: line(s); break;
                default: value(s); break;
            }
        }
    }

  private:
    u64 number() {
        switch (below(8)) {
            case 0: return 0;
            case 1: return ~u64{0};
            case 2: return u64{1} << below(64);
            case 3: return (u64{1} << below(64)) - 1;
            case 4: return below(256);
            default: return random_();
        }
    }
    template <class List>
    auto* any(List& list) {
        return list.empty() ? nullptr : &list[below(list.size())];
    }
    void value(Snapshot& s) {
        StateValue* f = any(any(s.devices)->fields);
        if (!f || f->bytes.empty()) return;
        if (below(8) == 0) {
            for (char& byte : f->bytes)
                byte = static_cast<char>(f->kind == BP_STATE_BOOL ? below(2) : below(2) ? random_() : 0);
            return;
        }
        const u64 at = below(f->count) * f->element_size, new_value = number();
        for (u32 i = 0; i < f->element_size; ++i)
            f->bytes[at + i] = static_cast<char>(f->kind == BP_STATE_BOOL ? new_value & 1 : new_value >> 8 * i & 0xff);
    }
    i64 time(const Snapshot& s) {
        switch (below(4)) {
            case 0: return static_cast<i64>(number() >> 2);
            case 1: return 0;
            default: return s.time_ns + static_cast<i64>(below(2'000'000)) - 1'000'000;
        }
    }
    void timer(Snapshot& s) {
        DeviceState* d = any(s.devices);
        for (int tries = 20; d->timers.empty() && tries; --tries) d = any(s.devices);
        DeviceState::Timer* t = any(d->timers);
        if (!t) return;
        switch (below(6)) {
            case 0: d->timers.erase(d->timers.begin()); break;
            case 1: t->sequence = number(); break;
            default: t->due = std::max(i64{0}, time(s)); break;
        }
    }
    void line(Snapshot& s) {
        if (auto* l = any(any(s.devices)->lines)) l->second = !l->second;
    }
    void machine(Snapshot& s) {
        switch (below(9)) {
            case 0: s.time_ns = std::max(i64{0}, time(s)); break;
            case 1: s.start_time = number(); break;
            case 2: s.random_state = number(); break;
            case 3: s.timer_sequence = number(); break;
            case 4: s.timers_fired = number(); break;
            case 5: s.instructions.resize(below(3), number()); break;
            case 6: s.board = below(2) ? "isapc" : ""; break;
            case 7: s.deterministic = !s.deterministic; break;
            default:
                if (!s.instructions.empty()) s.instructions[0] = number();
                break;
        }
    }
    void shape(Snapshot& s) {
        DeviceState& d = *any(s.devices);
        StateValue* f = any(d.fields);
        switch (below(14)) {
            case 0: s.devices.erase(s.devices.begin() + static_cast<std::ptrdiff_t>(below(s.devices.size()))); break;
            case 1: d.name += "x"; break;
            case 2: std::swap(d.type, any(s.devices)->type); break;
            case 3: std::swap(d, *any(s.devices)); break;
            case 4: d.state_version = static_cast<u32>(number()); break;
            case 5: d.plugin_kind = below(2) ? "backend" : "device"; break;
            case 6:
                if (auto* p = any(d.properties)) p->second = below(2) ? "" : "1";
                break;
            case 7:
                if (auto* fact = any(s.facts))
                    if (auto* p = any(fact->fields)) p->second = below(2) ? "" : "1";
                break;
            case 8:
                if (auto* fact = any(s.facts)) *fact = s.facts.front();
                break;
            case 9:
                if (f) f->name += "x";
                break;
            case 10:
                if (f) d.fields.erase(d.fields.begin());
                break;
            case 11:
                if (f) f->count /= 2, f->bytes.resize(f->count * f->element_size);
                break;
            case 12:
                if (f) std::swap(*f, d.fields.front());
                break;
            default:
                if (f) f->kind = static_cast<u32>(below(6)), f->since = static_cast<u32>(below(3));
                break;
        }
    }

    std::mt19937_64 random_;
};

// The file with another model and the same memory.
std::string with_model(Parts parts, const Snapshot& s) {
    parts.named("machine").content = format::encode_machine(s);
    parts.named("devices").content = format::encode_devices(s);
    parts.named("facts").content = format::encode_facts(s);
    return parts.bytes();
}

// What differs between two files, "" if they are equal byte by byte.
std::string differences(const std::string& a, const std::string& b) {
    if (read_bytes(a) == read_bytes(b)) return "";
    std::string text = "they differ";
    for (const Difference& d : diff(SnapshotFile(a), SnapshotFile(b), {.memory = true})) text += "\n" + d.text();
    return text;
}

u64 executed(Machine& machine) {
    u64 count = 0;
    machine.locked([&] { count = machine.instructions(); });
    return count;
}

void poke(Machine& machine, Mutator& random) {
    machine.advance(static_cast<i64>(random.below(2'000'000)));
    for (int i = 0; i < 20; ++i) {
        const auto port = static_cast<u32>(random.below(i % 2 ? 0x400 : kPorts));
        if (random.below(2))
            machine.port_read(port, 1u << random.below(3));
        else
            machine.port_write(port, 1u << random.below(3), random.below(256));
    }
    machine.memory_read(0xb8000 + random.below(0x8000), 4);
    machine.advance(static_cast<i64>(random.below(2'000'000)));
}

}  // namespace

TEST_CASE("a board that was restored is the one that was saved") {
    Board board;
    Mutator random(1);
    board.machine->memory_write(0x1234, 4, 0x12345678);
    poke(*board.machine, random);
    board.machine->save(board.folder.file("a"));
    poke(*board.machine, random);
    board.machine->memory_write(0x1234, 4, 0);
    board.machine->load(board.folder.file("a"), false);
    CHECK(board.machine->memory_read(0x1234, 4) == 0x12345678);
    board.machine->save(board.folder.file("b"));
    CHECK(differences(board.folder.file("a"), board.folder.file("b")) == "");
}

TEST_CASE("a board refuses or bears a damaged snapshot") {
    Board board;
    Machine& machine = *board.machine;
    Mutator random(2);
    machine.memory_write(0x1234, 4, 0x12345678);
    for (int i = 0; i < 50; ++i) poke(machine, random);
    const std::string sound = board.folder.file("sound"), damaged = board.folder.file("damaged");
    machine.save(sound);
    const Snapshot original = SnapshotFile(sound).snapshot();
    const Parts parts(read_bytes(sound));
    int refused = 0, restored = 0;
    for (int n = 0; n < cases(); ++n) {
        Snapshot s = original;
        random.mutate(s);
        write_bytes(damaged, with_model(parts, s));
        INFO("case " << n);
        const std::string before = machine.state_text();
        const i64 time = machine.now();
        const std::string error = error_of([&] { machine.load(damaged, random.below(4) == 0); });
        if (error.empty()) {
            ++restored;
            CHECK(machine.memory_read(0x1234, 4) == 0x12345678);
        } else {
            ++refused;
            REQUIRE(error.starts_with(damaged + ": "));
            REQUIRE(machine.state_text() == before);
            REQUIRE(machine.now() == time);
        }
        poke(machine, random);
    }
    CHECK(refused > cases() / 20);
    CHECK(restored > cases() / 4);
    machine.load(sound, false);
    machine.save(damaged);
    CHECK(differences(sound, damaged) == "");
}

TEST_CASE("a guest that runs bears what a damaged snapshot makes of it") {
    Board board;
    Mutator random(3);
    const std::string sound = board.folder.file("sound"), damaged = board.folder.file("damaged");
    Snapshot original;
    std::optional<Parts> parts;
    int restored = 0;
    // A machine ends when its guest, or the state that it was given, switches it off; then there is another one.
    for (int n = 0; n < cases() / 4;) {
        board.start();
        Machine& machine = *board.machine;
        std::atomic<bool> ended{false};
        std::thread thread([&] {
            machine.run();
            ended = true;
        });
        if (!parts) {
            while (executed(machine) < 200'000 && !ended) std::this_thread::yield();
            machine.standstill([&] { machine.save(sound); });
            original = SnapshotFile(sound).snapshot();
            parts.emplace(read_bytes(sound));
        }
        for (; n < cases() / 4 && !ended; ++n) {
            Snapshot s = original;
            random.mutate(s);
            write_bytes(damaged, with_model(*parts, s));
            u64 from = 0;
            try {
                machine.standstill([&] {
                    machine.load(damaged, true);
                    from = machine.instructions();
                });
                ++restored;
            } catch (const Error&) {
                continue;
            }
            // A state may be one in which nothing will ever happen again.
            for (int wait = 0; wait < 20 && !ended && executed(machine) - from < 20'000; ++wait)
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        machine.quit("test");
        thread.join();
    }
    CHECK(restored > cases() / 40);
}
