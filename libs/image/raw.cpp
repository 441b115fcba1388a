// Raw: the file's bytes are the medium's bytes.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "image/image.hpp"

namespace backplane::image {

namespace {

constexpr u64 kSectorBytes = 512;

class Raw final : public Image {
  public:
    Raw(std::unique_ptr<Storage> storage, const OpenOptions& options, bool probed)
        : storage_(std::move(storage)), probed_(probed), discard_(options.discard) {
        const u64 size = storage_->size();
        bytes_ = size / kSectorBytes * kSectorBytes;
        if (bytes_ != size && options.log)
            options.log(Level::kWarn, storage_->path() + ": " + std::to_string(size) +
                                          " bytes are not a whole number of 512-byte sectors; the last " +
                                          std::to_string(size - bytes_) + " bytes are not used");
    }

    Info info() const override {
        Info i;
        i.path = storage_->path();
        i.format = "raw";
        i.probed = probed_;
        i.bytes = bytes_;
        i.read_only = storage_->read_only();
        return i;
    }
    u64 bytes() const override { return bytes_; }
    bool read_only() const override { return storage_->read_only(); }

    int read(u64 offset, std::span<u8> data) override {
        return fits(offset, data.size()) ? storage_->read(offset, data) : EINVAL;
    }
    int write(u64 offset, std::span<const u8> data) override {
        if (!fits(offset, data.size())) return EINVAL;
        dirty_ = true;
        return storage_->write(offset, data);
    }
    int flush() override {
        if (!dirty_.exchange(false)) return 0;
        const int error = storage_->flush();
        if (error) dirty_ = true;
        return error;
    }
    int discard(u64 offset, u64 length) override {
        if (!fits(offset, length)) return EINVAL;
        if (!discard_ || length == 0) return 0;
        dirty_ = true;
        // A hint: a file system or device that cannot give space back keeps the old contents.
        const int error = storage_->punch(offset, length);
        return error == EOPNOTSUPP ? 0 : error;
    }
    int write_zeroes(u64 offset, u64 length, bool unmap) override {
        if (!fits(offset, length)) return EINVAL;
        if (length == 0) return 0;
        dirty_ = true;
        return unmap ? storage_->zero(offset, length) : Image::write_zeroes(offset, length, false);
    }
    int extent(u64 offset, u64 length, Extent& out) override {
        if (!fits(offset, length) || length == 0) return EINVAL;
        out = {offset, length, Extent::Kind::kZero, false, 0, offset};
        u64 begin = 0, end = 0;
        const int error = storage_->next_data(offset, begin, end);
        if (error == ENXIO) return 0;
        if (error) return error;
        if (begin > offset) {
            out.length = std::min(length, begin - offset);
        } else {
            out.kind = Extent::Kind::kData;
            out.length = std::min(length, end - offset);
        }
        return 0;
    }
    Direct direct(Operation operation, u64 offset, u64 length) override {
        if (!fits(offset, length) || (operation != Operation::kRead && operation != Operation::kWrite)) return {};
        if (operation == Operation::kWrite) dirty_ = true;
        return {storage_.get(), offset};
    }

    u64 host_bytes() const override { return storage_->host_bytes(); }
    u64 last_change() const override { return storage_->last_change(); }
    void set_writable(bool writable) override { storage_->set_writable(writable); }
    void resize(u64 bytes) override {
        if (const int error = storage_->truncate(bytes))
            throw Error(Fault::kIo, storage_->path(),
                        std::string("its size cannot be changed: ") + std::strerror(error), error);
        bytes_ = bytes / kSectorBytes * kSectorBytes;
        // A guest that was told of another size finds it again after a power cut.
        dirty_ = true;
        if (const int error = flush())
            throw Error(Fault::kIo, storage_->path(),
                        std::string("its new size cannot be flushed: ") + std::strerror(error), error);
    }

  private:
    bool fits(u64 offset, u64 length) const { return offset <= bytes_ && length <= bytes_ - offset; }

    std::unique_ptr<Storage> storage_;
    const bool probed_, discard_;
    u64 bytes_ = 0;
    std::atomic<bool> dirty_{false};  // written since the last flush
};

}  // namespace

std::unique_ptr<Image> open_raw(std::unique_ptr<Storage> storage, const OpenOptions& options, bool probed) {
    return std::make_unique<Raw>(std::move(storage), options, probed);
}

}  // namespace backplane::image
