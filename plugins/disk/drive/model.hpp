// A drive: a medium (an image of the host, or another device's bp.block/1) and what its owner prescribed about it.
// Offers bp.drive/1 and bp.block/1 to the device that a guest sees, and bp.commands/1 to the machine's user.
//
// A request that fails is reported to the guest, held or passed over, as the error policies say. Held requests wait for
// the machine to go on and are then made again. They are the drive's alone: a device that is restored from a snapshot
// makes its request anew.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "backplane/abi/commands.h"
#include "backplane/abi/drive.h"
#include "backplane/device.hpp"
#include "image/medium.hpp"

namespace backplane::drive {

class Drive final : public Device<Drive> {
  public:
    static constexpr std::string_view kType = "disk.drive";

    explicit Drive(const Slot& slot) : Device(slot), medium_(slot) {}
    ~Drive() { stop(); }

    static void describe(Schema<Drive>& s);
    bp_status start();
    void stop();
    void drain();
    void state(StateVisitor& v);
    bp_status restored();

  private:
    enum class Cache : u8 { kWriteback, kNone, kWritethrough, kDirectsync, kUnsafe };
    enum class Translation : u8 { kAuto, kNone, kLba, kLarge, kRechs };
    enum class Geometry : u8 { kQemu012, kAuto };
    enum class OnError : u8 { kEnospc, kStop, kReport, kIgnore };
    enum class OnReadError : u8 { kReport, kStop, kIgnore };
    enum class Io : u8 { kAuto, kThreads };

    // A medium that can be put in.
    struct Disc {
        std::string file, format;
        bool read_only = false;
        bool operator==(const Disc&) const = default;
    };
    // A request of the attachment on its way. Outlives the drive if it must.
    struct Pending {
        Drive* owner = nullptr;
        bp_block_request request{};
    };

    // --- model.cpp ---
    void info(bp_drive_info* out) const;
    image::OpenOptions options(const Disc& disc) const;
    // Throws image::Error; the drive is empty then.
    void insert(const Disc& disc);
    void remove();
    Disc present() const;
    void note_disc();
    bool empty() const { return !source_; }

    // --- requests.cpp ---
    static const bp_block kBlock;
    static const bp_drive kDrive;
    void block_info(bp_block_info* out) const;
    bp_status submit(const bp_block_request& request);
    i32 read_now(u64 offset, void* data, u64 length);
    bp_status forward(Pending* pending);
    static void answered(void* argument, i32 error);
    void complete(Pending* pending, i32 error);
    OnError policy(u32 operation, i32 error) const;
    void hold(Pending* pending, i32 error);
    void run_state(bool running);
    void give_up_held(i32 error, bool later);
    std::string label() const;

    // --- commands.cpp ---
    static const bp_commands kCommands;
    bp_str command_list() const;
    // The answer as JSON; throws image::Error.
    std::string execute(std::string_view command, std::string_view arguments);
    std::string describe_now();
    void eject(bool force);
    void change(const Disc& disc);
    void open_tray(bool force);
    void close_tray();
    void ask_to_open();
    void tell_tray(bool open);
    void tell_error(u32 operation, i32 error, OnError action);
    image::Image& own_image();

    // Configuration.
    Path path_;
    std::string id_, format_, serial_;
    bool read_only_ = false, snapshot_ = false, discard_ = true, removable_ = false;
    Cache cache_ = Cache::kWriteback;
    Translation translation_ = Translation::kAuto;
    Geometry geometry_ = Geometry::kQemu012;
    OnError werror_ = OnError::kEnospc;
    OnReadError rerror_ = OnReadError::kReport;
    Io io_ = Io::kAuto;
    u32 cylinders_ = 0, heads_ = 0, sectors_ = 0, lcylinders_ = 0, lheads_ = 0, lsectors_ = 0;
    u32 boot_index_ = ~u32{0};
    Link<bp_block> image_;

    // The medium: of an image opened here, or of the link.
    image::Medium medium_;
    const bp_block* source_ = nullptr;  // nullptr: there is none
    void* source_instance_ = nullptr;
    Disc disc_;

    const bp_drive_listener* listener_ = nullptr;
    void* listener_instance_ = nullptr;

    std::vector<Pending*> held_;

    // Of a removable drive, in snapshots.
    bool tray_open_ = false, locked_ = false;
    std::array<char, 1024> saved_file_{};
    std::array<char, 32> saved_format_{};
    bool saved_read_only_ = false;
    u64 saved_bytes_ = 0;

    // For the user.
    struct Count {
        u64 requests = 0, bytes = 0, errors = 0;
    };
    std::array<Count, 5> counts_{};  // by BP_BLOCK_...
};

}  // namespace backplane::drive
