// Storage in memory that logs what is written and flushed, and fails when told to.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <optional>
#include <vector>

#include "image/storage.hpp"

namespace backplane::image::testing {

struct Logged {
    bool flush = false;
    u64 offset = 0;
    std::vector<u8> data;
};

class Memory final : public Storage {
  public:
    Memory() = default;
    explicit Memory(std::vector<u8> data) : data_(std::move(data)) {}
    const std::string& path() const override { return path_; }
    bool read_only() const override { return false; }
    u64 size() override {
        const std::lock_guard guard(mutex_);
        return data_.size();
    }
    int read(u64 offset, std::span<u8> out) override {
        const std::lock_guard guard(mutex_);
        if (offset > data_.size() || out.size() > data_.size() - offset) return EIO;
        std::copy_n(data_.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
        return 0;
    }
    int write(u64 offset, std::span<const u8> in) override {
        const std::lock_guard guard(mutex_);
        if (writes_left && (*writes_left)-- == 0) {
            writes_left = 0;
            return ENOSPC;
        }
        if (offset + in.size() > limit) return ENOSPC;
        if (logging) log.push_back({false, offset, {in.begin(), in.end()}});
        place(data_, offset, in);
        return 0;
    }
    int flush() override {
        const std::lock_guard guard(mutex_);
        if (logging) log.push_back({true, 0, {}});
        return 0;
    }
    int truncate(u64 bytes) override {
        const std::lock_guard guard(mutex_);
        if (bytes > limit) return EFBIG;
        data_.resize(bytes);
        return 0;
    }
    int punch(u64, u64) override { return EOPNOTSUPP; }

    static void place(std::vector<u8>& data, u64 offset, std::span<const u8> in) {
        if (data.size() < offset + in.size()) data.resize(offset + in.size());
        std::copy(in.begin(), in.end(), data.begin() + static_cast<std::ptrdiff_t>(offset));
    }
    std::vector<u8>& data() { return data_; }

    std::vector<Logged> log;
    bool logging = false;
    std::optional<u64> writes_left;  // then ENOSPC for ever
    u64 limit = u64{1} << 32;

  private:
    std::string path_ = "memory";
    std::mutex mutex_;
    std::vector<u8> data_;
};

}  // namespace backplane::image::testing
