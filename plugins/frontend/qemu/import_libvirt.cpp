// libvirt's <domain>.
#include <algorithm>
#include <array>

#include "import.hpp"
#include "xml.hpp"

namespace backplane::qemu {

using drives::OptionError;

namespace {

class Reader {
  public:
    Reader(const std::string& path, std::string_view contents) : path_(path), file_(path, contents) {}

    Imported run() {
        const pugi::xml_node domain =
            file_.root().name() == std::string_view("domain") ? file_.root() : file_.root().child("domain");
        if (!domain) throw OptionError(path_ + ": there is no <domain> in it");
        add("nodefaults", "", domain);
        read_top(domain);
        read_os(domain.child("os"));
        read_clock(domain.child("clock"));
        for (const pugi::xml_node node : domain.child("devices")) device(node);
        // libvirt gives a domain with a screen and without a card a card of its own choice.
        if (const pugi::xml_node graphics = domain.child("devices").child("graphics"); !has_graphics_card_ && graphics)
            video(graphics);
        if (!has_graphics_card_) add("vga", "none", domain);
        add("display", "none", domain);
        read_command_line(domain.child("qemu:commandline"));
        return std::move(out_);
    }

  private:
    void add(const std::string& option, const std::string& value, pugi::xml_node node) {
        out_.items.push_back({option, value, file_.place(node)});
    }
    void remark(pugi::xml_node node, const std::string& text) {
        out_.remarks.push_back(file_.place(node) + ": " + text);
    }
    static std::string text(pugi::xml_node node) { return node.text().get(); }

    void read_top(pugi::xml_node domain) {
        static constexpr std::array kWithoutEffect{
            "currentMemory", "on_poweroff",      "on_crash",  "seclabel", "metadata", "title",
            "description",   "resource",         "pm",        "id",       "os",       "clock",
            "devices",       "qemu:commandline", "iothreads", "cputune",  "genid"};
        for (const pugi::xml_node node : domain) {
            const std::string name = node.name();
            if (node.type() != pugi::node_element) continue;
            if (name == "name")
                add("name", escaped(text(node)), node);
            else if (name == "uuid")
                add("uuid", text(node), node);
            else if (name == "memory")
                add("m", memory(node), node);
            else if (name == "vcpu")
                add("smp", text(node), node);
            else if (name == "cpu")
                read_cpu(node);
            else if (name == "features")
                read_features(node);
            else if (name == "on_reboot") {
                if (text(node) == "destroy") add("no-reboot", "", node);
            } else if (std::find(kWithoutEffect.begin(), kWithoutEffect.end(), name) == kWithoutEffect.end())
                remark(node, "has no counterpart and is left out");
        }
    }

    std::string memory(pugi::xml_node node) {
        const std::string unit = node.attribute("unit").as_string("KiB");
        static constexpr std::array<std::pair<const char*, const char*>, 13> kUnits{{{"b", "B"},
                                                                                     {"bytes", "B"},
                                                                                     {"k", "K"},
                                                                                     {"KiB", "K"},
                                                                                     {"M", "M"},
                                                                                     {"MiB", "M"},
                                                                                     {"G", "G"},
                                                                                     {"GiB", "G"},
                                                                                     {"T", "T"},
                                                                                     {"TiB", "T"},
                                                                                     {"KB", ""},
                                                                                     {"MB", ""},
                                                                                     {"GB", ""}}};
        for (const auto& [name, suffix] : kUnits)
            if (unit == name && *suffix) return text(node) + suffix;
        throw OptionError(file_.place(node) + ": the unit \"" + unit + "\" is not known here");
    }

    void read_cpu(pugi::xml_node node) {
        const std::string model = text(node.child("model"));
        if (!model.empty())
            add("cpu", model, node);
        else if (node.attribute("mode"))
            add("cpu", "host", node);
    }

