#include "model.hpp"

#include <algorithm>

#include "geometry/boot_sectors.hpp"

namespace backplane::ata {

const bp_ata_device Disk::kTable{
    sizeof(bp_ata_device),
    [](void* i, bp_ata_info* out) { static_cast<Disk*>(i)->info(out); },
    [](void* i, uint32_t reg) -> uint8_t { return static_cast<Disk*>(i)->read(reg); },
    [](void* i, uint32_t reg, uint8_t value) { static_cast<Disk*>(i)->write(reg, value); },
    [](void* i, uint8_t value) { static_cast<Disk*>(i)->control(value); },
    [](void* i, uint32_t bytes) -> uint32_t { return static_cast<Disk*>(i)->data_read(bytes); },
    [](void* i, uint32_t bytes, uint32_t value) { static_cast<Disk*>(i)->data_write(bytes, value); },
    [](void* i, uint32_t* bytes, int* to_memory) { return static_cast<Disk*>(i)->dma_window(bytes, to_memory); },
    [](void* i, uint32_t bytes) { static_cast<Disk*>(i)->dma_advance(bytes); },
    [](void* i) { static_cast<Disk*>(i)->dma_cancel(); }};

void Disk::describe(Schema<Disk>& s) {
    s.doc("ATA hard disk");
    s.property("serial", &Disk::serial_,
               {.doc = "serial number, at most 20 characters; empty: the drive's, else QM00001 ... by position"});
    s.property("version", &Disk::version_, {.doc = "firmware version, at most 8 characters", .def = "0.12.3"});
    s.property("model", &Disk::model_, {.doc = "model name, at most 40 characters", .def = "QEMU HARDDISK"});
    s.property("cylinders", &Disk::cylinders_,
               {.doc = "physical cylinders; give all three of cylinders, heads, sectors, or none",
                .def = "0",
                .max = geometry::kMaxCylinders});
    s.property("heads", &Disk::heads_, {.doc = "physical heads", .def = "0", .max = geometry::kMaxHeads});
    s.property("sectors", &Disk::sectors_,
               {.doc = "physical sectors per track", .def = "0", .max = geometry::kMaxSectors});
    s.property("translation", &Disk::translation_,
               {.doc = "what the firmware makes of the geometry for INT 13h; auto: by size and partition table",
                .def = "auto",
                .choices = "auto|none|lba|large|rechs"});
    s.property("lcylinders", &Disk::logical_cylinders_,
               {.doc = "logical cylinders, for firmware that is told them; give all three of lcylinders, lheads, "
                       "lsectors, or none",
                .def = "0",
                .max = geometry::kMaxLogicalCylinders});
    s.property("lheads", &Disk::logical_heads_,
               {.doc = "logical heads", .def = "0", .max = geometry::kMaxLogicalHeads});
    s.property("lsectors", &Disk::logical_sectors_,
               {.doc = "logical sectors per track", .def = "0", .max = geometry::kMaxSectors});
    s.property("geometry", &Disk::policy_,
               {.doc = "where a geometry comes from that is not given: qemu-0.12 from size and partition table, auto "
                       "also from image header and boot sectors; drive: as the drive says",
                .def = "drive",
                .choices = "drive|qemu-0.12|auto"});
    s.property("write_cache", &Disk::write_cache_default_,
               {.doc = "report a write cache, which guests flush, unless the drive has none; off: every write is "
                       "flushed before it completes",
                .def = "true"});
    s.property("read_only", &Disk::read_only_, {.doc = "refuse writes", .def = "false"});
    s.property("latency", &Disk::latency_,
               {.doc = "duration of an access to the medium under the deterministic clock", .def = "100us"});
    s.link("drive", &Disk::drive_, BP_DRIVE_ID, "the drive: medium, and what its owner prescribes", true);
    s.link("image", &Disk::image_, BP_BLOCK_ID, "the medium, if there is no drive", true);
    s.plug(BP_ATA_DEVICE_ID, &kTable, BP_ATA_BUS_ID, &Disk::bus_);
    s.timer<&Disk::completion>("completion", [](Disk& d) -> Timer& { return d.access_.completion; });
    s.trace("command", &Disk::trace_command_, "commands with their task file");
    s.trace(
        "medium", [](Disk& d) -> TracePoint& { return d.access_.trace; }, "accesses to the image");
}

bp_status Disk::start() {
    if (const bp_status s = join()) return s;
    const auto too_long = [this](const char* what, const std::string& text, std::size_t limit) {
        return text.size() <= limit
                   ? bp_status{BP_OK}
                   : fail(BP_ERR_INVALID, "%s \"%s\" has more than %zu characters", what, text.c_str(), limit);
    };
    if (const bp_status s = too_long("serial", serial_, kSerialChars)) return s;
    if (const bp_status s = too_long("version", version_, kVersionChars)) return s;
    return too_long("model", model_, kModelChars);
}

// The medium is the drive's, or an image without one. What is given here goes before what the drive says.
bp_status Disk::join() {
    if (static_cast<bool>(drive_) == static_cast<bool>(image_))
        return fail(BP_ERR_INVALID, drive_ ? "both drive and image are given: a disk has one medium"
                                           : "no medium: give drive (a disk.drive) or image (a bare image)");
    access_.join(drive_ ? bp_interface{drive_->block, drive_.instance()}
                        : bp_interface{image_.operator->(), image_.instance()});
    return BP_OK;
}

void Disk::stop() {
    // Whatever the guest was told to be written is with the host before the image is closed.
    if (const Link<bp_block>& medium = access_.medium()) medium->drain(medium.instance());
}

// The image may start after the drive, so the medium is first looked at here (or when the channel asks, if that is
// earlier).
bp_status Disk::publish() {
    if (const bp_status s = resolve()) return s;
    log_info("%llu sectors, physical %s, translation %s, logical %s: %s%s%s", static_cast<unsigned long long>(total_),
             geometry::text(geometry_.physical).c_str(), std::string(geometry::name(geometry_.translation)).c_str(),
             geometry::text(geometry_.logical).c_str(), geometry_.reason.c_str(),
             geometry_.otherwise.empty() ? "" : "; ", geometry_.otherwise.c_str());
    warn_of_expectation();
    return BP_OK;
}

geometry::Reader Disk::reader() {
    return [this](u64 lba, std::span<u8> bytes) {
        return access_.medium()->read_now(access_.medium().instance(), lba * kSectorBytes, bytes.data(),
                                          bytes.size()) == 0;
    };
}

// Boot code of Windows NT to 2003 and of DOS computes with its own boot sector's numbers, whatever INT 13h says.
void Disk::warn_of_expectation() {
    const auto wanted = geometry::expectation(reader(), total_);
    const geometry::Chs& is = geometry_.logical;
    if (!wanted || (wanted->heads == is.heads && wanted->sectors == is.sectors)) return;
    log_warn(
        "%s, but INT 13h will say %u heads and %u sectors: boot code that relies on its boot sector reads wrong "
        "places; `backplane disk doctor IMAGE` says what to do",
        wanted->text.c_str(), is.heads, is.sectors);
}

bp_status Disk::resolve() {
    if (resolved_) return BP_OK;
    bp_block_info medium{};
    medium.size = sizeof medium;
    access_.medium()->info(access_.medium().instance(), &medium);
    total_ = medium.bytes / kSectorBytes;
    if (total_ == 0)
        return fail(BP_ERR_INVALID, medium.bytes || !drive_ ? "the image is smaller than one sector of 512 bytes"
                                                            : "the drive has no medium: a hard disk needs one");
    if (medium.read_only) read_only_ = true;

    bp_drive_info drive{};
    drive.size = sizeof drive;
    drive.boot_index = -1;
    drive.write_cache = 1;
    if (drive_) drive_->info(drive_.instance(), &drive);
    serial_shown_ = serial_.empty() ? std::string(to_view(drive.serial)) : serial_;
    if (serial_shown_.size() > kSerialChars)
        return fail(BP_ERR_INVALID, "the drive's serial \"%s\" has more than %zu characters", serial_shown_.c_str(),
                    kSerialChars);
    if (!drive.write_cache) write_cache_default_ = false;
    boot_index_ = drive.boot_index;

    geometry::Input input;
    input.sectors = total_;
    input.settings = settings(drive);
    const bool automatic =
        policy_ == PolicyChoice::kAuto || (policy_ == PolicyChoice::kDrive && drive.policy == BP_GEOMETRY_AUTO);
    input.policy = automatic ? geometry::Policy::kAuto : geometry::Policy::kQemu012;
    if (const std::string wrong = geometry::check(input.settings); !wrong.empty())
        return fail(BP_ERR_INVALID, "%s", wrong.c_str());
    std::array<u8, kSectorBytes> first{};
    if (access_.medium()->read_now(access_.medium().instance(), 0, first.data(), first.size()) == 0)
        input.first_sector = first;
    input.reader = reader();
    if (medium.hint_cylinders)
        input.header = geometry::Chs{medium.hint_cylinders, medium.hint_heads, medium.hint_sectors};
    geometry_ = geometry::resolve(input);
    resolved_ = true;
    return BP_OK;
}

geometry::Settings Disk::settings(const bp_drive_info& drive) const {
    const auto chosen = [](geometry::Chs own, geometry::Chs other) {
        const geometry::Chs& chs = own == geometry::Chs{} ? other : own;
        return chs == geometry::Chs{} ? std::nullopt : std::optional(chs);
    };
    geometry::Settings s;
    s.chs = chosen({cylinders_, heads_, sectors_}, {drive.cylinders, drive.heads, drive.sectors});
    s.logical = chosen({logical_cylinders_, logical_heads_, logical_sectors_},
                       {drive.lcylinders, drive.lheads, drive.lsectors});
    // Both count from "default" on: none, LBA, large, R-ECHS.
    const u32 own = static_cast<u32>(translation_);
    if (const u32 t = own ? own : drive.translation; t >= BP_TRANSLATION_NONE && t <= BP_TRANSLATION_RECHS)
        s.translation = static_cast<geometry::Translation>(t - BP_TRANSLATION_NONE);
    return s;
}

void Disk::info(bp_ata_info* out) {
    const u32 size = out->size;
    *out = {};
    out->size = size;
    out->kind = BP_ATA_KIND_DISK;
    out->boot_index = -1;
    if (resolve() != BP_OK) return;  // the drive's own publish() reports it
    out->sectors_total = total_;
    out->cylinders = geometry_.physical.cylinders;
    out->heads = geometry_.physical.heads;
    out->sectors = geometry_.physical.sectors;
    out->translation = static_cast<u32>(geometry_.translation);
    out->lcylinders = geometry_.logical.cylinders;
    out->lheads = geometry_.logical.heads;
    out->lsectors = geometry_.logical.sectors;
    out->reason = to_bp(geometry_.reason);
    out->logical_given = geometry_.logical_given;
    out->boot_index = boot_index_;
}

bp_ata_place Disk::place() const {
    bp_ata_place place{sizeof(bp_ata_place), 0, 0, 0};
    if (bus_) bus_->place(bus_.instance(), &place);
    return place;
}

void Disk::intrq(bool level) {
    if (bus_) bus_->intrq(bus_.instance(), level);
}

// --- Registers
// ----------------------------------------------------------------------------------------------------------

u8 Disk::read(u32 reg) {
    switch (reg) {
        case BP_ATA_ERROR: return error_;
        case BP_ATA_COUNT: return now_.count;
        case BP_ATA_LBA_LOW: return now_.low;
        case BP_ATA_LBA_MID: return now_.mid;
        case BP_ATA_LBA_HIGH: return now_.high;
        case BP_ATA_DEVICE: return device_;
        case BP_ATA_STATUS: intrq(false); return status_;
        case BP_ATA_ALT_STATUS: return status_;
        default: return 0;
    }
}

void Disk::write(u32 reg, u8 value) {
    const auto shift = [value](u8& current, u8& previous) {
        previous = current;
        current = value;
    };
    switch (reg) {
        case BP_ATA_ERROR: shift(now_.features, previous_.features); break;
        case BP_ATA_COUNT: shift(now_.count, previous_.count); break;
        case BP_ATA_LBA_LOW: shift(now_.low, previous_.low); break;
        case BP_ATA_LBA_MID: shift(now_.mid, previous_.mid); break;
        case BP_ATA_LBA_HIGH: shift(now_.high, previous_.high); break;
        case BP_ATA_DEVICE:
            device_ = static_cast<u8>((value & ~kDeviceSelect) | kDeviceFixed | (place().device ? kDeviceSelect : 0));
            break;
        case BP_ATA_STATUS: command(value); break;
        default: break;
    }
}

void Disk::control(u8 value) {
    const bool asserted = !(control_ & kControlReset) && (value & kControlReset);
    const bool released = (control_ & kControlReset) && !(value & kControlReset);
    control_ = value;
    if (asserted) {
        cancel();
        status_ = kStatusBusy | kStatusSeek;
        error_ = kErrorPassed;
        intrq(false);
    } else if (released) {
        set_signature();
        status_ = kStatusReady | kStatusSeek;
    }
}

void Disk::set_signature() {
    now_.count = now_.low = 1;
    now_.mid = now_.high = 0;
    device_ &= static_cast<u8>(~kDeviceHead);
}

void Disk::reset_task_file() {
    now_ = previous_ = {};
    device_ = kDeviceFixed;
    set_signature();
    error_ = kErrorPassed;
    status_ = kStatusReady | kStatusSeek;
    control_ = 0;
}

void Disk::reset(Reset kind) {
    cancel();
    reset_task_file();
    multiple_ = kMaxMultiple;
    modes_.reset();
    write_cache_ = write_cache_default_;
    if (kind == Reset::kPowerOn) {
        smart_enabled_ = smart_autosave_ = true;
        self_tests_ = 0;
        self_test_log_ = {};
        std::fill_n(buffer(), kBufferBytes, u8{0});
    }
    intrq(false);
}

// --- State
// --------------------------------------------------------------------------------------------------------------

void Disk::state(StateVisitor& v) {
    const auto task_file = [&v](TaskFile& t) {
        v("features", t.features);
        v("count", t.count);
        v("low", t.low);
        v("mid", t.mid);
        v("high", t.high);
    };
    v.group("now", [&] { task_file(now_); });
    v.group("previous", [&] { task_file(previous_); });
    v("error", error_), v("device", device_), v("status", status_), v("control", control_);
    v("multiple", multiple_, {.max = kMaxMultiple});
    modes_.state(v);
    v("write_cache", write_cache_);
    v("smart_enabled", smart_enabled_), v("smart_autosave", smart_autosave_);
    v("self_tests", self_tests_, {.max = self_test_log_.size()}), v("self_test_log", self_test_log_);
    v("work", work_, {.max = static_cast<u64>(Work::kFlush)});
    v("phase", phase_, {.max = static_cast<u64>(Phase::kMedium)}), v("extended", extended_);
    v("lba", lba_), v("left", left_, {.max = 65536}), v("block", block_, {.min = 1, .max = kMaxMultiple});
    for (const auto& [name, field] : {std::pair{"position", &position_}, {"end", &end_}, {"filled", &filled_}})
        v(name, *field, {.max = kBufferBytes});
    v("chunk_lba", chunk_lba_), v("chunk_sectors", chunk_sectors_, {.max = kBufferSectors});
    v("good", good_, {.max = kBufferSectors});
    v("probing", probing_), v("bad", bad_);
    access_.state(v);
}

// Fields that contradict one another, or nothing: a snapshot is input like any other.
std::string_view Disk::inconsistent() const {
    if (multiple_ & (multiple_ - 1)) return "block size of READ MULTIPLE";
    if (position_ > end_ || end_ > filled_) return "position in the buffer";
    if (good_ > chunk_sectors_) return "sectors in the buffer";
    const auto on_medium = [this](u64 lba, u64 sectors) { return lba <= total_ && sectors <= total_ - lba; };
    if (!on_medium(lba_, left_) || !on_medium(chunk_lba_, chunk_sectors_)) return "sectors beyond the medium";
    if (const std::string_view wrong = access_.inconsistent(); !wrong.empty()) return wrong;
    // One that is over belongs to an earlier, perhaps larger chunk.
    if (access_.waiting() && access_.at() + access_.length() > chunk_sectors_ * kSectorBytes)
        return "sectors of the access";
    // What the last access was says nothing any more when it is over.
    if (access_.waiting() && access_.length() && access_.offset() != chunk_lba_ * kSectorBytes + access_.at())
        return "place of the access";
    if (access_.waiting() != (phase_ == Phase::kMedium)) return "phase and access disagree";
    const bool moving = phase_ != Phase::kIdle && phase_ != Phase::kMedium;
    if (moving && position_ == end_) return "nothing to transfer";
    switch (phase_) {
        case Phase::kIdle: return work_ == Work::kNone ? "" : "work without a phase";
        case Phase::kHostReads:
            return work_ == Work::kReply || work_ == Work::kReadPio ? "" : "work and phase disagree";
        case Phase::kHostWrites: return work_ == Work::kWritePio ? "" : "work and phase disagree";
        case Phase::kDmaIn: return work_ == Work::kReadDma ? "" : "work and phase disagree";
        case Phase::kDmaOut: return work_ == Work::kWriteDma ? "" : "work and phase disagree";
        case Phase::kMedium: return work_ != Work::kNone && work_ != Work::kReply ? "" : "work and phase disagree";
    }
    return "";
}

bp_status Disk::restored() {
    if (const std::string_view wrong = inconsistent(); !wrong.empty())
        return fail(BP_ERR_INVALID, "saved state: %.*s", static_cast<int>(wrong.size()), wrong.data());
    access_.restored();
    return BP_OK;
}

}  // namespace backplane::ata
