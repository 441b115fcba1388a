// The `info` commands: what the machine is and does, in the words that programs look for.
#include <cstdarg>
#include <cstdio>
#include <map>
#include <stdexcept>

#include "monitor/drives.hpp"
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
                       d.id.c_str(), static_cast<unsigned long long>(d.counter("read_bytes")),
                       static_cast<unsigned long long>(d.counter("written_bytes")),
                       static_cast<unsigned long long>(d.counter("reads")),
                       static_cast<unsigned long long>(d.counter("writes")),
                       static_cast<unsigned long long>(d.counter("flushes")));
    return out;
}

std::string status(const Call& call) {
    const Json s = call("query-status", kNone);
    return "VM status: " + s.at("status").get<std::string>() + "\n";
}

std::string cpus(const Call& call) {
    std::string out;
    for (const Json& c : call("cpu-list", kNone))
        out += printed("%c CPU #%llu: pc=0x%016llx%s\n", c.at("index") == 0 ? '*' : ' ', number(c.at("index")),
                       number(c.at("instruction-pointer")), c.at("halted").get<bool>() ? " (halted)" : "");
    return out.empty() ? "the board has no CPU\n" : out;
}

std::string registers(const Call& call) {
    std::string out;
    for (const Json& c : call("cpu-list", kNone)) {
        out += c.at("where").get<std::string>();
        if (!out.ends_with('\n')) out += '\n';
        const Json state = call("state-get", {{"path", c.at("name")}});
        const std::string prefix = c.at("name").get<std::string>() + ".";
        // Whatever the engine declares, a few to the line.
        unsigned column = 0;
        for (const auto& [path, value] : state.items()) {
            if (!value.is_number_unsigned() || path.find('[') != std::string::npos ||
                path.find("fpu") != std::string::npos)
                continue;
            out +=
                printed("%s=%08llx", path.substr(prefix.size()).c_str(), number(value)) + (++column % 6 ? " " : "\n");
        }
        if (column % 6) out += '\n';
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

std::string snapshots(const Call& call) {
    const Json list = list_vms(call);
    const Json& all = list.is_object() && list.contains("snapshots") ? list.at("snapshots") : list;
    if (!all.is_array() || all.empty()) return "There is no snapshot available.\n";
    std::string out = printed("%-10s%-20s%12s%21s%15s\n", "ID", "TAG", "VM SIZE", "DATE", "VM CLOCK");
    for (const Json& s : all) {
        const auto word = [&](const char* key) {
            const auto v = s.find(key);
            return v == s.end() ? std::string("-") : v->is_string() ? v->get<std::string>() : v->dump();
        };
        out += printed("%-10s%-20s%12s%21s%15s\n", word("id").c_str(), word("name").c_str(),
                       word("vm_state_bytes").c_str(), word("date").c_str(), word("vm_clock_ns").c_str());
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
        {"kvm", {"whether hardware executes the guest", says("kvm support: not compiled\n")}},
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
