// The drives of a machine as its devices tell of them, with the names that monitors have always given them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "monitor/call.hpp"

namespace backplane::monitor {

struct Drive {
    std::string device;      // on the board: "hda-drive"
    std::string attachment;  // what the guest sees: "hda"; "" if nothing is attached
    std::string id;          // "ide0-hd0", or what the user called it
    bool cdrom = false;
    Json info = Json::object();  // as the device's command `info` returns it
    std::vector<std::string> commands;

    bool can(const std::string& command) const;
    bool removable() const;
    bool read_only() const;
    bool locked() const;
    bool tray_open() const;
    std::string file() const;  // "" if there is no medium
    std::string format() const;
    std::string backing() const;
    bool held() const;  // a request failed and waits for the machine to go on
    // kind: "reads", "writes", "flushes"; what: "requests", "bytes", "errors".
    std::uint64_t counter(const char* kind, const char* what) const;
};

std::vector<Drive> drives(const Call& call);
// By id, or by the name of the device or its attachment. Throws std::runtime_error.
Drive find_drive(const Call& call, const std::string& name);
Json drive_command(const Call& call, const Drive& drive, const std::string& command,
                   const Json& arguments = Json::object());

}  // namespace backplane::monitor
