#include "image/engine.hpp"

#include <cerrno>

#include "image/ring.hpp"
#include "image/signals.hpp"

namespace backplane::image {

Engine::Engine(Image& image, const Options& options) : image_(image), options_(options), uring_(options.uring) {}

Engine::~Engine() {
    drain();
    {
        const std::lock_guard guard(mutex_);
        ending_ = true;
    }
    work_.notify_all();
    if (ring_) ring_->end();
    for (std::thread& t : threads_) t.join();
}

// With the first request that has a use for it.
void Engine::open_ring() {
    std::string why;
    ring_ = Ring::open(*this, why);
    uring_ = ring_ != nullptr;
    if (!uring_ && options_.log)
        options_.log(Level::kDebug, "io_uring is not to be had here (" + why + "); threads do the reading and writing");
}

void Engine::add_thread() {
    const NoSignals none;
    threads_.emplace_back([this] { work(); });
}

void Engine::submit(const Job& job) {
    auto entry = std::make_unique<Entry>(Entry{job});
    const std::lock_guard guard(mutex_);
    // The first request brings the first thread; that more follow is no condition.
    if (threads_.empty()) add_thread();
    queue_.push_back(std::move(entry));
    pump();
}

void Engine::drain() {
    std::unique_lock guard(mutex_);
    idle_.wait(guard, [this] { return queue_.empty() && running_ == 0; });
}

// Begins what may begin. Under the lock.
void Engine::pump() {
    while (!queue_.empty()) {
        if (queue_.front()->job.operation == Operation::kFlush && running_ > 0) return;
        std::unique_ptr<Entry> entry = std::move(queue_.front());
        queue_.pop_front();
        ++running_;
        const Job& job = entry->job;
        if (uring_ && (job.operation == Operation::kRead || job.operation == Operation::kWrite))
            entry->direct = image_.direct(job.operation, job.offset, job.length);
        if (entry->direct.storage && !ring_) open_ring();
        if (entry->direct.storage && ring_ && ring_->takes(*entry))
            ring_->add(std::move(entry));
        else
            to_pool(std::move(entry));
    }
}

void Engine::end_direct(Entry& entry) {
    if (entry.direct.storage) image_.end_direct(entry.direct);
    entry.direct = {};
}

void Engine::to_pool(std::unique_ptr<Entry> entry) {
    end_direct(*entry);
    pool_.push_back(std::move(entry));
    if (pool_.size() > waiting_threads_ && threads_.size() < options_.threads) {
        try {
            add_thread();
        } catch (const std::system_error&) {
            // Those that there are will do it.
        }
    }
    work_.notify_one();
}

void Engine::finish(std::unique_ptr<Entry> entry, int error) {
    const Job job = entry->job;
    end_direct(*entry);
    entry.reset();
    if (job.done) job.done(job.argument, error);
    const std::lock_guard guard(mutex_);
    --running_;
    pump();
    if (queue_.empty() && running_ == 0) idle_.notify_all();
}

void Engine::work() {
    std::unique_lock guard(mutex_);
    for (;;) {
        ++waiting_threads_;
        work_.wait(guard, [this] { return ending_ || !pool_.empty(); });
        --waiting_threads_;
        if (pool_.empty()) return;
        std::unique_ptr<Entry> entry = std::move(pool_.front());
        pool_.pop_front();
        guard.unlock();
        int error = ENOMEM;
        try {
            error = perform(entry->job);
        } catch (const std::bad_alloc&) {
        } catch (const Error& e) {
            error = e.number() ? e.number() : EIO;
        }
        finish(std::move(entry), error);
        guard.lock();
    }
}

int Engine::perform(const Job& job) {
    switch (job.operation) {
        case Operation::kRead: return image_.read(job.offset, {job.data, job.length});
        case Operation::kWrite: return image_.write(job.offset, {job.data, job.length});
        case Operation::kFlush: return image_.flush();
        case Operation::kDiscard: return image_.discard(job.offset, job.length);
        case Operation::kZero: return image_.write_zeroes(job.offset, job.length, true);
    }
    return EINVAL;
}

}  // namespace backplane::image
