// The `info` commands: what the machine is and does, in the words that programs look for.
#include <cctype>
#include <cstdarg>
#include <cstdio>
#include <ctime>
#include <map>
#include <stdexcept>

#include "monitor/drives.hpp"
#include "monitor/engine.hpp"
#include "monitor/hmp.hpp"
#include "monitor/qmp.hpp"
#include "monitor/vm_state.hpp"

namespace backplane::monitor {

namespace {

const Json kNone = Json::object();

__attribute__((format(printf, 1, 2))) std::string printed(const char* format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    const int n = std::vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return {text, n < 0 ? 0 : std::min(static_cast<std::size_t>(n), sizeof text - 1)};
}

unsigned long long number(const Json& v) { return v.get<std::uint64_t>(); }

// One line a drive, as 0.12 printed it.
std::string block(const Call& call) {
    std::string out;
    for (const Drive& d : drives(call)) {
        out += d.id + ": type=" + (d.cdrom ? "cdrom" : "hd") + " removable=" + (d.removable() ? "1" : "0");
        if (d.removable())
            out += std::string(" locked=") + (d.locked() ? "1" : "0") + " tray-open=" + (d.tray_open() ? "1" : "0");
        if (d.file().empty()) {
            out += " [not inserted]\n";
            continue;
        }
        out += " file=" + d.file();
        if (!d.backing().empty()) out += " backing_file=" + d.backing();
        out += std::string(" ro=") + (d.read_only() ? "1" : "0") + " drv=" + d.format() + " encrypted=0\n";
    }
    return out;
}

std::string blockstats(const Call& call) {
    std::string out;
    for (const Drive& d : drives(call))
        out += printed("%s: rd_bytes=%llu wr_bytes=%llu rd_operations=%llu wr_operations=%llu flush_operations=%llu\n",
                       d.id.c_str(), static_cast<unsigned long long>(d.counter("reads", "bytes")),
                       static_cast<unsigned long long>(d.counter("writes", "bytes")),
                       static_cast<unsigned long long>(d.counter("reads", "requests")),
                       static_cast<unsigned long long>(d.counter("writes", "requests")),
                       static_cast<unsigned long long>(d.counter("flushes", "requests")));
    return out;
}

std::string status(const Call& call) {
    const Json s = call("query-status", kNone);
    const std::string reason = s.value("desc", "");
    return "VM status: " + s.at("status").get<std::string>() + (reason.empty() ? "" : " (" + reason + ")") + "\n";
}

std::string cpus(const Call& call) {
    std::string out;
    for (const Json& c : call("cpu-list", kNone))
        out += printed("%c CPU #%llu: pc=0x%016llx%s\n", c.value("current", c.at("index") == 0) ? '*' : ' ',
                       number(c.at("index")), number(c.at("instruction-pointer")),
                       c.at("halted").get<bool>() ? " (halted)" : "");
    return out.empty() ? "the board has no CPU\n" : out;
}

// The registers under the names that programs look for, if the engine declares them in the usual way.
std::string classic(const Call& call, const Json& cpu) {
    const std::string name = cpu.at("name");
    const Json state = call("state-get", {{"path", name}});
    const auto value = [&](const char* field) { return state.value(name + "." + field, std::uint64_t{0}); };
    if (!state.contains(name + ".eax")) return "";
    std::string out;
    constexpr const char* kRows[][4] = {
        {"eax", "ebx", "ecx", "edx"}, {"esi", "edi", "ebp", "esp"}, {"cr0", "cr2", "cr3", "cr4"}};
    for (const auto& row : kRows) {
        std::string line;
        for (const char* field : row) {
            std::string label = field;
            for (char& ch : label) ch = static_cast<char>(std::toupper(static_cast<unsigned char>(ch)));
            line += printed("%s%s=%08llx", line.empty() ? "" : " ", label.c_str(),
                            static_cast<unsigned long long>(value(field)));
        }
        out += line + "\n";
    }
    // The flags are computed when somebody looks: where the CPU is tells them.
    const std::string where = cpu.at("where");
    const auto flags = where.find("eflags=");
    out += printed("EIP=%08llx EFL=%s CPL=%llu HLT=%d\n", static_cast<unsigned long long>(value("eip")),
                   flags == std::string::npos ? "?" : where.substr(flags + 7, 8).c_str(),
                   static_cast<unsigned long long>(value("cpl")), cpu.at("halted").get<bool>() ? 1 : 0);
    return out;
}

std::string registers(const Call& call) {
    std::string out;
    for (const Json& c : call("cpu-list", kNone)) {
        if (!c.value("current", true)) continue;
        out += c.at("where").get<std::string>();
        if (!out.ends_with('\n')) out += '\n';
        out += classic(call, c);
    }
    return out.empty() ? "the board has no CPU\n" : out;
}

std::string pci(const Call& call) {
    std::string out;
    for (const Json& bus : query_pci(call))
        for (const Json& d : bus.at("devices")) {
            out += printed("  Bus %2llu, device %3llu, function %llu:\n", number(d.at("bus")), number(d.at("slot")),
                           number(d.at("function")));
            out +=
                printed("    %s: PCI device %04llx:%04llx\n", d.at("class_info").at("desc").get<std::string>().c_str(),
                        number(d.at("id").at("vendor")), number(d.at("id").at("device")));
            if (d.contains("irq"))
                out += printed("      IRQ %llu, pin %c\n", number(d.at("irq")),
                               static_cast<char>('A' + number(d.at("irq_pin")) - 1));
            for (const Json& r : d.at("regions")) {
                const unsigned long long base = number(r.at("address")), size = number(r.at("size"));
                if (r.at("type") == "io")
                    out += printed("      BAR%llu: I/O at 0x%04llx [0x%04llx].\n", number(r.at("bar")), base,
                                   base + (size ? size - 1 : 0));
                else
                    out += printed("      BAR%llu: 32 bit %smemory at 0x%08llx [0x%08llx].\n", number(r.at("bar")),
                                   r.at("prefetch").get<bool>() ? "prefetchable " : "", base,
                                   base + (size ? size - 1 : 0));
            }
            out += "      id \"" + d.at("qdev_id").get<std::string>() + "\"\n";
        }
    return out.empty() ? "the board has no PCI bus\n" : out;
}

void tree(std::string& out, const Json& devices, const Json& parent, int depth) {
    for (const Json& d : devices) {
        if (d.at("parent") != parent) continue;
        const std::string indent(static_cast<std::size_t>(depth) * 2, ' ');
        out += indent + "dev: " + d.at("type").get<std::string>() + ", id \"" + d.at("name").get<std::string>() + "\"";
        if (d.at("on").is_string()) out += ", on " + d.at("on").get<std::string>();
        out += '\n';
        for (const Json& p : d.at("properties"))
            if (p.at("given").get<bool>())
                out += indent + "  " + p.at("name").get<std::string>() + " = " + p.at("value").dump() + "\n";
        tree(out, devices, d.at("name"), depth + 1);
    }
}

std::string qtree(const Call& call) {
    std::string out;
    tree(out, call("device-list", kNone), nullptr, 0);
    return out;
}

std::string mtree(const Call& call) {
    std::string out, space;
    for (const Json& c : call("memory-map", kNone)) {
        if (c.at("space") != space) out += (space = c.at("space")) + (space == "ports" ? " (I/O)\n" : "\n");
        const unsigned long long base = number(c.at("base")), last = base + (number(c.at("size")) - 1);
        const std::string access = c.at("access").is_string() ? ", " + c.at("access").get<std::string>() : "";
        out += printed("  %016llx-%016llx (prio %lld, %s%s): %s\n", base, last,
                       static_cast<long long>(c.at("priority").get<std::int64_t>()),
                       c.at("kind") == "memory" ? "ram" : "i/o", access == ", " ? ", off" : access.c_str(),
                       c.at("name").get<std::string>().c_str());
    }
    return out;
}

std::string size_text(double bytes) {
    constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    unsigned unit = 0;
    for (; bytes >= 1000 && unit < 4; ++unit) bytes /= 1024;
    return printed(unit ? "%.1f %s" : "%.0f %s", bytes, kUnits[unit]);
}

std::string date_text(std::int64_t seconds) {
    const auto when = static_cast<std::time_t>(seconds);
    std::tm t{};
    ::gmtime_r(&when, &t);
    return printed("%04d-%02d-%02d %02d:%02d:%02d", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour, t.tm_min,
                   t.tm_sec);
}

std::string snapshots(const Call& call) {
    const Json list = list_vms(call);
    if (!list.is_array() || list.empty()) return "There is no snapshot available.\n";
    std::string out = printed("%-10s%-20s%12s%21s%15s\n", "ID", "TAG", "VM SIZE", "DATE", "VM CLOCK");
    for (const Json& s : list) {
        const std::uint64_t ms = s.value("vm_clock_ns", std::uint64_t{0}) / 1'000'000;
        const std::string clock =
            printed("%02llu:%02llu:%02llu.%03llu", static_cast<unsigned long long>(ms / 3'600'000),
                    static_cast<unsigned long long>(ms / 60'000 % 60), static_cast<unsigned long long>(ms / 1000 % 60),
                    static_cast<unsigned long long>(ms % 1000));
        out += printed("%-10s%-20s%12s%21s%15s\n", s.value("id", "").c_str(), s.value("name", "").c_str(),
                       size_text(s.value("vm_state_bytes", 0.0)).c_str(),
                       date_text(s.value("date", std::int64_t{0})).c_str(), clock.c_str());
    }
    return out;
}

std::string version(const Call& call) { return call("query-version", kNone).at("package").get<std::string>() + "\n"; }

std::string name(const Call& call) { return call("query-name", kNone).value("name", "") + "\n"; }

std::string uuid(const Call& call) { return call("query-uuid", kNone).at("UUID").get<std::string>() + "\n"; }

std::string chardev(const Call& call) {
    std::string out;
    for (const Json& c : qmp_commands().at("query-chardev").run(call, kNone))
        out += c.at("label").get<std::string>() + ": filename=" + c.at("filename").get<std::string>() + "\n";
    return out;
}

std::string roms(const Call& call) {
    std::string out;
    for (const Json& d : call("device-list", kNone))
        for (const Json& p : d.at("properties"))
            if (d.at("type").get<std::string>().starts_with("firmware.") &&
                (p.at("name") == "image" || p.at("name") == "file"))
                out += d.at("name").get<std::string>() + ": " + p.at("value").get<std::string>() + "\n";
    return out;
}

std::string kvm(const Call& call) {
    return std::string("kvm support: ") + (runs_on_hardware(call) ? "enabled" : "disabled") + "\n";
}

struct Entry {
    const char* help;
    std::function<std::string(const Call&)> run;
};

const std::map<std::string, Entry>& entries() {
    const auto says = [](const char* text) { return [text](const Call&) { return std::string(text); }; };
    static const std::map<std::string, Entry> kEntries = {
        {"block", {"the drives", block}},
        {"blockstats", {"what drives have read and written", blockstats}},
        {"chardev", {"the character streams", chardev}},
        {"cpus", {"the CPUs", cpus}},
        {"kvm", {"whether hardware executes the guest", kvm}},
        {"migrate", {"there is never any migration", says("")}},
        {"mtree", {"what stands where in the spaces of ports and memory", mtree}},
        {"name", {"the virtual machine's name", name}},
        {"network", {"the board has no network", says("")}},
        {"pci", {"the functions on the PCI bus", pci}},
        {"qtree", {"the devices, each under what it sits on", qtree}},
        {"registers", {"the CPUs' registers", registers}},
        {"roms", {"the firmware", roms}},
        {"snapshots", {"what savevm has saved", snapshots}},
        {"status", {"whether the machine runs", status}},
        {"usb", {"the board has no USB", says("")}},
        {"uuid", {"the machine's UUID", uuid}},
        {"version", {"the program's version", version}},
    };
    return kEntries;
}

}  // namespace

std::vector<std::string> info_names() {
    std::vector<std::string> names;
    for (const auto& [key, entry] : entries()) names.push_back(key);
    return names;
}

std::string info(const Call& call, const std::string& what) {
    if (what.empty()) {
        std::string out;
        for (const auto& [key, entry] : entries()) out += "info " + key + " -- " + entry.help + "\n";
        return out;
    }
    const auto found = entries().find(what);
    if (found == entries().end())
        throw std::runtime_error("there is no `info " + what.substr(0, 80) + "`; info lists them");
    return found->second.run(call);
}

}  // namespace backplane::monitor
