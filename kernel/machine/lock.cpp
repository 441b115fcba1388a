#include "kernel/machine/lock.hpp"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <thread>

namespace backplane::kernel {

namespace {

// Old systems have none: then there are no lanes.
bool has_barrier() {
    static const bool registered = ::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
    return registered;
}
void barrier_in_all_threads() { ::syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0); }

}  // namespace

void MachineLock::lock_mutex(const void* self) {
    // A vCPU that polls a device comes back before those that it has just woken get anywhere: they go first.
    for (int n = 0;
         n < kCourtesy && waiting_.load(std::memory_order_relaxed) > 0 && last_.load(std::memory_order_relaxed) == self;
         ++n)
        std::this_thread::yield();
    if (!mutex_.try_lock()) {
        waiting_.fetch_add(1, std::memory_order_relaxed);
        mutex_.lock();
        waiting_.fetch_sub(1, std::memory_order_relaxed);
    }
    if (open_.load(std::memory_order_relaxed)) close_lane();
    by_mutex_ = true;
    if (last_.load(std::memory_order_relaxed) != self)
        in_a_row_ = 0;
    else if (in_a_row_ < kOften)
        ++in_a_row_;
    last_.store(self, std::memory_order_relaxed);
    if (in_a_row_ < kOften || !has_barrier()) return;
    const void* nobody = nullptr;
    if (lane_.load(std::memory_order_relaxed) == self || lane_.compare_exchange_strong(nobody, self)) {
        // From now on by the lane, and this time already: who has the mutex next closes it.
        in_a_row_ = 0;
        by_mutex_ = false;
        inside_.store(true, std::memory_order_relaxed);
        open_.store(true, std::memory_order_relaxed);
        mutex_.unlock();
    }
}

// Under the mutex. After the barrier the lane's thread either sees that the lane is closed, or is seen inside.
void MachineLock::close_lane() {
    open_.store(false, std::memory_order_relaxed);
    barrier_in_all_threads();
    for (int n = 0; inside_.load(std::memory_order_acquire); ++n)
        if (n < kPatience)
            std::this_thread::yield();
        else
            std::this_thread::sleep_for(std::chrono::microseconds(50));
}

}  // namespace backplane::kernel
