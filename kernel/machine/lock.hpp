// The machine's lock: recursive, and able to say whether this thread holds it.
#pragma once

#include <atomic>
#include <mutex>
#include <thread>

namespace backplane::kernel {

class MachineLock {
  public:
    void lock() {
        const auto self = std::this_thread::get_id();
        if (owner_.load(std::memory_order_relaxed) == self) {
            ++depth_;
            return;
        }
        mutex_.lock();
        owner_.store(self, std::memory_order_relaxed);
        depth_ = 1;
    }
    void unlock() {
        if (--depth_ > 0) return;
        owner_.store({}, std::memory_order_relaxed);
        mutex_.unlock();
    }
    bool held() const { return owner_.load(std::memory_order_relaxed) == std::this_thread::get_id(); }

  private:
    std::mutex mutex_;
    std::atomic<std::thread::id> owner_{};
    int depth_ = 0;
};

}  // namespace backplane::kernel
