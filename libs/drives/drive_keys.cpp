// The keys of --drive and of --device ide-*: which parameter of the board each stands for.
#include "drives.hpp"

namespace backplane::drives {
namespace {

const std::vector<std::string_view> kDriveKeys{
    "file",     "if",        "index",  "bus",    "unit",   "media", "format", "cache",   "boot",
    "readonly", "read-only", "cyls",   "heads",  "secs",   "trans", "lcyls",  "lheads",  "lsecs",
    "geometry", "snapshot",  "serial", "werror", "rerror", "id",    "aio",    "discard", "detect-zeroes"};
const std::vector<std::string_view> kDeviceKeys{
    "drive", "bus",    "unit", "id",    "cyls",   "heads",  "secs",      "bios-chs-trans", "lcyls",   "lheads",
    "lsecs", "serial", "ver",  "model", "werror", "rerror", "bootindex", "write-cache",    "geometry"};

constexpr std::uint64_t kMaxCylinders = 16383, kMaxHeads = 16, kMaxSectors = 63;

}  // namespace

void DriveList::Drive::set(const std::string& parameter, const std::string& value) {
    for (auto& [name, old] : parameters)
        if (name == parameter) {
            old = value;
            return;
        }
    parameters.emplace_back(parameter, value);
}

const std::string* DriveList::Drive::find(std::string_view parameter) const {
    for (const auto& [name, value] : parameters)
        if (name == parameter) return &value;
    return nullptr;
}

void DriveList::read_place(Keys& keys, Drive& drive) {
    if (const auto unit = keys.number("unit", 0, 1)) drive.unit = static_cast<unsigned>(*unit);
}

// Cylinders, heads and sectors come together or not at all.
void DriveList::read_geometry(Keys& keys, Drive& drive) {
    const auto all = [&](const char* c, const char* h, const char* s, const char* prefix, std::uint64_t most_cylinders,
                         std::uint64_t most_heads) {
        const auto cylinders = keys.number(c, 1, most_cylinders), heads = keys.number(h, 1, most_heads),
                   sectors = keys.number(s, 1, kMaxSectors);
        if (!cylinders && !heads && !sectors) return;
        if (!cylinders || !heads || !sectors)
            keys.fail(std::string(c) + ", " + h + " and " + s + " have to be given together");
        drive.set(std::string("geometry.") + prefix + "cylinders", std::to_string(*cylinders));
        drive.set(std::string("geometry.") + prefix + "heads", std::to_string(*heads));
        drive.set(std::string("geometry.") + prefix + "sectors", std::to_string(*sectors));
    };
    all("cyls", "heads", "secs", "", kMaxCylinders, kMaxHeads);
    all("lcyls", "lheads", "lsecs", "l", 1024, 255);
    const std::vector<std::string_view> translations{"auto", "none", "lba", "large", "rechs"};
    if (const auto t = keys.choice("trans", translations)) drive.set("geometry.translation", *t);
    if (const auto t = keys.choice("bios-chs-trans", translations)) drive.set("geometry.translation", *t);
    if (const auto p = keys.choice("geometry", {"qemu-0.12", "auto"})) drive.set("geometry.policy", *p);
}

void DriveList::read_drive(Keys& keys, Drive& drive) {
    if (const auto interface = keys.text("if")) drive.interface = *interface;
    if (drive.interface != "ide" && drive.interface != "none")
        keys.fail("if=" + drive.interface + ": this version has drives of if=ide and if=none only; try if=ide");
    if (const auto media = keys.choice("media", {"disk", "cdrom"})) drive.cdrom = *media == "cdrom";
    if (const auto index = keys.number("index", 0, kPositions - 1)) drive.position = static_cast<unsigned>(*index);
    if (const auto bus = keys.number("bus", 0, 1)) drive.channel = static_cast<unsigned>(*bus);
    read_place(keys, drive);
    if (drive.position && (drive.channel || drive.unit))
        keys.fail("index= and bus=,unit= say the same; give one of them");
    if (const auto id = keys.text("id")) {
        drive.id = *id;
        drive.set("id", *id);
    }
    if (const auto file = keys.text("file"); file && !file->empty()) drive.set("file", *file);
    if (const auto format = keys.text("format")) drive.set("format", *format);
    if (const auto cache =
            keys.choice("cache", {"writeback", "none", "off=none", "writethrough", "directsync", "unsafe"}))
        drive.set("cache", *cache);
    if (const auto on = keys.boolean("snapshot")) drive.set("snapshot", *on ? "true" : "false");
    for (const char* name : {"readonly", "read-only"})
        if (const auto on = keys.boolean(name)) drive.set("read_only", *on ? "true" : "false");
    // The drive that the machine starts from. It is the same drive otherwise, with the same geometry.
    if (keys.boolean("boot").value_or(false)) drive.set("boot_index", "0");
    if (const auto serial = keys.text("serial")) drive.set("serial", *serial);
    if (const auto policy = keys.choice("werror", {"enospc", "stop", "report", "ignore"})) drive.set("werror", *policy);
    if (const auto policy = keys.choice("rerror", {"report", "stop", "ignore"})) drive.set("rerror", *policy);
    if (const auto d = keys.choice("discard", {"on=true", "unmap=true", "off=false", "ignore=false"}))
        drive.set("discard", *d);
    keys.ignore({"aio", "detect-zeroes"});
    if (drive.cdrom && (keys.has("cyls") || keys.has("heads") || keys.has("secs") || keys.has("trans")))
        keys.fail("a CD-ROM drive has no cylinders, heads and sectors");
    read_geometry(keys, drive);
    keys.reject_rest(kDriveKeys);
}

void DriveList::read_device(Keys& keys, const std::string& driver, Drive& drive) {
    if (driver == "ide-cd") drive.cdrom = true;
    if (driver == "ide-hd" && drive.cdrom)
        keys.fail("the drive is a CD-ROM (media=cdrom): attach it with ide-cd, or as ide-drive");
    if (const auto bus = keys.text("bus")) {
        if (*bus != "ide.0" && *bus != "ide.1") keys.fail("bus=" + *bus + ": the board has ide.0 and ide.1");
        drive.channel = bus->back() - '0';
    }
    read_place(keys, drive);
    if (const auto serial = keys.text("serial")) drive.set("serial", *serial);
    if (const auto version = keys.text("ver")) drive.set("version", *version);
    if (const auto model = keys.text("model")) drive.set("model", *model);
    if (const auto index = keys.number("bootindex", 0, 0x7fffffff)) drive.set("boot_index", std::to_string(*index));
    if (const auto policy = keys.choice("werror", {"enospc", "stop", "report", "ignore", "auto=enospc"}))
        drive.set("werror", *policy);
    if (const auto policy = keys.choice("rerror", {"report", "stop", "ignore", "auto=report"}))
        drive.set("rerror", *policy);
    if (const auto cache = keys.choice("write-cache", {"on", "off", "auto"}); cache && *cache == "off")
        drive.set("cache", "writethrough");
    keys.ignore({"id"});
    if (drive.cdrom && (keys.has("cyls") || keys.has("heads") || keys.has("secs") || keys.has("bios-chs-trans")))
        keys.fail("a CD-ROM drive has no cylinders, heads and sectors");
    read_geometry(keys, drive);
    keys.reject_rest(kDeviceKeys);
}

}  // namespace backplane::drives
