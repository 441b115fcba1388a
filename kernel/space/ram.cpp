#include "kernel/space/ram.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace backplane::kernel {

namespace {
std::uint8_t* reserve(std::uint64_t bytes, int fd) {
    const int flags = MAP_NORESERVE | (fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED);
    void* p = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (p == MAP_FAILED)
        throw std::system_error(errno, std::generic_category(), "cannot reserve address space for guest memory");
    return static_cast<std::uint8_t*>(p);
}
}  // namespace

Ram::Ram(std::uint64_t capacity) : capacity_(capacity) {
    fd_ = ::memfd_create("guest-memory", MFD_CLOEXEC);
    if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "cannot create guest memory");
    base_ = reserve(capacity_, fd_);
    code_flags_ = reserve(capacity_ / kPageSize, -1);
    dirty_flags_ = reserve(capacity_ / kPageSize, -1);
}

Ram::~Ram() {
    if (base_) ::munmap(base_, capacity_);
    if (code_flags_) ::munmap(code_flags_, capacity_ / kPageSize);
    if (dirty_flags_) ::munmap(dirty_flags_, capacity_ / kPageSize);
    if (fd_ >= 0) ::close(fd_);
}

int Ram::create(std::string owner, std::string name, std::uint64_t size) {
    if (size == 0 || size > capacity_ - used_) {
        errno = ENOMEM;
        return -1;
    }
    const std::uint64_t rounded = (size + kPageSize - 1) & ~(kPageSize - 1);
    if (rounded > capacity_ - used_) {
        errno = ENOMEM;
        return -1;
    }
    if (staging_)
        for (std::size_t i = 0; i < taken_.size(); ++i) {
            if (taken_[i] || blocks_[i].owner != owner || blocks_[i].name != name) continue;
            if (blocks_[i].size != rounded) {
                errno = EEXIST;
                return -1;
            }
            taken_[i] = true;
            return static_cast<int>(i);
        }
    if (::ftruncate(fd_, static_cast<off_t>(used_ + rounded)) != 0) return -1;
    blocks_.push_back({std::move(owner), std::move(name), used_, rounded, false});
    used_ += rounded;
    return static_cast<int>(blocks_.size() - 1);
}

namespace {
void remap(std::uint8_t* base, std::uint64_t bytes, int kind, int fd) {
    if (bytes == 0) return;
    if (::mmap(base, bytes, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_NORESERVE | kind, fd, 0) == MAP_FAILED)
        throw std::system_error(errno, std::generic_category(), "cannot map guest memory anew");
}
}  // namespace

void Ram::begin_staging() {
    remap(base_, used_, MAP_PRIVATE, fd_);
    staging_ = true;
    staged_ = used_;
    taken_.assign(blocks_.size(), false);
}

void Ram::end_staging(bool keep) {
    remap(base_, staged_, MAP_SHARED, fd_);
    if (!keep) {
        blocks_.resize(taken_.size());
        used_ = staged_;
        if (::ftruncate(fd_, static_cast<off_t>(used_)) != 0)
            throw std::system_error(errno, std::generic_category(), "cannot shrink guest memory");
    }
    staging_ = false;
    taken_.clear();
}

bool Ram::clear(std::size_t index) {
    return ::madvise(base_ + blocks_[index].offset, blocks_[index].size, MADV_REMOVE) == 0;
}

void Ram::visit_pages(std::size_t index, const std::function<void(std::uint64_t, const std::uint8_t*)>& visit) const {
    const Block& b = blocks_[index];
    const std::uint64_t end = b.offset + b.size;
    std::uint64_t at = b.offset;
    while (at < end) {
        // Reading a hole of the file through the mapping would fill it.
        const off_t data = ::lseek(fd_, static_cast<off_t>(at), SEEK_DATA);
        if (data < 0 && errno == ENXIO) return;
        if (data > static_cast<off_t>(at)) at = static_cast<std::uint64_t>(data) & ~(kPageSize - 1);
        const off_t hole = ::lseek(fd_, static_cast<off_t>(at), SEEK_HOLE);
        const std::uint64_t stop = hole < 0 ? end : std::min(end, static_cast<std::uint64_t>(hole));
        for (; at < stop; at += kPageSize) {
            const std::uint8_t* page = base_ + at;
            const bool zero = page[0] == 0 && std::memcmp(page, page + 1, kPageSize - 1) == 0;
            if (!zero) visit(at - b.offset, page);
        }
    }
}

void Ram::replaced() {
    std::memset(code_flags_, 0, used_ / kPageSize);
    std::memset(dirty_flags_, 1, used_ / kPageSize);
}

}  // namespace backplane::kernel
