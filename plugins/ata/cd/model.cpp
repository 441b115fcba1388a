#include "model.hpp"

#include <algorithm>
#include <utility>

#include "packet.hpp"

namespace backplane::ata {

const bp_ata_device Cd::kTable{
    sizeof(bp_ata_device),
    [](void* i, bp_ata_info* out) { static_cast<Cd*>(i)->info(out); },
    [](void* i, uint32_t reg) -> uint8_t { return static_cast<Cd*>(i)->read(reg); },
    [](void* i, uint32_t reg, uint8_t value) { static_cast<Cd*>(i)->write(reg, value); },
    [](void* i, uint8_t value) { static_cast<Cd*>(i)->control(value); },
    [](void* i, uint32_t bytes) -> uint32_t { return static_cast<Cd*>(i)->data_read(bytes); },
    [](void* i, uint32_t bytes, uint32_t value) { static_cast<Cd*>(i)->data_write(bytes, value); },
    [](void* i, uint32_t* bytes, int* to_memory) { return static_cast<Cd*>(i)->dma_window(bytes, to_memory); },
    [](void* i, uint32_t bytes) { static_cast<Cd*>(i)->dma_advance(bytes); },
    [](void* i) { static_cast<Cd*>(i)->dma_cancel(); }};

// A request to eject that the guest's lock refuses is nothing a guest could be told of: the board's drives have no
// event notification.
const bp_drive_listener Cd::kListener{sizeof(bp_drive_listener), [](void* i) { static_cast<Cd*>(i)->medium_changed(); },
                                      [](void*) {}};

void Cd::describe(Schema<Cd>& s) {
    s.doc("ATAPI CD-ROM and DVD-ROM drive");
    s.property("serial", &Cd::serial_,
               {.doc = "serial number, at most 20 characters; empty: the drive's, else QM00001 ... by position"});
    s.property("version", &Cd::version_, {.doc = "firmware version, at most 8 characters", .def = "0.12.3"});
    s.property("model", &Cd::model_, {.doc = "model name, at most 40 characters", .def = "QEMU DVD-ROM"});
    s.property("latency", &Cd::latency_,
               {.doc = "duration of an access to the medium under the deterministic clock", .def = "100us"});
    s.link("drive", &Cd::drive_, BP_DRIVE_ID, "the drive: medium, if there is one");
    s.plug(BP_ATA_DEVICE_ID, &kTable, BP_ATA_BUS_ID, &Cd::bus_);
    s.timer<&Cd::completion>("completion", [](Cd& c) -> Timer& { return c.access_.completion; });
    s.trace("command", &Cd::trace_command_, "ATA commands and packets");
    s.trace(
        "medium", [](Cd& c) -> TracePoint& { return c.access_.trace; }, "accesses to the image");
}

bp_status Cd::start() {
    const auto too_long = [this](const char* what, const std::string& text, std::size_t limit) {
        return text.size() <= limit
                   ? bp_status{BP_OK}
                   : fail(BP_ERR_INVALID, "%s \"%s\" has more than %zu characters", what, text.c_str(), limit);
    };
    if (const bp_status s = too_long("serial", serial_, kSerialChars)) return s;
    if (const bp_status s = too_long("version", version_, kVersionChars)) return s;
    if (const bp_status s = too_long("model", model_, kModelChars)) return s;
    access_.join({drive_->block, drive_.instance()});
    return BP_OK;
}

void Cd::stop() {
    if (drive_) drive_->block->drain(drive_.instance());
}

void Cd::connect() { drive_->connect(drive_.instance(), &kListener, this); }

// The drive may start after this device, so it is first asked here, or when the channel asks.
bp_status Cd::publish() {
    bp_drive_info drive{};
    drive.size = sizeof drive;
    drive.boot_index = -1;
    drive_->info(drive_.instance(), &drive);
    serial_shown_ = serial_.empty() ? std::string(to_view(drive.serial)) : serial_;
    if (serial_shown_.size() > kSerialChars)
        return fail(BP_ERR_INVALID, "the drive's serial \"%s\" has more than %zu characters", serial_shown_.c_str(),
                    kSerialChars);
    if (const u32 sectors = disc_sectors())
        log_info("disc of %u sectors of 2048 bytes", sectors);
    else
        log_info("no disc");
    return BP_OK;
}

void Cd::info(bp_ata_info* out) {
    const u32 size = out->size;
    *out = {};
    out->size = size;
    out->kind = BP_ATA_KIND_PACKET;
    bp_drive_info drive{};
    drive.size = sizeof drive;
    drive.boot_index = -1;
    if (drive_) drive_->info(drive_.instance(), &drive);
    out->boot_index = drive.boot_index;
}

u32 Cd::disc_sectors() const {
    bp_block_info medium{};
    medium.size = sizeof medium;
    drive_->block->info(drive_.instance(), &medium);
    return static_cast<u32>(std::min<u64>(medium.bytes / kSectorBytes, ~u32{0}));
}

void Cd::medium_changed() {
    if (moving_tray_) return;
    change_ = disc_sectors() ? Change::kNotReady : Change::kNone;
}

bp_ata_place Cd::place() const {
    bp_ata_place place{sizeof(bp_ata_place), 0, 0, 0};
    if (bus_) bus_->place(bus_.instance(), &place);
    return place;
}

void Cd::intrq(bool level) {
    if (bus_) bus_->intrq(bus_.instance(), level);
}

// --- Registers
// ----------------------------------------------------------------------------------------------------------

u8 Cd::read(u32 reg) {
    switch (reg) {
        case BP_ATA_ERROR: return error_;
        case BP_ATA_COUNT: return count_;
        case BP_ATA_LBA_LOW: return low_;
        case BP_ATA_LBA_MID: return mid_;
        case BP_ATA_LBA_HIGH: return high_;
        case BP_ATA_DEVICE: return device_;
        case BP_ATA_STATUS: intrq(false); return status_;
        case BP_ATA_ALT_STATUS: return status_;
        default: return 0;
    }
}

void Cd::write(u32 reg, u8 value) {
    switch (reg) {
        case BP_ATA_ERROR: features_ = value; break;
        case BP_ATA_COUNT: count_ = value; break;
        case BP_ATA_LBA_LOW: low_ = value; break;
        case BP_ATA_LBA_MID: mid_ = value; break;
        case BP_ATA_LBA_HIGH: high_ = value; break;
        case BP_ATA_DEVICE:
            device_ = static_cast<u8>((value & ~kDeviceSelect) | kDeviceFixed | (place().device ? kDeviceSelect : 0));
            break;
        case BP_ATA_STATUS: command(value); break;
        default: break;
    }
}

void Cd::control(u8 value) {
    const bool asserted = !(control_ & kControlReset) && (value & kControlReset);
    const bool released = (control_ & kControlReset) && !(value & kControlReset);
    control_ = value;
    if (asserted) {
        cancel();
        status_ = kStatusBusy | kStatusSeek;
        error_ = kErrorPassed;
        intrq(false);
    } else if (released) {
        // Not ready: that a packet device is ready it only says after a command for packet devices (9.10).
        set_signature();
        status_ = 0;
    }
}

// By which hosts know a packet device.
void Cd::set_signature() {
    count_ = low_ = 1;
    mid_ = 0x14;
    high_ = 0xeb;
    device_ &= static_cast<u8>(~kDeviceHead);
}

void Cd::reset(Reset kind) {
    cancel();
    features_ = 0;
    device_ = kDeviceFixed;
    set_signature();
    error_ = kErrorPassed;
    status_ = kStatusReady | kStatusSeek;
    control_ = 0;
    modes_.reset();
    sense_ = {};
    if (kind == Reset::kPowerOn) change_ = Change::kNone;
    if (std::exchange(locked_, false)) drive_->lock(drive_.instance(), 0);
    intrq(false);
}

// --- State
// --------------------------------------------------------------------------------------------------------------

void Cd::state(StateVisitor& v) {
    v("features", features_), v("count", count_), v("low", low_), v("mid", mid_), v("high", high_);
    v("error", error_), v("device", device_), v("status", status_), v("control", control_);
    modes_.state(v);
    v("sense_key", sense_.key, {.max = 15}), v("sense_code", sense_.code);
    v("change", change_, {.max = static_cast<u64>(Change::kAttention)});
    v("locked", locked_);
    v("work", work_, {.max = static_cast<u64>(Work::kRead)});
    v("phase", phase_, {.max = static_cast<u64>(Phase::kMedium)});
    v("by_dma", by_dma_);
    v("packet", packet_);
    for (const auto& [name, field] : {std::pair{"position", &position_}, {"end", &end_}, {"filled", &filled_}})
        v(name, *field, {.max = kBufferBytes});
    v("lba", lba_), v("left", left_);
    v("sector_bytes", sector_bytes_, {.min = kSectorBytes, .max = kRawBytes});
    v("reading", reading_, {.max = kChunkSectors});
    v("single", single_), v("bad", bad_);
    access_.state(v);
}

// Fields that contradict one another, or nothing: a snapshot is input like any other.
std::string_view Cd::inconsistent() const {
    if (position_ > end_ || end_ > filled_) return "position in the buffer";
    if (sector_bytes_ != kSectorBytes && sector_bytes_ != kRawBytes) return "size of a sector";
    if (lba_ > ~u32{0} - left_ || (left_ && work_ != Work::kRead)) return "sectors to read";
    if (const std::string_view wrong = access_.inconsistent(); !wrong.empty()) return wrong;
    if (access_.waiting() != (phase_ == Phase::kMedium)) return "phase and access disagree";
    if (phase_ == Phase::kMedium) {
        if (work_ != Work::kRead || reading_ == 0 || reading_ > left_) return "sectors of the access";
        if (filled_ != kReadAt) return "data before the access";
        if (access_.operation() != BP_BLOCK_READ || access_.at() != kReadAt ||
            access_.length() != reading_ * kSectorBytes || access_.offset() != u64{lba_} * kSectorBytes)
            return "place of the access";
        return "";
    }
    if (phase_ != Phase::kIdle && position_ == end_) return "nothing to transfer";
    switch (phase_) {
        case Phase::kIdle: return work_ == Work::kNone ? "" : "work without a phase";
        case Phase::kHostWrites:
            return work_ == Work::kPacket && filled_ == kPacketBytes ? "" : "work and phase disagree";
        case Phase::kHostReads: return work_ != Work::kNone && work_ != Work::kPacket ? "" : "work and phase disagree";
        case Phase::kDmaIn: return work_ == Work::kReply || work_ == Work::kRead ? "" : "work and phase disagree";
        case Phase::kMedium: break;
    }
    return "";
}

bp_status Cd::restored() {
    if (const std::string_view wrong = inconsistent(); !wrong.empty())
        return fail(BP_ERR_INVALID, "saved state: %.*s", static_cast<int>(wrong.size()), wrong.data());
    access_.restored();
    return BP_OK;
}

}  // namespace backplane::ata
