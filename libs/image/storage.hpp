// The bytes under a format: a file or block device of the host; in tests a layer that logs or fails.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "backplane/types.hpp"

namespace backplane::image {

// How far the host's page cache takes part, and whether a flush means anything.
enum class Cache {
    kWriteback,     // host cache, flushes honoured
    kNone,          // past the host cache (O_DIRECT), flushes honoured
    kWritethrough,  // host cache, every write is on the disk before it counts as done
    kDirectsync,    // neither
    kUnsafe,        // host cache, flushes ignored: for disks that may be lost
};
std::string_view cache_name(Cache cache);

// All functions may be called from any thread, and return 0 or an errno value. Accesses that overlap in time and place
// are the caller's affair. Not aligned in any way.
class Storage {
  public:
    virtual ~Storage() = default;

    // Name for messages.
    virtual const std::string& path() const = 0;
    virtual bool read_only() const = 0;
    virtual u64 size() = 0;
    // Bytes past the end: EIO.
    virtual int read(u64 offset, std::span<u8> data) = 0;
    // Makes the file longer if need be.
    virtual int write(u64 offset, std::span<const u8> data) = 0;
    // What was written before survives a power cut.
    virtual int flush() = 0;
    virtual int truncate(u64 bytes) = 0;
    // Gives the space back; reads as zeros afterwards. EOPNOTSUPP if the host cannot; never makes the file longer.
    virtual int punch(u64 offset, u64 length) = 0;
    // Makes zeros, the cheapest way there is; makes the file longer if need be.
    virtual int zero(u64 offset, u64 length);
    // Takes space from the host beforehand, contents are kept. EOPNOTSUPP if the host cannot.
    virtual int allocate(u64 offset, u64 length);
    // The next stretch at or after `offset` that is not a hole: [begin, end). ENXIO if there is none. A host that knows
    // nothing of holes says all of it.
    virtual int next_data(u64 offset, u64& begin, u64& end);
    // Bytes that the host has taken for it.
    virtual u64 host_bytes() { return size(); }
    // When it was last written to, ns since 1970, precise enough that a later write shows.
    virtual u64 last_change() { return 0; }
    // From read-only to writable and back, with its lock. Throws Error and leaves it as it was.
    virtual void set_writable(bool writable);

    // For reads and writes that go past this class (io_uring): the descriptor, or -1; and what offset, length and
    // address of each must be a multiple of (1: nothing).
    virtual int descriptor() const { return -1; }
    virtual u32 alignment() const { return 1; }
};

struct StorageOptions {
    bool read_only = false;
    Cache cache = Cache::kWriteback;
    bool lock = true;     // keeps other machines and QEMU away; off only for tools that look at an image in use
    bool create = false;  // must not exist yet, unless `replace`
    bool replace = false;
    std::function<void(const std::string&)> warn;
};

// A file or block device. Throws Error with the words for the user.
std::unique_ptr<Storage> open_file(const std::string& path, const StorageOptions& options);

}  // namespace backplane::image
