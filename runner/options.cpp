#include "runner/options.hpp"

#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>

#include "kernel/config/convert.hpp"
#include "libs/drives/boot.hpp"
#include "runner/terminal.hpp"

namespace backplane::runner {

Context::Context() : search(kernel::SearchPaths::standard()), registry(std::make_unique<kernel::PluginRegistry>()) {
    use_terminal();
    registry->scan(search.plugins);
}

void Context::use_terminal() { registry->add(terminal_type(), true); }

namespace {

// Drives that name no place keep away from those of the VM file.
void occupy(drives::DriveList& list, const kernel::BoardRequest& request) {
    if (request.vm_file.empty() || !list.asks_for_places()) return;
    const kernel::BoardSpec board = kernel::load_board(request, kernel::SearchPaths::standard());
    for (unsigned i = 0; i < drives::kPositions; ++i)
        for (const char* key : {".file", ".media"}) {
            const kernel::Parameter* p = board.parameter("drives." + std::string(drives::kPositionNames[i]) + key);
            if (p && p->given) list.occupy(i);
        }
}

void add_drives(kernel::BoardRequest& request, const BoardOptions& options) {
    try {
        drives::DriveList list = options.drives;
        if (!list.empty()) {
            occupy(list, request);
            for (const drives::Setting& s : list.settings()) request.settings.push_back({s.path, s.value, s.option});
            for (const std::string& text : list.warnings()) std::fprintf(stderr, "backplane: %s\n", text.c_str());
        }
        if (!options.boot.empty())
            for (const drives::Setting& s : drives::boot_settings(options.boot, "--boot " + options.boot))
                request.settings.push_back({s.path, s.value, s.option});
    } catch (const drives::OptionError& e) {
        throw kernel::Error(e.what());
    }
}

// In the order of the command line, whatever stands between: a --device belongs to a --drive before it.
void add_drive_options(CLI::App& app, BoardOptions& o) {
    const auto option = [&app](const char* flags, const char* type, const char* help,
                               std::function<void(const std::string& value)> take) {
        app.add_option_function<std::string>(
               flags,
               [take](const std::string& value) {
                   try {
                       take(value);
                   } catch (const drives::OptionError& e) {
                       throw kernel::Error(e.what());
                   }
               },
               help)
            ->type_name(type)
            ->allow_extra_args(false)
            ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast)
            ->trigger_on_parse();
    };
    static constexpr std::array kHelp{"disk image or block device: primary master", "primary slave", "secondary master",
                                      "secondary slave"};
    for (unsigned i = 0; i < drives::kPositions; ++i) {
        const std::string flag = "--" + std::string(drives::kPositionNames[i]);
        option(flag.c_str(), "FILE", kHelp[i],
               [&o, i, flag](const std::string& file) { o.drives.disk(i, file, flag + " " + file); });
    }
    option("--cdrom", "FILE", "disc image (ISO) in a CD-ROM drive: secondary master",
           [&o](const std::string& file) { o.drives.cdrom(file, "--cdrom " + file); });
    option(
        "--drive", "KEY=VALUE,...",
        "a drive with all it can be told: file= if=ide|none index= bus= unit= media=disk|cdrom format= cache= boot=on "
        "readonly=on cyls= heads= secs= trans= snapshot=on serial= werror= rerror= id=; may be repeated",
        [&o](const std::string& text) { o.drives.drive(text, "--drive " + text); });
    option("--device", "TYPE,KEY=VALUE,...",
           "attaches a --drive with if=none: ide-hd, ide-cd or ide-drive, with drive=ID bus=ide.0 unit= cyls= heads= "
           "secs= bios-chs-trans= serial= ver= bootindex=",
           [&o](const std::string& text) {
               if (!o.drives.device(text, "--device " + text))
                   throw kernel::Error("--device " + text +
                                       ": this option knows ide-hd, ide-cd and ide-drive; other devices are added in a "
                                       "VM file, under `devices`");
           });
    app.add_option("--boot", o.boot,
                   "boot order: a, b floppy, c disk, d CD-ROM, n network; such as cad, or order=c,once=d,menu=on")
        ->type_name("ORDER");
}

// The board has a place for one; further ones are devices of their own.
void add_controls(kernel::BoardRequest& r, const std::vector<std::string>& controls) {
    for (std::size_t i = 0; i < controls.size(); ++i) {
        const std::string option = "--control " + controls[i];
        if (i == 0)
            r.settings.push_back({"control", controls[i], option});
        else
            r.settings.push_back({"devices.control-" + std::to_string(i + 1),
                                  "{type: control.qmp, address: " + nlohmann::json(controls[i]).dump() + "}", option});
    }
}

}  // namespace

