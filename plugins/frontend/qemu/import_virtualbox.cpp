// VirtualBox's .vbox.
#include <algorithm>
#include <array>
#include <map>

#include "import.hpp"
#include "xml.hpp"

namespace backplane::qemu {

using drives::OptionError;

namespace {

class Reader {
  public:
    Reader(const std::string& path, std::string_view contents) : path_(path), file_(path, contents) {}

    Imported run() {
        const pugi::xml_node machine = file_.root().child("Machine");
        if (!machine) throw OptionError(path_ + ": there is no <Machine> in it");
        const pugi::xml_node hardware = machine.child("Hardware");
        add("nodefaults", "", machine);
        add("display", "none", machine);
        add("vga", "std", machine);
        if (const std::string name = machine.attribute("name").value(); !name.empty())
            add("name", escaped(name), machine);
        if (const std::string id = braceless(machine.attribute("uuid").value()); !id.empty()) add("uuid", id, machine);
        read_media(machine.child("MediaRegistry"));
        for (const pugi::xml_node node : hardware)
            if (node.type() == pugi::node_element) part(node);
        // Until version 6.1 they stood beside the hardware.
        controllers(machine.child("StorageControllers"));
        if (machine.attribute("currentSnapshot"))
            remark(machine,
                   "there are snapshots: the disks are those of the present state, which may need their parents");
        return std::move(out_);
    }

  private:
    struct Medium {
        std::string location, format;
    };
    void add(const std::string& option, const std::string& value, pugi::xml_node node) {
        out_.items.push_back({option, value, file_.place(node)});
    }
    void remark(pugi::xml_node node, const std::string& text) {
        out_.remarks.push_back(file_.place(node) + ": " + text);
    }
    static std::string braceless(std::string text) {
        std::erase_if(text, [](char c) { return c == '{' || c == '}'; });
        return text;
    }

    // Disks may stand within the disk that they began as a copy of.
    void read_media(pugi::xml_node node) {
        for (const pugi::xml_node child : node) {
            const std::string name = child.name();
            if (name == "HardDisk" || name == "Image" || name == "DVDImage")
                media_[child.attribute("uuid").value()] = {child.attribute("location").value(),
                                                           child.attribute("format").value()};
            read_media(child);
        }
    }

    void part(pugi::xml_node node) {
        const std::string name = node.name();
        if (name == "CPU") {
            if (const int count = node.attribute("count").as_int(1); count > 1) add("smp", std::to_string(count), node);
        } else if (name == "Memory") {
            add("m", node.attribute("RAMSize").value(), node);
        } else if (name == "Boot") {
            boot(node);
        } else if (name == "RTC") {
            if (node.attribute("localOrUTC").value() == std::string_view("local")) add("rtc", "base=localtime", node);
        } else if (name == "BIOS") {
            if (node.child("TimeOffset").attribute("value").as_llong() != 0)
                remark(node.child("TimeOffset"), "has no counterpart and is left out");
        } else if (name == "Firmware") {
            if (const std::string type = node.attribute("type").as_string("BIOS"); type != "BIOS")
                remark(node, "EFI is not served; the board has a BIOS");
        } else if (name == "UART") {
            for (const pugi::xml_node port : node.children("Port")) serial(port);
        } else if (name == "StorageControllers") {
            controllers(node);
        } else if (name == "Network") {
            for (const pugi::xml_node adapter : node.children("Adapter"))
                if (adapter.attribute("enabled").as_bool()) remark(adapter, "network cards are not served; left out");
        } else if (name == "AudioAdapter" || name == "LPT" || name == "RemoteDisplay") {
            if (node.attribute("enabled").as_bool()) remark(node, "is not served by this version; left out");
        } else if (name == "USB" || name == "USBController") {
            if (node.child("Controllers").first_child() || node.attribute("enabled").as_bool())
                remark(node, "USB is not served; left out");
        } else if (name == "SharedFolders") {
            if (node.first_child()) remark(node, "is not served by this version; left out");
        }
    }

    void boot(pugi::xml_node node) {
        static constexpr std::array<std::pair<std::string_view, char>, 4> kDevices{
            {{"Floppy", 'a'}, {"HardDisk", 'c'}, {"DVD", 'd'}, {"Network", 'n'}}};
        std::string order;
        for (const pugi::xml_node entry : node.children("Order"))
            for (const auto& [word, letter] : kDevices)
                if (entry.attribute("device").value() == word && order.find(letter) == std::string::npos)
                    order += letter;
        if (!order.empty()) add("boot", order.substr(0, 3), node);
    }

    void serial(pugi::xml_node node) {
        if (!node.attribute("enabled").as_bool()) return;
        const std::string mode = node.attribute("hostMode").value(), path = node.attribute("path").value();
        if (mode == "RawFile")
            add("serial", "file:" + beside(path_, path), node);
        else if (mode == "HostPipe" && node.attribute("server").as_bool())
            add("serial", "unix:" + beside(path_, path) + ",server,nowait", node);
        else {
            add("serial", "null", node);
            if (mode != "Disconnected")
                remark(node, "hostMode " + mode + " is not served; the port is there and leads nowhere");
        }
    }

    void controllers(pugi::xml_node node) {
        for (const pugi::xml_node controller : node.children("StorageController")) {
            const std::string type = controller.attribute("type").value();
            const bool ide = type == "PIIX3" || type == "PIIX4" || type == "ICH6";
            for (const pugi::xml_node device : controller.children("AttachedDevice")) {
                if (!ide)
                    remark(device, "the controller " + type +
                                       " is not served; left out (as an IDE drive: attach it to an IDE controller)");
                else
                    attached(device);
            }
        }
    }

    void attached(pugi::xml_node node) {
        const std::string type = node.attribute("type").value();
        if (type != "HardDisk" && type != "DVD") return remark(node, "a " + type + " drive is not served; left out");
        const unsigned port = node.attribute("port").as_uint(), unit = node.attribute("device").as_uint();
        std::string text = "if=ide,bus=" + std::to_string(port) + ",unit=" + std::to_string(unit) +
                           ",media=" + (type == "DVD" ? "cdrom" : "disk");
        if (const auto image = node.child("Image")) {
            const auto medium = media_.find(image.attribute("uuid").value());
            if (medium == media_.end()) return remark(image, "the file does not say where this image is; left out");
            text += ",file=" + escaped(beside(path_, medium->second.location));
            const std::string& format = medium->second.format;
            if (type == "HardDisk" && format == "RAW") text += ",format=raw";
            if (type == "HardDisk" && format != "RAW")
                remark(image, "the disk's format is " + format +
                                  "; if this version cannot read it, convert it to raw first "
                                  "(VBoxManage clonemedium --format RAW)");
        } else if (type == "HardDisk") {
            return remark(node, "has no image; left out");
        }
        add("drive", text, node);
    }

    std::string path_;
    XmlFile file_;
    Imported out_;
    std::map<std::string, Medium> media_;
};

}  // namespace

Imported read_virtualbox(const std::string& path, std::string_view contents) { return Reader(path, contents).run(); }

}  // namespace backplane::qemu
