// For unit tests of drives and adapters: an image in memory whose requests complete when the test says so, and an
// adapter of one channel that only records.
#pragma once

#include <array>
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
#include "backplane/abi/drive.h"

namespace backplane::ata::testkit {

class FakeImage {
  public:
    explicit FakeImage(u64 sectors) : sectors_(sectors) {}
    // Like any back end: no request stays without its answer. The drive is gone by now.
    ~FakeImage() { run(); }
    FakeImage(const FakeImage&) = delete;
    FakeImage& operator=(const FakeImage&) = delete;

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
    std::array<u32, 3> header{};  // geometry
    bool refuse = false;          // submit() fails
    i32 flush_error = 0;
    std::set<u64> bad;  // sectors that fail with EIO
    unsigned reads = 0, writes = 0, flushes = 0;

  protected:
    u64 sectors_;
    bool strict_ = true;  // an access beyond the end is an error of the test's subject
    static const bp_block kTable;

  private:
    struct Pending {
        bp_block_request request;
        bool performed;
        i32 error = 0;
    };
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
};

inline const bp_block FakeImage::kTable{
    sizeof(bp_block),
    [](void* i, bp_block_info* out) {
        auto& self = *static_cast<FakeImage*>(i);
        out->bytes = self.sectors_ * 512;
        out->read_only = self.read_only;
        out->hint_cylinders = self.header[0], out->hint_heads = self.header[1], out->hint_sectors = self.header[2];
    },
    [](void* i, const bp_block_request* r) -> bp_status {
        auto& self = *static_cast<FakeImage*>(i);
        if (self.refuse) return BP_ERR_IO;
        if (r->operation != BP_BLOCK_FLUSH && (r->offset + r->length > self.sectors_ * 512 || r->length == 0)) {
            if (self.strict_) throw std::logic_error("access beyond the image");
            return BP_ERR_INVALID;
        }
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

// A drive over such an image, and what its attachment told it.
class FakeDrive : public FakeImage {
  public:
    explicit FakeDrive(u64 sectors) : FakeImage(sectors) {
        strict_ = false;  // the medium may have gone
        prescribed.size = sizeof prescribed;
        prescribed.write_cache = 1;
        prescribed.boot_index = -1;
    }
    bp_interface drive() { return {&kDriveTable, static_cast<FakeImage*>(this)}; }
    // Another medium; 0 sectors: none.
    void change(u64 sectors) {
        run();
        sectors_ = inserted_ = sectors;
        open = false;
        if (listener_) listener_->medium_changed(listener_instance_);
    }
    void ask_to_eject() { listener_->eject_request(listener_instance_); }

    bp_drive_info prescribed{};
    bool open = false, locked = false;

  private:
    static FakeDrive& at(void* i) { return static_cast<FakeDrive&>(*static_cast<FakeImage*>(i)); }
    u64 inserted_ = sectors_;
    const bp_drive_listener* listener_ = nullptr;
    void* listener_instance_ = nullptr;
    static const bp_drive kDriveTable;
};

inline const bp_drive FakeDrive::kDriveTable{sizeof(bp_drive),
                                             &kTable,
                                             [](void* i, bp_drive_info* out) { *out = at(i).prescribed; },
                                             [](void* i, const bp_drive_listener* listener, void* instance) {
                                                 at(i).listener_ = listener, at(i).listener_instance_ = instance;
                                             },
                                             [](void* i, int open) {
                                                 at(i).run();
                                                 at(i).open = open != 0;
                                                 at(i).sectors_ = open ? 0 : at(i).inserted_;
                                             },
                                             [](void* i, int locked) { at(i).locked = locked != 0; }};

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
