// The image format "qcow2": a Volume with its file and its backing files.
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>

#include "image/qcow2/create.hpp"
#include "image/qcow2/volume.hpp"

namespace backplane::image::qcow2 {

namespace {

constexpr u32 kMostLayers = 64;
constexpr u64 kSector = 512;

class Qcow2Image final : public Image {
  public:
    Qcow2Image(std::unique_ptr<Storage> storage, const OpenOptions& options, bool probed)
        : storage_(std::move(storage)), options_(options), probed_(probed) {
        open_volume(options.read_only);
        if (!options.no_backing && !volume_->header().backing_file.empty()) open_backing();
    }
    ~Qcow2Image() override {
        if (const int error = volume_->close())
            log(Level::kError, "what was written last may be lost: " + std::string(std::strerror(error)));
    }

    Info info() const override {
        Info i;
        i.path = storage_->path();
        i.format = "qcow2";
        i.probed = probed_;
        i.bytes = bytes();
        i.read_only = read_only();
        i.backing_file = volume_->header().backing_file;
        i.backing_format = volume_->header().backing_format;
        i.cluster_bytes = volume_->header().cluster_bytes();
        i.details = details();
        return i;
    }
    u64 bytes() const override { return volume_->bytes() / kSector * kSector; }
    bool read_only() const override { return read_only_; }

    int read(u64 offset, std::span<u8> data) override { return volume_->read(offset, data); }
    int write(u64 offset, std::span<const u8> data) override { return volume_->write(offset, data); }
    int flush() override { return volume_->flush(); }
    Direct direct(Operation operation, u64 offset, u64 length) override {
        Direct d;
        if ((operation == Operation::kRead || operation == Operation::kWrite) &&
            volume_->begin_direct(operation == Operation::kWrite, offset, length, d.host_offset, d.token))
            d.storage = storage_.get();
        return d;
    }
    void end_direct(const Direct& d) override { volume_->end_direct(d.token); }
    int discard(u64 offset, u64 length) override {
        if (read_only_) return EROFS;
        return options_.discard ? volume_->discard(offset, length) : 0;
    }
    int write_zeroes(u64 offset, u64 length, bool unmap) override {
        return volume_->write_zeroes(offset, length, unmap && options_.discard);
    }

    int extent(u64 offset, u64 length, Extent& out) override {
        Mapping m;
        if (const int error = volume_->map(offset, length, m)) return error;
        out = {};
        out.offset = offset;
        out.length = m.length;
        switch (m.kind) {
            case Kind::kZero: out.kind = Extent::Kind::kZero; return 0;
            case Kind::kCompressed:
                out.kind = Extent::Kind::kData;
                out.compressed = true;
                return 0;
            case Kind::kData:
                out.kind = Extent::Kind::kData;
                out.host_offset = m.host;
                return 0;
            case Kind::kNone: break;
        }
        if (!backing_ || offset >= backing_->bytes()) return 0;
        const int error = backing_->extent(offset, std::min(m.length, backing_->bytes() - offset), out);
        ++out.depth;
        return error;
    }

    int write_compressed(u64 offset, std::span<const u8> data) override {
        return volume_->write_compressed(offset, data);
    }
    void rename_backing(const std::string& file, const std::string& format) override {
        std::string why;
        done(volume_->change_backing(file, format, why), "the backing file cannot be changed", why);
    }

    Image* backing() const override { return backing_.get(); }
    u64 host_bytes() const override { return storage_->host_bytes(); }
    u64 last_change() const override { return storage_->last_change(); }

    void set_writable(bool writable) override {
        if (writable == !read_only_) return;
        const int error = volume_->close();
        if (error) fail(Fault::kIo, "cannot be written out", error);
        storage_->set_writable(writable);
        open_volume(!writable);
        set_backing();
    }
    void resize(u64 bytes) override {
        std::string why;
        done(volume_->resize(bytes, why), "cannot be resized", why);
    }
    void make_empty() override {
        std::string why;
        done(volume_->make_empty(why), "cannot be emptied", why);
    }

    bool has_snapshots() const override { return true; }
    std::vector<SnapshotInfo> snapshots() const override {
        std::vector<SnapshotInfo> out;
        for (const Snapshot& s : volume_->snapshots()) {
            SnapshotInfo i;
            i.id = s.id;
            i.name = s.name;
            i.date_seconds = s.seconds;
            i.date_nanoseconds = s.nanoseconds;
            i.vm_clock_ns = s.machine_ns;
            i.vm_state_bytes = s.state_bytes;
            i.disk_bytes = s.disk_bytes;
            out.push_back(i);
        }
        return out;
    }
    std::string create_snapshot(const SnapshotInfo& about) override {
        std::string why;
        done(volume_->create_snapshot(about.name, about.vm_state_bytes, about.vm_clock_ns, why),
             "the snapshot cannot be made", why);
        return volume_->snapshots().back().id;
    }
    void apply_snapshot(const std::string& which) override {
        std::string why;
        done(volume_->apply_snapshot(find(which), why), "the snapshot cannot be applied", why);
    }
    void delete_snapshot(const std::string& which) override {
        std::string why;
        done(volume_->delete_snapshot(find(which), why), "the snapshot cannot be deleted", why);
    }
    void write_vm_state(u64 offset, std::span<const u8> data) override {
        done(volume_->write_state(offset, data), "the machine's state cannot be written", "");
    }
    void read_vm_state(u64 offset, std::span<u8> data) override {
        done(volume_->read_state(offset, data), "the machine's state cannot be read", "");
    }

