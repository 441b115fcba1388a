// -device, -global, and the display.
#include "option_table.hpp"
#include "translator.hpp"

namespace backplane::qemu {

using drives::Key;
using drives::Keys;
using drives::OptionError;

void Translator::device(const std::string& value, const std::string& option) {
    Keys keys = keys_of(value, "driver", option);
    const std::string driver = keys.text("driver").value_or("");
    if (driver == "help" || driver == "?" || keys.has("help") || keys.has("?")) {
        result_.print = device_list();
        return;
    }
    if (driver.empty()) keys.fail("which device? -device help lists them");
    if (driver.starts_with("ide-")) ide_device_given_ = true;
    if (driver == "isa-serial") serial_given_ = true;
    if (driver == "isa-parallel") parallel_given_ = true;
    if (driver == "VGA" || driver == "isa-vga") vga_ = "std", vga_option_ = option;
    devices_.emplace_back(value, option);
}

void Translator::global(const std::string& value, const std::string& option) {
    const auto dot = value.find('.'), equals = value.find('=');
    Global g;
    g.option = option;
    if (dot != std::string::npos && equals != std::string::npos && dot < equals) {
        g.driver = value.substr(0, dot), g.property = value.substr(dot + 1, equals - dot - 1);
        g.value = value.substr(equals + 1);
    } else {
        Keys keys(value, "", option);
        g.driver = keys.text("driver").value_or(""), g.property = keys.text("property").value_or("");
        g.value = keys.text("value").value_or("");
        keys.reject_rest({"driver", "property", "value"});
    }
    if (g.driver.empty() || g.property.empty()) throw OptionError(option + ": expected DRIVER.PROPERTY=VALUE");
    globals_.push_back(std::move(g));
}

void Translator::vga(const std::string& value, const std::string& option) {
    if (value != "std" && value != "none") throw OptionError(option + ": this version has -vga std and -vga none");
    vga_ = value, vga_option_ = option;
}

void Translator::display(const std::string& value, const std::string& option) {
    if (value != "none")
        throw OptionError(option + ": there is no such display in this version; use -display none or -nographic");
    display_given_ = true;
}

void Translator::no_graphics(const std::string&, const std::string& option) { no_graphics_option_ = option; }

void Translator::network(const std::string& value, const std::string& option) {
    network_given_ = true;
    if (value == "none") return;
    throw OptionError(option + ": not served by this version: there are no network cards; leave it out, or -net none");
}

void Translator::finish_devices() {
    for (const auto& [value, option] : devices_)
        attempt([&] {
            Keys keys = keys_of(value, "driver", option);
            const std::string driver = keys.text("driver").value_or("");
            std::vector<Key> all = keys.all();
            // Defaults go before what the option itself says.
            for (Global& g : globals_) {
                if (g.driver != driver) continue;
                g.used = true;
                all.insert(all.begin(), Key{g.property, g.value});
            }
            if (make_device(driver, Keys(std::move(all), option))) return;
            throw OptionError(option + ": this version has no device \"" + driver +
                              "\"; leave it out (-device help lists those that it has)");
        });
}

bool Translator::make_device(const std::string& driver, Keys keys) {
    if (driver == "ide-hd" || driver == "ide-cd" || driver == "ide-drive") {
        const std::string id = keys.text("drive").value_or("");
        if (const auto it = nodes_.find(id); it != nodes_.end()) {
            drives_.node(id, it->second.parameters, it->second.option);
            nodes_.erase(it);
        }
        return drives_.device(Keys(keys.all(), keys.option()));
    }
    keys.text("driver"), keys.ignore({"id", "bus", "addr"});
    if (driver == "isa-serial")
        serial_device(keys);
    else if (driver == "isa-parallel")
        parallel_device(keys);
    else if (driver == "isa-debugcon")
        debugcon_device(keys);
    else if (driver == "isa-debug-exit")
        exit_device(keys);
    else if (driver == "pc-testdev")
        pc_test_device(keys);
    else if (driver == "pci-testdev")
        pci_test_device(keys);
    else if (driver == "VGA" || driver == "isa-vga")
        display_device(driver, keys);
    else
        return false;
    return true;
}

namespace {

Stream named_stream(Keys& keys) {
    Stream s;
    s.option = keys.option();
    if (const auto id = keys.text("chardev")) s.kind = Stream::Kind::kNamed, s.path = *id;
    return s;
}

constexpr std::uint64_t kMostPort = 0xfff8;

}  // namespace

void Translator::serial_device(Keys& keys) {
    Port port{named_stream(keys), keys.option()};
    port.base = static_cast<unsigned>(keys.number("iobase", 1, kMostPort).value_or(0));
    port.irq = static_cast<unsigned>(keys.number("irq", 1, 15).value_or(0));
    if (const auto index = keys.number("index", 0, 3)) port.index = static_cast<int>(*index);
    keys.reject_rest({"chardev", "index", "iobase", "irq", "id"});
    resolved(port.stream);
    serials_.push_back(std::move(port));
}

void Translator::parallel_device(Keys& keys) {
    Port port{named_stream(keys), keys.option()};
    keys.number("index", 0, 2);
    keys.reject_rest({"chardev", "index", "id"});
    resolved(port.stream);
    if (parallels_.size() >= 3) keys.fail("the board has room for three parallel ports");
    parallels_.push_back(std::move(port));
}

// The board has one at port 402h, for the firmware; others are added.
void Translator::debugcon_device(Keys& keys) {
    constexpr std::uint64_t kUsualPort = 0xe9, kFirmwarePort = 0x402;
    const auto base = keys.number("iobase", 1, kMostPort).value_or(kUsualPort);
    const auto readback = keys.number("readback", 0, 0xff);
    const Stream stream = named_stream(keys);
    keys.reject_rest({"iobase", "chardev", "readback", "id"});
    const bool boards = base == kFirmwarePort && vm_.machine() != "none";
    const std::string name = boards ? "debugcon" : "debugcon-" + std::to_string(base);
    if (vm_.has_device(name)) keys.fail("there is already a debug console at this port");
    VmFile::Entries entries;
    if (!boards) entries = {{"type", "debug.console"}, {"at", std::to_string(base)}};
    if (readback) entries.emplace_back("readback", std::to_string(*readback));
    if (const std::string end = back_end(stream, name); !end.empty()) entries.emplace_back("backend", end);
    if (!entries.empty()) vm_.device(name, entries, keys.option());
}

void Translator::exit_device(Keys& keys) {
    constexpr std::uint64_t kUsualPort = 0x501, kUsualSize = 2;
    const auto base = keys.number("iobase", 1, kMostPort).value_or(kUsualPort);
    const auto size = keys.number("iosize", 1, 8).value_or(kUsualSize);
    keys.reject_rest({"iobase", "iosize", "id"});
    const std::string name = "exit-" + std::to_string(base);
    if (vm_.has_device(name)) keys.fail("there is already a debug exit device at this port");
    vm_.device(name, {{"type", "debug.exit"}, {"at", std::to_string(base)}, {"size", std::to_string(size)}},
               keys.option());
}

// Its ports and lines are those of QEMU's.
void Translator::pc_test_device(Keys& keys) {
    keys.reject_rest({"id"});
    if (vm_.machine() == "isapc") keys.fail("the board isapc has no place for it");
    vm_.device_text("pc-testdev",
                    "{type: debug.pc-testdev, at: {scratch: 0xe0, flush: 0xe4, bytes: 0xe8, lines: 0x2000, memory: "
                    "0xff000000}, irq: [irq0, irq1, ~, irq3, irq4, irq5, irq6, irq7, irq8, irq9, irq10, irq11, irq12, "
                    "irq13, irq14, irq15]}",
                    keys.option());
}

void Translator::pci_test_device(Keys& keys) {
    keys.reject_rest({"id"});
    if (vm_.machine() == "isapc") keys.fail("the board isapc has no PCI bus");
    constexpr const char* kSlot = "pci/3";
    vm_.device("pci-testdev", {{"type", "debug.pci-testdev"}, {"on", kSlot}}, keys.option());
}

void Translator::display_device(const std::string& driver, Keys& keys) {
    if ((driver == "isa-vga") != (vm_.machine() == "isapc"))
        keys.fail(vm_.machine() == "isapc" ? "the board isapc has isa-vga"
                                           : "isa-vga is for -M isapc; this board has VGA");
    keys.ignore({"vgamem_mb", "xres", "yres", "edid"});
    keys.reject_rest({"vgamem_mb"});
}

}  // namespace backplane::qemu
