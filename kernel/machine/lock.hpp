// The machine's lock: recursive, and able to say whether this thread holds it.
//
// Nearly all who take it are one vCPU's accesses to devices, and an atomic operation of the processor is a good part of
// what such an access costs. So a thread that takes the lock often, without another one in between, gets a lane: as
// long as the lane is open, it takes the lock by telling so in `inside_`, without the mutex. Who comes by the mutex
// closes the lane first and waits until nobody is inside. Neither may miss what the other one has written just before:
// the other side lets the system put a barrier into all threads of the process (membarrier), so that the thread with
// the lane needs none.
#pragma once

#include <atomic>
#include <mutex>

namespace backplane::kernel {

class MachineLock {
  public:
    void lock() {
        const void* const self = this_thread();
        if (owner_.load(std::memory_order_relaxed) == self) {
            ++depth_;
            return;
        }
        if (lane_.load(std::memory_order_relaxed) != self || !enter_lane()) lock_mutex(self);
        owner_.store(self, std::memory_order_relaxed);
        depth_ = 1;
    }
    void unlock() {
        if (--depth_ > 0) return;
        owner_.store(nullptr, std::memory_order_relaxed);
        if (by_mutex_)
            mutex_.unlock();
        else
            inside_.store(false, std::memory_order_release);
    }
    bool held() const { return owner_.load(std::memory_order_relaxed) == this_thread(); }

  private:
    static constexpr int kCourtesy = 64, kPatience = 200;
    // So often in a row a thread takes the lock until it gets the lane. Closing it costs some microseconds.
    static constexpr int kOften = 1024;

    static const void* this_thread() {
        static thread_local char here;
        return &here;
    }
    // Only by the thread that the lane belongs to.
    bool enter_lane() {
        inside_.store(true, std::memory_order_relaxed);
        std::atomic_signal_fence(std::memory_order_seq_cst);
        if (open_.load(std::memory_order_relaxed)) {
            by_mutex_ = false;
            return true;
        }
        inside_.store(false, std::memory_order_release);
        return false;
    }
    void lock_mutex(const void* self);
    void close_lane();

    std::mutex mutex_;
    std::atomic<const void*> owner_{nullptr}, last_{nullptr};
    std::atomic<int> waiting_{0};
    int depth_ = 0;
    bool by_mutex_ = true;  // how the owner got it
    int in_a_row_ = 0;      // times that last_ has taken it by the mutex, and nobody else
    // Whose the lane is: the first thread that took the lock often. Another one's `inside_` could not be told apart.
    std::atomic<const void*> lane_{nullptr};
    std::atomic<bool> open_{false};  // written under the mutex
    std::atomic<bool> inside_{false};
};

}  // namespace backplane::kernel
