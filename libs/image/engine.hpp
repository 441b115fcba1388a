// Runs requests on an image beside the caller: by io_uring where the bytes stand plainly in a file, otherwise by a pool
// of threads.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "image/image.hpp"

namespace backplane::image {

struct Job {
    Operation operation = Operation::kRead;
    u64 offset = 0, length = 0;
    u8* data = nullptr;  // of reads and writes; the caller's until done()
    // Called exactly once, in a thread of the engine; may submit more. `error` is 0 or an errno value.
    void (*done)(void* argument, int error) = nullptr;
    void* argument = nullptr;
};

class Ring;

// Order: a flush begins when everything submitted before it is complete. Nothing else has an order.
class Engine {
  public:
    struct Options {
        bool uring = true;      // false: threads only
        unsigned threads = 16;  // at most
        Log log = {};
    };
    // The image must live longer. Threads begin with the first request.
    Engine(Image& image, const Options& options);
    // Finishes what was submitted.
    ~Engine();
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    // Any thread. Throws std::bad_alloc, and std::system_error if there is no thread to be had.
    void submit(const Job& job);
    // Waits until everything submitted is complete and its done() has returned. Not from within done().
    void drain();
    // Whether io_uring is at work; it begins with the first request that has a use for it.
    bool uring() {
        const std::lock_guard guard(mutex_);
        return ring_ != nullptr;
    }

  private:
    friend class Ring;
    struct Entry {
        Job job;
        Image::Direct direct = {};
    };

    void pump();
    void finish(std::unique_ptr<Entry> entry, int error);
    void to_pool(std::unique_ptr<Entry> entry);
    void end_direct(Entry& entry);
    int perform(const Job& job);
    void work();
    void add_thread();
    void open_ring();

    Image& image_;
    const Options options_;

    std::mutex mutex_;  // guards what follows
    std::unique_ptr<Ring> ring_;
    bool uring_;
    std::condition_variable work_, idle_;
    std::deque<std::unique_ptr<Entry>> queue_;  // not begun
    std::deque<std::unique_ptr<Entry>> pool_;   // begun, waiting for a thread
    std::vector<std::thread> threads_;
    unsigned waiting_threads_ = 0;
    u64 running_ = 0;  // begun, not complete
    bool ending_ = false;
};

}  // namespace backplane::image
