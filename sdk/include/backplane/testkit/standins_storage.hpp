// Stand-ins for back ends and memories: block device, character stream, NVRAM.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>

#include "backplane/abi/backend.h"
#include "backplane/testkit/standin.hpp"

namespace backplane::testkit {

// An image of 1 MiB in memory with a partition table's signature; one sector cannot be read, one cannot be written.
class BlockStandin : public Standin {
  public:
    static constexpr u64 kBytes = 1 << 20, kSector = 512, kUnreadable = 1000, kUnwritable = 1500;
    BlockStandin(Board& board, u32 number) : Standin(board, number), data_(kBytes) {
        for (u64 i = 0; i < kBytes; ++i) data_[i] = static_cast<u8>(i / kSector * 7 + i);
        data_[510] = 0x55, data_[511] = 0xaa;
    }
    bp_interface interface() override { return {&kTable, this}; }
    void settle() override {
        for (Pending& p : std::exchange(pending_, {})) board_.post([p] { p.done(p.argument, p.error); });
    }
    void act(Random& random) override {
        if (random.one_in(2)) settle();
    }
    void copy(const Standin& other) override {
        Standin::copy(other);
        data_ = static_cast<const BlockStandin&>(other).data_;
        bytes_ = static_cast<const BlockStandin&>(other).bytes_;
    }

  protected:
    static const bp_block kTable;
    u64 bytes_ = kBytes;  // 0: no medium

  private:
    struct Pending {
        void (*done)(void*, int32_t);
        void* argument;
        i32 error;
    };
    static BlockStandin& at(void* i) { return *static_cast<BlockStandin*>(i); }
    static void info(void* i, bp_block_info* out) { *out = {out->size, at(i).bytes_, 0, 0, 0, 0}; }
    i32 move(const bp_block_request& r) {
        const u64 first = r.offset / kSector, end = first + r.length / kSector;
        const auto holds = [&](u64 sector) { return sector >= first && sector < end; };
        if (r.operation == BP_BLOCK_READ) {
            if (holds(kUnreadable)) return 5;
            std::memcpy(r.data, data_.data() + r.offset, r.length);
        } else if (r.operation == BP_BLOCK_WRITE) {
            note("image: %llu bytes written at %llu, checksum %llx", static_cast<unsigned long long>(r.length),
                 static_cast<unsigned long long>(r.offset),
                 static_cast<unsigned long long>(board_.observe ? checksum(r.data, r.length) : 0));
            if (holds(kUnwritable)) return 5;
            std::memcpy(data_.data() + r.offset, r.data, r.length);
        } else if (r.operation == BP_BLOCK_DISCARD) {
            std::memset(data_.data() + r.offset, 0, r.length);
        }
        return 0;
    }
    static bp_status submit(void* i, const bp_block_request* r) {
        BlockStandin& self = at(i);
        if (r->size != sizeof *r || !r->done) self.blame("it submits a request to the image without size or done()");
        if (r->operation < BP_BLOCK_READ || r->operation > BP_BLOCK_DISCARD)
            self.blame("it submits an unknown operation to the image");
        if (r->offset % kSector || r->length % kSector) self.blame("it asks the image for parts of a sector");
        const bool flush = r->operation == BP_BLOCK_FLUSH;
        const u64 bytes = self.bytes_;
        if (!flush && (r->offset > bytes || r->length > bytes - r->offset)) return BP_ERR_INVALID;
        self.pending_.push_back({r->done, r->argument, flush ? 0 : self.move(*r)});
        return BP_OK;
    }
    static i32 read_now(void* i, u64 offset, void* data, u64 length) {
        const u64 bytes = at(i).bytes_;
        if (offset > bytes || length > bytes - offset) return 22;
        std::memcpy(data, at(i).data_.data() + offset, length);
        return 0;
    }

    std::vector<u8> data_;
    std::vector<Pending> pending_;
};

inline const bp_block BlockStandin::kTable{sizeof(bp_block), info, submit, read_now, [](void* i) { at(i).settle(); }};

// A guest's drive in front of the image under test.
class BlockUser : public Standin {
  public:
    using Standin::Standin;
    void act(Random& random) override {
        if (!met()) return;
        const bp_block& block = table<bp_block>();
        bp_block_info info{};
        info.size = sizeof info;
        block.info(device_.instance, &info);
        if (info.bytes % 512) blame("the size of the image is no multiple of 512");
        const u64 sectors = info.bytes / 512;
        if (random.one_in(16)) return block.drain(device_.instance);
        if (waiting_ >= 8) return;
        const u64 count = random.below(17), first = random.one_in(16) ? random.next() >> 12 : random.below(sectors + 2);
        auto* job = new Job{this, std::vector<u8>((count + 1) * 512)};
        if (random.one_in(8)) {
            block.read_now(device_.instance, first * 512, job->data.data(), count * 512);
            delete job;
            return;
        }
        random.fill(job->data.data(), 64);
        bp_block_request request{};
        request.size = sizeof request;
        request.operation = 1 + random.small(4);
        request.offset = first * 512, request.length = count * 512;
        request.data = job->data.data(), request.argument = job;
        request.done = [](void* argument, i32) {
            std::unique_ptr<Job> done(static_cast<Job*>(argument));
            --done->self->waiting_;
        };
        const bool possible = request.operation == BP_BLOCK_FLUSH || (first <= sectors && count <= sectors - first);
        ++waiting_;
        if (block.submit(device_.instance, &request) == BP_OK) {
            if (!possible) blame("the image accepts a request that goes beyond its end");
            return;
        }
        --waiting_;
        delete job;
    }
    void settle() override {
        if (met()) table<bp_block>().drain(device_.instance);
    }

