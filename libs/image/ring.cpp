#include "image/ring.hpp"

#include <sys/eventfd.h>

#include <cerrno>
#include <cstring>

#include "image/signals.hpp"

namespace backplane::image {

std::unique_ptr<Ring> Ring::open(Engine& engine, std::string& why) {
    std::unique_ptr<Ring> ring(new Ring(engine));
    ring->event_ = FileDescriptor(eventfd(0, EFD_CLOEXEC));
    if (!ring->event_) {
        why = std::strerror(errno);
        return nullptr;
    }
    const NoSignals none;
    std::mutex mutex;
    std::condition_variable opened;
    int result = 1;
    try {
        ring->thread_ = std::thread([&, r = ring.get()] {
            int error =
                io_uring_queue_init(kEntries, &r->ring_, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
            if (error == -EINVAL) error = io_uring_queue_init(kEntries, &r->ring_, 0);  // Linux before 6.1
            {
                const std::lock_guard guard(mutex);
                result = error < 0 ? error : 0;
                opened.notify_one();
            }
            if (error < 0) return;
            r->work();
            io_uring_queue_exit(&r->ring_);
        });
    } catch (const std::system_error& e) {
        why = e.what();
        return nullptr;
    }
    std::unique_lock guard(mutex);
    opened.wait(guard, [&] { return result <= 0; });
    guard.unlock();
    if (result == 0) return ring;
    why = std::strerror(-result);
    ring->thread_.join();
    return nullptr;
}

Ring::~Ring() { end(); }

void Ring::end() {
    if (!thread_.joinable()) return;
    {
        const std::lock_guard guard(engine_.mutex_);
        ending_ = true;
        wake();
    }
    thread_.join();
}

bool Ring::takes(const Engine::Entry& entry) const {
    const Job& job = entry.job;
    const Storage& storage = *entry.direct.storage;
    const u64 host_offset = entry.direct.host_offset;
    const u32 alignment = storage.alignment();
    // With larger blocks than sectors, a write of a part needs the storage's own care.
    if (storage.descriptor() < 0 || alignment > 512 || job.length == 0 || job.length > (1u << 30)) return false;
    return ((host_offset | job.length | reinterpret_cast<std::uintptr_t>(job.data)) & (alignment - 1)) == 0;
}

void Ring::add(std::unique_ptr<Engine::Entry> entry) {
    added_.push_back(std::move(entry));
    if (asleep_) wake();
}

void Ring::wake() {
    asleep_ = false;
    const u64 one = 1;
    [[maybe_unused]] const ssize_t n = ::write(event_.get(), &one, sizeof one);
}

void Ring::arm_wake() {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    io_uring_prep_read(sqe, event_.get(), &event_count_, sizeof event_count_, 0);
    io_uring_sqe_set_data(sqe, nullptr);
}

// Puts what was added into the ring; false: it is time to end.
bool Ring::fill() {
    const std::lock_guard guard(engine_.mutex_);
    while (!added_.empty() && in_ring_ + 1 < kEntries) {
        io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
        if (!sqe) break;
        Engine::Entry* e = added_.front().release();
        added_.pop_front();
        if (e->job.operation == Operation::kRead)
            io_uring_prep_read(sqe, e->direct.storage->descriptor(), e->job.data, static_cast<unsigned>(e->job.length),
                               e->direct.host_offset);
        else
            io_uring_prep_write(sqe, e->direct.storage->descriptor(), e->job.data, static_cast<unsigned>(e->job.length),
                                e->direct.host_offset);
        io_uring_sqe_set_data(sqe, e);
        ++in_ring_;
    }
    if (ending_ && added_.empty() && in_ring_ == 0) return false;
    asleep_ = true;
    return true;
}

void Ring::work() {
    arm_wake();
    while (fill()) {
        // What was not accepted (EAGAIN, EBUSY) stays in the queue, for the next round.
        io_uring_submit_and_wait(&ring_, 1);
        {
            const std::lock_guard guard(engine_.mutex_);
            asleep_ = false;
        }
        reap();
    }
}

void Ring::reap() {
    io_uring_cqe* cqe = nullptr;
    // A few at a time, so that what follows them is with the device before the rest is looked at; not one at a time, so
    // that neighbours still go as one.
    for (unsigned n = 0; n < kAtOnce && io_uring_peek_cqe(&ring_, &cqe) == 0; ++n) {
        std::unique_ptr<Engine::Entry> entry(static_cast<Engine::Entry*>(io_uring_cqe_get_data(cqe)));
        const int result = cqe->res;
        io_uring_cqe_seen(&ring_, cqe);
        if (!entry) {
            arm_wake();
            continue;
        }
        --in_ring_;
        complete(std::move(entry), result);
    }
}

void Ring::complete(std::unique_ptr<Engine::Entry> entry, int result) {
    if (result >= 0 && static_cast<u64>(result) == entry->job.length) return engine_.finish(std::move(entry), 0);
    // Less than all, or a failure: the slow way finds out what is behind it.
    const std::lock_guard guard(engine_.mutex_);
    engine_.to_pool(std::move(entry));
}

}  // namespace backplane::image
