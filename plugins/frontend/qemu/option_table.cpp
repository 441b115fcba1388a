#include "option_table.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "cpumodel/cpumodel.hpp"

namespace backplane::qemu {
namespace {

using T = Translator;

constexpr std::string_view kLeaveOut = "leave it out";
constexpr std::string_view kNoNetwork = "there are no network cards in this version; leave it out, or -net none";
constexpr std::string_view kNoWindow =
    "there is no window in this version; leave it out, or use -display none or -nographic";
constexpr std::string_view kNoUsb = "there is no USB in this version; leave it out (the PS/2 mouse and keyboard stay)";
constexpr std::string_view kNoFloppy = "there is no floppy drive in this version; leave it out";
constexpr std::string_view kNoSound = "there is no sound card in this version; leave it out";
constexpr std::string_view kHelp = "for the program itself";

// The order is that of the help.
constexpr std::array kOptions{
    Option{"M", "MACHINE", &T::machine, "the board: pc, pc-0.12, pc-0.11, isapc, none; help lists them"},
    Option{"machine", "TYPE,accel=...", &T::machine, "the same, with accel="},
    Option{"m", "MEGABYTES", &T::memory, "memory: 1024, 1G, size=1G"},
    Option{"smp", "N", &T::processors, "number of processors; also cpus=, sockets=, cores=, threads="},
    Option{"cpu", "MODEL", &T::cpu, "processor; help lists them"},
    Option{"accel", "NAME", &T::accelerator, "tcg, kvm, qtest; may be repeated, the first usable one is taken"},
    Option{"enable-kvm", "", &T::enable_kvm, "the host's processor runs the guest, where it can"},
    Option{"no-kvm", "", &T::nothing, "as it is anyway"},
    Option{"nodefaults", "", &T::no_default_devices, "no devices but those that are named"},
    Option{"name", "NAME", &T::name, "name of the machine"},
    Option{"uuid", "UUID", &T::uuid, "UUID of the machine"},
    Option{"S", "", &T::paused, "stands still until a monitor or a debugger lets it go on"},
    Option{"gdb", "WHERE", &T::debugger, "a debugger may attach there: tcp::PORT, unix:PATH"},
    Option{"s", "", &T::usual_debugger, "-gdb tcp::1234"},
    Option{"no-reboot", "", &T::no_reboot, "ends (with status 4) when the guest resets the machine"},
    Option{"no-shutdown", "", &T::no_shutdown, "has no effect: the program ends when the guest powers off"},
    Option{"action", "reboot=...", &T::action, "reboot=reset|shutdown, shutdown=poweroff"},
    Option{"boot", "ORDER", &T::boot, "cad, or order=,once=,menu=on"},
    Option{"rtc", "base=...", &T::rtc, "base=utc|localtime|DATE, clock=host|vm"},
    Option{"localtime", "", &T::localtime, "-rtc base=localtime"},
    Option{"startdate", "DATE", &T::startdate, "-rtc base=DATE"},
    Option{"bios", "FILE", &T::bios, "firmware image"},
    Option{"kernel", "FILE", &T::kernel, "kernel to start without a disk: Linux or Multiboot"},
    Option{"initrd", "FILE", &T::initrd, "its initial RAM disk, or modules: FILE ARGUMENTS,FILE ARGUMENTS"},
    Option{"append", "TEXT", &T::append, "its command line"},
    Option{"L", "FOLDER", &T::data_folder, "folder with bios.bin and vgabios-stdvga.bin"},
    Option{"no-hpet", "", &T::no_hpet, "no HPET on the board"},
    Option{"hda", "FILE", &T::disk<0>, "disk: primary master"},
    Option{"hdb", "FILE", &T::disk<1>, "disk: primary slave"},
    Option{"hdc", "FILE", &T::disk<2>, "disk: secondary master"},
    Option{"hdd", "FILE", &T::disk<3>, "disk: secondary slave"},
    Option{"cdrom", "FILE", &T::cdrom, "disc in a CD-ROM drive: secondary master"},
    Option{"drive", "KEY=VALUE,...", &T::drive,
           "file= if=ide|none index= bus= unit= media= format= cache= boot=on readonly=on cyls= heads= secs= trans= "
           "snapshot=on serial= werror= rerror= discard= id="},
    Option{"blockdev", "KEY=VALUE,...", &T::blockdev, "driver=file|host_device|raw|qcow2, node-name=; or JSON"},
    Option{"snapshot", "", &T::snapshot, "what is written to any disk is dropped at the end"},
    Option{"device", "DRIVER,...", &T::device, "a device; help lists them"},
    Option{"global", "DRIVER.PROPERTY=VALUE", &T::global, "a default for the -device options"},
    Option{"vga", "std|none", &T::vga, "display adapter"},
    Option{"display", "none", &T::display, "no window"},
    Option{"nographic", "", &T::no_graphics, "serial port and monitor in this terminal (Ctrl-A c)"},
    Option{"chardev", "BACKEND,id=ID,...", &T::chardev, "null, stdio, pty, file, socket (server,nowait)"},
    Option{"serial", "WHERE", &T::serial, "serial port; up to four"},
    Option{"parallel", "WHERE", &T::parallel, "parallel port"},
    Option{"debugcon", "WHERE", &T::debugcon, "text that the guest writes to port E9h (-global isa-debugcon.iobase=)"},
    Option{"monitor", "WHERE", &T::monitor, "readline monitor"},
    Option{"mon", "chardev=ID,mode=...", &T::mon, "monitor on a -chardev: mode=readline|control"},
    Option{"qmp", "WHERE", &T::qmp, "QMP server"},
    Option{"qmp-pretty", "WHERE", &T::qmp, "the same, spread over lines"},
    Option{"qtest", "WHERE", &T::qtest, "another program drives the devices (with -accel qtest)"},
    Option{"net", "none", &T::network, "no network card"},
    Option{"nic", "none", &T::network, "no network card"},
    Option{"print-yaml", "", &T::print_machine, "writes the equivalent VM file and runs nothing"},
    Option{"help", "", &T::help, kHelp},
    Option{"h", "", &T::help, kHelp},
    Option{"version", "", &T::version, kHelp},

    // Without an effect here, and harmless.
    Option{"no-user-config", "", &T::nothing, ""},
    Option{"nodefconfig", "", &T::nothing, ""},
    Option{"no-kvm-irqchip", "", &T::nothing, ""},
    Option{"no-kvm-pit", "", &T::nothing, ""},
    Option{"no-kvm-pit-reinjection", "", &T::nothing, ""},
    Option{"enable-nesting", "", &T::nothing, ""},
    Option{"no-quit", "", &T::nothing, ""},
    Option{"no-frame", "", &T::nothing, ""},
    Option{"alt-grab", "", &T::nothing, ""},
    Option{"ctrl-grab", "", &T::nothing, ""},
    Option{"rtc-td-hack", "", &T::nothing, ""},
    Option{"tdf", "", &T::nothing, ""},
    Option{"msg", "timestamp=on", &T::nothing, ""},
    Option{"sandbox", "on", &T::nothing, ""},
    Option{"qtest-log", "FILE", &T::nothing, ""},
    Option{"mem-prealloc", "", &T::nothing, ""},
    Option{"overcommit", "KEY=VALUE", &T::nothing, ""},

    // Known and not served.
    Option{"fda", "FILE", nullptr, kNoFloppy},
    Option{"fdb", "FILE", nullptr, kNoFloppy},
    Option{"no-fd-bootchk", "", nullptr, "the check of boot sectors cannot be switched off; leave it out"},
    Option{"win2k-hack", "", nullptr, "disks are not slowed down for Windows 2000; leave it out"},
    Option{"no-acpi", "", nullptr, "the board always has ACPI; leave it out, or -M isapc"},
    Option{"mtdblock", "FILE", nullptr, kLeaveOut},
    Option{"sd", "FILE", nullptr, kLeaveOut},
    Option{"pflash", "FILE", nullptr, "give the firmware with -bios"},
    Option{"hdachs", "C,H,S", nullptr, "give the geometry with -drive file=...,cyls=,heads=,secs="},
    Option{"netdev", "TYPE,...", nullptr, kNoNetwork},
    Option{"tftp", "FOLDER", nullptr, kNoNetwork},
    Option{"bootp", "FILE", nullptr, kNoNetwork},
    Option{"smb", "FOLDER", nullptr, kNoNetwork},
    Option{"redir", "RULE", nullptr, kNoNetwork},
    Option{"usb", "", nullptr, kNoUsb},
    Option{"usbdevice", "DEVICE", nullptr, kNoUsb},
    Option{"soundhw", "CARD", nullptr, kNoSound},
    Option{"audiodev", "DRIVER", nullptr, kNoSound},
    Option{"audio-help", "", nullptr, kNoSound},
    Option{"sdl", "", nullptr, kNoWindow},
    Option{"curses", "", nullptr, kNoWindow},
    Option{"vnc", "DISPLAY", nullptr, kNoWindow},
    Option{"spice", "OPTIONS", nullptr, kNoWindow},
    Option{"full-screen", "", nullptr, kNoWindow},
    Option{"g", "WIDTHxHEIGHT", nullptr, kNoWindow},
    Option{"portrait", "", nullptr, kNoWindow},
    Option{"rotate", "DEGREES", nullptr, kNoWindow},
    Option{"show-cursor", "", nullptr, kNoWindow},
    Option{"k", "LANGUAGE", nullptr, "there is no window whose keys could have a layout; leave it out"},
    Option{"echr", "CODE", nullptr, "the terminal's key is Ctrl-A; leave it out"},
    Option{"dtb", "FILE", nullptr, kLeaveOut},
    Option{"option-rom", "FILE", nullptr, kLeaveOut},
    Option{"acpitable", "OPTIONS", nullptr, kLeaveOut},
    Option{"smbios", "OPTIONS", nullptr, kLeaveOut},
    Option{"fw_cfg", "OPTIONS", nullptr, kLeaveOut},
    Option{"daemonize", "", nullptr, "start it in the background (with &, nohup or a service manager)"},
    Option{"pidfile", "FILE", nullptr, "have the shell or service manager that starts it write the number ($!)"},
    Option{"runas", "USER", nullptr, "start it as this user"},
    Option{"chroot", "FOLDER", nullptr, kLeaveOut},
    Option{"incoming", "WHERE", nullptr,
           "machines do not move in this version; `backplane run --restore` goes on from a snapshot file"},
    Option{"loadvm", "TAG", nullptr, "`backplane run --restore FILE` goes on from a snapshot file"},
    Option{"only-migratable", "", nullptr, kLeaveOut},
    Option{"singlestep", "", nullptr, "`backplane run --trace-instructions` writes every instruction"},
    Option{"d", "ITEMS", nullptr, "`backplane run` has --log and --trace; leave it out"},
    Option{"D", "FILE", nullptr, "`backplane run` has --log and --trace-file; leave it out"},
    Option{"trace", "EVENTS", nullptr, "`backplane run` has --trace; leave it out"},
    Option{"icount", "N", nullptr, "`backplane run --clock deterministic` counts instructions"},
    Option{"watchdog", "MODEL", nullptr, kLeaveOut},
    Option{"watchdog-action", "ACTION", nullptr, kLeaveOut},
    Option{"balloon", "TYPE", nullptr, kLeaveOut},
    Option{"virtfs", "OPTIONS", nullptr, kLeaveOut},
    Option{"fsdev", "OPTIONS", nullptr, kLeaveOut},
    Option{"virtioconsole", "WHERE", nullptr, kLeaveOut},
    Option{"virtio-console", "WHERE", nullptr, kLeaveOut},
    Option{"tpmdev", "OPTIONS", nullptr, kLeaveOut},
    Option{"object", "TYPE,...", nullptr, kLeaveOut},
    Option{"numa", "OPTIONS", nullptr, kLeaveOut},
    Option{"mem-path", "FOLDER", nullptr, kLeaveOut},
    Option{"add-fd", "OPTIONS", nullptr, kLeaveOut},
    Option{"set", "GROUP.ID.ARG=VALUE", nullptr, "write the value at the option itself"},
    Option{"readconfig", "FILE", nullptr, "write its contents as options"},
    Option{"writeconfig", "FILE", nullptr, "-print-yaml writes a VM file"},
    Option{"pcidevice", "ADDRESS", nullptr, "host devices cannot be handed to the guest; leave it out"},
    Option{"bt", "OPTIONS", nullptr, kLeaveOut},
    Option{"prom-env", "TEXT", nullptr, kLeaveOut},
    Option{"semihosting", "", nullptr, kLeaveOut},
    Option{"semihosting-config", "OPTIONS", nullptr, kLeaveOut},
    Option{"old-param", "", nullptr, kLeaveOut},
    Option{"plugin", "FILE", nullptr, "plugins of this program are found by BACKPLANE_PLUGIN_PATH; leave it out"},
    Option{"preconfig", "", nullptr, kLeaveOut},
    Option{"dump-vmstate", "FILE", nullptr, kLeaveOut},
    Option{"enable-sync-profile", "", nullptr, kLeaveOut},
    Option{"tb-size", "N", nullptr, kLeaveOut},
    Option{"async-teardown", "", nullptr, kLeaveOut},
    Option{"xen-domid", "N", nullptr, kLeaveOut},
    Option{"xen-attach", "", nullptr, kLeaveOut},
};

std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t substituted = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
        }
    }
    return row[b.size()];
}

}  // namespace

