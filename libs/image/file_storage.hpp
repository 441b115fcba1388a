// A file or block device of the host under a format.
#pragma once

#include <atomic>
#include <shared_mutex>

#include "image/file_descriptor.hpp"
#include "image/storage.hpp"

namespace backplane::image {

class FileStorage final : public Storage {
  public:
    // Throws Error.
    FileStorage(std::string path, const StorageOptions& options);

    const std::string& path() const override { return path_; }
    bool read_only() const override { return options_.read_only; }
    u64 size() override { return size_.load(std::memory_order_acquire); }
    int read(u64 offset, std::span<u8> data) override;
    int write(u64 offset, std::span<const u8> data) override;
    int flush() override;
    int truncate(u64 bytes) override;
    int punch(u64 offset, u64 length) override;
    int zero(u64 offset, u64 length) override;
    int allocate(u64 offset, u64 length) override;
    int next_data(u64 offset, u64& begin, u64& end) override;
    u64 host_bytes() override;
    u64 last_change() override;
    void set_writable(bool writable) override;
    int descriptor() const override { return file_.get(); }
    u32 alignment() const override { return alignment_; }

  private:
    bool direct() const { return options_.cache == Cache::kNone || options_.cache == Cache::kDirectsync; }
    FileDescriptor open(bool read_only);
    [[noreturn]] void open_failed(int error, bool read_only) const;
    void measure();
    void lock(int fd, bool read_only);
    void find_alignment();
    void warn(const std::string& text) const;

    bool aligned(u64 offset, const void* data, u64 length) const;
    int read_plain(u64 offset, u8* data, u64 length) const;
    int write_plain(u64 offset, const u8* data, u64 length) const;
    int read_bounced(u64 offset, std::span<u8> data) const;
    int write_bounced(u64 offset, std::span<const u8> data);
    int read_block(u64 offset, u8* block, u64 length) const;
    int change(int mode, u64 offset, u64 length);
    void grown_to(u64 end);

    std::string path_;
    StorageOptions options_;
    FileDescriptor file_;
    bool block_device_ = false;
    u32 alignment_ = 1;
    std::atomic<u64> size_{0};
    std::shared_mutex rewriting_;  // exclusively while part of a direct block is read, changed and written back
};

}  // namespace backplane::image