  private:
    struct Job {
        BlockUser* self;
        std::vector<u8> data;
    };
    u32 waiting_ = 0;
};

// A stream that takes as much as it likes, and sends bytes and breaks.
class CharStandin : public Standin {
  public:
    using Standin::Standin;
    bp_interface interface() override { return {&kTable, this}; }
    void act(Random& random) override {
        const u32 many = 1 + random.small(20);
        const bool breaks = random.one_in(16);
        u8 bytes[20];
        random.fill(bytes, sizeof bytes);
        if (!receiver_) return;
        if (breaks && receiver_->line_break) return receiver_->line_break(receiver_instance_);
        const u32 room = receiver_->room(receiver_instance_);
        if (const u32 count = std::min(many, room)) receiver_->receive(receiver_instance_, bytes, count);
    }

  private:
    static CharStandin& at(void* i) { return *static_cast<CharStandin*>(i); }
    static u32 write(void* i, const u8* data, u32 count) {
        CharStandin& self = at(i);
        const u32 taken = self.random_.one_in(4) ? self.random_.small(count + 1) : count;
        self.note("stream: %u of %u bytes, checksum %llx", taken, count,
                  static_cast<unsigned long long>(checksum(data, taken)));
        return taken;
    }
    static void connect(void* i, const bp_char_receiver* receiver, void* instance) {
        at(i).check_table(receiver, "a bp_char_receiver", offsetof(bp_char_receiver, line_break));
        at(i).receiver_ = receiver, at(i).receiver_instance_ = instance;
    }
    static const bp_chardev kTable;

    const bp_char_receiver* receiver_ = nullptr;
    void* receiver_instance_ = nullptr;
};

inline const bp_chardev CharStandin::kTable{sizeof(bp_chardev), write, connect,
                                            [](void* i) { at(i).note("stream: room"); }};

// A serial port in front of the stream under test.
class CharUser : public Standin {
  public:
    using Standin::Standin;
    void started() override {
        if (met()) table<bp_chardev>().connect(device_.instance, &kReceiver, this);
    }
    void act(Random& random) override {
        if (!met()) return;
        u8 bytes[64];
        random.fill(bytes, sizeof bytes);
        const u32 count = random.small(sizeof bytes + 1);
        switch (random.below(8)) {
            case 0: return table<bp_chardev>().room_changed(device_.instance);
            case 1: room_ = random.small(32); return;
            default:
                if (table<bp_chardev>().write(device_.instance, bytes, count) > count)
                    blame("the stream takes more bytes than it was given");
        }
    }

  private:
    static CharUser& at(void* i) { return *static_cast<CharUser*>(i); }
    static const bp_char_receiver kReceiver;
    u32 room_ = 16;
};

inline const bp_char_receiver CharUser::kReceiver{
    sizeof(bp_char_receiver), [](void* i) { return at(i).room_; },
    [](void* i, const u8*, u32 count) {
        if (count > at(i).room_) at(i).blame("the stream brings more bytes than there is room for");
    },
    [](void*) {}};

class NvramStandin : public Standin {
  public:
    using Standin::Standin;
    bp_interface interface() override { return {&kTable, this}; }
    void copy(const Standin& other) override {
        Standin::copy(other);
        std::copy_n(static_cast<const NvramStandin&>(other).bytes_, sizeof bytes_, bytes_);
    }

  private:
    static NvramStandin& at(void* i) { return *static_cast<NvramStandin*>(i); }
    static const bp_nvram kTable;
    u8 bytes_[128] = {};
};

inline const bp_nvram NvramStandin::kTable{sizeof(bp_nvram),
                                           [](void* i, u32 index) { return at(i).bytes_[index & 127]; },
                                           [](void* i, u32 index, u8 value) {
                                               at(i).note("nvram %02x: %02x", index, value);
                                               at(i).bytes_[index & 127] = value;
                                           }};

class NvramUser : public Standin {
  public:
    using Standin::Standin;
    void act(Random& random) override {
        if (!met()) return;
        const u32 index = random.one_in(8) ? static_cast<u32>(random.next()) : random.small(140);
        if (random.one_in(2))
            table<bp_nvram>().set(device_.instance, index, static_cast<u8>(random.next()));
        else
            get(index);
    }
    void sweep() override {
        for (u32 index = 0; met() && index < 128; ++index) get(index);
    }

  private:
    void get(u32 index) { note("nvram get %u: %02x", index, table<bp_nvram>().get(device_.instance, index)); }
};

}  // namespace backplane::testkit