std::span<const Option> options() { return kOptions; }

const Option* find_option(std::string_view name) {
    if (name == "?") name = "help";
    for (const Option& o : kOptions)
        if (o.name == name) return &o;
    return nullptr;
}

std::string suggestion(std::string_view name) {
    constexpr std::size_t kLongest = 40;
    if (name.size() < 3 || name.size() > kLongest) return "";
    const Option* best = nullptr;
    std::size_t least = std::min<std::size_t>(3, (name.size() + 1) / 2);
    for (const Option& o : kOptions)
        if (const std::size_t d = distance(name, o.name); d < least) least = d, best = &o;
    return best ? "; did you mean -" + std::string(best->name) + "?" : "";
}

std::string help_text() {
    std::string text =
        "backplane qemu OPTION... [DISK]: options of QEMU 0.12 to 7.2, as far as this version serves them.\n"
        "The same under the names kvm, qemu-kvm and *-system-x86_64.\n\n";
    for (const Option& o : kOptions) {
        if (!o.handler || o.text.empty()) continue;
        std::string left = "  -" + std::string(o.name) + (o.argument.empty() ? "" : " " + std::string(o.argument));
        left += std::string(left.size() < 30 ? 30 - left.size() : 1, ' ');
        text += left + std::string(o.text) + "\n";
    }
    text += "\nWithout an effect here:";
    for (const Option& o : kOptions)
        if (o.handler && o.text.empty()) text += " -" + std::string(o.name);
    text += "\nKnown and not served:";
    for (const Option& o : kOptions)
        if (!o.handler) text += " -" + std::string(o.name);
    return text + "\n";
}

