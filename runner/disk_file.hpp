// An image as the tools for disks see it: sectors, whatever the format.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "backplane/types.hpp"
#include "libs/geometry/geometry.hpp"

namespace backplane::image {
class Image;
}

namespace backplane::runner {

class DiskFile {
  public:
    // format: "auto" or a format's name. Reading looks at images in use as well. Throws kernel::Error.
    DiskFile(const std::string& path, const std::string& format, bool writable);
    ~DiskFile();
    DiskFile(const DiskFile&) = delete;
    DiskFile& operator=(const DiskFile&) = delete;

    u64 sectors() const { return sectors_; }
    const std::string& format() const { return format_; }
    // No header was recognized and none was given: raw is a guess.
    bool guessed() const { return guessed_; }
    const std::optional<geometry::Chs>& header() const { return header_; }
    // Valid while this object exists.
    geometry::Reader reader();
    // Throw kernel::Error.
    void write(u64 lba, std::span<const u8> sector);
    void flush();

  private:
    std::string path_, format_;
    u64 sectors_ = 0;
    bool guessed_ = false;
    std::optional<geometry::Chs> header_;
    std::unique_ptr<image::Image> image_;
};

}  // namespace backplane::runner