kernel::BoardRequest BoardOptions::request() const {
    kernel::BoardRequest r;
    r.machine = machine;
    r.vm_file = vm;
    if (machine.empty() && vm.empty()) r.machine = "pc-0.12";
    for (const auto& [name, value] : shortcuts)
        r.settings.push_back({name, value, "--" + name.substr(0, name.find('.')) + " " + value});
    add_drives(r, *this);
    for (const std::string& s : sets) {
        const auto equals = s.find('=');
        if (equals == std::string::npos || equals == 0)
            throw kernel::Error("--set " + s + ": expected path=value, such as --set memory=256M");
        r.settings.push_back({s.substr(0, equals), s.substr(equals + 1), "--set " + s});
    }
    add_controls(r, controls);
    return r;
}

void require_deterministic(kernel::BoardRequest& request, const kernel::SearchPaths& search,
                           const std::string& option) {
    const kernel::BoardSpec board = kernel::load_board(request, search);
    const kernel::Value* mode = board.clock.find("mode");
    if (mode && mode->is_scalar() && mode->text() == "deterministic") return;
    // What a board says is a default; a VM file and an option are somebody's wish.
    const kernel::Position where = mode ? mode->position() : kernel::Position{};
    if (mode && (!where.from_file() || (!board.vm_file.empty() && *where.file == board.vm_file)))
        throw kernel::Error(
            where, option + " needs the deterministic clock, and " + kernel::in_ticks(mode->text()) + " is asked for");
    request.settings.push_back({"clock.mode", "deterministic", option});
}

void add_board_options(CLI::App& app, BoardOptions& o) {
    app.add_option("vm", o.vm, "VM file (configs/*.yaml) or its name, or a board's name")->type_name("VM.yaml");
    app.add_option("--machine,-M", o.machine, "board: a machine file or its name (default pc-0.12)")->type_name("NAME");
    app.add_option("--set", o.sets, "set a parameter or a device's property; may be repeated")
        ->type_name("PATH=VALUE")
        ->allow_extra_args(false);
    app.add_option("--control", o.controls,
                   "control socket for `backplane ctl`: unix:PATH or tcp:127.0.0.1:PORT; may be repeated")
        ->type_name("WHERE")
        ->allow_extra_args(false);
    add_drive_options(app, o);
    // What a short option means is written in the board file (`aliases`).
    static const struct {
        const char *name, *flags, *type, *help;
    } kShortcuts[] = {
        {"memory", "--memory,-m", "SIZE", "guest RAM, such as 256M"},
        {"cpu", "--cpu", "MODEL", "CPU model, with changes: qemu64,+ssse3,-nx (`backplane cpu list`)"},
        {"smp", "--smp", "N", "number of processors (pc-0.12: 1 to 16)"},
        {"engine", "--engine", "ENGINE", "CPU engine: interp, kvm, auto for the fastest that works, or none"},
        {"vga", "--vga", "CARD", "display adapter: std or none"},
        {"serial", "--serial", "WHERE", "first serial port: stdio, none, pty, file:PATH, unix:PATH"},
        {"parallel", "--parallel", "WHERE", "parallel port: none, file:PATH, pty, unix:PATH"},
        {"debugcon", "--debugcon", "WHERE", "firmware's messages (port 402h): none, stdio, file:PATH, pty, unix:PATH"},
        {"firmware", "--firmware", "IMAGE", "firmware image: bios.bin (default), bios-256k.bin or a path"},
        {"kernel", "--kernel", "FILE", "kernel to start without a disk: Linux or Multiboot"},
        {"initrd", "--initrd", "FILE",
         "the kernel's initial RAM disk; for Multiboot its modules: \"FILE ARGUMENTS,FILE ARGUMENTS\""},
        {"append", "--append", "TEXT", "the kernel's command line"},
        {"clock.mode", "--clock", "MODE", "realtime or deterministic"},
    };
    for (const auto& s : kShortcuts) {
        const std::string name = s.name;
        app.add_option_function<std::string>(
               s.flags, [&o, name](const std::string& value) { o.shortcuts.emplace_back(name, value); }, s.help)
            ->type_name(s.type)
            ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    }
}

}  // namespace backplane::runner
