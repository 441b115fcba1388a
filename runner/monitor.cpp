#include "runner/monitor.hpp"

#include <chrono>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

#include "backplane/abi/backend.h"
#include "kernel/control/control.hpp"
#include "monitor/hmp.hpp"
#include "runner/keys.hpp"

namespace backplane::runner {

namespace {
constexpr const char* kHelp =
    "help                     this list\n"
    "status                   running or paused, time, instructions\n"
    "stop, cont               pause and continue\n"
    "screen                   the text screen\n"
    "screendump FILE          the picture of the screen as a file: PNG if it ends in .png, otherwise PPM\n"
    "key NAME[-NAME...]       press keys, such as key ctrl-alt-delete\n"
    "type TEXT                type a text (\\n is the Enter key)\n"
    "devices                  the devices on the board\n"
    "state [DEVICE]           declared state of all devices or one\n"
    "report                   where each CPU is and what each device waits for\n"
    "save FILE                write a snapshot\n"
    "load FILE [force]        go back to a snapshot; force: also if a disk was changed meanwhile\n"
    "reload NAME              load a device's plugin (or the file of a new build) anew, under the running guest\n"
    "engine NAME              let the CPUs go on with another engine, such as interp\n"
    "info [WHAT]              block, pci, registers, mtree, qtree, snapshots ...; info lists them\n"
    "eject [-f] DRIVE         take a medium out\n"
    "change DRIVE FILE        put another medium in\n"
    "savevm, loadvm, delvm    machine and disks together, under a name, in qcow2 images\n"
    "x, xp /FORMAT ADDRESS    memory, such as xp /16xb 0x7c00\n"
    "i PORT, o PORT VALUE     read and write a port\n"
    "system_reset             reset the machine\n"
    "system_powerdown         press the power button\n"
    "quit                     end the emulator\n";

std::string unescape(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 1 < text.size()) {
            const char c = text[++i];
            out += c == 'n' ? '\n' : c == 't' ? '\t' : c;
        } else {
            out += text[i];
        }
    }
    return out;
}

std::string line_of(const std::string& error) { return error.empty() ? "" : error + "\n"; }
}  // namespace

// What find_interface() returns is valid under the lock only.
std::string Monitor::screen() {
    std::string answer = "the board has no display\n";
    machine_.locked([&] {
        const bp_interface display = machine_.find_interface(BP_DISPLAY_ID);
        if (!display.table) return;
        const auto* d = static_cast<const bp_display*>(display.table);
        bp_display_size size{};
        size.size = sizeof size;
        d->dimensions(display.instance, &size);
        std::vector<char> text(64 * 1024);
        const std::size_t n = d->text(display.instance, text.data(), text.size());
        answer = size.text_columns
                     ? std::string(text.data(), n)
                     : "graphics mode, " + std::to_string(size.width) + "x" + std::to_string(size.height) + "\n";
    });
    return answer;
}

std::string Monitor::screendump(const std::string& path, PictureFormat format) {
    if (path.empty()) return "screendump needs the name of a file\n";
    Picture picture;
    bool there = false;
    machine_.locked([&] {
        const bp_interface display = machine_.find_interface(BP_DISPLAY_ID);
        if (!display.table) return;
        const auto* d = static_cast<const bp_display*>(display.table);
        bp_display_size size{};
        size.size = sizeof size;
        d->dimensions(display.instance, &size);
        picture.width = size.width, picture.height = size.height;
        picture.pixels.resize(std::size_t{size.width} * size.height);
        d->render(display.instance, picture.pixels.data(), size.width);
        there = true;
    });
    if (!there) return "the board has no display\n";
    const std::string error = write_picture(path, picture, format);
    return error.empty() ? "" : error + "\n";
}

std::string Monitor::change_keys(const std::vector<std::uint32_t>& codes, bool down) {
    std::vector<Inputs::Key> keys;
    for (const auto code : codes) keys.push_back({code, down});
    return line_of(inputs_.wait([&](Inputs::Done done) { inputs_.keys(keys, std::move(done)); }));
}

std::string Monitor::press(const std::vector<std::uint32_t>& codes) {
    std::vector<Inputs::Key> keys;
    for (const auto code : codes) keys.push_back({code, true});
    for (auto it = codes.rbegin(); it != codes.rend(); ++it) keys.push_back({*it, false});
    return line_of(inputs_.wait([&](Inputs::Done done) { inputs_.keys(keys, std::move(done)); }));
}

std::string Monitor::power_button() {
    return line_of(inputs_.wait([&](Inputs::Done done) { inputs_.power_button(std::move(done)); }));
}

std::string Monitor::key(std::string_view combination) {
    const auto codes = key_codes(combination);
    if (!codes) return "unknown key " + std::string(combination) + "\n";
    return press(*codes);
}

std::string Monitor::type(std::string_view text) {
    for (const char c : text) {
        const auto codes = key_codes_for(c);
        if (!codes) return "no key types character " + std::to_string(static_cast<unsigned char>(c)) + "\n";
        for (int tries = 0; tries < 500 && !ended_; ++tries) {
            const std::string error = press(*codes);
            std::this_thread::sleep_for(std::chrono::milliseconds(error.empty() ? 20 : 50));
            if (error.empty()) break;
            if (error.find("full") == std::string::npos) return error;
        }
    }
    return "";
}

