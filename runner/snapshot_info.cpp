#include "runner/snapshot_info.hpp"

#include <bit>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "backplane/abi/device.h"
#include "kernel/config/convert.hpp"
#include "kernel/state/text.hpp"

namespace backplane::runner {

namespace {

using kernel::printable;
using Json = nlohmann::ordered_json;

void line(std::string& out, const char* format, ...) __attribute__((format(printf, 2, 3)));
void line(std::string& out, const char* format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    std::string text(static_cast<std::size_t>(std::vsnprintf(nullptr, 0, format, arguments)) + 1, '\0');
    std::vsnprintf(text.data(), text.size(), format, again);
    va_end(again);
    va_end(arguments);
    text.back() = '\n';
    out += text;
}

void add_device(std::string& out, const kernel::DeviceState& d) {
    line(out, "  %s: %s", d.name.c_str(), d.type.c_str());
    if (!d.plugin.empty())
        line(out, "    from %s %s (%s), state version %u", d.plugin.c_str(), d.plugin_version.c_str(),
             d.plugin_kind.c_str(), d.state_version);
    for (const auto& [name, value] : d.properties)
        line(out, "    property %s: %s", name.c_str(), printable(value).c_str());
    for (const kernel::StateValue& f : d.fields)
        line(out, "    %s = %s%s", f.name.c_str(), value_text(f).c_str(),
             f.flags & BP_STATE_IDENTITY ? " (must be the same)" : "");
    for (const kernel::StateValue& f : d.cpu) line(out, "    cpu.%s = %s", f.name.c_str(), value_text(f).c_str());
    for (const auto& [name, level] : d.lines) line(out, "    line %s: %s", name.c_str(), level ? "high" : "low");
    for (const auto& t : d.timers) line(out, "    timer %s: at %s", t.name.c_str(), kernel::time_text(t.due).c_str());
}

// Numbers as they are; bytes in hexadecimal; a float that JSON cannot express as text.
Json element(const kernel::StateValue& f, u64 index) {
    u64 raw = 0;
    for (u64 i = f.element_size; i-- > 0;) raw = raw << 8 | static_cast<u8>(f.bytes[index * f.element_size + i]);
    switch (f.kind) {
        case BP_STATE_BOOL: return raw != 0;
        case BP_STATE_SIGNED: {
            const u32 shift = 64 - 8 * f.element_size;
            return static_cast<i64>(raw << shift) >> shift;
        }
        case BP_STATE_FLOAT: {
            const double value =
                f.element_size == 4 ? double{std::bit_cast<float>(static_cast<u32>(raw))} : std::bit_cast<double>(raw);
            if (std::isfinite(value)) return value;
            return element_text(f, index);
        }
        default: return raw;
    }
}

Json field(const kernel::StateValue& f) {
    Json json{{"name", f.name},
              {"kind", kernel::state_kind_name(f.kind)},
              {"element_size", f.element_size},
              {"since", f.since},
              {"flags", f.flags},
              {"count", f.count}};
    if (f.kind == BP_STATE_BYTES) {
        std::string hex;
        for (const char byte : f.bytes) {
            char two[3];
            std::snprintf(two, sizeof two, "%02x", static_cast<u8>(byte));
            hex += two;
        }
        json["hex"] = hex;
        return json;
    }
    Json& values = json["values"] = Json::array();
    for (u64 i = 0; i < f.count; ++i) values.push_back(element(f, i));
    return json;
}

Json texts(const std::vector<std::pair<std::string, std::string>>& pairs) {
    Json json = Json::object();
    for (const auto& [name, value] : pairs) json[name] = value;
    return json;
}

Json device(const kernel::DeviceState& d) {
    Json json{{"name", d.name},
              {"type", d.type},
              {"plugin", d.plugin},
              {"plugin_version", d.plugin_version},
              {"plugin_kind", d.plugin_kind},
              {"state_version", d.state_version},
              {"properties", texts(d.properties)}};
    Json& fields = json["fields"] = Json::array();
    for (const auto& f : d.fields) fields.push_back(field(f));
    Json& cpu = json["cpu"] = Json::array();
    for (const auto& f : d.cpu) cpu.push_back(field(f));
    Json& lines = json["lines"] = Json::object();
    for (const auto& [name, level] : d.lines) lines[name] = level;
    Json& timers = json["timers"] = Json::array();
    for (const auto& t : d.timers) timers.push_back({{"name", t.name}, {"due_ns", t.due}, {"sequence", t.sequence}});
    return json;
}

}  // namespace

u64 instruction_total(const kernel::Snapshot& snapshot) {
    u64 total = 0;
    for (const u64 count : snapshot.instructions) total += count;
    return total;
}

u64 memory_total(const kernel::Snapshot& snapshot) {
    u64 total = 0;
    for (const auto& m : snapshot.memory) total += m.size;
    return total;
}

std::string snapshot_text(const kernel::SnapshotFile& file) {
    const kernel::Snapshot& s = file.snapshot();
    std::string out;
    line(out, "file          %s, %llu bytes", printable(file.path()).c_str(),
         static_cast<unsigned long long>(file.file_size()));
    line(out, "written by    Backplane %s, plugin ABI %u.%u", s.program_version.c_str(), s.abi_major, s.abi_minor);
    line(out, "board         %s", printable(s.board).c_str());
    line(out, "started as    %s", printable(s.request_json).c_str());
    line(out, "clock         %s", s.deterministic ? "deterministic" : "realtime");
    line(out, "machine time  %s", kernel::time_text(s.time_ns).c_str());
    line(out, "start time    %lld", static_cast<long long>(s.start_time));
    line(out, "random state  %016llx", static_cast<unsigned long long>(s.random_state));
    line(out, "timers        %llu armed since power-on, %llu expired",
         static_cast<unsigned long long>(s.timer_sequence), static_cast<unsigned long long>(s.timers_fired));
    for (std::size_t i = 0; i < s.instructions.size(); ++i)
        line(out, "vCPU %-8zu %llu instructions", i, static_cast<unsigned long long>(s.instructions[i]));
    if (s.instructions.size() > 1 && s.deterministic)
        line(out, "turn          vCPU %u, %llu instructions left", s.turn,
             static_cast<unsigned long long>(s.turn_left));
    out += "\nmemory\n";
    for (const auto& m : s.memory)
        line(out, "  %s of %s: %s", m.name.c_str(), m.owner.c_str(), kernel::size_text(m.size).c_str());
    out += "\ndevices\n";
    for (const auto& d : s.devices) add_device(out, d);
    out += "\nfacts\n";
    for (const auto& f : s.facts) {
        line(out, "  %s %s of %s", f.what.c_str(), f.key.c_str(), f.from.c_str());
        for (const auto& [name, value] : f.fields) line(out, "    %s: %s", name.c_str(), printable(value).c_str());
    }
    return out;
}

std::string snapshot_json(const kernel::SnapshotFile& file) {
    const kernel::Snapshot& s = file.snapshot();
    Json json{{"file", file.path()},
              {"file_size", file.file_size()},
              {"program_version", s.program_version},
              {"abi", {s.abi_major, s.abi_minor}},
              {"board", s.board},
              {"request", s.request_json},
              {"deterministic", s.deterministic},
              {"time_ns", s.time_ns},
              {"start_time", static_cast<i64>(s.start_time)},
              {"random_state", s.random_state},
              {"timer_sequence", s.timer_sequence},
              {"timers_fired", s.timers_fired},
              {"instructions", s.instructions},
              {"turn", s.turn},
              {"turn_left", s.turn_left}};
    Json& memory = json["memory"] = Json::array();
    for (const auto& m : s.memory) memory.push_back({{"owner", m.owner}, {"name", m.name}, {"size", m.size}});
    Json& devices = json["devices"] = Json::array();
    for (const auto& d : s.devices) devices.push_back(device(d));
    Json& facts = json["facts"] = Json::array();
    for (const auto& f : s.facts)
        facts.push_back({{"from", f.from}, {"what", f.what}, {"key", f.key}, {"fields", texts(f.fields)}});
    // Paths need not be UTF-8.
    return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace backplane::runner
