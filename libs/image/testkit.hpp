// For tests: a folder of its own, storage in memory that records what reaches the disk, and storage that fails.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "image/image.hpp"

namespace backplane::image::testkit {

class Folder {
  public:
    Folder() {
        std::string name = (std::filesystem::temp_directory_path() / "backplane-image-XXXXXX").string();
        if (!mkdtemp(name.data())) throw std::runtime_error("mkdtemp");
        path_ = name;
    }
    ~Folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    std::string operator/(const std::string& name) const { return path_ + "/" + name; }
    std::string file(const std::string& name, std::span<const u8> bytes) const {
        std::ofstream(*this / name, std::ios::binary)
            .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
        return *this / name;
    }
    std::string file(const std::string& name, u64 size) const {
        file(name, std::span<const u8>());
        std::filesystem::resize_file(*this / name, size);
        return *this / name;
    }
    std::vector<u8> contents(const std::string& name) const {
        std::ifstream in(*this / name, std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }
    const std::string& path() const { return path_; }

  private:
    std::string path_;
};

// How many rounds random tests make: a few, or what the environment asks for.
inline unsigned rounds(unsigned few) {
    const char* factor = std::getenv("BACKPLANE_IMAGE_ROUNDS");
    return few * (factor ? static_cast<unsigned>(std::max(1, std::atoi(factor))) : 1);
}

inline std::vector<u8> filled(std::size_t size, u64 seed) {
    std::mt19937_64 random(seed);
    std::vector<u8> data(size);
    for (u8& b : data) b = static_cast<u8>(random());
    return data;
}

// What reached the disk, in order.
struct Event {
    enum class Kind { kWrite, kZero, kTruncate, kFlush } kind;
    u64 offset = 0, length = 0;
    std::vector<u8> data;
};

// Applies one event to the bytes of a disk.
inline void apply_event(std::vector<u8>& disk, const Event& e) {
    switch (e.kind) {
        case Event::Kind::kWrite:
            if (disk.size() < e.offset + e.data.size()) disk.resize(e.offset + e.data.size());
            std::copy(e.data.begin(), e.data.end(), disk.begin() + static_cast<std::ptrdiff_t>(e.offset));
            break;
        case Event::Kind::kZero:
            for (u64 at = e.offset; at < std::min<u64>(e.offset + e.length, disk.size()); ++at) disk[at] = 0;
            break;
        case Event::Kind::kTruncate: disk.resize(e.length); break;
        case Event::Kind::kFlush: break;
    }
}

// In memory. `log` is everything that was done to it since the beginning; `fail`, if set, may refuse a step (errno).
class MemoryStorage final : public Storage {
  public:
    struct Disk {
        std::vector<u8> bytes;
        std::vector<Event> log;
        std::function<int(const Event&)> fail;
        std::function<int(u64 offset, u64 length)> fail_read;
        std::mutex mutex;
    };
    MemoryStorage(std::shared_ptr<Disk> disk, std::string path, bool read_only)
        : disk_(std::move(disk)), path_(std::move(path)), read_only_(read_only) {}

    const std::string& path() const override { return path_; }
    bool read_only() const override { return read_only_; }
    u64 size() override {
        const std::lock_guard guard(disk_->mutex);
        return disk_->bytes.size();
    }
    int read(u64 offset, std::span<u8> data) override {
        const std::lock_guard guard(disk_->mutex);
        if (disk_->fail_read)
            if (const int error = disk_->fail_read(offset, data.size())) return error;
        if (offset + data.size() > disk_->bytes.size()) return EIO;
        std::copy_n(disk_->bytes.begin() + static_cast<std::ptrdiff_t>(offset), data.size(), data.begin());
        return 0;
    }
    int write(u64 offset, std::span<const u8> data) override {
        return change({Event::Kind::kWrite, offset, data.size(), {data.begin(), data.end()}});
    }
    int flush() override { return change({Event::Kind::kFlush, 0, 0, {}}); }
    int truncate(u64 bytes) override { return change({Event::Kind::kTruncate, 0, bytes, {}}); }
    int punch(u64 offset, u64 length) override { return change({Event::Kind::kZero, offset, length, {}}); }

  private:
    int change(Event e) {
        if (read_only_) return EBADF;
        const std::lock_guard guard(disk_->mutex);
        if (disk_->fail)
            if (const int error = disk_->fail(e)) return error;
        apply_event(disk_->bytes, e);
        disk_->log.push_back(std::move(e));
        return 0;
    }
    std::shared_ptr<Disk> disk_;
    std::string path_;
    bool read_only_;
};

// Options that open `disk` instead of a file.
inline OpenOptions on(const std::shared_ptr<MemoryStorage::Disk>& disk, const std::string& format) {
    OpenOptions o;
    o.path = "memory";
    o.format = format;
    o.storage = [disk](const std::string& path, const StorageOptions& s) -> std::unique_ptr<Storage> {
        return std::make_unique<MemoryStorage>(disk, path, s.read_only);
    };
    return o;
}

}  // namespace backplane::image::testkit
