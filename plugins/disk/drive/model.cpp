#include "model.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace backplane::drive {

void Drive::describe(Schema<Drive>& s) {
    s.doc("drive: a disk image and how it is to be used");
    s.property("file", &Drive::path_, {.doc = "the image: a file or block device; empty: a removable drive is empty"});
    s.property("format", &Drive::format_,
               {.doc = "raw, qcow2; auto: by a known header, and raw if there is none", .def = "auto"});
    s.property("id", &Drive::id_, {.doc = "name for the user"});
    s.property("read_only", &Drive::read_only_,
               {.doc = "open for reading only; several machines may do so at once", .def = "false"});
    s.property("snapshot", &Drive::snapshot_,
               {.doc = "writes go to a temporary file and are dropped at the end", .def = "false"});
    s.property("cache", &Drive::cache_,
               {.doc = "writeback: the host's cache, flushes honoured; none: past the host's cache; writethrough, "
                       "directsync: every write reaches the disk at once; unsafe: flushes are ignored",
                .def = "writeback",
                .choices = "writeback|none|writethrough|directsync|unsafe"});
    s.property("discard", &Drive::discard_,
               {.doc = "what the guest has no use for any more is given back to the host", .def = "true"});
    s.property("werror", &Drive::werror_,
               {.doc = "a write that fails: report it to the guest, stop the machine until its user lets it go on, "
                       "or ignore it; enospc: stop if the host's disk is full, report otherwise",
                .def = "enospc",
                .choices = "enospc|stop|report|ignore"});
    s.property(
        "rerror", &Drive::rerror_,
        {.doc = "the same for a read; ignored ones yield zeros", .def = "report", .choices = "report|stop|ignore"});
    s.property("io", &Drive::io_,
               {.doc = "auto: io_uring where the host has it; threads: a pool of threads",
                .def = "auto",
                .choices = "auto|threads"});
    s.property("serial", &Drive::serial_, {.doc = "serial number that the guest sees; empty: by position"});
    s.property("cylinders", &Drive::cylinders_, {.doc = "physical cylinders; 0: by size and contents", .def = "0"});
    s.property("heads", &Drive::heads_, {.doc = "physical heads", .def = "0"});
    s.property("sectors", &Drive::sectors_, {.doc = "physical sectors per track", .def = "0"});
    s.property("lcylinders", &Drive::lcylinders_,
               {.doc = "cylinders that INT 13h shall say; 0: by translation", .def = "0"});
    s.property("lheads", &Drive::lheads_, {.doc = "heads that INT 13h shall say", .def = "0"});
    s.property("lsectors", &Drive::lsectors_, {.doc = "sectors per track that INT 13h shall say", .def = "0"});
    s.property("translation", &Drive::translation_,
               {.doc = "what the firmware makes of the geometry for INT 13h; auto: by size and partition table",
                .def = "auto",
                .choices = "auto|none|lba|large|rechs"});
    s.property("geometry", &Drive::geometry_,
               {.doc = "where a geometry that is not given comes from: size and partition table as with qemu-kvm 0.12; "
                       "auto: also the image's header and the boot sectors",
                .def = "qemu-0.12",
                .choices = "qemu-0.12|auto"});
    s.property("removable", &Drive::removable_, {.doc = "the medium can be changed", .def = "false"});
    s.property("boot_index", &Drive::boot_index_,
               {.doc = "place in the boot order, lowest first; 4294967295: not given", .def = "4294967295"});
    s.link("image", &Drive::image_, BP_BLOCK_ID, "another device's image instead of a file", true);
    s.offer(BP_DRIVE_ID, &kDrive);
    s.offer(BP_BLOCK_ID, &kBlock);
    s.offer(BP_COMMANDS_ID, &kCommands);
}

bp_status Drive::start() {
    slot().run_state().listen(
        slot().self(), [](void* context, int running) { static_cast<Drive*>(context)->run_state(running != 0); }, this);
    if (image_) {
        if (!path_.text.empty())
            return fail(BP_ERR_INVALID, "%s: the drive has a file and the link image; one of them has to go",
                        path_.text.c_str());
        source_ = image_.operator->();
        source_instance_ = image_.instance();
        return BP_OK;
    }
    if (path_.text.empty()) {
        if (!removable_) return fail(BP_ERR_INVALID, "no file was given for the disk image");
        note_disc();
        return BP_OK;
    }
    try {
        insert({path_.text, format_, read_only_});
    } catch (const image::Error& e) {
        return fail(image::status_of(e), "%s", e.what());
    }
    return BP_OK;
}

