// A temporary layer over an image: what is written goes to a file without a name, sector by sector at its own place.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>

#include "image/file_descriptor.hpp"
#include "image/image.hpp"

namespace backplane::image {

namespace {

constexpr u64 kSectorBytes = 512;

// Which sectors the layer holds.
class Sectors {
  public:
    bool has(u64 sector) const {
        const auto found = groups_.find(sector / kGroup);
        return found != groups_.end() && (found->second[sector % kGroup / 64] >> (sector % 64) & 1);
    }
    void add(u64 first, u64 count) {
        for (u64 s = first; s < first + count;) {
            auto& group = groups_[s / kGroup];
            for (; s < first + count; ++s) {
                group[s % kGroup / 64] |= u64{1} << (s % 64);
                if ((s + 1) % kGroup == 0) {
                    ++s;
                    break;
                }
            }
        }
    }
    // How many sectors from `sector` on are like it, at most `most`.
    u64 run(u64 sector, u64 most) const {
        const bool value = has(sector);
        u64 n = 1;
        while (n < most) {
            const u64 at = sector + n;
            const auto found = groups_.find(at / kGroup);
            const u64 group_left = kGroup - at % kGroup;
            if (found == groups_.end()) {
                if (value) break;
                n += group_left;
                continue;
            }
            // The bits from `at` to the end of their word that differ.
            const u64 word = found->second[at % kGroup / 64], shift = at % 64;
            const u64 differ = (value ? ~word : word) >> shift;
            if (differ) {
                n += static_cast<u64>(std::countr_zero(differ));
                break;
            }
            n += 64 - shift;
        }
        return std::min(n, most);
    }
    void clear() { groups_.clear(); }

