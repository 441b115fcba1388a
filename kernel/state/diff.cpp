#include "kernel/state/diff.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "backplane/abi/device.h"
#include "kernel/config/convert.hpp"
#include "kernel/state/text.hpp"
#include "kernel/trace/tracer.hpp"

namespace backplane::kernel {

namespace {

class Differ {
  public:
    explicit Differ(const DiffOptions& options) : options_(options) {}

    bool ignored(const std::string& what) const {
        return std::any_of(options_.ignore.begin(), options_.ignore.end(),
                           [&](const std::string& pattern) { return matches(pattern, what); });
    }
    void note(std::string what, std::string text) {
        if (!ignored(what)) found_.push_back({std::move(what), "", "", std::move(text)});
    }
    void text(std::string what, const std::string& a, const std::string& b) {
        if (a != b && !ignored(what)) found_.push_back({std::move(what), a, b, ""});
    }
    template <class Number>
    void number(std::string what, Number a, Number b) {
        text(std::move(what), fmt::format("{}", a), fmt::format("{}", b));
    }

    void machine(const Snapshot& a, const Snapshot& b);
    void devices(const Snapshot& a, const Snapshot& b);
    void facts(const Snapshot& a, const Snapshot& b);
    void blocks(const Snapshot& a, const Snapshot& b);
    void contents(const SnapshotFile& a, const SnapshotFile& b);
    std::vector<Difference> take() { return std::move(found_); }

  private:
    void device(const DeviceState& a, const DeviceState& b);
    void field(const std::string& device, const StateValue& a, const StateValue& b);
    void block(const std::string& what, const SnapshotFile& a, std::size_t i, const SnapshotFile& b, std::size_t j);

    // Joins two lists by key: both(x, y) in a's order; what only one side has is noted.
    template <class List, class Key, class Name, class Both>
    void join(const List& a, const List& b, Key key, Name name, Both both) {
        std::map<std::string, const typename List::value_type*> right;
        for (const auto& y : b) right.emplace(key(y), &y);
        for (const auto& x : a) {
            const auto y = right.find(key(x));
            if (y == right.end()) {
                note(name(x), "only in the first");
                continue;
            }
            both(x, *y->second);
            right.erase(y);
        }
        for (const auto& y : b)
            if (right.contains(key(y))) note(name(y), "only in the second");
    }