void Drive::stop() {
    // Their buffers are wanted back.
    give_up_held(ECANCELED, true);
    remove();
}

void Drive::drain() {
    if (source_ == &image::Medium::kTable) medium_.drain();
}

void Drive::info(bp_drive_info* out) const {
    bp_drive_info i{};
    i.size = out->size;
    i.removable = removable_ ? 1 : 0;
    i.cylinders = cylinders_, i.heads = heads_, i.sectors = sectors_;
    i.lcylinders = lcylinders_, i.lheads = lheads_, i.lsectors = lsectors_;
    i.translation = static_cast<u32>(translation_);  // in the order of BP_TRANSLATION_...
    i.policy = geometry_ == Geometry::kAuto ? BP_GEOMETRY_AUTO : BP_GEOMETRY_QEMU_0_12;
    i.write_cache = cache_ == Cache::kWritethrough || cache_ == Cache::kDirectsync ? 0 : 1;
    i.boot_index = static_cast<i32>(boot_index_);
    i.serial = to_bp(serial_);
    *out = i;
}

// --- The medium
// -----------------------------------------------------------------------------------------------------------

image::OpenOptions Drive::options(const Disc& disc) const {
    image::OpenOptions o;
    o.path = disc.file;
    o.format = disc.format.empty() ? "auto" : disc.format;
    o.read_only = disc.read_only;
    o.cache = static_cast<image::Cache>(cache_);  // in the same order
    o.discard = discard_;
    o.snapshot = snapshot_;
    return o;
}

void Drive::insert(const Disc& disc) {
    remove();
    medium_.open(options(disc), io_ == Io::kAuto);
    source_ = &image::Medium::kTable;
    source_instance_ = &medium_;
    disc_ = disc;
    note_disc();
}

void Drive::remove() {
    medium_.close();
    source_ = nullptr;
    source_instance_ = nullptr;
    disc_ = {};
    note_disc();
}

void Drive::note_disc() {
    const auto put = [](auto& field, const std::string& text) {
        field.fill(0);
        std::memcpy(field.data(), text.data(), std::min(text.size(), field.size() - 1));
    };
    put(saved_file_, disc_.file);
    put(saved_format_, disc_.format);
    saved_read_only_ = disc_.read_only;
    saved_bytes_ = medium_ ? medium_.image().bytes() : 0;
}

// What the state says is in the drive.
Drive::Disc Drive::present() const {
    const auto text = [](const auto& field) { return std::string(field.data(), strnlen(field.data(), field.size())); };
    return {text(saved_file_), text(saved_format_), saved_read_only_};
}

// --- Snapshots of the machine
// --------------------------------------------------------------------------------------------

void Drive::state(StateVisitor& v) {
    if (image_) return;
    if (!removable_) return medium_.identity(v);
    v.bytes("file", saved_file_.data(), saved_file_.size());
    v.bytes("format", saved_format_.data(), saved_format_.size());
    v("read_only", saved_read_only_);
    v("bytes", saved_bytes_);
    v("tray_open", tray_open_);
    v("locked", locked_);
}

bp_status Drive::restored() {
    // Whoever made them makes them anew, and hears of the old ones when that is done.
    give_up_held(ECANCELED, true);
    if (image_ || !removable_) return BP_OK;
    const Disc wanted = present();
    const u64 bytes = saved_bytes_;
    if (wanted == disc_ && bytes == (medium_ ? medium_.image().bytes() : 0)) return BP_OK;
    try {
        if (wanted.file.empty())
            remove();
        else
            insert(wanted);
    } catch (const image::Error& e) {
        return fail(image::status_of(e), "the medium that was in the drive when the snapshot was taken: %s", e.what());
    }
    if (saved_bytes_ != bytes)
        return fail(BP_ERR_STATE, "%s had %llu bytes when the snapshot was taken and has %llu now", wanted.file.c_str(),
                    static_cast<unsigned long long>(bytes), static_cast<unsigned long long>(saved_bytes_));
    return BP_OK;
}

}  // namespace backplane::drive
