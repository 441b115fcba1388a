#include "monitor/qmp.hpp"

#include <unistd.h>

#include <set>
#include <stdexcept>

#include "monitor/drives.hpp"
#include "monitor/engine.hpp"
#include "monitor/pci_class.hpp"
#include "monitor/qmp_events.hpp"

namespace backplane::monitor {

namespace {

const Json kNone = Json::object();

void only(const Json& a, const std::set<std::string>& known) {
    for (const auto& [key, value] : a.items())
        if (!known.contains(key)) throw std::runtime_error("unknown argument `" + key.substr(0, 80) + "`");
}

std::string text(const Json& a, const char* key, bool required = true) {
    const auto found = a.find(key);
    if (found == a.end() && !required) return "";
    if (found == a.end()) throw std::runtime_error("argument `" + std::string(key) + "` is missing");
    if (!found->is_string()) throw std::runtime_error("argument `" + std::string(key) + "`: expected a text");
    return found->get<std::string>();
}

bool flag(const Json& a, const char* key) {
    const auto found = a.find(key);
    if (found == a.end()) return false;
    if (!found->is_boolean()) throw std::runtime_error("argument `" + std::string(key) + "`: expected true or false");
    return found->get<bool>();
}

// `device` is what the drive is called, `id` what the guest's device is; find_drive() knows both.
Drive drive_of(const Call& call, const Json& a) {
    return find_drive(call, text(a, a.contains("id") ? "id" : "device"));
}

Json inserted(const Drive& d) {
    const std::string cache = d.info.value("cache", "writeback");
    Json image = {{"filename", d.file()},
                  {"format", d.format()},
                  {"virtual-size", d.info.value("bytes", std::uint64_t{0})},
                  {"dirty-flag", false}};
    Json out = {{"file", d.file()},
                {"drv", d.format()},
                {"ro", d.read_only()},
                {"encrypted", false},
                {"backing_file_depth", d.backing().empty() ? 0 : 1},
                {"cache",
                 {{"writeback", cache != "writethrough" && cache != "directsync"},
                  {"direct", cache == "none" || cache == "directsync"},
                  {"no-flush", cache == "unsafe"}}},
                {"bps", 0},
                {"bps_rd", 0},
                {"bps_wr", 0},
                {"iops", 0},
                {"iops_rd", 0},
                {"iops_wr", 0},
                {"detect_zeroes", "off"},
                {"write_threshold", 0}};
    if (!d.backing().empty()) out["backing_file"] = image["backing-filename"] = d.backing();
    out["image"] = image;
    return out;
}

Json blockstats(const Call& call, const Json& a) {
    only(a, {"query-nodes"});
    Json list = Json::array();
    for (const Drive& d : drives(call))
        list.push_back({{"device", d.id},
                        {"qdev", d.attachment},
                        {"stats",
                         {{"rd_bytes", d.counter("reads", "bytes")},
                          {"wr_bytes", d.counter("writes", "bytes")},
                          {"rd_operations", d.counter("reads", "requests")},
                          {"wr_operations", d.counter("writes", "requests")},
                          {"flush_operations", d.counter("flushes", "requests")},
                          {"failed_rd_operations", d.counter("reads", "errors")},
                          {"failed_wr_operations", d.counter("writes", "errors")}}}});
    return list;
}

Json eject(const Call& call, const Json& a) {
    only(a, {"device", "id", "force"});
    return drive_command(call, drive_of(call, a), "eject", {{"force", flag(a, "force")}});
}

Json change_medium(const Call& call, const Json& a) {
    only(a, {"device", "id", "filename", "format", "read-only-mode", "force"});
    Json arguments = {{"file", text(a, "filename")}};
    if (a.contains("format")) arguments["format"] = text(a, "format");
    const std::string mode = text(a, "read-only-mode", false);
    if (mode == "read-only" || mode == "read-write") arguments["read_only"] = mode == "read-only";
    return drive_command(call, drive_of(call, a), "change", arguments);
}

// A tray that the guest has locked stays shut, and the guest is asked: no mistake, as with QEMU.
Json open_tray(const Call& call, const Json& a) {
    only(a, {"device", "id", "force"});
    return drive_command(call, drive_of(call, a), "open-tray", {{"force", flag(a, "force")}});
}

Json close_tray(const Call& call, const Json& a) {
    only(a, {"device", "id"});
    return drive_command(call, drive_of(call, a), "close-tray");
}

Json change(const Call& call, const Json& a) {
    only(a, {"device", "target", "arg"});
    if (text(a, "device") == "vnc") throw std::runtime_error("there is no such display");
    Json arguments = {{"file", text(a, "target")}};
    if (a.contains("arg")) arguments["format"] = text(a, "arg");
    return drive_command(call, find_drive(call, text(a, "device")), "change", arguments);
}

Json cpus_fast(const Call& call, const Json& a) {
    only(a, {});
    Json list = Json::array();
    for (const Json& c : call("cpu-list", kNone))
        list.push_back({{"cpu-index", c.at("index")},
                        {"qom-path", "/machine/" + c.at("name").get<std::string>()},
                        {"thread-id", 0},
                        {"target", "x86_64"},
                        {"props", Json::object()}});
    return list;
}

Json cpus(const Call& call, const Json& a) {
    only(a, {});
    Json list = Json::array();
    for (const Json& c : call("cpu-list", kNone))
        list.push_back({{"CPU", c.at("index")},
                        {"current", c.at("index") == 0},
                        {"halted", c.at("halted")},
                        {"pc", c.at("instruction-pointer")},
                        {"arch", "x86"},
                        {"thread_id", 0}});
    return list;
}

Json machines(const Call& call, const Json& a) {
    only(a, {});
    Json list = Json::array();
    for (const Json& b : call("board-list", kNone)) {
        Json machine = {{"name", b.at("name")},
                        {"cpu-max", b.at("name").get<std::string>().starts_with("pc-") ? 16 : 1},
                        {"hotpluggable-cpus", false},
                        {"numa-mem-supported", false},
                        {"deprecated", false}};
        if (b.at("name") == "pc-0.12") machine["alias"] = "pc", machine["is-default"] = true;
        list.push_back(std::move(machine));
    }
    return list;
}

Json types(const Call& call, const Json& a) {
    only(a, {"implements", "abstract"});
    Json list = Json::array();
    for (const Json& t : call("type-list", kNone)) list.push_back({{"name", t.at("name")}, {"parent", "device"}});
    return list;
}

Json type_properties(const Call& call, const Json& a) {
    only(a, {"typename"});
    Json list = Json::array();
    const Json type = call("type-list", {{"type", text(a, "typename")}}).at(0);
    for (const Json& p : type.at("properties"))
        list.push_back({{"name", p.at("name")}, {"type", p.at("kind")}, {"description", p.at("help")}});
    return list;
}

Json chardevs(const Call& call, const Json& a) {
    only(a, {});
    Json list = Json::array();
    for (const Json& d : call("device-list", kNone)) {
        const std::string type = d.at("type");
        if (!type.starts_with("chardev.")) continue;
        std::string file = type.substr(8);
        for (const Json& p : d.at("properties"))
            if ((p.at("name") == "target" || p.at("name") == "path") && p.at("value").is_string())
                file = p.at("name") == "path" ? file + ":" + p.at("value").get<std::string>()
                                              : p.at("value").get<std::string>();
        list.push_back({{"label", d.at("name")}, {"filename", file}, {"frontend-open", true}});
    }
    return list;
}

Json commands(const Call& call, const Json& a) {
    only(a, {});
    Json list = call("query-commands", kNone);
    std::set<std::string> own;
    for (const Json& c : list) own.insert(c.at("name"));
    for (const auto& [name, command] : qmp_commands())
        if (!own.contains(name)) list.push_back({{"name", name}, {"help", command.help}, {"compatible", true}});
    return list;
}

Json events(const Call& call, const Json& a) {
    only(a, {});
    Json list = call("query-events", kNone);
    for (const auto& [name, help] : qmp_event_names()) list.push_back({{"name", name}, {"help", help}});
    return list;
}

Json version(const Call& call, const Json& a) {
    only(a, {});
    Json value = call("query-version", kNone);
    value["qemu"] = value.at("backplane");
    return value;
}

Json kvm(const Call& call, const Json& a) {
    only(a, {});
    const bool enabled = runs_on_hardware(call);
    return {{"enabled", enabled}, {"present", enabled || ::access("/dev/kvm", R_OK | W_OK) == 0}};
}

Json target(const Call&, const Json& a) { return only(a, {}), Json{{"arch", "x86_64"}}; }

Json nothing(const Call&, const Json& a) { return only(a, {}), Json::array(); }

Json migration(const Call&, const Json& a) { return only(a, {}), Json::object(); }

// Where the machine has such an address claimed, how far it reaches; 0: nowhere.
std::uint64_t size_at(const Json& map, const std::string& space, std::uint64_t base) {
    for (const Json& claim : map)
        if (claim.at("space") == space && claim.at("base") == base) return claim.at("size");
    return 0;
}

}  // namespace

Json query_block(const Call& call) {
    Json list = Json::array();
    for (const Drive& d : drives(call)) {
        Json out = {{"device", d.id},       {"qdev", d.attachment},
                    {"type", "unknown"},    {"removable", d.removable()},
                    {"locked", d.locked()}, {"io-status", d.held() ? "failed" : "ok"}};
        if (d.removable()) out["tray_open"] = d.tray_open();
        if (!d.file().empty()) out["inserted"] = inserted(d);
        list.push_back(std::move(out));
    }
    return list;
}

Json query_pci(const Call& call) {
    Json functions;
    for (const Json& offer : call("device-commands", kNone))
        for (const Json& c : offer.at("commands"))
            if (c.at("name") == "pci")
                functions = call("device-command", {{"device", offer.at("device")}, {"command", "pci"}});
    if (!functions.is_array()) return Json::array();
    const Json map = call("memory-map", kNone);
    Json devices = Json::array();
    for (const Json& f : functions) {
        Json regions = Json::array();
        for (const Json& b : f.at("bases")) {
            const bool memory = b.at("kind") == "memory";
            Json region = {{"bar", b.at("index")},
                           {"type", memory ? "memory" : "io"},
                           {"address", b.at("base")},
                           {"size", size_at(map, memory ? "memory" : "ports", b.at("base"))}};
            if (memory) region["prefetch"] = b.at("prefetch"), region["mem_type_64"] = false;
            regions.push_back(std::move(region));
        }
        Json device = {{"bus", 0},
                       {"slot", f.at("slot")},
                       {"function", f.at("function")},
                       {"qdev_id", f.at("name")},
                       {"class_info", {{"class", f.at("class")}, {"desc", pci_class(f.at("class"))}}},
                       {"id",
                        {{"vendor", f.at("vendor")},
                         {"device", f.at("device")},
                         {"subsystem-vendor", f.at("subsystem-vendor")},
                         {"subsystem", f.at("subsystem")}}},
                       {"irq_pin", f.at("pin")},
                       {"regions", regions}};
        if (f.at("pin") != 0) device["irq"] = f.at("irq");
        devices.push_back(std::move(device));
    }
    return Json::array({{{"bus", 0}, {"devices", devices}}});
}

const std::map<std::string, QmpCommand, std::less<>>& qmp_commands() {
    static const std::map<std::string, QmpCommand, std::less<>> kCommands = {
        {"blockdev-change-medium", {"puts another medium into a drive", change_medium}},
        {"blockdev-close-tray", {"closes a drive's tray", close_tray}},
        {"blockdev-open-tray", {"opens a drive's tray", open_tray}},
        {"blockdev-remove-medium", {"takes the medium out of a drive", eject}},
        {"change", {"puts another medium into a drive", change}},
        {"device-list-properties", {"the properties of a type of device", type_properties}},
        {"eject", {"takes the medium out of a drive", eject}},
        {"qom-list-types", {"the types of devices", types}},
        {"query-block", {"the drives", [](const Call& c, const Json& a) { return only(a, {}), query_block(c); }}},
        {"query-blockstats", {"what drives have read and written", blockstats}},
        {"query-block-jobs", {"there are never any", nothing}},
        {"query-chardev", {"the character streams", chardevs}},
        {"query-commands", {"the commands", commands}},
        {"query-cpus", {"the CPUs", cpus}},
        {"query-cpus-fast", {"the CPUs", cpus_fast}},
        {"query-events", {"the events", events}},
        {"query-kvm", {"whether hardware executes the guest", kvm}},
        {"query-machines", {"the boards", machines}},
        {"query-migrate", {"there is never any", migration}},
        {"query-pci",
         {"the functions on the PCI bus", [](const Call& c, const Json& a) { return only(a, {}), query_pci(c); }}},
        {"query-target", {"what kind of machine this is", target}},
        {"query-version", {"the program's version", version}},
    };
    return kCommands;
}

}  // namespace backplane::monitor