    const DiffOptions& options_;
    std::vector<Difference> found_;
};

std::string counted(u64 count, const char* what) { return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s"); }
std::string block_name(const MemoryState& m) { return m.name + " of " + m.owner; }
// No name holds a line end, so that these are unique.
std::string block_key(const MemoryState& m) { return m.name + "\n" + m.owner; }
std::string fact_key(const FactState& f) { return f.what + "\n" + f.key + "\n" + f.from; }

void Differ::machine(const Snapshot& a, const Snapshot& b) {
    text("machine.program-version", a.program_version, b.program_version);
    number("machine.plugin-abi", fmt::format("{}.{}", a.abi_major, a.abi_minor),
           fmt::format("{}.{}", b.abi_major, b.abi_minor));
    text("machine.board", printable(a.board), printable(b.board));
    text("machine.request", printable(a.request_json), printable(b.request_json));
    text("machine.clock", a.deterministic ? "deterministic" : "realtime",
         b.deterministic ? "deterministic" : "realtime");
    text("machine.time", time_text(a.time_ns), time_text(b.time_ns));
    number("machine.start-time", a.start_time, b.start_time);
    number("machine.random-state", a.random_state, b.random_state);
    number("machine.timer-sequence", a.timer_sequence, b.timer_sequence);
    number("machine.timers-fired", a.timers_fired, b.timers_fired);
    number("machine.vcpus", a.instructions.size(), b.instructions.size());
    for (std::size_t i = 0; i < std::min(a.instructions.size(), b.instructions.size()); ++i)
        number(fmt::format("machine.instructions[{}]", i), a.instructions[i], b.instructions[i]);
    number("machine.turn", a.turn, b.turn);
    number("machine.turn-left", a.turn_left, b.turn_left);
}

void Differ::devices(const Snapshot& a, const Snapshot& b) {
    const auto name = [](const DeviceState& d) { return d.name; };
    join(a.devices, b.devices, name, name, [this](const DeviceState& x, const DeviceState& y) { device(x, y); });
    // The order decides which of two timers that are due at the same time expires first.
    std::vector<std::string> left, right;
    for (const DeviceState& d : a.devices) left.push_back(d.name);
    for (const DeviceState& d : b.devices) right.push_back(d.name);
    if (left == right) return;
    std::sort(left.begin(), left.end());
    std::sort(right.begin(), right.end());
    if (left == right) note("machine.devices", "their order differs");
}

void Differ::device(const DeviceState& a, const DeviceState& b) {
    const std::string at = a.name + ".";
    text(at + "type", a.type, b.type);
    text(at + "plugin", a.plugin, b.plugin);
    text(at + "plugin-version", a.plugin_version, b.plugin_version);
    text(at + "plugin-kind", a.plugin_kind, b.plugin_kind);
    number(at + "state-version", a.state_version, b.state_version);
    const auto named = [&at](const char* what) {
        return [at, what](const auto& pair) { return fmt::format("{}{} {}", at, what, pair.first); };
    };
    const auto pair_key = [](const auto& pair) { return pair.first; };
    const auto property = named("property");
    join(a.properties, b.properties, pair_key, property,
         [&](const auto& x, const auto& y) { text(property(x), printable(x.second), printable(y.second)); });
    const auto fields = [&](const std::string& in, const std::vector<StateValue>& x, const std::vector<StateValue>& y) {
        join(
            x, y, [](const StateValue& f) { return f.name; }, [&in](const StateValue& f) { return in + f.name; },
            [&](const StateValue& p, const StateValue& q) { field(in, p, q); });
    };
    // Engines of two types have the shared state in common; an engine's own says all of it.
    if (a.type != b.type && !a.cpu.empty() && !b.cpu.empty())
        fields(at + "cpu.", a.cpu, b.cpu);
    else
        fields(at, a.fields, b.fields);
    const auto line = named("line");
    join(a.lines, b.lines, pair_key, line,
         [&](const auto& x, const auto& y) { text(line(x), x.second ? "high" : "low", y.second ? "high" : "low"); });
    const auto timer = [&at](const DeviceState::Timer& t) { return at + "timer " + t.name; };
    join(
        a.timers, b.timers, [](const DeviceState::Timer& t) { return t.name; }, timer,
        [&](const DeviceState::Timer& x, const DeviceState::Timer& y) {
            text(timer(x), time_text(x.due), time_text(y.due));
            number(timer(x) + " sequence", x.sequence, y.sequence);
        });
}

void Differ::field(const std::string& device, const StateValue& a, const StateValue& b) {
    const std::string what = device + a.name;
    if (a.kind != b.kind || a.element_size != b.element_size || a.count != b.count) {
        const auto type = [](const StateValue& f) {
            return fmt::format("{} of {}, {}", state_kind_name(f.kind), counted(f.element_size, "byte"),
                               counted(f.count, "element"));
        };
        text(what, type(a), type(b));
        return;
    }
    if (a.bytes == b.bytes || ignored(what)) return;
    if (a.count == 1) {
        text(what, element_text(a, 0), element_text(b, 0));
        // Floats may differ in bits that their text does not show.
        if (element_text(a, 0) == element_text(b, 0)) note(what, "differs in bits of a not-a-number");
        return;
    }
    std::size_t named = 0, left = 0;
    const std::size_t size = a.element_size;
    for (u64 i = 0; i < a.count; ++i) {
        if (a.bytes.compare(i * size, size, b.bytes, i * size, size) == 0) continue;
        const std::string element = fmt::format("{}[{}]", what, i);
        if (ignored(element)) continue;
        if (named == options_.elements) {
            ++left;
            continue;
        }
        found_.push_back({element, element_text(a, i), element_text(b, i), ""});
        ++named;
    }
    if (left) note(what, "and " + counted(left, "more element"));
}

void Differ::facts(const Snapshot& a, const Snapshot& b) {
    const auto name = [](const FactState& f) { return fmt::format("fact {} {} of {}", f.what, f.key, f.from); };
    join(a.facts, b.facts, fact_key, name, [&](const FactState& x, const FactState& y) {
        const auto field = [&](const auto& pair) { return name(x) + ": " + pair.first; };
        join(
            x.fields, y.fields, [](const auto& pair) { return pair.first; }, field,
            [&](const auto& p, const auto& q) { text(field(p), printable(p.second), printable(q.second)); });
    });
}

void Differ::blocks(const Snapshot& a, const Snapshot& b) {
    join(a.memory, b.memory, block_key, block_name, [this](const MemoryState& x, const MemoryState& y) {
        if (x.size != y.size) text(block_name(x), size_text(x.size), size_text(y.size));
    });
}

void Differ::contents(const SnapshotFile& a, const SnapshotFile& b) {
    const std::vector<MemoryState>&left = a.snapshot().memory, &right = b.snapshot().memory;
    std::map<std::string, std::size_t> index;
    for (std::size_t j = 0; j < right.size(); ++j) index.emplace(block_key(right[j]), j);
    for (std::size_t i = 0; i < left.size(); ++i) {
        const auto j = index.find(block_key(left[i]));
        if (j != index.end() && right[j->second].size == left[i].size && !ignored(block_name(left[i])))
            block(block_name(left[i]), a, i, b, j->second);
    }
}

void Differ::block(const std::string& what, const SnapshotFile& a, std::size_t i, const SnapshotFile& b,
                   std::size_t j) {
    constexpr u64 kNone = ~u64{0};
    u64 bytes = 0, ranges = 0, begin = kNone, end = 0;  // the range that is open
    const auto close = [&] {
        if (begin == kNone) return;
        if (options_.memory && ranges < options_.ranges) {
            const u64 size = end - begin;
            note(what, fmt::format("0x{:x}{} ({})", begin, size == 1 ? "" : fmt::format("-0x{:x}", end - 1),
                                   counted(size, "byte")));
        }
        ++ranges;
        begin = kNone;
    };
    std::vector<u8> x(kSnapshotChunk), y(kSnapshotChunk);
    for (u64 chunk = 0; chunk < a.chunk_count(i); ++chunk) {
        if (a.stored_chunk(i, chunk) == b.stored_chunk(j, chunk)) continue;
        a.load_chunk(i, chunk, x.data());
        b.load_chunk(j, chunk, y.data());
        const u64 base = chunk * kSnapshotChunk;
        for (u64 k = 0; k < a.chunk_size(i, chunk); ++k) {
            if (x[k] == y[k]) continue;
            if (begin == kNone || base + k != end) {
                close();
                begin = base + k;
            }
            end = base + k + 1;
            ++bytes;
        }
    }
    close();
    if (!ranges) return;
    if (!options_.memory)
        note(what, fmt::format("differs in {} ({})", counted(bytes, "byte"), counted(ranges, "range")));
    else if (ranges > options_.ranges)
        note(what,
             fmt::format("and {}; {} in all", counted(ranges - options_.ranges, "more range"), counted(bytes, "byte")));
}

}  // namespace

std::string Difference::text() const { return what + ": " + (note.empty() ? left + " -> " + right : note); }

std::vector<Difference> diff(const Snapshot& a, const Snapshot& b, const DiffOptions& options) {
    Differ d(options);
    d.machine(a, b);
    d.devices(a, b);
    d.facts(a, b);
    d.blocks(a, b);
    return d.take();
}

std::vector<Difference> diff(const SnapshotFile& a, const SnapshotFile& b, const DiffOptions& options) {
    std::vector<Difference> all = diff(a.snapshot(), b.snapshot(), options);
    Differ d(options);
    d.contents(a, b);
    std::vector<Difference> memory = d.take();
    all.insert(all.end(), std::make_move_iterator(memory.begin()), std::make_move_iterator(memory.end()));
    return all;
}

}  // namespace backplane::kernel
