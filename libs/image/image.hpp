// A disk image: the medium's bytes, whatever the format that they are stored in.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "image/error.hpp"
#include "image/storage.hpp"

namespace backplane::image {

struct Info {
    std::string path;
    std::string format;   // "raw", "qcow2" ...
    bool probed = false;  // the format was found out by looking, not given
    u64 bytes = 0;        // of the medium, a multiple of 512
    bool read_only = false;
    u32 cylinders = 0, heads = 0, sectors = 0;  // geometry from the image's header; 0: it has none
    std::string backing_file, backing_format;   // as the header names them; empty: none
    bool temporary = false;                     // writes are dropped at the end (snapshot=on)
    u64 cluster_bytes = 0;                      // what space is handed out in; 0: the format has no such unit
    // What else the header says, for people: name and value.
    std::vector<std::pair<std::string, std::string>> details = {};
};

// What a stretch of the medium is made of.
struct Extent {
    enum class Kind { kUnallocated, kZero, kData };  // unallocated: in no layer, reads as zeros
    u64 offset = 0, length = 0;
    Kind kind = Kind::kUnallocated;
    bool compressed = false;
    u32 depth = 0;                   // 0: this image, 1: its backing file, ...
    std::optional<u64> host_offset;  // where the bytes stand in that layer's file, if they stand there plainly
};

// A snapshot inside an image.
struct SnapshotInfo {
    std::string id, name;
    u64 date_seconds = 0;
    u32 date_nanoseconds = 0;
    u64 vm_clock_ns = 0;
    u64 vm_state_bytes = 0;  // 0: of the disk alone
    u64 disk_bytes = 0;      // size of the medium then
};

// Called from time to time with what is done of what; false ends the work early (Error kIo, ECANCELED).
using Progress = std::function<bool(u64 done, u64 total)>;

enum class Operation { kRead, kWrite, kFlush, kDiscard, kZero };

// The functions of the first group may be called from several threads at once and return 0 or an errno value. A request
// sees what requests before it have done once they were complete; requests that overlap in time and place have no
// order, but damage nothing else. Those of the second group are for quiet times, and throw Error.
class Image {
  public:
    virtual ~Image() = default;

    virtual Info info() const = 0;
    virtual u64 bytes() const = 0;  // as in info()
    virtual bool read_only() const = 0;

    // [offset, offset + size) must lie inside the medium (EINVAL). Any alignment.
    virtual int read(u64 offset, std::span<u8> data) = 0;
    virtual int write(u64 offset, std::span<const u8> data) = 0;
    virtual int flush() = 0;
    // A hint: afterwards the range reads as it did, or as zeros.
    virtual int discard(u64 offset, u64 length) = 0;
    // Reads as zeros afterwards. `unmap`: space may be given back.
    virtual int write_zeroes(u64 offset, u64 length, bool unmap);
    // The stretch that begins at `offset`, at most `length` long, through all layers.
    virtual int extent(u64 offset, u64 length, Extent& out) = 0;
    // If the bytes of such a request stand plainly in a file, the file and the place there, so that it can go to the
    // host as it is; storage nullptr: call the functions above. Does not wait for the host. Marks a write as made. The
    // place stays what it is until end_direct().
    struct Direct {
        Storage* storage = nullptr;
        u64 host_offset = 0;
        u64 token = 0;
    };
    virtual Direct direct(Operation, u64 /*offset*/, u64 /*length*/) { return {}; }
    // Once for each that had a storage.
    virtual void end_direct(const Direct&) {}

    virtual Image* backing() const { return nullptr; }
    // Size of the file on the host, of this layer.
    virtual u64 host_bytes() const { return 0; }
    // When the contents were last changed, ns since 1970.
    virtual u64 last_change() const { return 0; }

    // From read-only to writable and back; for a backing file that is committed to.
    virtual void set_writable(bool writable);
    // Of the medium.
    virtual void resize(u64 bytes);
    // Everything that this layer holds is its own no longer, once it has been committed to the one below.
    virtual void make_empty();

    // One whole cluster (the last may be shorter), compressed where the format can and it helps: for images in the
    // making.
    virtual int write_compressed(u64 offset, std::span<const u8> data) { return write(offset, data); }
    // Another name, and format, of the backing file in the header; nothing is copied. The image is to be opened anew.
    virtual void rename_backing(const std::string& file, const std::string& format);

    virtual bool has_snapshots() const { return false; }
    virtual std::vector<SnapshotInfo> snapshots() const;
    // `about` gives name and, for the snapshot of a machine, clock and size of its state. Returns the id.
    virtual std::string create_snapshot(const SnapshotInfo& about);
    // By id, or else by name.
    virtual void apply_snapshot(const std::string& which);
    virtual void delete_snapshot(const std::string& which);
    // State of the machine that belongs to the disk as it is now: written before create_snapshot() and read after
    // apply_snapshot().
    virtual void write_vm_state(u64 offset, std::span<const u8> data);
    virtual void read_vm_state(u64 offset, std::span<u8> data);

  protected:
    [[noreturn]] void unsupported(const std::string& what) const;
};

enum class Level { kDebug, kInfo, kWarn, kError };
// Any thread.
using Log = std::function<void(Level, const std::string&)>;

struct OpenOptions {
    std::string path;
    std::string format = "auto";
    bool read_only = false;
    Cache cache = Cache::kWriteback;
    bool discard = true;      // false: discards are ignored
    bool snapshot = false;    // writes go to a temporary file that nobody else sees, and are dropped at the end
    bool lock = true;         // see StorageOptions
    bool no_backing = false;  // leave backing files alone: for tools that look at one layer
    std::string inside;       // id or name of a snapshot in the image to be read instead of the disk as it is
    bool repair = false;      // for `disk check`: a damaged image opens too
    Log log;
    u32 depth = 0;  // how many layers lie above
    // Stands in for open_file(), for tests.
    std::function<std::unique_ptr<Storage>(const std::string& path, const StorageOptions&)> storage;
};

// Opens an image, with its backing files. Throws Error.
std::unique_ptr<Image> open(const OpenOptions& options);

// How open() knows a format.
struct Driver {
    std::string_view name;
    // Whether this is the beginning of such a file; `head` are its first bytes, 512 or as many as there are.
    bool (*probe)(std::span<const u8> head);
    // nullptr: known, but not served.
    std::unique_ptr<Image> (*open)(std::unique_ptr<Storage> storage, const OpenOptions& options, bool probed);
};
// Every format that has a header. Raw has none and is what is left.
std::span<const Driver> drivers();
const Driver* find_driver(std::string_view name);
// By its first bytes; nullptr: none of those.
const Driver* probe(std::span<const u8> head);
// "raw, qcow2": what `format` may be.
std::string served_formats();

// The storage under `options`, by its file or as a test wants it.
std::unique_ptr<Storage> open_storage(const OpenOptions& options);
std::unique_ptr<Image> open_raw(std::unique_ptr<Storage> storage, const OpenOptions& options, bool probed);

// Refuses writes that would make the beginning of a raw image look like another format's, so that the next open() would
// take it for one: for images that are raw because nothing else was recognized.
std::unique_ptr<Image> guard(std::unique_ptr<Image> image, Log log);
// Writes go to a temporary file and are dropped with the object. Throws Error.
std::unique_ptr<Image> open_overlay(std::unique_ptr<Image> base);

// Writes everything that `top` holds to its backing file, and empties it. Throws Error.
void commit(Image& top, const Progress& progress = {});

// Number that follows from the contents alone, whatever the format. 0 for an image that cannot be read.
u64 digest(Image& image);

}  // namespace backplane::image