    void read_features(pugi::xml_node features) {
        for (const pugi::xml_node node : features) {
            const std::string name = node.name();
            if (node.type() == pugi::node_element && name != "acpi" && name != "apic" && name != "pae" &&
                name != "vmport")
                remark(node, "has no counterpart and is left out");
        }
    }

    void read_os(pugi::xml_node os) {
        std::string order;
        for (const pugi::xml_node node : os) {
            const std::string name = node.name();
            if (node.type() != pugi::node_element) continue;
            if (name == "type") {
                if (const auto machine = node.attribute("machine")) add("M", machine.value(), node);
                if (text(node) != "hvm") remark(node, "only hvm is served");
            } else if (name == "boot") {
                static constexpr std::array<std::pair<std::string_view, char>, 4> kDevices{
                    {{"fd", 'a'}, {"hd", 'c'}, {"cdrom", 'd'}, {"network", 'n'}}};
                const std::string_view device = node.attribute("dev").value();
                for (const auto& [word, letter] : kDevices)
                    if (device == word && order.find(letter) == std::string::npos) order += letter;
            } else if (name == "loader") {
                if (node.attribute("type").as_string("rom") == std::string_view("rom"))
                    add("bios", text(node), node);
                else
                    remark(node, "flash memory is not served; left out");
            } else if (name == "kernel" || name == "initrd") {
                add(name == "kernel" ? "kernel" : "initrd", text(node), node);
            } else if (name == "cmdline") {
                add("append", text(node), node);
            } else if (name == "bootmenu") {
                if (node.attribute("enable").as_bool()) add("boot", "menu=on", node);
            } else if (name != "bios" && name != "smbios") {
                remark(node, "has no counterpart and is left out");
            }
        }
        if (!order.empty()) add("boot", order.substr(0, 3), os);
    }

    void read_clock(pugi::xml_node node) {
        if (!node) return;
        const std::string offset = node.attribute("offset").as_string("utc");
        if (offset == "localtime")
            add("rtc", "base=localtime", node);
        else if (offset != "utc")
            remark(node, "offset=\"" + offset + "\" has no counterpart; the clock shows UTC");
        for (const pugi::xml_node timer : node.children("timer"))
            if (timer.attribute("name").value() == std::string_view("hpet") &&
                timer.attribute("present").as_string("yes") == std::string_view("no"))
                add("no-hpet", "", timer);
    }

    void device(pugi::xml_node node) {
        const std::string name = node.name();
        if (node.type() != pugi::node_element || name == "emulator" || name == "alias") return;
        if (name == "disk") return disk(node);
        if (name == "serial" || name == "parallel") return port(node);
        if (name == "video") return video(node);
        if (name == "console" &&
            node.child("target").attribute("type").as_string("serial") == std::string_view("serial"))
            return;  // the first serial port once more
        if (name == "controller") {
            const std::string type = node.attribute("type").value();
            if (type == "ide" || type == "pci" || type == "fdc") return;
            return remark(node, "a controller of type " + type + " is not served; left out");
        }
        if (name == "input" && node.attribute("bus").as_string("ps2") == std::string_view("ps2")) return;
        if (name == "memballoon" && node.attribute("model").value() == std::string_view("none")) return;
        if (name == "audio" && node.attribute("type").value() == std::string_view("none")) return;
        remark(node, "is not served by this version; left out");
    }

    void video(pugi::xml_node node) {
        const std::string type = node.child("model").attribute("type").value();
        if (type == "none") return;
        if (!has_graphics_card_) add("vga", "std", node);
        has_graphics_card_ = true;
        if (type.empty())
            remark(node, "no graphics card is named; the board's is a standard VGA");
        else if (type != "vga")
            remark(node, "a " + type + " card is not served; the board has a standard VGA");
    }

