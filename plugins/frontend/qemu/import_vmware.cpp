// VMware's .vmx: lines of key = "value".
#include <algorithm>
#include <array>
#include <cctype>
#include <map>

#include "import.hpp"

namespace backplane::qemu {

using drives::OptionError;

namespace {

std::string lower(std::string text) {
    for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return text;
}

class Reader {
  public:
    Reader(const std::string& path, std::string_view contents) : path_(path) {
        std::size_t number = 0;
        while (!contents.empty()) {
            const std::string_view line = contents.substr(0, contents.find('\n'));
            contents.remove_prefix(std::min(line.size() + 1, contents.size()));
            ++number;
            take(line, number);
        }
        if (keys_.empty()) throw OptionError(path_ + ": there is no line of the form key = \"value\" in it");
    }

    Imported run() {
        add("nodefaults", "", "virtualhw.version");
        add("display", "none", "virtualhw.version");
        add("vga", "std", "virtualhw.version");
        if (has("displayname")) add("name", escaped(value("displayname")), "displayname");
        if (has("memsize")) add("m", value("memsize"), "memsize");
        if (has("numvcpus") && value("numvcpus") != "1") add("smp", value("numvcpus"), "numvcpus");
        if (has("uuid.bios")) uuid();
        if (has("bios.bootorder")) boot();
        if (lower(value("firmware")) == "efi") remark("firmware", "EFI is not served; the board has a BIOS");
        for (const char* channel : {"0", "1"})
            for (const char* unit : {"0", "1"}) ide(channel, unit);
        for (int i = 0; i < 4; ++i) serial("serial" + std::to_string(i));
        // What is there and cannot be served.
        for (const auto& [key, entry] : keys_) {
            const auto dot = key.rfind(".present");
            if (dot == std::string::npos || dot + 8 != key.size() || !yes(key)) continue;
            const std::string device = key.substr(0, dot);
            if (device.starts_with("ide") || device.starts_with("serial") || device.starts_with("pcibridge")) continue;
            static constexpr std::array kWithoutEffect{"vmci0", "hpet0", "mks", "evcompatibilitymode", "tools"};
            if (std::find(kWithoutEffect.begin(), kWithoutEffect.end(), device) != kWithoutEffect.end()) continue;
            remark(key, device + " is not served by this version; left out" +
                            (device.find(':') != std::string::npos && !device.starts_with("usb")
                                 ? " (as an IDE drive: rename it to ide0:0)"
                                 : ""));
        }
        return std::move(out_);
    }

  private:
    struct Entry {
        std::string value;
        std::size_t line = 0;
    };

    void take(std::string_view line, std::size_t number) {
        const auto equals = line.find('=');
        if (equals == std::string_view::npos || line.starts_with('#')) return;
        std::string key(line.substr(0, equals));
        std::erase_if(key, [](unsigned char c) { return std::isspace(c); });
        const auto open = line.find('"', equals), close = line.rfind('"');
        if (key.empty() || open == std::string_view::npos || close == open) return;
        keys_[lower(key)] = {unescaped(line.substr(open + 1, close - open - 1)), number};
    }
    // |22 stands for a quotation mark.
    static std::string unescaped(std::string_view text) {
        std::string out;
        for (std::size_t i = 0; i < text.size(); ++i) {
            if (text[i] == '|' && i + 2 < text.size() && std::isxdigit(static_cast<unsigned char>(text[i + 1])) &&
                std::isxdigit(static_cast<unsigned char>(text[i + 2]))) {
                out += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
                i += 2;
            } else {
                out += text[i];
            }
        }
        return out;
    }

    bool has(const std::string& key) const { return keys_.count(key) != 0; }
    std::string value(const std::string& key) const {
        const auto it = keys_.find(key);
        return it == keys_.end() ? "" : it->second.value;
    }
    bool yes(const std::string& key) const { return lower(value(key)) == "true"; }
    std::string place(const std::string& key) const {
        const auto it = keys_.find(key);
        return it == keys_.end() ? path_ : path_ + ":" + std::to_string(it->second.line) + ": " + key;
    }
    void add(const std::string& option, const std::string& text, const std::string& key) {
        out_.items.push_back({option, text, place(key)});
    }
    void remark(const std::string& key, const std::string& text) { out_.remarks.push_back(place(key) + ": " + text); }

    // "56 4d 12 34 56 78 9a bc-de f0 ..." -> the usual form.
    void uuid() {
        std::string digits;
        for (const char c : value("uuid.bios"))
            if (std::isxdigit(static_cast<unsigned char>(c))) digits += lower(std::string(1, c));
        constexpr std::size_t kDigits = 32;
        if (digits.size() != kDigits) return remark("uuid.bios", "this is no UUID; left out");
        for (const std::size_t at : {20, 16, 12, 8}) digits.insert(at, "-");
        add("uuid", digits, "uuid.bios");
    }

    void boot() {
        static constexpr std::array<std::pair<std::string_view, char>, 4> kDevices{
            {{"floppy", 'a'}, {"hdd", 'c'}, {"cdrom", 'd'}, {"ethernet", 'n'}}};
        std::string order, list = lower(value("bios.bootorder"));
        for (std::size_t at = 0; at <= list.size();) {
            const std::size_t end = std::min(list.find(',', at), list.size());
            for (const auto& [word, letter] : kDevices)
                if (std::string_view(list).substr(at, end - at).starts_with(word) &&
                    order.find(letter) == std::string::npos)
                    order += letter;
            at = end + 1;
        }
        if (!order.empty()) add("boot", order.substr(0, 3), "bios.bootorder");
    }

    void ide(const std::string& channel, const std::string& unit) {
        const std::string name = "ide" + channel + ":" + unit;
        if (!yes(name + ".present")) return;
        const std::string file = value(name + ".filename"), type = lower(value(name + ".devicetype"));
        const bool cdrom = type.find("cdrom") != std::string::npos;
        std::string text = "if=ide,bus=" + channel + ",unit=" + unit + ",media=" + (cdrom ? "cdrom" : "disk");
        const bool image = !cdrom || type == "cdrom-image";
        if (image && file.empty()) return remark(name + ".present", "has no fileName; left out");
        const std::string key = image ? name + ".filename" : name + ".present";
        if (image) text += ",file=" + escaped(beside(path_, file));
        if (!image && file.starts_with('/')) text += ",file=" + escaped(file);
        if (!image && !file.starts_with('/'))
            remark(key, "the host's drive \"" + file + "\" is not taken over; the CD-ROM drive is empty");
        if (!cdrom && file.ends_with(".vmdk"))
            remark(key,
                   "the disk's format is VMDK; if this version cannot read it, convert it to raw first "
                   "(qemu-img convert -O raw)");
        if (value(name + ".mode").find("nonpersistent") != std::string::npos) text += ",snapshot=on";
        add("drive", text, key);
    }

    void serial(const std::string& name) {
        if (!yes(name + ".present")) return;
        const std::string type = lower(value(name + ".filetype")), file = value(name + ".filename");
        const std::string key = name + ".present";
        if (type == "file")
            add("serial", "file:" + beside(path_, file), key);
        else if (type == "pipe" && file.starts_with('/'))
            add("serial", "unix:" + file + ",server,nowait", key);
        else {
            add("serial", "null", key);
            remark(key, "fileType \"" + type + "\" is not served; the port is there and leads nowhere");
        }
    }

    std::string path_;
    std::map<std::string, Entry> keys_;
    Imported out_;
};

}  // namespace

Imported read_vmware(const std::string& path, std::string_view contents) { return Reader(path, contents).run(); }

}  // namespace backplane::qemu
