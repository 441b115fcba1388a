// Serial and parallel ports, debug console, monitors: what goes where on the host.
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

#include "translator.hpp"

namespace backplane::qemu {

using drives::Keys;
using drives::OptionError;

namespace {

constexpr std::size_t kMostSerials = 4, kMostParallels = 3;
struct PortPlace {
    unsigned base, irq;
};
constexpr std::array<PortPlace, kMostSerials> kSerialPlaces{{{0x3f8, 4}, {0x2f8, 3}, {0x3e8, 4}, {0x2e8, 3}}};
constexpr std::array<PortPlace, kMostParallels> kParallelPlaces{{{0x378, 7}, {0x278, 7}, {0x3bc, 7}}};

std::string hex(unsigned value) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string out;
    for (; value; value >>= 4) out.insert(out.begin(), kDigits[value & 15]);
    return "0x" + (out.empty() ? "0" : out);
}

// Fit for the name of a device.
std::string device_name(const std::string& prefix, const std::string& id) {
    std::string out = prefix + "-";
    for (const char c : id.substr(0, 40))
        out += std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' ? c : '-';
    return out;
}

}  // namespace

void Translator::chardev(const std::string& value, const std::string& option) {
    Keys keys(value, "backend", option);
    const std::string backend = keys.text("backend").value_or("");
    if (backend == "help" || backend == "?") {
        result_.print = "Available chardev backend types:\n  null\n  vc\n  stdio\n  pty\n  file\n  socket\n";
        return;
    }
    const std::string id = keys.text("id").value_or("");
    if (id.empty()) keys.fail("id= is missing");
    if (chardevs_.count(id)) keys.fail("id=" + id + " is already that of " + chardevs_[id].option);
    chardevs_[id] = read_chardev(backend, std::move(keys));
}

void Translator::serial(const std::string& value, const std::string& option) {
    serial_given_ = true;
    if (value == "none") return;  // no port at all
    if (serials_.size() >= kMostSerials) throw OptionError(option + ": the board has room for four serial ports");
    serials_.push_back({read_stream(value, option), option});
}

void Translator::parallel(const std::string& value, const std::string& option) {
    parallel_given_ = true;
    if (value == "none") return;
    if (parallels_.size() >= kMostParallels)
        throw OptionError(option + ": the board has room for three parallel ports");
    parallels_.push_back({read_stream(value, option), option});
}

// As if it were the device, at its usual port.
void Translator::debugcon(const std::string& value, const std::string& option) {
    const Stream stream = read_stream(value, option);
    const bool named = stream.kind == Stream::Kind::kNamed;
    const std::string id = named ? stream.path : "-debugcon-" + std::to_string(++debugcons_);
    if (!named) chardevs_[id] = stream;
    devices_.emplace_back("isa-debugcon,chardev=" + id, option);
}

void Translator::monitor(const std::string& value, const std::string& option) {
    monitor_given_ = true;
    if (value == "none") return;
    protocols_.push_back({read_stream(value, option), false, option, false});
}

void Translator::qmp(const std::string& value, const std::string& option) {
    monitor_given_ = true;
    if (value == "none") return;
    protocols_.push_back({read_stream(value, option), true, option, option.starts_with("-qmp-pretty")});
}

void Translator::mon(const std::string& value, const std::string& option) {
    Keys keys(value, "chardev", option);
    monitor_given_ = true;
    Protocol p;
    p.stream.kind = Stream::Kind::kNamed;
    p.stream.path = keys.text("chardev").value_or("");
    p.stream.option = p.option = option;
    if (p.stream.path.empty()) keys.fail("chardev= is missing");
    p.json = keys.choice("mode", {"readline", "control"}).value_or("readline") == "control";
    p.pretty = keys.boolean("pretty").value_or(false);
    keys.ignore({"default", "id"});
    keys.reject_rest({"chardev", "mode", "pretty", "id"});
    protocols_.push_back(std::move(p));
}

void Translator::debugger(const std::string& value, const std::string& option) {
    if (value == "none") return;
    const Stream s = read_stream(value, option);
    if (s.kind != Stream::Kind::kUnix && s.kind != Stream::Kind::kTcp)
        throw OptionError(option + ": a debugger attaches to tcp::PORT or unix:PATH in this version");
    result_.run.emplace_back("gdb", (s.kind == Stream::Kind::kUnix ? "unix:" : "tcp:") + s.path);
}

void Translator::usual_debugger(const std::string&, const std::string& option) { debugger("tcp::1234", option); }

void Translator::qtest(const std::string& value, const std::string& option) {
    qtest_ = read_stream(value, option);
    qtest_option_ = option;
}

const Stream& Translator::resolved(const Stream& stream) const {
    if (stream.kind != Stream::Kind::kNamed) return stream;
    const auto it = chardevs_.find(stream.path);
    if (it == chardevs_.end()) throw OptionError(stream.option + ": no -chardev has id=" + stream.path);
    return it->second;
}

