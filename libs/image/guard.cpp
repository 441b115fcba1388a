// The first sector of a raw image that is raw only because nothing else was recognized.
#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "image/image.hpp"

namespace backplane::image {

namespace {

class Guard final : public Image {
  public:
    Guard(std::unique_ptr<Image> image, Log log) : image_(std::move(image)), log_(std::move(log)) {}

    Info info() const override { return image_->info(); }
    u64 bytes() const override { return image_->bytes(); }
    bool read_only() const override { return image_->read_only(); }
    int read(u64 offset, std::span<u8> data) override { return image_->read(offset, data); }
    int write(u64 offset, std::span<const u8> data) override {
        if (offset < kHeadBytes)
            if (const int error = look(offset, data)) return error;
        return image_->write(offset, data);
    }
    int flush() override { return image_->flush(); }
    int discard(u64 offset, u64 length) override { return image_->discard(offset, length); }
    int write_zeroes(u64 offset, u64 length, bool unmap) override {
        return image_->write_zeroes(offset, length, unmap);
    }
    int extent(u64 offset, u64 length, Extent& out) override { return image_->extent(offset, length, out); }
    Direct direct(Operation operation, u64 offset, u64 length) override {
        if (operation == Operation::kWrite && offset < kHeadBytes) return {};
        return image_->direct(operation, offset, length);
    }
    void end_direct(const Direct& d) override { image_->end_direct(d); }
    Image* backing() const override { return image_->backing(); }
    u64 host_bytes() const override { return image_->host_bytes(); }
    u64 last_change() const override { return image_->last_change(); }
    void set_writable(bool writable) override { image_->set_writable(writable); }
    void resize(u64 bytes) override { image_->resize(bytes); }
    void make_empty() override { image_->make_empty(); }

  private:
    static constexpr u64 kHeadBytes = 512;  // every format's mark stands in it
    static constexpr unsigned kMostReports = 10;

    int look(u64 offset, std::span<const u8> data) {
        std::array<u8, kHeadBytes> head{};
        const u64 size = std::min(kHeadBytes, image_->bytes());
        const u64 n = std::min<u64>(data.size(), kHeadBytes - offset);
        if (n < size)
            if (const int error = image_->read(0, std::span(head).first(size))) return error;
        std::memcpy(head.data() + offset, data.data(), n);
        const Driver* driver = probe(head);
        if (!driver) return 0;
        if (log_ && reports_++ < kMostReports)
            log_(Level::kError, image_->info().path + ": the guest wants to write the mark of a " +
                                    std::string(driver->name) +
                                    " image to the beginning of this disk, which has no known header: the next start "
                                    "would take the disk for such an image. The write is refused; with format=raw "
                                    "for this drive it is done");
        return EPERM;
    }

    std::unique_ptr<Image> image_;
    Log log_;
    std::atomic<unsigned> reports_{0};
};

}  // namespace

std::unique_ptr<Image> guard(std::unique_ptr<Image> image, Log log) {
    return std::make_unique<Guard>(std::move(image), std::move(log));
}

}  // namespace backplane::image
