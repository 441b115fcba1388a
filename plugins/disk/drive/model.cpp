#include "model.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

namespace backplane::idrive {

const bp_block Raw::kTable{sizeof(bp_block), [](void* i, bp_block_info* out) { static_cast<Raw*>(i)->info(out); },
                           [](void* i, const bp_block_request* request) -> bp_status {
                               try {
                                   return static_cast<Raw*>(i)->submit(*request);
                               } catch (const std::bad_alloc&) {
                                   return BP_ERR_NO_MEMORY;
                               }
                           },
                           [](void* i, uint64_t offset, void* data, uint64_t length) -> int32_t {
                               return static_cast<Raw*>(i)->read_now(offset, data, length);
                           },
                           [](void* i) { static_cast<Raw*>(i)->drain(); }};

const bp_drive Raw::kDrive{sizeof(bp_drive), &kTable, [](void* i, bp_drive_info* o) {
    Raw& r = *static_cast<Raw*>(i);
    *o = {o->size, r.removable_, r.c_, r.h_, r.s_, r.lc_, r.lh_, r.ls_, static_cast<u32>(r.translation_), static_cast<u32>(r.policy_), 1, static_cast<i32>(r.boot_), to_bp(r.serial_)};
}, [](void*, const bp_drive_listener*, void*) {}, [](void*, int) {}, [](void*, int) {}};

void Raw::describe(Schema<Raw>& s) {
    s.doc("raw disk image: a file or block device of the host");
    s.property("file", &Raw::path_, {.doc = "the image", .def = ""});
    s.property("id", &Raw::id_, {.doc = "x", .def = ""});
    s.property("format", &Raw::format_, {.doc = "x", .def = "auto"});
    s.property("snapshot", &Raw::snapshot_, {.doc = "x", .def = "false"});
    s.property("discard", &Raw::discard_, {.doc = "x", .def = "true"});
    s.property("removable", &Raw::removable_, {.doc = "x", .def = "false"});
    s.property("cache", &Raw::cache_, {.doc = "x", .def = "writeback", .choices = "writeback|none|writethrough|directsync|unsafe"});
    s.property("translation", &Raw::translation_, {.doc = "x", .def = "auto", .choices = "auto|none|lba|large|rechs"});
    s.property("geometry", &Raw::policy_, {.doc = "x", .def = "qemu-0.12", .choices = "qemu-0.12|auto"});
    s.property("werror", &Raw::werror_, {.doc = "x", .def = "enospc"});
    s.property("rerror", &Raw::rerror_, {.doc = "x", .def = "report"});
    s.property("serial", &Raw::serial_, {.doc = "x", .def = ""});
    s.property("cylinders", &Raw::c_, {.doc = "x", .def = "0"});
    s.property("heads", &Raw::h_, {.doc = "x", .def = "0"});
    s.property("sectors", &Raw::s_, {.doc = "x", .def = "0"});
    s.property("lcylinders", &Raw::lc_, {.doc = "x", .def = "0"});
    s.property("lheads", &Raw::lh_, {.doc = "x", .def = "0"});
    s.property("lsectors", &Raw::ls_, {.doc = "x", .def = "0"});
    s.property("boot_index", &Raw::boot_, {.doc = "x", .def = "0xffffffff"});
    s.offer(BP_DRIVE_ID, &kDrive);

    s.property("read_only", &Raw::read_only_,
               {.doc = "open for reading only; several machines may do so at once", .def = "false"});
    s.offer(BP_BLOCK_ID, &kTable);
}

// --- Opening
// ------------------------------------------------------------------------------------------------------------

bp_status Raw::start() {
    if (path_.text.empty() && removable_) return BP_OK;
    if (const bp_status s = open()) return s;
    if (const bp_status s = measure()) return s;
    if (const bp_status s = lock()) return s;

    // Signals are for the machine's thread.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
        worker_ = std::thread([this] { work(); });
    } catch (const std::exception& e) {
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
        return fail(BP_ERR_NO_MEMORY, "%s: no thread for the image: %s", path_.text.c_str(), e.what());
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return BP_OK;
}

bp_status Raw::open() {
    if (path_.text.empty()) return fail(BP_ERR_INVALID, "no file was given for the disk image");
    // O_NONBLOCK: a FIFO must not hold us up. It has no effect on files and block devices.
    file_ = File(::open(path_.text.c_str(), (read_only_ ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK));
    return file_ ? bp_status{BP_OK} : open_failed(errno);
}

bp_status Raw::open_failed(int error) const {
    const char* path = path_.text.c_str();
    const char* why = std::strerror(error);
    if (error == ENOENT) return fail(BP_ERR_NOT_FOUND, "%s: there is no such disk image", path);
    if (error == EISDIR) return fail(BP_ERR_INVALID, "%s is a directory, not a disk image", path);
    if (!read_only_ && File(::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)))
        return fail(BP_ERR_READ_ONLY,
                    "%s cannot be opened for writing (%s); to attach it for reading only, say read_only: true", path,
                    why);
    return fail(BP_ERR_IO, "%s cannot be opened: %s", path, why);
}

bp_status Raw::measure() {
    const char* path = path_.text.c_str();
    struct stat s {};
    if (fstat(file_.get(), &s) != 0) return fail(BP_ERR_IO, "%s: %s", path, std::strerror(errno));
    u64 size = 0;
    if (S_ISREG(s.st_mode)) {
        size = static_cast<u64>(s.st_size);
    } else if (S_ISBLK(s.st_mode)) {
        if (ioctl(file_.get(), BLKGETSIZE64, &size) != 0)
            return fail(BP_ERR_IO, "%s: the size of the device cannot be read: %s", path, std::strerror(errno));
    } else if (S_ISDIR(s.st_mode)) {
        return fail(BP_ERR_INVALID, "%s is a directory, not a disk image", path);
    } else {
        return fail(BP_ERR_INVALID, "%s is neither a file nor a block device", path);
    }
    bytes_ = size / kSectorBytes * kSectorBytes;
    if (bytes_ != size)
        log_warn("%s: %llu bytes are not a whole number of 512-byte sectors; the last %llu bytes are not used", path,
                 static_cast<unsigned long long>(size), static_cast<unsigned long long>(size - bytes_));
    return BP_OK;
}

// An open-file-description lock on the whole file: it goes with the descriptor, so it holds between two machines in one
// process as well as between two processes, and QEMU's own locks collide with it as they should.
bp_status Raw::lock() const {
    struct flock l {};
    l.l_type = static_cast<short>(read_only_ ? F_RDLCK : F_WRLCK);
    l.l_whence = SEEK_SET;
    if (fcntl(file_.get(), F_OFD_SETLK, &l) == 0) return BP_OK;
    const int error = errno;
    const char* path = path_.text.c_str();
    if (error == EAGAIN || error == EACCES)
        return fail(BP_ERR_CONFLICT,
                    read_only_
                        ? "%s is in use: another machine or program has it open for writing and holds a lock on it"
                        : "%s is in use: another machine or program has it open and holds a lock on it; two writers "
                          "would destroy it",
                    path);
    log_warn("%s cannot be locked (%s): nothing keeps a second machine from writing to it", path, std::strerror(error));
    return BP_OK;
}

void File::close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

// --- For the drive
// --------------------------------------------------------------------------------------------------------

void Raw::info(bp_block_info* out) const {
    const u32 size = out->size;
    *out = {};
    out->size = size;
    out->bytes = bytes_;
    out->read_only = read_only_ ? 1 : 0;
}

bool Raw::acceptable(const bp_block_request& r) const {
    if (r.operation == BP_BLOCK_FLUSH) return true;
    if (r.operation < BP_BLOCK_READ || r.operation > BP_BLOCK_DISCARD) return false;
    if (r.offset % kSectorBytes || r.length % kSectorBytes) return false;
    return r.offset <= bytes_ && r.length <= bytes_ - r.offset;
}

bp_status Raw::submit(const bp_block_request& request) {
    if (!acceptable(request)) return BP_ERR_INVALID;
    if (read_only_ && (request.operation == BP_BLOCK_WRITE || request.operation == BP_BLOCK_DISCARD))
        return BP_ERR_READ_ONLY;
    auto job = std::make_unique<Job>(Job{this, request, 0});
    {
        const std::lock_guard guard(mutex_);
        if (ending_ || !worker_.joinable()) return BP_ERR_STATE;
        queue_.push_back(job.get());
        job.release();
    }
    wake_.notify_one();
    return BP_OK;
}

i32 Raw::read_now(u64 offset, void* data, u64 length) {
    if (!file_) return EBADF;
    if (offset > bytes_ || length > bytes_ - offset) return EINVAL;
    drain();
    return read(offset, static_cast<u8*>(data), length);
}

void Raw::drain() {
    std::unique_lock guard(mutex_);
    idle_.wait(guard, [this] { return queue_.empty() && !busy_; });
}

// Only while no request is under way.
void Raw::state(StateVisitor& v) {
    if (!file_) return;
    if (slot().machine().deterministic(slot().self())) {
        if (digest_stale_) digest_ = digest();
        digest_stale_ = false;
    } else {
        const timespec t = last_change();
        changed_ns_ = static_cast<u64>(t.tv_sec) * 1'000'000'000 + static_cast<u64>(t.tv_nsec);
    }
    v.identity("bytes", bytes_);
    v.identity("changed", changed_ns_);
    v.identity("digest", digest_);
}

timespec Raw::last_change() const {
    struct stat s {};
    fstat(file_.get(), &s);
    // The host's file times move in steps of some milliseconds: a later write must show.
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    constexpr i64 kStep = 20'000'000;
    const i64 age = (now.tv_sec - s.st_mtim.tv_sec) * i64{1'000'000'000} + now.tv_nsec - s.st_mtim.tv_nsec;
    if (age >= 0 && age < kStep) {
        const timespec rest{0, static_cast<long>(kStep - age)};
        nanosleep(&rest, nullptr);
    }
    return s.st_mtim;
}

void Raw::stop() {
    if (worker_.joinable()) {
        {
            const std::lock_guard guard(mutex_);
            ending_ = true;
        }
        wake_.notify_one();
        worker_.join();
        if (const i32 error = flush())
            log_error("%s: what was written last may be lost: %s", path_.text.c_str(), std::strerror(error));
    }
    file_.close();
}

// --- The worker
// -----------------------------------------------------------------------------------------------------------

void Raw::work() {
    const auto complete = [](void* argument) {
        const std::unique_ptr<Job> job(static_cast<Job*>(argument));
        job->request.done(job->request.argument, job->error);
    };
    std::unique_lock guard(mutex_);
    for (;;) {
        wake_.wait(guard, [this] { return ending_ || !queue_.empty(); });
        if (queue_.empty()) return;
        Job* job = queue_.front();
        queue_.pop_front();
        busy_ = true;
        guard.unlock();
        job->error = perform(job->request);
        slot().machine().post(slot().self(), complete, job);
        guard.lock();
        busy_ = false;
        if (queue_.empty()) idle_.notify_all();
    }
}

i32 Raw::perform(const bp_block_request& request) {
    switch (request.operation) {
        case BP_BLOCK_READ: return read(request.offset, static_cast<u8*>(request.data), request.length);
        case BP_BLOCK_WRITE: return write(request.offset, static_cast<const u8*>(request.data), request.length);
        case BP_BLOCK_FLUSH: return flush();
        case BP_BLOCK_DISCARD: return discard(request.offset, request.length);
        default: return EINVAL;
    }
}

i32 Raw::read(u64 offset, u8* data, u64 length) const {
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

i32 Raw::write(u64 offset, const u8* data, u64 length) {
    dirty_ = digest_stale_ = true;
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

i32 Raw::flush() {
    if (!dirty_ || !file_) return 0;
    if (fdatasync(file_.get()) != 0) return errno;
    dirty_ = false;
    return 0;
}

i32 Raw::discard(u64 offset, u64 length) {
    dirty_ = digest_stale_ = true;
    if (length == 0) return 0;
    if (fallocate(file_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                  static_cast<off_t>(length)) == 0)
        return 0;
    // A hint: a file system or device that cannot give space back keeps the old contents.
    return errno == EOPNOTSUPP || errno == ENOSYS || errno == ENOTTY ? 0 : errno;
}

}  // namespace backplane::idrive
