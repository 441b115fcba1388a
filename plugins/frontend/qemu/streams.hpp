// Where a serial port, a monitor or a protocol goes on the host: "unix:/run/vm,server,nowait" as it was always written,
// or "socket,id=a,path=/run/vm,server=on" as -chardev has it.
#pragma once

#include <string>
#include <string_view>

#include "drives/keys.hpp"

namespace backplane::qemu {

struct Stream {
    enum class Kind { kNone, kConsole, kStdio, kPty, kFile, kUnix, kTcp, kNamed };
    Kind kind = Kind::kNone;
    std::string path;  // file or socket, in full; "HOST:PORT"; or the name of a -chardev
    bool server = false, wait = true, append = false;
    bool with_monitor = false;  // shares its terminal with the monitor
    std::string option;
};

// Throw drives::OptionError.
Stream read_stream(std::string_view text, const std::string& option);
// The backend's type has been taken from the keys, and so has the id.
Stream read_chardev(const std::string& backend, drives::Keys keys);

// In full, as seen from the current folder.
std::string whole_path(const std::string& path);

}  // namespace backplane::qemu