  private:
    std::vector<std::pair<std::string, std::string>> details() const {
        const Header& h = volume_->header();
        std::vector<std::pair<std::string, std::string>> out{
            {"version", std::to_string(h.version)},
            {"compression", h.compression == Compression::kZstd ? "zstd" : "zlib"},
            {"refcount bits", std::to_string(1u << h.refcount_order)},
            {"lazy refcounts", h.compatible & kLazyRefcounts ? "yes" : "no"}};
        if (h.incompatible & kDirty) out.emplace_back("dirty", "yes");
        if (h.incompatible & kCorrupt) out.emplace_back("corrupt", "yes");
        return out;
    }
    void log(Level level, const std::string& text) const {
        if (options_.log) options_.log(level, storage_->path() + ": " + text);
    }
    [[noreturn]] void fail(Fault fault, const std::string& text, int error = 0) const {
        throw Error(fault, storage_->path(), error ? text + ": " + std::strerror(error) : text, error);
    }
    void done(int error, const std::string& what, const std::string& why) const {
        if (!error) return;
        std::string reason = why;
        if (reason.empty() && error == EIO) reason = volume_->trouble();
        if (reason.empty()) reason = std::strerror(error);
        throw Error(error == EROFS ? Fault::kReadOnly : Fault::kIo, storage_->path(), what + ": " + reason, error);
    }

    void open_volume(bool read_only) {
        Volume::Options o;
        o.read_only = read_only;
        o.give_back = options_.discard;
        o.examine = options_.repair;
        o.inside = options_.inside;
        o.warn = [this](const std::string& text) { log(Level::kError, text); };
        auto volume = std::make_unique<Volume>(*storage_, std::move(o));
        if (const std::string error = volume->open(); !error.empty()) {
            const bool marked = volume->header().incompatible & kCorrupt;
            const bool unknown = error.find("not supported") != std::string::npos;
            fail(unknown ? Fault::kUnsupported : marked && !read_only ? Fault::kReadOnly : Fault::kInvalid, error);
        }
        volume_ = std::move(volume);
        read_only_ = read_only;
    }

    // Follows the names in the headers alone, because the locks would tell of a file in use instead.
    void refuse_loop() const {
        std::set<std::pair<dev_t, ino_t>> seen;
        std::string path = storage_->path();
        std::string next = volume_->header().backing_file;
        for (u32 depth = 0; !next.empty(); ++depth) {
            struct stat st {};
            if (::stat(path.c_str(), &st) != 0) return;
            if (!seen.insert({st.st_dev, st.st_ino}).second)
                fail(Fault::kInvalid, "its backing files go round in a circle: " + path + " is reached again");
            if (depth > kMostLayers)
                fail(Fault::kInvalid, "it has more than " + std::to_string(kMostLayers) + " backing files in a chain");
            path = backing_path(path, next);
            next.clear();
            try {
                StorageOptions so;
                so.read_only = true;
                so.lock = false;
                const auto file = open_file(path, so);
                std::vector<u8> head(std::min<u64>(file->size(), u64{1} << kMaxClusterBits));
                Header h;
                if (file->read(0, head) == 0 && Header::probe(head) && h.parse(head, file->size()).empty())
                    next = h.backing_file;
            } catch (const Error&) {
                return;  // opening it will say it better
            }
        }
    }

    void open_backing() {
        const Header& h = volume_->header();
        if (options_.depth >= kMostLayers)
            fail(Fault::kInvalid, "there are more than " + std::to_string(kMostLayers) + " backing files in a chain");
        if (options_.depth == 0 && !options_.storage) refuse_loop();
        if (h.backing_file.starts_with("json:") || h.backing_file.find("://") != std::string::npos)
            fail(Fault::kUnsupported,
                 "its backing file is \"" + h.backing_file + "\"; only files of the host are supported");
        OpenOptions o = options_;
        o.path = backing_path(storage_->path(), h.backing_file);
        o.format = h.backing_format.empty() ? "auto" : h.backing_format;
        o.read_only = true;
        o.snapshot = false;
        o.repair = false;
        o.inside.clear();
        o.depth = options_.depth + 1;
        try {
            backing_ = image::open(o);
        } catch (const Error& e) {
            throw Error(e.fault(), storage_->path(), "its backing file: " + std::string(e.what()), e.number());
        }
        if (h.backing_format.empty())
            log(Level::kWarn, "it does not say of which format its backing file " + h.backing_file + " is; taken as " +
                                  backing_->info().format +
                                  " (`backplane disk rebase --unsafe` writes the format down)");
        set_backing();
    }

    void set_backing() {
        if (!backing_) return;
        Image* below = backing_.get();
        volume_->set_backing(
            {[below](u64 offset, std::span<u8> data) { return below->read(offset, data); }, below->bytes()});
    }

    std::size_t find(const std::string& which) const {
        const Snapshot* s = volume_->find_snapshot(which);
        if (!s) throw Error(Fault::kNotFound, storage_->path(), "there is no snapshot \"" + which + "\"");
        return static_cast<std::size_t>(s - volume_->snapshots().data());
    }

    std::unique_ptr<Storage> storage_;
    OpenOptions options_;
    bool probed_;
    bool read_only_ = true;
    std::unique_ptr<Image> backing_;
    std::unique_ptr<Volume> volume_;
};

}  // namespace

std::string backing_path(const std::string& image, const std::string& name) {
    const std::string plain = name.starts_with("file:") ? name.substr(5) : name;
    const std::filesystem::path path(plain);
    if (path.is_absolute()) return plain;
    const std::filesystem::path folder = std::filesystem::path(image).parent_path();
    return folder.empty() ? plain : (folder / path).string();
}

bool probe(std::span<const u8> head) { return Header::probe(head); }

std::unique_ptr<Image> open(std::unique_ptr<Storage> storage, const OpenOptions& options, bool probed) {
    return std::make_unique<Qcow2Image>(std::move(storage), options, probed);
}

}  // namespace backplane::image::qcow2
