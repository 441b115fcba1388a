// The machine driven from outside as its CPUs drive it: accesses, time, and what happens on lines.
#include <memory>
#include <set>
#include <utility>

#include "kernel/control/commands.hpp"
#include "kernel/control/state_field.hpp"
#include "kernel/machine/machine.hpp"

namespace backplane::kernel {

namespace {

using Type = ArgumentSpec::Type;
using When = Command::When;

constexpr i64 kMostBytes = 64 << 20;  // of one command

void check_session(const Machine& m) {
    if (m.in_session())
        throw CommandError("a session is recorded or replayed: nothing but input may act on the machine");
}

u32 access_size(const Arguments& a, const char* name, u32 most) {
    const i64 bytes = a.number(name);
    if (bytes < 1 || bytes > most || (bytes & (bytes - 1)) != 0)
        throw CommandError(std::string("argument `") + name + "`: expected 1, 2" + (most == 8 ? ", 4 or 8" : " or 4"));
    return static_cast<u32>(bytes);
}

u64 unsigned_number(const Arguments& a, const char* name) {
    const Json& v = a.value(name);
    if (!v.is_number_unsigned()) throw CommandError(std::string("argument `") + name + "`: expected a whole number");
    return v.get<u64>();
}

u32 port_number(const Arguments& a) {
    const i64 port = a.number("port");
    if (port < 0 || port >= static_cast<i64>(kPorts)) throw CommandError("argument `port`: expected 0 to 65535");
    return static_cast<u32>(port);
}

std::string hex_of(const std::string& bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    std::string out;
    out.reserve(bytes.size() * 2);
    for (const char c : bytes) out += kDigits[static_cast<u8>(c) >> 4], out += kDigits[c & 15];
    return out;
}

int digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

std::string bytes_of(const std::string& hex) {
    std::string out;
    out.reserve(hex.size() / 2);
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
        const int high = digit(hex[i]), low = digit(hex[i + 1]);
        if (high < 0 || low < 0) throw CommandError("argument `data`: expected hexadecimal digits");
        out += static_cast<char>(high << 4 | low);
    }
    if (hex.size() % 2) throw CommandError("argument `data`: expected two digits a byte");
    return out;
}

u32 granularity(const Arguments& a, u64 size) {
    if (!a.has("access")) return 0;
    const u32 bytes = access_size(a, "access", 8);
    if (size % bytes) throw CommandError("argument `access`: the size is no multiple of it");
    return bytes;
}

Json read_memory(Machine& m, const Arguments& a) {
    const u64 address = unsigned_number(a, "address");
    const i64 size = a.number("size");
    if (size < 1 || size > kMostBytes)
        throw CommandError("argument `size`: expected 1 to " + std::to_string(kMostBytes));
    std::string bytes(static_cast<std::size_t>(size), '\0');
    const u32 access = granularity(a, bytes.size());
    if (access == 0) {
        if (!m.copy_from_memory(address, bytes.data(), bytes.size()))
            throw CommandError("part of that is no memory; `access` reads registers, too");
        return {{"data", hex_of(bytes)}};
    }
    check_session(m);
    for (std::size_t i = 0; i < bytes.size(); i += access) {
        const u64 value = m.memory_read(address + i, access);
        for (u32 n = 0; n < access; ++n) bytes[i + n] = static_cast<char>(value >> (8 * n));
    }
    return {{"data", hex_of(bytes)}};
}

Json write_memory(Machine& m, const Arguments& a) {
    check_session(m);
    const u64 address = unsigned_number(a, "address");
    const std::string bytes = bytes_of(a.text("data"));
    const u32 access = granularity(a, bytes.size());
    if (access == 0) {
        if (!m.copy_to_memory(address, bytes.data(), bytes.size()))
            throw CommandError("part of that is no memory; `access` writes registers, too");
        return Json::object();
    }
    for (std::size_t i = 0; i < bytes.size(); i += access) {
        u64 value = 0;
        for (u32 n = 0; n < access; ++n) value |= u64{static_cast<u8>(bytes[i + n])} << (8 * n);
        m.memory_write(address + i, access, value);
    }
    return Json::object();
}

Json advance(Machine& m, const Arguments& a) {
    if (!m.waits_for_time())
        throw CommandError("the machine's time goes on by itself: it has a CPU, or its clock is not deterministic");
    if (a.has("until") && a.number("until") < 0) throw CommandError("argument `until`: expected 0 or more");
    m.advance_to(a.has("until") ? a.number("until") : m.next_due());
    return {{"time-ns", m.now()}};
}

void add_accesses(Machine& m) {
    Control& control = m.control();
    control.add(
        {.name = "port-read",
         .help = "reads an I/O port as the CPU does",
         .arguments = {{"port", Type::kNumber, false, "0 to 65535"}, {"bytes", Type::kNumber, false, "1, 2 or 4"}},
         .when = When::kStandstill,
         .run = [&m](const Arguments& a) -> Json {
             const u32 bytes = access_size(a, "bytes", 4);
             check_session(m);
             return {{"value", m.port_read(port_number(a), bytes)}};
         }});
    control.add({.name = "port-write",
                 .help = "writes an I/O port as the CPU does",
                 .arguments = {{"port", Type::kNumber, false, "0 to 65535"},
                               {"bytes", Type::kNumber, false, "1, 2 or 4"},
                               {"value", Type::kNumber, false, "a number; more than fits is cut off"}},
                 .when = When::kStandstill,
                 .run = [&m](const Arguments& a) {
                     const u32 bytes = access_size(a, "bytes", 4), port = port_number(a);
                     check_session(m);
                     m.port_write(port, bytes, static_cast<u64>(a.number("value")) & all_ones(bytes));
                     return Json::object();
                 }});
    control.add({.name = "memory-read",
                 .help = "reads physical memory; with `access` registers, too, as the CPU does",
                 .arguments = {{"address", Type::kAny, false, "physical address"},
                               {"size", Type::kNumber, false, "in bytes"},
                               {"access", Type::kNumber, true, "size of each access: 1, 2, 4 or 8"}},
                 .when = When::kStandstill,
                 .run = [&m](const Arguments& a) { return read_memory(m, a); }});
    control.add({.name = "memory-write",
                 .help = "writes physical memory; with `access` registers, too, as the CPU does",
                 .arguments = {{"address", Type::kAny, false, "physical address"},
                               {"data", Type::kText, false, "hexadecimal digits, two a byte"},
                               {"access", Type::kNumber, true, "size of each access: 1, 2, 4 or 8"}},
                 .when = When::kStandstill,
                 .run = [&m](const Arguments& a) { return write_memory(m, a); }});
}

}  // namespace

