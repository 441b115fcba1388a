#include "runner/disk_file.hpp"

#include <cstdio>
#include <cstring>

#include "kernel/config/error.hpp"
#include "libs/image/image.hpp"

namespace backplane::runner {

DiskFile::DiskFile(const std::string& path, const std::string& format, bool writable) : path_(path) {
    image::OpenOptions options;
    options.path = path;
    options.format = format;
    options.read_only = !writable;
    options.lock = writable;
    options.log = [](image::Level level, const std::string& text) {
        if (level >= image::Level::kWarn) std::fprintf(stderr, "%s\n", text.c_str());
    };
    try {
        image_ = image::open(options);
    } catch (const image::Error& e) {
        throw kernel::Error(e.what(), e.fault() == image::Fault::kIo ? kernel::kExitFailure : kernel::kExitConfig);
    }
    const image::Info info = image_->info();
    format_ = info.format;
    guessed_ = info.probed && info.format == "raw";
    if (info.cylinders) header_ = geometry::Chs{info.cylinders, info.heads, info.sectors};
    sectors_ = info.bytes / geometry::kSectorBytes;
    if (sectors_ == 0) throw kernel::Error(path + ": smaller than one sector");
}

DiskFile::~DiskFile() = default;

geometry::Reader DiskFile::reader() {
    return [this](u64 lba, std::span<u8> bytes) {
        if (lba >= sectors_ || bytes.size() / geometry::kSectorBytes > sectors_ - lba) return false;
        return image_->read(lba * geometry::kSectorBytes, bytes) == 0;
    };
}

void DiskFile::write(u64 lba, std::span<const u8> sector) {
    if (const int error = image_->write(lba * geometry::kSectorBytes, sector))
        throw kernel::Error(path_ + ": sector " + std::to_string(lba) + " cannot be written: " + std::strerror(error),
                            kernel::kExitFailure);
}

void DiskFile::flush() {
    if (const int error = image_->flush())
        throw kernel::Error(path_ + ": cannot be flushed: " + std::strerror(error), kernel::kExitFailure);
}

}  // namespace backplane::runner
