#include "monitor/drives.hpp"

#include <algorithm>
#include <map>
#include <stdexcept>

namespace backplane::monitor {

namespace {

std::string text(const Json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}
bool flag(const Json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_boolean() && found->get<bool>();
}

// "ide.1/0" is the first drive on the second channel.
std::string place_name(const std::string& on, bool cdrom) {
    const auto dot = on.find('.'), slash = on.find('/');
    if (!on.starts_with("ide") || dot == std::string::npos || slash == std::string::npos || slash < dot) return "";
    return "ide" + on.substr(dot + 1, slash - dot - 1) + (cdrom ? "-cd" : "-hd") + on.substr(slash + 1);
}

}  // namespace

bool Drive::can(const std::string& command) const {
    return std::find(commands.begin(), commands.end(), command) != commands.end();
}
bool Drive::removable() const { return flag(info, "removable"); }
bool Drive::read_only() const { return flag(info, "read_only"); }
bool Drive::locked() const { return flag(info, "locked"); }
bool Drive::tray_open() const { return flag(info, "tray_open"); }
std::string Drive::file() const { return text(info, "file"); }
std::string Drive::format() const { return text(info, "format"); }
std::string Drive::backing() const { return text(info, "backing_file"); }

bool Drive::held() const { return info.value("held", 0) != 0; }

std::uint64_t Drive::counter(const char* kind, const char* what) const {
    const Json statistics = info.value("statistics", Json::object());
    return statistics.value(kind, Json::object()).value(what, std::uint64_t{0});
}

std::vector<Drive> drives(const Call& call) {
    std::vector<Drive> list;
    const Json devices = call("device-list", Json::object());
    std::map<std::string, const Json*> by_name;
    for (const Json& d : devices) by_name[d.at("name")] = &d;
    for (const Json& offer : call("device-commands", Json::object())) {
        Drive drive;
        drive.device = offer.at("device");
        for (const Json& c : offer.at("commands")) drive.commands.push_back(c.at("name"));
        // What tells of a medium is a drive.
        if (!drive.can("info") || !drive.can("change")) continue;
        drive.info = drive_command(call, drive, "info");
        std::string on;
        for (const Json& d : devices)
            for (const Json& link : d.at("links"))
                if (text(link, "name") == "drive" && text(link, "to") == drive.device) {
                    drive.attachment = d.at("name"), on = text(d, "on");
                    drive.cdrom = text(d, "type").ends_with(".cd");
                }
        for (const Json& p : by_name.at(drive.device)->at("properties"))
            if (p.at("name") == "id" && p.at("value").is_string()) drive.id = p.at("value");
        if (drive.id.empty()) drive.id = place_name(on, drive.cdrom);
        if (drive.id.empty()) drive.id = drive.device;
        list.push_back(std::move(drive));
    }
    return list;
}

Drive find_drive(const Call& call, const std::string& name) {
    std::string known;
    for (Drive& d : drives(call)) {
        if (d.id == name || d.device == name || d.attachment == name) return d;
        known += (known.empty() ? "" : ", ") + d.id;
    }
    throw std::runtime_error("there is no drive `" + name.substr(0, 80) + "`" +
                             (known.empty() ? "; the machine has none" : "; there are " + known));
}

Json drive_command(const Call& call, const Drive& drive, const std::string& command, const Json& arguments) {
    return call("device-command", {{"device", drive.device}, {"command", command}, {"arguments", arguments}});
}

}  // namespace backplane::monitor
