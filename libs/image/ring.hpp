// The io_uring of an engine: one thread that submits and reaps.
#pragma once

#include <liburing.h>

#include <deque>
#include <thread>

#include "image/engine.hpp"
#include "image/file_descriptor.hpp"

namespace backplane::image {

class Ring {
  public:
    // nullptr if the host has none to give; `why` then says so.
    static std::unique_ptr<Ring> open(Engine& engine, std::string& why);
    ~Ring();

    bool takes(const Engine::Entry& entry) const;
    // Under the engine's lock.
    void add(std::unique_ptr<Engine::Entry> entry);
    // Ends the thread once nothing is under way.
    void end();

  private:
    static constexpr unsigned kEntries = 128, kAtOnce = 8;

    explicit Ring(Engine& engine) : engine_(engine) {}
    void wake();
    void work();
    bool fill();
    void arm_wake();
    void reap();
    void complete(std::unique_ptr<Engine::Entry> entry, int result);

    Engine& engine_;
    io_uring ring_{};
    FileDescriptor event_;  // wakes the thread
    u64 event_count_ = 0;
    std::deque<std::unique_ptr<Engine::Entry>> added_;  // under the engine's lock
    bool asleep_ = false, ending_ = false;              // so is this
    unsigned in_ring_ = 0;                              // the thread's own
    std::thread thread_;
};

}  // namespace backplane::image