  private:
    static constexpr u64 kGroup = 4096;  // sectors: 2 MiB
    std::unordered_map<u64, std::array<u64, kGroup / 64>> groups_;
};

FileDescriptor nameless_file() {
    const char* folder = std::getenv("TMPDIR");
    if (!folder || !*folder) folder = "/var/tmp";
    FileDescriptor fd(::open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    if (fd) return fd;
    std::string name = std::string(folder) + "/backplane-XXXXXX";
    fd = FileDescriptor(mkostemp(name.data(), O_CLOEXEC));
    if (!fd)
        throw Error(Fault::kIo, folder,
                    std::string("no temporary file can be made here for what the guest writes: ") +
                        std::strerror(errno) + " (the folder comes from TMPDIR)",
                    errno);
    unlink(name.c_str());
    return fd;
}

class Overlay final : public Image {
  public:
    explicit Overlay(std::unique_ptr<Image> base) : base_(std::move(base)), file_(nameless_file()) {}

    Info info() const override {
        Info i = base_->info();
        i.backing_file = i.path;
        i.backing_format = i.format;
        i.read_only = false;
        i.temporary = true;
        return i;
    }
    u64 bytes() const override { return base_->bytes(); }
    bool read_only() const override { return false; }

    int read(u64 offset, std::span<u8> data) override {
        if (!fits(offset, data.size())) return EINVAL;
        while (!data.empty()) {
            bool own = false;
            const u64 n = stretch(offset, data.size(), own);
            const int error = own ? get(offset, data.first(n)) : base_->read(offset, data.first(n));
            if (error) return error;
            data = data.subspan(n);
            offset += n;
        }
        return 0;
    }
    int write(u64 offset, std::span<const u8> data) override {
        if (!fits(offset, data.size())) return EINVAL;
        if (data.empty()) return 0;
        const u64 first = offset / kSectorBytes, end = (offset + data.size() + kSectorBytes - 1) / kSectorBytes;
        // Parts of sectors: the rest comes from below.
        if (offset % kSectorBytes)
            if (const int error = fetch(first)) return error;
        if ((offset + data.size()) % kSectorBytes)
            if (const int error = fetch(end - 1)) return error;
        if (const int error = put(offset, data)) return error;
        mark(first, end - first);
        return 0;
    }
    int flush() override { return 0; }  // nothing of it shall last
    int discard(u64, u64) override { return 0; }
    int write_zeroes(u64 offset, u64 length, bool unmap) override {
        if (!fits(offset, length)) return EINVAL;
        if (offset % kSectorBytes || length % kSectorBytes || !unmap || length == 0)
            return Image::write_zeroes(offset, length, unmap);
        if (fallocate(file_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                      static_cast<off_t>(length)) != 0)
            return Image::write_zeroes(offset, length, false);
        mark(offset / kSectorBytes, length / kSectorBytes);
        return 0;
    }
    int extent(u64 offset, u64 length, Extent& out) override {
        if (!fits(offset, length) || length == 0) return EINVAL;
        bool own = false;
        const u64 n = stretch(offset, length, own);
        if (own) {
            out = {offset, n, Extent::Kind::kData, false, 0, std::nullopt};
            return 0;
        }
        const int error = base_->extent(offset, n, out);
        ++out.depth;
        return error;
    }

    Image* backing() const override { return base_.get(); }
    u64 host_bytes() const override {
        struct stat s {};
        return fstat(file_.get(), &s) == 0 ? static_cast<u64>(s.st_blocks) * 512 : 0;
    }
    u64 last_change() const override {
        const u64 own = changed_.load();
        return own ? own : base_->last_change();
    }
    void make_empty() override {
        const std::unique_lock guard(mutex_);
        held_.clear();
        if (ftruncate(file_.get(), 0) != 0)
            throw Error(Fault::kIo, info().path, std::string("the temporary file: ") + std::strerror(errno), errno);
        changed_ = 0;
    }

  private:
    bool fits(u64 offset, u64 length) const {
        const u64 bytes = base_->bytes();
        return offset <= bytes && length <= bytes - offset;
    }
    u64 stretch(u64 offset, u64 length, bool& own) const {
        const std::shared_lock guard(mutex_);
        const u64 sector = offset / kSectorBytes, skip = offset % kSectorBytes;
        own = held_.has(sector);
        return std::min(length,
                        held_.run(sector, (skip + length + kSectorBytes - 1) / kSectorBytes) * kSectorBytes - skip);
    }
    void mark(u64 first, u64 count) {
        timespec now{};
        clock_gettime(CLOCK_REALTIME, &now);
        changed_ = static_cast<u64>(now.tv_sec) * 1'000'000'000 + static_cast<u64>(now.tv_nsec);
        const std::unique_lock guard(mutex_);
        held_.add(first, count);
    }
    int fetch(u64 sector) {
        {
            const std::shared_lock guard(mutex_);
            if (held_.has(sector)) return 0;
        }
        std::array<u8, kSectorBytes> data;
        if (const int error = base_->read(sector * kSectorBytes, data)) return error;
        return put(sector * kSectorBytes, data);
    }
    int get(u64 offset, std::span<u8> data) const {
        while (!data.empty()) {
            const ssize_t n = pread(file_.get(), data.data(), data.size(), static_cast<off_t>(offset));
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) return errno;
            if (n == 0) {  // zeros that were never written, at the end
                std::fill(data.begin(), data.end(), u8{0});
                return 0;
            }
            data = data.subspan(static_cast<std::size_t>(n));
            offset += static_cast<u64>(n);
        }
        return 0;
    }
    int put(u64 offset, std::span<const u8> data) const {
        while (!data.empty()) {
            const ssize_t n = pwrite(file_.get(), data.data(), data.size(), static_cast<off_t>(offset));
            if (n < 0 && errno == EINTR) continue;
            if (n <= 0) return n < 0 ? errno : ENOSPC;
            data = data.subspan(static_cast<std::size_t>(n));
            offset += static_cast<u64>(n);
        }
        return 0;
    }

    std::unique_ptr<Image> base_;
    FileDescriptor file_;
    mutable std::shared_mutex mutex_;
    Sectors held_;
    std::atomic<u64> changed_{0};
};

}  // namespace

std::unique_ptr<Image> open_overlay(std::unique_ptr<Image> base) { return std::make_unique<Overlay>(std::move(base)); }

}  // namespace backplane::image
