#include "runner/disk_file.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "kernel/config/error.hpp"

namespace backplane::runner {

DiskFile::DiskFile(const std::string& path, const std::string& format, bool writable) : path_(path), format_("raw") {
    const auto fail = [&](const std::string& what) {
        if (fd_ >= 0) ::close(fd_);
        throw kernel::Error(path + ": " + what);
    };
    if (format != "auto" && format != "raw") fail("format " + format + " is not served");
    guessed_ = format == "auto";
    fd_ = ::open(path.c_str(), (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK);
    if (fd_ < 0) fail(std::strerror(errno));
    struct stat st {};
    if (::fstat(fd_, &st) != 0) fail(std::strerror(errno));
    u64 bytes = static_cast<u64>(st.st_size);
    if (S_ISBLK(st.st_mode)) {
        if (::ioctl(fd_, BLKGETSIZE64, &bytes) != 0) fail(std::strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        fail("neither a file nor a block device");
    }
    sectors_ = bytes / geometry::kSectorBytes;
    if (sectors_ == 0) fail("smaller than one sector");
    if (writable) {
        struct flock l {};
        l.l_type = F_WRLCK;
        l.l_whence = SEEK_SET;
        if (::fcntl(fd_, F_OFD_SETLK, &l) != 0 && (errno == EAGAIN || errno == EACCES))
            fail("in use: another machine or program has it open and holds a lock on it");
    }
}

DiskFile::~DiskFile() { ::close(fd_); }

geometry::Reader DiskFile::reader() {
    return [this](u64 lba, std::span<u8> bytes) {
        if (lba >= sectors_ || bytes.size() / geometry::kSectorBytes > sectors_ - lba) return false;
        const ssize_t n = ::pread(fd_, bytes.data(), bytes.size(), static_cast<off_t>(lba * geometry::kSectorBytes));
        return n == static_cast<ssize_t>(bytes.size());
    };
}

void DiskFile::write(u64 lba, std::span<const u8> sector) {
    const ssize_t n = ::pwrite(fd_, sector.data(), sector.size(), static_cast<off_t>(lba * geometry::kSectorBytes));
    if (n != static_cast<ssize_t>(sector.size()))
        throw kernel::Error(path_ + ": sector " + std::to_string(lba) + " cannot be written: " + std::strerror(errno),
                            kernel::kExitFailure);
}

void DiskFile::flush() {
    if (::fsync(fd_) != 0)
        throw kernel::Error(path_ + ": cannot be flushed: " + std::strerror(errno), kernel::kExitFailure);
}

}  // namespace backplane::runner
