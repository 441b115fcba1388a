// Raw disk image: a file or block device of the host whose bytes are the medium's bytes. Offers bp.block/1.
//
// One worker thread does the reads and writes in the order in which they were submitted, so that a read sees every
// write before it; completions go back to the machine's thread through its queue.
#pragma once

#include <sys/stat.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "backplane/abi/backend.h"
#include "backplane/abi/drive.h"
#include "backplane/device.hpp"

namespace backplane::idrive {

// An open file descriptor; closes itself.
class File {
  public:
    File() = default;
    explicit File(int fd) : fd_(fd) {}
    ~File() { close(); }
    File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    File& operator=(File&& other) noexcept {
        if (this != &other) {
            close();
            fd_ = std::exchange(other.fd_, -1);
        }
        return *this;
    }
    int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }
    void close();

  private:
    int fd_ = -1;
};

class Raw final : public Device<Raw> {
  public:
    static constexpr std::string_view kType = "disk.drive";
    using Device::Device;
    ~Raw() { stop(); }

    static void describe(Schema<Raw>& s);
    bp_status start();
    void stop();
    void drain();
    void state(StateVisitor& v);

  private:
    static constexpr u64 kSectorBytes = 512;

    // A request and the way back. Allocated in submit(), freed when done() has run.
    struct Job {
        Raw* raw = nullptr;
        bp_block_request request{};
        i32 error = 0;
    };

    static const bp_block kTable;
    void info(bp_block_info* out) const;
    bp_status submit(const bp_block_request& request);
    i32 read_now(u64 offset, void* data, u64 length);

    bp_status open();
    bp_status open_failed(int error) const;
    bp_status lock() const;
    bp_status measure();
    bool acceptable(const bp_block_request& request) const;

    void work();
    i32 perform(const bp_block_request& request);
    i32 read(u64 offset, u8* data, u64 length) const;
    i32 write(u64 offset, const u8* data, u64 length);
    i32 flush();
    i32 discard(u64 offset, u64 length);
    u64 digest() const;
    timespec last_change() const;

    enum class Cache : u8 { kWriteback, kNone, kWritethrough, kDirectsync, kUnsafe } cache_{};
    enum class Tr : u8 { kAuto, kNone, kLba, kLarge, kRechs } translation_{};
    enum class Pol : u8 { kQemu, kAuto } policy_{};
    std::string id_, format_, serial_, werror_, rerror_;
    bool snapshot_ = false, discard_ = true, removable_ = false;
    u32 c_ = 0, h_ = 0, s_ = 0, lc_ = 0, lh_ = 0, ls_ = 0, boot_ = 0;
    static const bp_drive kDrive;
    Path path_;
    bool read_only_ = false;

    File file_;
    u64 bytes_ = 0;

    std::thread worker_;
    std::mutex mutex_;  // guards what follows
    std::condition_variable wake_, idle_;
    std::deque<Job*> queue_;
    bool busy_ = false;
    bool ending_ = false;

    bool dirty_ = false;  // written since the last flush; the worker's own

    // What a snapshot remembers of the image: its size and when it was last written to, or, where nothing of the host
    // may enter (deterministic clock), a digest of its contents.
    u64 changed_ns_ = 0, digest_ = 0;
    bool digest_stale_ = true;
};

}  // namespace backplane::idrive