void add_probe_commands(const CommandContext& context) {
    Machine& m = context.machine;
    Control& control = m.control();
    add_accesses(m);
    control.add({.name = "clock-advance",
                 .help = "on a machine without CPU: lets its time go on",
                 .arguments = {{"until", Type::kNumber, true, "machine time in ns; left out: what is due next"}},
                 .when = When::kStandstill,
                 .run = [&m](const Arguments& a) { return advance(m, a); }});
    // By device and whether it is its outputs.
    const auto watched = std::make_shared<std::set<std::pair<std::string, bool>>>();
    m.watch_lines([&control, watched](const Instance& d, bool output, u32 index, bool level) {
        if (!watched->contains({d.name(), output})) return;
        for (const LineInfo& l : output ? d.type->outputs : d.type->inputs)
            if (index >= l.first && index < l.first + l.count)
                control.emit("BACKPLANE_LINE", {{"device", d.name()},
                                                {"output", output},
                                                {"line", index},
                                                {"name", l.line_name(index - l.first)},
                                                {"level", level}});
    });
    control.add({.name = "line-watch",
                 .help = "from now on the lines of a device are told of by events",
                 .arguments = {{"device", Type::kText, false, "its name on the board"},
                               {"outputs", Type::kBool, true, "what it drives; left out: what it hears"},
                               {"on", Type::kBool, true, "false: no more"}},
                 .run = [&m, watched](const Arguments& a) {
                     const auto what = std::pair{find_device(m, a.text("device")).name(), a.flag("outputs")};
                     if (a.flag("on", true))
                         watched->insert(what);
                     else
                         watched->erase(what);
                     return Json::object();
                 }});
    control.add_event("BACKPLANE_LINE", "a line that is watched changed its level");
}

}  // namespace backplane::kernel