Monitor::Monitor(kernel::Machine& machine, Inputs& inputs)
    : machine_(machine), inputs_(inputs), hmp_([&machine](const std::string& name, const kernel::Json& arguments) {
          return machine.control().call(name, arguments);
      }) {}

std::string Monitor::run(const std::string& line) {
    std::istringstream in(line);
    std::string command, rest;
    in >> command;
    std::getline(in >> std::ws, rest);
    if (command.empty()) return "";
    if (command == "help" || command == "?") return kHelp;
    if (command == "quit" || command == "q") return machine_.quit("quit"), "";
    if (command == "system_reset") return machine_.reset(), "";
    if (command == "system_powerdown") return power_button();
    if (command == "stop") return machine_.pause(), "paused\n";
    if (command == "cont" || command == "c") return machine_.resume(), "running\n";
    if (command == "toggle") return run(machine_.paused() ? "cont" : "stop");
    if (command == "screen") return screen();
    if (command == "screendump")
        return screendump(rest, rest.ends_with(".png") ? PictureFormat::kPng : PictureFormat::kPpm);
    if (command == "key" || command == "sendkey") return key(rest);
    if (command == "type") return type(unescape(rest));
    if (command == "save" || command == "load" || command == "reload" || command == "engine")
        return state_command(command, rest);
    if (command == "state") {
        if (!rest.empty() && !machine_.device(rest)) return "no device " + rest + "\n";
        return machine_.state_text(rest);
    }
    if (command == "report") return machine_.report();
    if (command == "status") {
        const std::string all = machine_.report();
        return all.substr(0, all.find('\n') + 1);
    }
    if (command == "devices") {
        std::string text;
        for (const auto& d : machine_.devices()) text += d.name() + "  " + d.type->name + "\n";
        return text;
    }
    // What the readline monitor has beyond that: info, eject, change, savevm ... .
    if (monitor::Hmp::knows(line)) return hmp_.run(line);
    return "unknown command " + command + "; help lists what there is\n";
}

std::string Monitor::state_command(const std::string& command, std::string rest) {
    if (rest.empty()) return command + " needs a name\n";
    std::string text;
    try {
        machine_.standstill([&] {
            if (command == "engine") {
                text = machine_.exchange_engine(rest) + "\n";
            } else if (command == "reload") {
                text = machine_.reload(rest) + "\n";
            } else if (command == "save") {
                machine_.save(rest);
                text = "saved to " + rest + "\n";
            } else {
                const bool force = rest.ends_with(" force");
                if (force) rest.resize(rest.find_last_not_of(' ', rest.size() - 7) + 1);
                machine_.load(rest, force);
                text = "restored from " + rest + "\n";
            }
        });
    } catch (const kernel::Error& e) {
        return std::string(e.what()) + "\n";
    }
    return text;
}

namespace {
// Splits off the first word; "..." counts as one, with \n and \" inside.
std::string word(std::string& line) {
    const auto start = line.find_first_not_of(" \t");
    if (start == std::string::npos) return line.clear(), "";
    line.erase(0, start);
    if (line[0] != '"') {
        const auto end = line.find_first_of(" \t");
        std::string w = line.substr(0, end);
        line.erase(0, end == std::string::npos ? line.size() : end);
        return w;
    }
    std::size_t end = 1;
    while (end < line.size() && line[end] != '"') end += line[end] == '\\' ? 2 : 1;
    std::string w = unescape(std::string_view(line).substr(1, std::min(end, line.size()) - 1));
    line.erase(0, std::min(end + 1, line.size()));
    return w;
}
}  // namespace

std::string run_script(const std::string& path, Monitor& monitor, const std::function<bool()>& ended,
                       const std::function<void(const std::string&)>& print) {
    using clock = std::chrono::steady_clock;
    std::ifstream in(path);
    if (!in) return path + ": cannot be read";
    std::string line;
    for (int number = 1; std::getline(in, line); ++number) {
        const std::string place = path + ":" + std::to_string(number) + ": ";
        std::string rest = line;
        const std::string command = word(rest);
        if (command.empty() || command[0] == '#') continue;
        const auto wait = [&](double seconds, const std::function<bool()>& done) {
            const auto end =
                clock::now() + std::chrono::duration_cast<clock::duration>(std::chrono::duration<double>(seconds));
            while (!done()) {
                if (ended() || clock::now() > end) return false;
                std::this_thread::sleep_for(std::chrono::milliseconds(20));
            }
            return true;
        };
        try {
            if (command == "wait-screen") {
                const std::string text = word(rest), limit = word(rest);
                const double seconds = limit.empty() ? 60 : std::stod(limit);
                if (!wait(seconds, [&] { return monitor.screen().find(text) != std::string::npos; }))
                    return place + "the screen did not show \"" + text + "\" within " + std::to_string(seconds) +
                           " s; it shows:\n" + monitor.screen();
            } else if (command == "sleep") {
                wait(std::stod(word(rest)), [] { return false; });
            } else if (command == "type") {
                if (const std::string error = monitor.type(word(rest)); !error.empty()) return place + error;
            } else if (command == "key") {
                if (const std::string error = monitor.key(word(rest)); !error.empty()) return place + error;
            } else {
                print(monitor.run(line));
            }
        } catch (const std::logic_error&) {
            return place + "expected a number of seconds";
        }
        if (ended()) return "";
    }
    return "";
}

}  // namespace backplane::runner
