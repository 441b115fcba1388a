#include "image/null_storage.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "image/error.hpp"

namespace backplane::image {

namespace {

constexpr u64 kSector = 512, kLargest = u64{1} << 50;

class NullStorage : public Storage {
  public:
    NullStorage(const std::string& path, u64 bytes, bool read_only)
        : path_(path), bytes_(bytes), read_only_(read_only) {}

    const std::string& path() const override { return path_; }
    bool read_only() const override { return read_only_; }
    u64 size() override { return bytes_; }
    int read(u64 offset, std::span<u8> data) override {
        if (!fits(offset, data.size())) return EIO;
        std::fill(data.begin(), data.end(), u8{0});
        return 0;
    }
    int write(u64 offset, std::span<const u8> data) override { return change(offset, data.size()); }
    int flush() override { return 0; }
    int truncate(u64) override { return EOPNOTSUPP; }
    int punch(u64 offset, u64 length) override { return change(offset, length); }
    int zero(u64 offset, u64 length) override { return change(offset, length); }
    int next_data(u64, u64&, u64&) override { return ENXIO; }
    u64 host_bytes() override { return 0; }
    void set_writable(bool writable) override { read_only_ = !writable; }

  private:
    bool fits(u64 offset, u64 length) const { return offset <= bytes_ && length <= bytes_ - offset; }
    int change(u64 offset, u64 length) const { return read_only_ ? EROFS : fits(offset, length) ? 0 : EIO; }

    std::string path_;
    u64 bytes_;
    bool read_only_;
};

}  // namespace

std::unique_ptr<Storage> open_null(const std::string& path, bool read_only) {
    static constexpr std::string_view kSize = "size=";
    const std::string name = path.substr(path.rfind('/') + 1);
    u64 bytes = 0;
    const char* end = name.data() + name.size();
    const bool good = name.starts_with(kSize) &&
                      std::from_chars(name.data() + kSize.size(), end, bytes) == std::from_chars_result{end, {}};
    if (!good || bytes == 0 || bytes > kLargest || bytes % kSector)
        throw Error(Fault::kInvalid, path,
                    "the format null-co has no file; in its place stands size=BYTES, a multiple of 512");
    return std::make_unique<NullStorage>(path, bytes, read_only);
}

}  // namespace backplane::image