std::string Translator::back_end(const Stream& named, const std::string& name) {
    const Stream& s = resolved(named);
    take_chardev(named);
    if (s.kind == Stream::Kind::kNone || s.kind == Stream::Kind::kConsole) return "";
    const std::string device = named.kind == Stream::Kind::kNamed ? device_name("chardev", named.path) : name + "-host";
    const auto make = [&](VmFile::Entries entries) { vm_.device(device, entries, s.option); };
    switch (s.kind) {
        case Stream::Kind::kStdio:
            take_stdio(s.option);
            stdio_is_terminal_ = true;
            make({{"type", "chardev.terminal"}});
            break;
        case Stream::Kind::kPty: make({{"type", "chardev.host"}, {"target", "pty"}}); break;
        case Stream::Kind::kFile:
            if (s.append)
                make({{"type", "chardev.file"}, {"path", s.path}, {"append", "true"}});
            else
                make({{"type", "chardev.host"}, {"target", "file:" + s.path}});
            break;
        case Stream::Kind::kUnix:
            if (s.server && !s.wait)
                make({{"type", "chardev.host"}, {"target", "unix:" + s.path}});
            else
                make({{"type", "chardev.unix"}, {"path", s.path}, {s.server ? "wait" : "connect", "true"}});
            break;
        case Stream::Kind::kTcp: {
            VmFile::Entries entries{{"type", "chardev.tcp"}, {"address", s.path}};
            if (!s.server || s.wait) entries.emplace_back(s.server ? "wait" : "connect", "true");
            make(entries);
            break;
        }
        default: break;
    }
    return device;
}

// Where a monitor, QMP or qtest is on the host.
VmFile::Entries Translator::place_of(const Stream& named, const std::string& name, const std::string& option) {
    const Stream& s = resolved(named);
    if (s.kind != Stream::Kind::kFile) take_chardev(named);
    switch (s.kind) {
        case Stream::Kind::kStdio: take_stdio(option); return {{"address", "stdio"}};
        case Stream::Kind::kPty: return {{"address", "pty"}};
        case Stream::Kind::kUnix:
        case Stream::Kind::kTcp: {
            if (s.server && s.wait) warn(option + ": the machine does not wait for a client (as with nowait)");
            VmFile::Entries entries{{"address", (s.kind == Stream::Kind::kUnix ? "unix:" : "tcp:") + s.path}};
            if (!s.server) entries.emplace_back("connect", "true");
            return entries;
        }
        default: return {{"chardev", back_end(named, name)}};
    }
}

// A character stream has one device, but for a terminal whose monitor is behind Ctrl-A c (mux=on).
void Translator::take_chardev(const Stream& stream) {
    if (stream.kind != Stream::Kind::kNamed) return;
    const auto [user, first] = chardev_users_.emplace(stream.path, stream.option);
    if (!first)
        throw OptionError(stream.option + ": the -chardev with id=" + stream.path + " is that of " + user->second +
                          " already");
}

// There is one standard input, and who reads from it takes it from everybody else.
void Translator::take_stdio(const std::string& option) {
    if (!stdio_option_.empty())
        throw OptionError(option + ": standard input and output are those of " + stdio_option_ + " already");
    stdio_option_ = option;
}

// What QEMU would have without being asked.
void Translator::finish_defaults() {
    if (vm_.machine() == "none") return;
    if (!vga_option_.empty())
        vm_.set("vga", vga_, vga_option_);
    else if (nodefaults_)
        vm_.set("vga", "none", "-nodefaults");
    else
        warn(
            "QEMU's default display adapter, a Cirrus card, is not served by this version: the board has a standard "
            "VGA (-vga std)");
    if (!nodefaults_ && !network_given_)
        warn("QEMU's default network card is not served by this version: the board has none (-net none)");
    const bool graphics = no_graphics_option_.empty();
    if (graphics && !display_given_ && !(nodefaults_ && vga_option_.empty()))
        warn(
            "QEMU's window is not served by this version: the screen is shown nowhere (-display none); a monitor's "
            "screendump writes it to a file");
    if (!graphics) vm_.device("fw_cfg", {{"no_graphics", "true"}}, no_graphics_option_);
    if (no_graphics_option_ == "-nographic" && !nodefaults_) {
        Stream terminal;
        terminal.kind = Stream::Kind::kStdio;
        terminal.option = no_graphics_option_;
        terminal.with_monitor = !monitor_given_;
        if (!serial_given_ && serials_.empty())
            serials_.push_back({terminal, no_graphics_option_});
        else if (!monitor_given_)
            protocols_.push_back({terminal, false, no_graphics_option_, false});
    }
}

