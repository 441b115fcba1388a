// The drives of a machine, whichever way they were written: --hda and --cdrom, --drive with an interface or with a
// separate --device. All are brought into one form, the parameters `drives.hda...` to `drives.hdd...` of the board, so
// that the machine cannot depend on the spelling.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "drives/keys.hpp"

namespace backplane::drives {

// Primary master, primary slave, secondary master, secondary slave.
inline constexpr unsigned kPositions = 4;
inline constexpr std::array<std::string_view, kPositions> kPositionNames{"hda", "hdb", "hdc", "hdd"};

// A value for a parameter of the board.
struct Setting {
    std::string path, value;
    std::string option;  // what the user wrote
};

class DriveList {
  public:
    // A position that somebody else has filled (a VM file): drives that name no position go elsewhere.
    void occupy(unsigned position) { taken_[position] = true; }

    // Each throws OptionError. `option` is the user's own words, for errors: "--hda x.img".
    void disk(unsigned position, const std::string& file, const std::string& option);
    void cdrom(const std::string& file, const std::string& option);
    // "file=x.img,if=none,id=a", and with the keys of cyls= to rerror=.
    void drive(std::string_view text, const std::string& option);
    void drive(Keys keys);
    // An image under a name, for device(): what another option described.
    void node(const std::string& id, std::vector<std::pair<std::string, std::string>> parameters,
              const std::string& option);
    // "ide-hd,drive=a,bus=ide.0,unit=1". False, and nothing done, if it is no ide-drive, ide-hd or ide-cd.
    bool device(std::string_view text, const std::string& option);
    bool device(Keys keys);
    // What is written to any disk is dropped at the end.
    void snapshot(const std::string& option) { snapshot_ = option; }
    // A CD-ROM drive without a disc at the secondary channel, if nothing is there in the end.
    void default_cdrom() { default_cdrom_ = true; }

    bool empty() const { return drives_.empty() && !default_cdrom_; }
    // Whether places that somebody else has filled matter: occupy().
    bool asks_for_places() const;
    // All of it, each drive at its place. Throws OptionError: two at one place, no place left, nothing to attach to.
    std::vector<Setting> settings();
    // After settings(): what the user should know.
    const std::vector<std::string>& warnings() const { return warnings_; }

  private:
    struct Drive {
        std::string option, id, interface = "ide";
        bool cdrom = false, attached = false;
        std::optional<unsigned> position, channel, unit;
        std::string device_option;  // "" if it came in one piece
        std::vector<std::pair<std::string, std::string>> parameters;
        void set(const std::string& parameter, const std::string& value);
        const std::string* find(std::string_view parameter) const;
    };

    void read_drive(Keys& keys, Drive& drive);
    static void read_place(Keys& keys, Drive& drive);
    static void read_geometry(Keys& keys, Drive& drive);
    void read_device(Keys& keys, const std::string& driver, Drive& drive);
    void place_fixed(Drive& drive, std::array<const Drive*, kPositions>& at);
    void place_free(Drive& drive, std::array<const Drive*, kPositions>& at);
    void check(const Drive& drive) const;
    std::vector<Setting> settings_of(const Drive& drive, unsigned position) const;

    std::vector<Drive> drives_;
    std::array<bool, kPositions> taken_{};
    std::string snapshot_;
    bool default_cdrom_ = false;
    std::vector<std::string> warnings_;
};

}  // namespace backplane::drives
