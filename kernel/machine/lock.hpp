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
        // A vCPU that polls a device comes back before those that it has just woken get anywhere: they go first.
        for (int n = 0; n < kCourtesy && waiting_.load(std::memory_order_relaxed) > 0 &&
                        last_.load(std::memory_order_relaxed) == self;
             ++n)
            std::this_thread::yield();
        if (!mutex_.try_lock()) {
            waiting_.fetch_add(1, std::memory_order_relaxed);
            mutex_.lock();
            waiting_.fetch_sub(1, std::memory_order_relaxed);
        }
        owner_.store(self, std::memory_order_relaxed);
        last_.store(self, std::memory_order_relaxed);
        depth_ = 1;
    }
    void unlock() {
        if (--depth_ > 0) return;
        owner_.store({}, std::memory_order_relaxed);
        mutex_.unlock();
    }
    bool held() const { return owner_.load(std::memory_order_relaxed) == std::this_thread::get_id(); }

  private:
    static constexpr int kCourtesy = 64;

    std::mutex mutex_;
    std::atomic<std::thread::id> owner_{}, last_{};
    std::atomic<int> waiting_{0};
    int depth_ = 0;
};

}  // namespace backplane::kernel