void Translator::finish_serial(const Port& port, std::size_t number) {
    const std::size_t place = port.index >= 0 ? static_cast<std::size_t>(port.index) : number;
    if (place >= kMostSerials) throw OptionError(port.option + ": the board has room for four serial ports");
    const std::string name = "com" + std::to_string(place + 1);
    const unsigned base = port.base ? port.base : kSerialPlaces[place].base;
    const unsigned irq = port.irq ? port.irq : kSerialPlaces[place].irq;
    VmFile::Entries entries;
    if (place > 0) entries.emplace_back("type", "serial.uart16550");
    if (place > 0 || port.base) entries.emplace_back("at", hex(base));
    if (place > 0 || port.irq) entries.emplace_back("irq", "irq" + std::to_string(irq));
    const std::string end = back_end(port.stream, name);
    if (!end.empty()) entries.emplace_back("backend", end);
    if (!entries.empty()) vm_.device(name, entries, port.option);
}

void Translator::finish_parallel(const Port& port, std::size_t number) {
    const std::string name = "lpt" + std::to_string(number + 1);
    VmFile::Entries entries;
    if (number > 0) {
        entries.emplace_back("type", "parallel.pc");
        entries.emplace_back("at", hex(kParallelPlaces[number].base));
        entries.emplace_back("irq", "irq" + std::to_string(kParallelPlaces[number].irq));
    }
    const std::string end = back_end(port.stream, name);
    if (!end.empty()) entries.emplace_back("backend", end);
    if (!entries.empty()) vm_.device(name, entries, port.option);
}

void Translator::finish_ports() {
    for (std::size_t i = 0; i < serials_.size(); ++i) attempt([&] { finish_serial(serials_[i], i); });
    for (std::size_t i = 0; i < parallels_.size(); ++i) attempt([&] { finish_parallel(parallels_[i], i); });
    if (vm_.machine() == "none") return;
    // The board brings one of each, which QEMU's -nodefaults and none take away.
    if (serials_.empty() && (nodefaults_ || serial_given_))
        vm_.remove("com1", serial_given_ ? "-serial none" : "-nodefaults");
    if (parallels_.empty() && (nodefaults_ || parallel_given_))
        vm_.remove("lpt1", parallel_given_ ? "-parallel none" : "-nodefaults");
}

void Translator::finish_protocols() {
    unsigned monitors = 0, servers = 0;
    for (const Protocol& p : protocols_)
        attempt([&] {
            const Stream& s = resolved(p.stream);
            if (s.kind == Stream::Kind::kNone || s.kind == Stream::Kind::kConsole) return;
            // The terminal of a serial port has the monitor behind Ctrl-A c.
            if (!p.json && s.kind == Stream::Kind::kStdio && stdio_is_terminal_) {
                if (!s.with_monitor) take_chardev(p.stream);
                return;
            }
            const std::string name =
                p.json ? "qmp" + std::to_string(servers++) : "monitor" + std::to_string(monitors++);
            VmFile::Entries entries{{"type", p.json ? "control.qmp" : "control.monitor"}};
            for (auto& entry : place_of(p.stream, name, p.option)) entries.push_back(std::move(entry));
            if (p.json && p.pretty) entries.emplace_back("pretty", "true");
            vm_.device(name, entries, p.option);
        });
    attempt([&] {
        bool qtest = !qtest_option_.empty();
        if (qtest) {
            const Stream::Kind kind = resolved(qtest_).kind;
            if (kind == Stream::Kind::kNone || kind == Stream::Kind::kConsole || kind == Stream::Kind::kFile)
                throw OptionError(qtest_option_ + ": qtest needs stdio, pty or a socket");
            VmFile::Entries entries{{"type", "control.qtest"}};
            for (auto& entry : place_of(qtest_, "qtest", qtest_option_)) entries.push_back(std::move(entry));
            vm_.device("qtest", entries, qtest_option_);
        }
        if (accelerators_.empty() && qtest) accelerators_.push_back("qtest"), accelerator_option_ = qtest_option_;
        static constexpr std::pair<const char*, const char*> kEngines[] = {
            {"tcg", "interp"}, {"kvm", "auto"}, {"qtest", "none"}};
        for (const std::string& name : accelerators_)
            for (const auto& [accelerator, engine] : kEngines) {
                if (name != accelerator) continue;
                // As qemu-kvm did, the guest runs without KVM as well; who has named nothing else is told.
                if (name == "kvm" && accelerators_.size() == 1 && ::access("/dev/kvm", R_OK | W_OK) != 0)
                    warn(accelerator_option_ + ": /dev/kvm: " + std::system_category().message(errno) +
                         "; instructions are interpreted, which takes longer");
                if (vm_.machine() != "none") vm_.set("cpu.engine", engine, accelerator_option_);
                return;
            }
        if (!accelerators_.empty())
            warn(accelerator_option_ + ": " + accelerators_.front() +
                 " is not usable by this version; instructions are interpreted (tcg), which takes longer");
    });
}

}  // namespace backplane::qemu