    void disk(pugi::xml_node node) {
        const std::string kind = node.attribute("device").as_string("disk");
        const pugi::xml_node target = node.child("target"), source = node.child("source"),
                             driver = node.child("driver");
        const std::string bus = target.attribute("bus").as_string("ide");
        if (kind != "disk" && kind != "cdrom") return remark(node, "a " + kind + " is not served; left out");
        if (bus != "ide")
            return remark(node, "a drive on the bus " + bus +
                                    " is not served; left out (as an IDE drive: "
                                    "change bus= and dev= of its <target>)");
        if (node.attribute("type").as_string("file") != std::string_view("file") &&
            node.attribute("type").value() != std::string_view("block"))
            return remark(node, "only type=\"file\" and type=\"block\" are served; left out");
        std::string text = "if=ide,media=" + kind;
        const auto key = [&](const char* name, const std::string& value) {
            if (!value.empty()) text += std::string(",") + name + "=" + escaped(value);
        };
        std::string file = source.attribute("file").value();
        if (file.empty()) file = source.attribute("dev").value();
        if (file.empty() && kind == "disk") return remark(node, "has no <source>; left out");
        key("file", beside(path_, file));
        place(node, target, key);
        key("format", driver.attribute("type").value());
        if (const std::string cache = driver.attribute("cache").value(); cache != "default") key("cache", cache);
        key("discard", driver.attribute("discard").value());
        key("werror", driver.attribute("error_policy").value());
        key("rerror", driver.attribute("rerror_policy").value());
        key("serial", node.child("serial").text().get());
        if (node.child("readonly") && kind == "disk") key("readonly", "on");
        if (node.child("transient")) key("snapshot", "on");
        const pugi::xml_node geometry = node.child("geometry");
        key("cyls", geometry.attribute("cyls").value());
        key("heads", geometry.attribute("heads").value());
        key("secs", geometry.attribute("secs").value());
        key("trans", geometry.attribute("trans").value());
        // Its own order goes before <boot> in <os>; this notation knows the first drive alone.
        if (const auto order = node.child("boot").attribute("order")) {
            if (order.as_int() == 1)
                key("boot", "on");
            else
                remark(node.child("boot"), "only order=\"1\" is taken over; the others follow -boot");
        }
        add("drive", text, node);
    }

    static void place(pugi::xml_node node, pugi::xml_node target, const auto& key) {
        const pugi::xml_node address = node.child("address");
        const std::string name = target.attribute("dev").value();
        if (address.attribute("type").value() == std::string_view("drive")) {
            key("bus", address.attribute("bus").as_string("0"));
            key("unit", address.attribute("unit").as_string("0"));
        } else if (name.size() == 3 && name.starts_with("hd") && name[2] >= 'a' && name[2] <= 'd') {
            key("index", std::to_string(name[2] - 'a'));
        }
    }

    void port(pugi::xml_node node) {
        const std::string type = node.attribute("type").value(), option = node.name();
        const pugi::xml_node source = node.child("source");
        const std::string path = source.attribute("path").value();
        if (type == "pty" || type == "null" || type == "stdio")
            add(option, type, node);
        else if (type == "file")
            add(option, "file:" + beside(path_, path), node);
        else if (type == "unix" && source.attribute("mode").as_string("bind") == std::string_view("bind"))
            add(option, "unix:" + beside(path_, path) + ",server,nowait", node);
        else {
            add(option, "null", node);
            remark(node, "type=\"" + type + "\" is not served; the port is there and leads nowhere");
        }
    }

    void read_command_line(pugi::xml_node node) {
        std::vector<std::string> words;
        for (const pugi::xml_node arg : node.children("qemu:arg")) words.emplace_back(arg.attribute("value").value());
        std::erase(words, "");
        for (Item& item : read_arguments(words)) {
            item.option = file_.place(node) + ": " + item.option;
            out_.items.push_back(std::move(item));
        }
    }

    std::string path_;
    XmlFile file_;
    Imported out_;
    bool has_graphics_card_ = false;
};

}  // namespace

Imported read_libvirt(const std::string& path, std::string_view contents) { return Reader(path, contents).run(); }

}  // namespace backplane::qemu