std::string board_list() {
    return "Supported machines are:\n"
           "pc                   the default: pc-0.12\n"
           "pc-0.12              the PC that qemu-kvm 0.12 showed to its guests (default)\n"
           "pc-0.11              pc-0.12 with the drives of qemu-kvm 0.11\n"
           "isapc                a PC/AT without PCI\n"
           "none                 an empty machine\n"
           "Other pc-* names stand for pc-0.12, with a warning.\n";
}

std::string cpu_list() {
    std::string text = "Available CPUs:\n";
    for (const cpumodel::CpuModel& m : cpumodel::models()) {
        std::string name(m.name);
        name.resize(std::max<std::size_t>(name.size(), 16), ' ');
        text += "x86 " + name + " " + std::string(m.doc) + "\n";
    }
    text += "Other names of QEMU's stand for max, with a warning.\n\nRecognized CPUID flags:\n ";
    std::size_t column = 1;
    for (const cpumodel::FeatureInfo& f : cpumodel::features()) {
        if (!f.absent.empty()) continue;
        constexpr std::size_t kWidth = 78;
        if (column + 1 + f.name.size() > kWidth) text += "\n ", column = 1;
        text += " " + std::string(f.name);
        column += 1 + f.name.size();
    }
    return text + "\n";
}

std::string device_list() {
    return "name \"ide-hd\", bus IDE: hard disk on a -drive with if=none\n"
           "name \"ide-cd\", bus IDE: CD-ROM drive\n"
           "name \"ide-drive\", bus IDE: what media= of the -drive says\n"
           "name \"isa-serial\", bus ISA: serial port: chardev= index= iobase= irq=\n"
           "name \"isa-parallel\", bus ISA: parallel port: chardev=\n"
           "name \"isa-debugcon\", bus ISA: debug console: iobase= chardev= readback=\n"
           "name \"pc-testdev\", bus ISA: test device for processors\n"
           "name \"pci-testdev\", bus PCI: test function\n"
           "name \"isa-debug-exit\", bus ISA: debug exit port: iobase= iosize=\n"
           "name \"VGA\", bus PCI: standard VGA\n"
           "name \"isa-vga\", bus ISA: standard VGA of the board isapc\n";
}

bool is_foreign_cpu(std::string_view name) {
    static constexpr std::array kNames{"host",
                                       "base",
                                       "Conroe",
                                       "Penryn",
                                       "Nehalem",
                                       "Westmere",
                                       "SandyBridge",
                                       "IvyBridge",
                                       "Haswell",
                                       "Broadwell",
                                       "Skylake-Client",
                                       "Skylake-Server",
                                       "Cascadelake-Server",
                                       "Cooperlake",
                                       "Icelake-Server",
                                       "Snowridge",
                                       "Denverton",
                                       "KnightsMill",
                                       "Dhyana",
                                       "EPYC",
                                       "EPYC-Rome",
                                       "EPYC-Milan",
                                       "Opteron_G1",
                                       "Opteron_G2",
                                       "Opteron_G3",
                                       "Opteron_G4",
                                       "Opteron_G5",
                                       "cpu64-rhel5",
                                       "cpu64-rhel6"};
    // Variants: Haswell-noTSX, EPYC-v2.
    return std::any_of(kNames.begin(), kNames.end(), [&](std::string_view known) {
        return name == known || (name.starts_with(known) && name.substr(known.size()).starts_with('-'));
    });
}

}  // namespace backplane::qemu
