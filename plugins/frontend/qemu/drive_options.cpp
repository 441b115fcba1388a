// Disks and discs.
#include <array>
#include <cctype>
#include <filesystem>

#include "translator.hpp"

namespace backplane::qemu {

using drives::Key;
using drives::Keys;
using drives::OptionError;

namespace {
constexpr std::uint64_t kSector = 512;
}

// The path in full, from what may be "file:PATH" or a protocol's address.
std::string Translator::image_path(const std::string& file, const std::string& option) {
    std::string path = file.starts_with("file:") ? file.substr(5) : file;
    const auto colon = path.find(':');
    std::error_code error;
    if (colon != std::string::npos && colon > 1 && path.find('/') > colon && !std::filesystem::exists(path, error)) {
        bool protocol = true;
        for (const char c : path.substr(0, colon))
            protocol = protocol && (std::isalnum(static_cast<unsigned char>(c)) || c == '+' || c == '-');
        if (protocol)
            throw OptionError(option + ": " + path.substr(0, colon) +
                              ": images are local files or block devices in this version; copy it to one first");
    }
    return whole_path(path);
}

void Translator::add_disk(unsigned position, const std::string& value, const std::string& option) {
    if (value.empty()) throw OptionError(option + ": no file was given");
    drives_.disk(position, image_path(value, option), option);
}

void Translator::cdrom(const std::string& value, const std::string& option) {
    drives_.cdrom(value.empty() ? "" : image_path(value, option), option);
}

// Long forms of later versions become the short ones.
Keys Translator::with_whole_paths(Keys keys) {
    std::vector<Key> out;
    for (Key key : keys.all()) {
        if (key.name == "file.filename") key.name = "file";
        if (key.name == "driver") key.name = "format";
        if (key.name == "file" && !key.flag && !key.value.empty()) key.value = image_path(key.value, keys.option());
        if (key.name == "file.driver" && (key.value == "file" || key.value == "host_device")) continue;
        if (key.name == "file.aio" || key.name == "file.locking" || key.name == "auto-read-only") continue;
        if (key.name == "cache.direct") key = {"cache", key.value == "on" ? "none" : "writeback"};
        if (key.name == "cache.no-flush") {
            if (key.value != "on") continue;
            key = {"cache", "unsafe"};
        }
        out.push_back(std::move(key));
    }
    return {std::move(out), keys.option()};
}

void Translator::drive(const std::string& value, const std::string& option) {
    drives_.drive(with_whole_paths(Keys(value, "", option)));
}

void Translator::snapshot(const std::string&, const std::string& option) { drives_.snapshot(option); }

Translator::BlockNode& Translator::referenced_node(const std::string& id, const std::string& option) {
    const auto it = nodes_.find(id);
    if (it == nodes_.end()) throw OptionError(option + ": no -blockdev before it has node-name=" + id);
    return it->second;
}

// A tree of drivers, with the outermost first; `prefix` leads to the part that is read: "", "file.", "file.file.".
Translator::BlockNode Translator::read_node(const std::vector<Key>& all, const std::string& prefix,
                                            const std::string& option) {
    std::vector<Key> own;
    bool has_inner = false;
    for (const Key& key : all) {
        if (!key.name.starts_with(prefix)) continue;
        const std::string rest = key.name.substr(prefix.size());
        if (rest.starts_with("file."))
            has_inner = true;
        else
            own.push_back({rest, key.value, key.flag});
    }
    Keys keys(std::move(own), option);
    const std::string driver = keys.text("driver").value_or("");
    static constexpr std::array kFiles{"file", "host_device", "host_cdrom"};
    const bool is_file = std::find(kFiles.begin(), kFiles.end(), driver) != kFiles.end();
    BlockNode node;
    node.option = option;
    if (is_file) {
        node.file = image_path(keys.text("filename").value_or(""), option);
        if (node.file.empty()) keys.fail("filename= is missing");
        node.parameters = {{"file", node.file}, {"format", "raw"}};
        keys.ignore({"aio", "locking", "pr-manager", "x-check-cache-dropped"});
    } else if (driver == "raw" || driver == "qcow2") {
        const auto reference = keys.text("file");
        if (reference && has_inner) keys.fail("file= is given both as a name and in full");
        if (!reference && !has_inner)
            keys.fail("file= is missing: the node-name of the file, or file.driver= and so on");
        node = reference ? referenced_node(*reference, option) : read_node(all, prefix + "file.", option);
        node.option = option;
        for (auto& [name, value] : node.parameters)
            if (name == "format" && value != "null-co") value = driver;
        if (keys.has("offset") || keys.has("size") || keys.has("backing"))
            keys.fail("offset=, size= and backing= are not served by this version");
        keys.ignore({"lazy-refcounts", "pass-discard-request", "pass-discard-snapshot", "pass-discard-other",
                     "overlap-check", "l2-cache-size", "l2-cache-entry-size", "refcount-cache-size", "cache-size",
                     "cache-clean-interval", "preallocate"});
    } else if (driver == "null-co" || driver == "null-aio") {
        const std::string text = keys.text("size").value_or("1G");
        const std::uint64_t size = size_of(text, 1) / kSector * kSector;
        if (size == 0) keys.fail("size=" + text + ": expected bytes, or a size such as 1G");
        node.file = whole_path("size=" + std::to_string(size));
        node.parameters = {{"file", node.file}, {"format", "null-co"}};
        keys.ignore({"read-zeroes", "latency-ns"});
    } else {
        keys.fail((driver.empty() ? std::string("driver= is missing")
                                  : "this version has no block driver \"" + driver + "\"") +
                  "; it has file, host_device, raw, qcow2 and null-co");
    }
    const auto set = [&](const char* name, const char* value) { node.parameters.emplace_back(name, value); };
    for (const char* name : {"read-only", "readonly"})
        if (keys.boolean(name).value_or(false)) set("read_only", "true");
    if (keys.boolean("cache.direct").value_or(false)) set("cache", "none");
    if (keys.boolean("cache.no-flush").value_or(false)) set("cache", "unsafe");
    if (const auto d = keys.choice("discard", {"unmap=true", "on=true", "ignore=false", "off=false"}))
        set("discard", d->c_str());
    keys.ignore({"node-name", "auto-read-only", "detect-zeroes", "force-share"});
    keys.reject_rest(
        {"driver", "node-name", "filename", "file", "read-only", "cache.direct", "cache.no-flush", "discard", "size"});
    return node;
}

void Translator::blockdev(const std::string& value, const std::string& option) {
    Keys keys = keys_of(value, "driver", option);
    const std::string name = keys.text("node-name").value_or("");
    if (name.empty()) keys.fail("node-name= is missing");
    if (nodes_.count(name)) keys.fail("node-name=" + name + " is already that of " + nodes_[name].option);
    nodes_[name] = read_node(keys.all(), "", option);
}

void Translator::finish_drives() {
    // In QEMU too the default drive goes when IDE devices are named.
    if (!nodefaults_ && !ide_device_given_ && vm_.machine() != "none") drives_.default_cdrom();
    attempt([&] {
        for (const drives::Setting& s : drives_.settings()) vm_.set(s.path, s.value, s.option);
    });
    for (const std::string& w : drives_.warnings()) warn(w);
}

}  // namespace backplane::qemu
