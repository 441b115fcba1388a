// A block of guest memory: zeroed, as lazily as the kernel's own, with an inaccessible page on either side, so that a
// device that leaves it is caught without a sanitizer.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <new>
#include <string>

#include "backplane/types.hpp"

namespace backplane::testkit {

class GuestMemory {
  public:
    static constexpr u64 kPage = 4096;

    // `size` is rounded up to whole pages.
    GuestMemory(std::string name, u64 size) : name_(std::move(name)), size_((size + kPage - 1) & ~(kPage - 1)) {
        // A file in memory knows which of its pages were ever used.
        file_ = ::memfd_create("guest", MFD_CLOEXEC);
        if (file_ < 0 || ::ftruncate(file_, static_cast<off_t>(size_)) != 0) fail();
        void* all = ::mmap(nullptr, size_ + 2 * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (all == MAP_FAILED) fail();
        base_ = static_cast<u8*>(all);
        if (size_ && ::mmap(data(), size_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file_, 0) == MAP_FAILED) {
            ::munmap(base_, size_ + 2 * kPage);
            fail();
        }
    }
    ~GuestMemory() {
        ::munmap(base_, size_ + 2 * kPage);
        ::close(file_);
    }
    GuestMemory(const GuestMemory&) = delete;
    GuestMemory& operator=(const GuestMemory&) = delete;

    u8* data() const { return base_ + kPage; }
    u64 size() const { return size_; }
    const std::string& name() const { return name_; }

    // Pages that are not all zero, by offset.
    std::map<u64, std::string> pages() const {
        static constexpr u8 kZeros[kPage] = {};
        std::map<u64, std::string> out;
        off_t at = 0;
        while ((at = ::lseek(file_, at, SEEK_DATA)) >= 0) {
            const off_t end = ::lseek(file_, at, SEEK_HOLE);
            for (; at < end; at += static_cast<off_t>(kPage))
                if (std::memcmp(data() + at, kZeros, kPage) != 0)
                    out.emplace(static_cast<u64>(at), std::string(reinterpret_cast<const char*>(data() + at), kPage));
        }
        return out;
    }
    // All else becomes zero.
    void set_pages(const std::map<u64, std::string>& pages) {
        for (const auto& [offset, unused] : this->pages())
            if (!pages.count(offset)) std::memset(data() + offset, 0, kPage);
        for (const auto& [offset, bytes] : pages)
            if (offset + bytes.size() <= size_) std::memcpy(data() + offset, bytes.data(), bytes.size());
    }

  private:
    [[noreturn]] void fail() {
        if (file_ >= 0) ::close(file_);
        throw std::bad_alloc();
    }
    std::string name_;
    u64 size_;
    int file_ = -1;
    u8* base_ = nullptr;
};

}  // namespace backplane::testkit
