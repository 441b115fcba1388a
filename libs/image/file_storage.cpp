#include "image/file_storage.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <mutex>
#include <thread>

#include "image/error.hpp"

namespace backplane::image {

namespace {
constexpr int kLockTries = 25;
constexpr std::chrono::milliseconds kLockPause{20};
}  // namespace

std::unique_ptr<Storage> open_file(const std::string& path, const StorageOptions& options) {
    return std::make_unique<FileStorage>(path, options);
}

// --- Opening
// ------------------------------------------------------------------------------------------------------------

FileStorage::FileStorage(std::string path, const StorageOptions& options) : path_(std::move(path)), options_(options) {
    if (path_.empty()) throw Error(Fault::kInvalid, "no file was given for the disk image");
    file_ = open(options_.read_only);
    measure();
    if (options_.lock) lock(file_.get(), options_.read_only);
    if (options_.create && options_.replace && !block_device_) truncate(0);
    if (direct()) find_alignment();
}

FileDescriptor FileStorage::open(bool read_only) {
    // O_NONBLOCK: a FIFO must not hold us up. It has no effect on files and block devices.
    int flags = (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK;
    if (options_.cache == Cache::kWritethrough || options_.cache == Cache::kDirectsync) flags |= O_DSYNC;
    if (options_.create) flags |= O_CREAT | (options_.replace ? 0 : O_EXCL);
    if (direct()) {
        if (FileDescriptor fd(::open(path_.c_str(), flags | O_DIRECT, 0666)); fd) return fd;
        if (errno != EINVAL) open_failed(errno, read_only);
        warn(path_ + ": the file system knows no direct access; the host's cache is used after all");
        options_.cache = options_.cache == Cache::kNone ? Cache::kWriteback : Cache::kWritethrough;
        // The failed attempt may have made the file.
        if (options_.create) flags &= ~O_EXCL;
    }
    FileDescriptor fd(::open(path_.c_str(), flags, 0666));
    if (!fd) open_failed(errno, read_only);
    return fd;
}

void FileStorage::open_failed(int error, bool read_only) const {
    const std::string why = std::strerror(error);
    if (options_.create) {
        if (error == EEXIST) throw Error(Fault::kInvalid, path_ + " exists already", error);
        throw Error(Fault::kIo, path_ + " cannot be made: " + why, error);
    }
    if (error == ENOENT) throw Error(Fault::kNotFound, path_ + ": there is no such disk image", error);
    if (error == EISDIR) throw Error(Fault::kInvalid, path_ + " is a directory, not a disk image", error);
    if (!read_only && FileDescriptor(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)))
        throw Error(
            Fault::kReadOnly,
            path_ + " cannot be opened for writing (" + why + "); to attach it for reading only, say read_only: true",
            error);
    throw Error(Fault::kIo, path_ + " cannot be opened: " + why, error);
}

void FileStorage::measure() {
    struct stat s {};
    if (fstat(file_.get(), &s) != 0) throw Error(Fault::kIo, path_, std::strerror(errno), errno);
    u64 size = 0;
    if (S_ISREG(s.st_mode)) {
        size = static_cast<u64>(s.st_size);
    } else if (S_ISBLK(s.st_mode)) {
        block_device_ = true;
        if (ioctl(file_.get(), BLKGETSIZE64, &size) != 0)
            throw Error(Fault::kIo, path_,
                        std::string("the size of the device cannot be read: ") + std::strerror(errno), errno);
    } else if (S_ISDIR(s.st_mode)) {
        throw Error(Fault::kInvalid, path_ + " is a directory, not a disk image");
    } else {
        throw Error(Fault::kInvalid, path_ + " is neither a file nor a block device");
    }
    size_ = size;
}

// An open-file-description lock on the whole file: it goes with the descriptor, so it holds between two machines in one
// process as well as between two processes, and QEMU's own locks collide with it as they should.
void FileStorage::lock(int fd, bool read_only) {
    struct flock l {};
    l.l_type = static_cast<short>(read_only ? F_RDLCK : F_WRLCK);
    l.l_whence = SEEK_SET;
    // A program that was killed with requests in an io_uring has its files open for some moments more.
    int error = EAGAIN;
    for (int tries = 0; error == EAGAIN && tries < kLockTries; ++tries) {
        if (tries) std::this_thread::sleep_for(kLockPause);
        if (fcntl(fd, F_OFD_SETLK, &l) == 0) return;
        error = errno == EACCES ? EAGAIN : errno;
    }
    if (error == EAGAIN)
        throw Error(Fault::kInUse,
                    path_ + (read_only ? " is in use: another machine or program has it open for writing and holds a "
                                         "lock on it"
                                       : " is in use: another machine or program has it open and holds a lock on it; "
                                         "two writers would destroy it"),
                    error);
    warn(path_ + " cannot be locked (" + std::strerror(error) + "): nothing keeps a second machine from writing to it");
}

void FileStorage::find_alignment() {
    alignment_ = 4096;
    int sector = 0;
    if (block_device_ && ioctl(file_.get(), BLKSSZGET, &sector) == 0 && sector > 0)
        alignment_ = static_cast<u32>(sector);
#ifdef STATX_DIOALIGN
    struct statx x {};
    if (statx(file_.get(), "", AT_EMPTY_PATH, STATX_DIOALIGN, &x) == 0 && (x.stx_mask & STATX_DIOALIGN) &&
        x.stx_dio_offset_align)
        alignment_ = std::max({x.stx_dio_offset_align, x.stx_dio_mem_align, u32{512}});
#endif
}

void FileStorage::set_writable(bool writable) {
    if (writable != options_.read_only) return;
    FileDescriptor fd = open(!writable);
    if (options_.lock) {
        struct flock l {};
        l.l_type = F_UNLCK;
        l.l_whence = SEEK_SET;
        fcntl(file_.get(), F_OFD_SETLK, &l);
        try {
            lock(fd.get(), !writable);
        } catch (const Error&) {
            l.l_type = static_cast<short>(options_.read_only ? F_RDLCK : F_WRLCK);
            fcntl(file_.get(), F_OFD_SETLK, &l);
            throw;
        }
    }
    file_ = std::move(fd);
    options_.read_only = !writable;
}

void FileStorage::warn(const std::string& text) const {
    if (options_.warn) options_.warn(text);
}

// --- Reading and writing
// ------------------------------------------------------------------------------------------------

bool FileStorage::aligned(u64 offset, const void* data, u64 length) const {
    return ((offset | length | reinterpret_cast<std::uintptr_t>(data)) & (alignment_ - 1)) == 0;
}

int FileStorage::read(u64 offset, std::span<u8> data) {
    if (alignment_ == 1 || aligned(offset, data.data(), data.size()))
        return read_plain(offset, data.data(), data.size());
    return read_bounced(offset, data);
}

int FileStorage::write(u64 offset, std::span<const u8> data) {
    if (options_.read_only) return EBADF;
    int error;
    if (alignment_ == 1) {
        error = write_plain(offset, data.data(), data.size());
    } else if (aligned(offset, data.data(), data.size())) {
        const std::shared_lock guard(rewriting_);
        error = write_plain(offset, data.data(), data.size());
    } else {
        error = write_bounced(offset, data);
    }
    if (!error) grown_to(offset + data.size());
    return error;
}

void FileStorage::grown_to(u64 end) {
    u64 seen = size_.load();
    while (seen < end && !size_.compare_exchange_weak(seen, end)) {}
}

int FileStorage::read_plain(u64 offset, u8* data, u64 length) const {
    while (length > 0) {
        const ssize_t n = pread(file_.get(), data, length, static_cast<off_t>(offset));
        if (n < 0) {
            if (errno == EINTR) continue;
            return errno;
        }
        if (n == 0) return EIO;  // somebody made the file shorter
        data += n;
        offset += static_cast<u64>(n);
        length -= static_cast<u64>(n);
    }
    return 0;
}

int FileStorage::write_plain(u64 offset, const u8* data, u64 length) const {
    while (length > 0) {
        const ssize_t n = pwrite(file_.get(), data, length, static_cast<off_t>(offset));
        if (n < 0) {
            if (errno == EINTR) continue;
            return errno;
        }
        if (n == 0) return ENOSPC;
        data += n;
        offset += static_cast<u64>(n);
        length -= static_cast<u64>(n);
    }
    return 0;
}

namespace {
constexpr u64 kBounceBytes = 1 << 20;

struct Bounce {
    explicit Bounce(u32 alignment) : data(static_cast<u8*>(std::aligned_alloc(alignment, kBounceBytes))) {}
    ~Bounce() { std::free(data); }
    u8* data;
};
}  // namespace

// Whole aligned blocks; what lies behind the end of the file reads as zeros.
int FileStorage::read_block(u64 offset, u8* block, u64 length) const {
    u64 got = 0;
    while (got < length) {
        const ssize_t n = pread(file_.get(), block + got, length - got, static_cast<off_t>(offset + got));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno;
        if (n == 0) break;
        got += static_cast<u64>(n);
        if (static_cast<u64>(n) % alignment_) break;  // the end
    }
    std::memset(block + got, 0, length - got);
    return 0;
}

int FileStorage::read_bounced(u64 offset, std::span<u8> data) const {
    const Bounce bounce(alignment_);
    if (!bounce.data) return ENOMEM;
    if (offset + data.size() > size_.load()) return EIO;
    while (!data.empty()) {
        const u64 skip = offset & (alignment_ - 1), base = offset - skip;
        const u64 n = std::min<u64>(data.size(), kBounceBytes - skip);
        const u64 whole = (skip + n + alignment_ - 1) & ~u64{alignment_ - 1};
        if (const int error = read_block(base, bounce.data, whole)) return error;
        std::memcpy(data.data(), bounce.data + skip, n);
        data = data.subspan(n);
        offset += n;
    }
    return 0;
}

int FileStorage::write_bounced(u64 offset, std::span<const u8> data) {
    const Bounce bounce(alignment_);
    if (!bounce.data) return ENOMEM;
    const std::unique_lock guard(rewriting_);
    while (!data.empty()) {
        const u64 skip = offset & (alignment_ - 1), base = offset - skip;
        const u64 n = std::min<u64>(data.size(), kBounceBytes - skip);
        const u64 whole = (skip + n + alignment_ - 1) & ~u64{alignment_ - 1};
        if (skip || whole != n)
            if (const int error = read_block(base, bounce.data, whole)) return error;
        std::memcpy(bounce.data + skip, data.data(), n);
        if (const int error = write_plain(base, bounce.data, whole)) return error;
        data = data.subspan(n);
        offset += n;
        // A block at the end has made the file too long.
        const u64 end = std::max(size_.load(), offset);
        if (base + whole > end && !block_device_ && ftruncate(file_.get(), static_cast<off_t>(end)) != 0) return errno;
        grown_to(offset);
    }
    return 0;
}

int FileStorage::flush() {
    if (options_.read_only || options_.cache == Cache::kUnsafe) return 0;
    return fdatasync(file_.get()) == 0 ? 0 : errno;
}

int FileStorage::truncate(u64 bytes) {
    if (block_device_) return bytes <= size() ? 0 : EINVAL;
    if (ftruncate(file_.get(), static_cast<off_t>(bytes)) != 0) return errno;
    size_ = bytes;
    return 0;
}

// --- Space
// --------------------------------------------------------------------------------------------------------------

int FileStorage::change(int mode, u64 offset, u64 length) {
    if (options_.read_only) return EBADF;
    if (length == 0) return 0;
    const std::shared_lock guard(rewriting_);
    while (fallocate(file_.get(), mode, static_cast<off_t>(offset), static_cast<off_t>(length)) != 0)
        if (errno != EINTR) return errno == ENOSYS || errno == ENOTTY ? EOPNOTSUPP : errno;
    if (!(mode & FALLOC_FL_KEEP_SIZE)) grown_to(offset + length);
    return 0;
}

int FileStorage::punch(u64 offset, u64 length) {
    return change(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
}

int FileStorage::zero(u64 offset, u64 length) {
    const u64 end = size();
    if (offset + length <= end) {
        if (const int error = punch(offset, length); error != EOPNOTSUPP) return error;
    } else if (offset >= end && !block_device_) {
        return truncate(offset + length);
    }
    if (const int error = change(FALLOC_FL_ZERO_RANGE, offset, length); error != EOPNOTSUPP) return error;
    return Storage::zero(offset, length);
}

int FileStorage::allocate(u64 offset, u64 length) { return change(0, offset, length); }

int FileStorage::next_data(u64 offset, u64& begin, u64& end) {
    if (block_device_) return Storage::next_data(offset, begin, end);
    const off_t data = lseek(file_.get(), static_cast<off_t>(offset), SEEK_DATA);
    if (data < 0) return errno == EINVAL ? Storage::next_data(offset, begin, end) : errno;
    const off_t hole = lseek(file_.get(), data, SEEK_HOLE);
    if (hole < 0) return Storage::next_data(offset, begin, end);
    begin = static_cast<u64>(data);
    end = static_cast<u64>(hole);
    return 0;
}

u64 FileStorage::host_bytes() {
    struct stat s {};
    if (block_device_ || fstat(file_.get(), &s) != 0) return size();
    return static_cast<u64>(s.st_blocks) * 512;
}

u64 FileStorage::last_change() {
    struct stat s {};
    if (fstat(file_.get(), &s) != 0) return 0;
    // The host's file times move in steps of some milliseconds: a later write must show.
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    constexpr i64 kStep = 20'000'000;
    const i64 age = (now.tv_sec - s.st_mtim.tv_sec) * i64{1'000'000'000} + now.tv_nsec - s.st_mtim.tv_nsec;
    if (age >= 0 && age < kStep) {
        const timespec rest{0, static_cast<long>(kStep - age)};
        nanosleep(&rest, nullptr);
    }
    return static_cast<u64>(s.st_mtim.tv_sec) * 1'000'000'000 + static_cast<u64>(s.st_mtim.tv_nsec);
}

}  // namespace backplane::image
