#include "drives.hpp"

namespace backplane::drives {
namespace {

// Where --cdrom has always been, and the default drive.
constexpr unsigned kCdromPosition = 2;

std::string name_of(unsigned position) {
    static constexpr std::array<const char*, kPositions> kNames{"primary master", "primary slave", "secondary master",
                                                                "secondary slave"};
    return std::string(kNames[position]) + " (" + std::string(kPositionNames[position]) + ")";
}

}  // namespace

void DriveList::disk(unsigned position, const std::string& file, const std::string& option) {
    Drive drive;
    drive.option = option;
    drive.position = position;
    if (file.empty()) throw OptionError(option + ": no file was given");
    drive.set("file", file);
    drives_.push_back(std::move(drive));
}

void DriveList::cdrom(const std::string& file, const std::string& option) {
    Drive drive;
    drive.option = option;
    drive.cdrom = true;
    drive.position = kCdromPosition;
    if (!file.empty()) drive.set("file", file);
    drives_.push_back(std::move(drive));
}

void DriveList::drive(std::string_view text, const std::string& option) { drive(Keys(text, "", option)); }

void DriveList::drive(Keys keys) {
    Drive drive;
    drive.option = keys.option();
    read_drive(keys, drive);
    if (!drive.id.empty())
        for (const Drive& other : drives_)
            if (other.id == drive.id) keys.fail("id=" + drive.id + " is already that of " + other.option);
    if (drive.interface == "none" && drive.id.empty())
        keys.fail("a drive with if=none needs an id= for the --device that it belongs to");
    drives_.push_back(std::move(drive));
}

void DriveList::node(const std::string& id, std::vector<std::pair<std::string, std::string>> parameters,
                     const std::string& option) {
    Drive drive;
    drive.option = option;
    drive.id = id;
    drive.interface = "none";
    drive.parameters = std::move(parameters);
    for (const Drive& other : drives_)
        if (other.id == id) throw OptionError(option + ": " + id + " is already the name of " + other.option);
    drives_.push_back(std::move(drive));
}

bool DriveList::device(std::string_view text, const std::string& option) {
    return device(Keys(text, "driver", option));
}

bool DriveList::device(Keys keys) {
    const std::string driver = keys.text("driver").value_or("");
    if (driver != "ide-drive" && driver != "ide-hd" && driver != "ide-cd") return false;
    const std::string id = keys.text("drive").value_or("");
    if (id.empty()) {
        if (driver != "ide-cd")
            keys.fail(driver + " needs drive=ID: the id= of a --drive with if=none; only ide-cd may be empty");
        Drive empty;
        empty.option = keys.option();
        empty.interface = "none";
        drives_.push_back(std::move(empty));
    }
    for (Drive& drive : drives_) {
        if (id.empty() ? &drive != &drives_.back() : drive.id != id) continue;
        if (drive.interface != "none")
            keys.fail("drive=" + id + ": " + drive.option + " is attached by itself; write if=none there");
        if (drive.attached) keys.fail("drive=" + id + " is already attached by " + drive.device_option);
        drive.attached = true;
        drive.device_option = keys.option();
        read_device(keys, driver, drive);
        return true;
    }
    keys.fail("drive=" + id + ": no --drive before it has this id");
}

bool DriveList::asks_for_places() const {
    for (const Drive& drive : drives_)
        if (!drive.position && !(drive.channel && drive.unit)) return true;
    return default_cdrom_;
}

// --- Places
// -------------------------------------------------------------------------------------------------------------

void DriveList::place_fixed(Drive& drive, std::array<const Drive*, kPositions>& at) {
    if (drive.channel && drive.unit) drive.position = *drive.channel * 2 + *drive.unit;
    if (!drive.position) return;
    const std::string& option = drive.device_option.empty() ? drive.option : drive.device_option;
    if (const Drive* other = at[*drive.position])
        throw OptionError(option + ": the place " + name_of(*drive.position) + " is taken by " +
                          (other->device_option.empty() ? other->option : other->device_option));
    at[*drive.position] = &drive;
}

// The first free place, on the named channel if there is one.
void DriveList::place_free(Drive& drive, std::array<const Drive*, kPositions>& at) {
    if (drive.position) return;
    const std::string& option = drive.device_option.empty() ? drive.option : drive.device_option;
    // A disc is looked for where a CD-ROM drive usually is.
    const bool prefers_second = drive.cdrom && !drive.channel && !drive.unit && drive.device_option.empty();
    for (unsigned i = 0; i < kPositions; ++i) {
        const unsigned position = prefers_second ? (i + kCdromPosition) % kPositions : i;
        if (at[position] || taken_[position]) continue;
        if (drive.channel && *drive.channel != position / 2) continue;
        if (drive.unit && *drive.unit != position % 2) continue;
        drive.position = position;
        at[position] = &drive;
        return;
    }
    throw OptionError(option + ": no place is left for it: the board has two IDE channels with two drives each");
}

std::vector<Setting> DriveList::settings() {
    std::array<const Drive*, kPositions> at{};
    // What came in one piece was there before separate devices, and fixed places go first.
    for (const bool separate : {false, true})
        for (Drive& drive : drives_)
            if (drive.interface == "none" ? drive.attached && separate : !separate) place_fixed(drive, at);
    for (const bool separate : {false, true})
        for (Drive& drive : drives_)
            if (drive.interface == "none" ? drive.attached && separate : !separate) place_free(drive, at);
    for (const Drive& drive : drives_)
        if (drive.interface == "none" && !drive.attached)
            warnings_.push_back(drive.option + ": nothing attaches this drive; a --device with drive=" + drive.id +
                                " would");

    std::vector<Setting> all;
    for (unsigned i = 0; i < kPositions; ++i) {
        if (!at[i]) continue;
        check(*at[i]);
        const auto some = settings_of(*at[i], i);
        all.insert(all.end(), some.begin(), some.end());
    }
    if (default_cdrom_ && !at[kCdromPosition] && !taken_[kCdromPosition])
        all.push_back({"drives.hdc.media", "cdrom", "the default CD-ROM drive"});
    return all;
}

void DriveList::check(const Drive& drive) const {
    if (drive.cdrom || drive.find("file") || drive.find("format")) return;
    throw OptionError(drive.option + ": a hard disk needs file=; only a CD-ROM drive (media=cdrom) may be empty");
}

std::vector<Setting> DriveList::settings_of(const Drive& drive, unsigned position) const {
    const std::string prefix = "drives." + std::string(kPositionNames[position]) + ".";
    std::vector<Setting> all;
    if (drive.cdrom) all.push_back({prefix + "media", "cdrom", drive.option});
    for (const auto& [name, value] : drive.parameters) all.push_back({prefix + name, value, drive.option});
    if (!snapshot_.empty() && !drive.cdrom && !drive.find("snapshot"))
        all.push_back({prefix + "snapshot", "true", snapshot_});
    // Only the board's quirks ask.
    if (!drive.device_option.empty()) all.push_back({prefix + "attached", "separately", drive.device_option});
    return all;
}

}  // namespace backplane::drives
