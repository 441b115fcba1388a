// For unit tests of drives and adapters: an image in memory whose requests complete when the test says so, and an
// adapter of one channel that only records.
#pragma once

#include <cerrno>
#include <cstring>
#include <deque>
#include <map>
#include <set>
#include <stdexcept>
#include <utility>
#include <vector>

#include "ata/channel.hpp"
#include "backplane/abi/backend.h"

namespace backplane::ata::testkit {

class FakeImage {
  public:
    explicit FakeImage(u64 sectors) : sectors_(sectors) {}

    bp_interface interface() { return {&kTable, this}; }
    std::vector<u8>& sector(u64 lba) {
        auto& s = data_[lba];
        s.resize(512);
        return s;
    }
    // Completes everything that is pending, and what that leads to. Returns how many requests there were.
    unsigned run() {
        unsigned n = 0;
        for (; !pending_.empty(); ++n) run_one();
        return n;
    }
    void run_one() {
        Pending p = pending_.front();
        pending_.pop_front();
        perform(p);
        p.request.done(p.request.argument, p.error);
    }
    std::size_t pending() const { return pending_.size(); }

    bool read_only = false;
    bool refuse = false;  // submit() fails
    i32 flush_error = 0;
    std::set<u64> bad;  // sectors that fail with EIO
    unsigned reads = 0, writes = 0, flushes = 0;

  private:
    struct Pending {
        bp_block_request request;
        bool performed;
        i32 error = 0;
    };
    u64 sectors_;
    std::map<u64, std::vector<u8>> data_;
    std::deque<Pending> pending_;

    void perform(Pending& p) {
        if (std::exchange(p.performed, true)) return;
        const bp_block_request& r = p.request;
        if (r.operation == BP_BLOCK_FLUSH) {
            ++flushes;
            p.error = flush_error;
            return;
        }
        ++(r.operation == BP_BLOCK_READ ? reads : writes);
        for (u64 i = 0; i < r.length / 512; ++i) {
            if (bad.count(r.offset / 512 + i)) {
                p.error = EIO;
                return;
            }
            u8* at = static_cast<u8*>(r.data) + 512 * i;
            if (r.operation == BP_BLOCK_READ) {
                const auto found = data_.find(r.offset / 512 + i);
                if (found == data_.end())
                    std::memset(at, 0, 512);
                else
                    std::memcpy(at, found->second.data(), 512);
            } else {
                std::memcpy(sector(r.offset / 512 + i).data(), at, 512);
            }
        }
    }
    static inline const bp_block kTable{
        sizeof(bp_block),
        [](void* i, bp_block_info* out) {
            auto& self = *static_cast<FakeImage*>(i);
            out->bytes = self.sectors_ * 512;
            out->read_only = self.read_only;
        },
        [](void* i, const bp_block_request* r) -> bp_status {
            auto& self = *static_cast<FakeImage*>(i);
            if (self.refuse) return BP_ERR_IO;
            if (r->operation != BP_BLOCK_FLUSH && (r->offset + r->length > self.sectors_ * 512 || r->length == 0))
                throw std::logic_error("access beyond the image");
            self.pending_.push_back({*r, false, 0});
            return BP_OK;
        },
        [](void* i, uint64_t offset, void* data, uint64_t length) -> int32_t {
            auto& self = *static_cast<FakeImage*>(i);
            if (self.bad.count(offset / 512)) return EIO;
            std::memcpy(data, self.sector(offset / 512).data(), length);
            return 0;
        },
        [](void* i) {
            auto& self = *static_cast<FakeImage*>(i);
            for (Pending& p : self.pending_) self.perform(p);
        }};
};

// Moves DMA data to and from a vector.
struct Recorder : ChannelHost {
    virtual ~Recorder() = default;
    explicit Recorder(bool dma = true) { channel.init(this, 0, dma); }
    void irq(unsigned, bool level) override { wire = level; }
    void interrupt(unsigned) override { ++interrupts; }
    void dma_ready(unsigned) override {
        if (started) pump();
    }
    void dma_end(unsigned) override { ++ends; }
    void pump() {
        u32 bytes = 0;
        bool to_memory = false;
        while (u8* window = channel.dma_window(&bytes, &to_memory)) {
            if (to_memory) {
                memory.insert(memory.end(), window, window + bytes);
            } else {
                if (memory.size() < bytes) return;
                std::copy_n(memory.begin(), bytes, window);
                memory.erase(memory.begin(), memory.begin() + bytes);
            }
            channel.dma_advance(bytes);
        }
    }

    Channel channel;
    bool wire = false;
    bool started = false;
    unsigned interrupts = 0, ends = 0;
    std::vector<u8> memory;
};

}  // namespace backplane::ata::testkit
