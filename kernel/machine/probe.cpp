// A machine driven from outside instead of by its CPUs.
#include "kernel/machine/machine.hpp"

namespace backplane::kernel {

u64 Machine::port_read(u32 port, u32 bytes) {
    u64 value = all_ones(bytes);
    locked([&] {
        if (live_->ports) value = live_->ports->read(port, bytes);
    });
    return value;
}

void Machine::port_write(u32 port, u32 bytes, u64 value) {
    locked([&] {
        if (live_->ports) live_->ports->write(port, bytes, value);
    });
}

u64 Machine::memory_read(u64 address, u32 bytes) {
    u64 value = all_ones(bytes);
    locked([&] {
        if (live_->memory) value = live_->memory->read(address, bytes);
    });
    return value;
}

void Machine::memory_write(u64 address, u32 bytes, u64 value) {
    locked([&] {
        if (live_->memory) live_->memory->write(address, bytes, value);
    });
}

void Machine::advance(std::int64_t ns) {
    locked([&] {
        const std::int64_t end = clock_->now() + ns;
        for (int n = 0; n < 100'000; ++n) {
            run_posted();
            deliver_live_input();
            if (reset_requested_) {
                reset_requested_ = false;
                system_reset();
            }
            outcome_.reset();
            pause_requested_ = false;
            const std::int64_t next = live_->timers.next();
            if (next < 0 || next > end) break;
            clock_->skip_to(next);
            run_due_timers();
        }
        clock_->skip_to(end);
    });
}

void Machine::advance_to(std::int64_t until) {
    // A timer that keeps re-arming in the past must not hold the machine for ever.
    constexpr int kMostRounds = 1000;
    for (int rounds = 0; rounds < kMostRounds; ++rounds) {
        drain();
        deliver_live_input();
        if (reset_requested_ && !outcome_) {
            reset_requested_ = false;
            system_reset();
        }
        const std::int64_t next = live_->timers.next();
        if (outcome_ || next < 0 || next > until) break;
        if (next > clock_->now()) rounds = 0;
        clock_->skip_to(next);
        run_due_timers();
    }
    if (!outcome_) clock_->skip_to(until);
}

bool Machine::copy_from_memory(u64 address, void* data, u64 size) const {
    return live_->memory && live_->memory->dma_read(address, data, size);
}

std::string Machine::memory_label(u64 offset) const {
    for (std::size_t i = 0; i < ram_.count(); ++i) {
        const Ram::Block& b = ram_.block(i);
        if (offset >= b.offset && offset - b.offset < b.size) return b.owner + "." + b.name;
    }
    return "";
}

bool Machine::copy_to_memory(u64 address, const void* data, u64 size) {
    return live_->memory && live_->memory->dma_write(address, data, size);
}

}  // namespace backplane::kernel
