#include <sys/resource.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <condition_variable>
#include <cstring>

#include "image/engine.hpp"
#include "image/testkit.hpp"

using namespace backplane;
using namespace backplane::image;
using namespace backplane::image::testkit;

namespace {

// Memory as O_DIRECT wants it, or one byte beside.
struct Buffer {
    explicit Buffer(std::size_t size, std::size_t beside = 0)
        : block(static_cast<u8*>(std::aligned_alloc(4096, (size + beside + 4095) / 4096 * 4096))),
          data(block.get() + beside),
          size(size) {}
    struct Free {
        void operator()(u8* p) const { std::free(p); }
    };
    std::unique_ptr<u8, Free> block;
    u8* data;
    std::size_t size;
    std::span<u8> span() const { return {data, size}; }
};

int run(Engine& engine, Operation operation, u64 offset, std::span<u8> data) {
    struct Result {
        std::mutex mutex;
        std::condition_variable changed;
        int error = -1;
    } result;
    Job job;
    job.operation = operation, job.offset = offset, job.length = data.size(), job.data = data.data();
    job.argument = &result;
    job.done = [](void* a, int error) {
        auto* r = static_cast<Result*>(a);
        const std::lock_guard guard(r->mutex);
        r->error = error;
        r->changed.notify_one();
    };
    engine.submit(job);
    std::unique_lock guard(result.mutex);
    result.changed.wait(guard, [&] { return result.error >= 0; });
    return result.error;
}

OpenOptions at(const std::string& path, Cache cache = Cache::kWriteback) {
    OpenOptions o;
    o.path = path;
    o.format = "raw";
    o.cache = cache;
    return o;
}

}  // namespace

TEST_CASE("random requests through every cache mode agree with a copy in memory, by io_uring and by threads") {
    Folder f;
    for (const bool uring : {true, false})
        for (const Cache cache :
             {Cache::kWriteback, Cache::kNone, Cache::kWritethrough, Cache::kDirectsync, Cache::kUnsafe}) {
            CAPTURE(uring, cache_name(cache));
            constexpr u64 kBytes = (256 << 10) + 1536;  // the end is no whole block of the host
            auto image = open(at(f.file("disk", kBytes), cache));
            Engine engine(*image, {.uring = uring});
            std::vector<u8> copy(kBytes);
            std::mt19937_64 random(static_cast<u64>(cache) + 10);
            for (unsigned i = 0; i < 150; ++i) {
                const u64 length = (1 + random() % 64) * 512, offset = random() % ((kBytes - length) / 512 + 1) * 512;
                Buffer buffer(length, random() % 3 ? 0 : 8);
                if (random() & 1) {
                    const auto data = filled(length, i);
                    std::memcpy(buffer.data, data.data(), length);
                    REQUIRE(run(engine, Operation::kWrite, offset, buffer.span()) == 0);
                    std::copy(data.begin(), data.end(), copy.begin() + static_cast<long>(offset));
                } else {
                    REQUIRE(run(engine, Operation::kRead, offset, buffer.span()) == 0);
                    REQUIRE(std::memcmp(buffer.data, &copy[offset], length) == 0);
                }
                if (i % 40 == 0) REQUIRE(run(engine, Operation::kFlush, 0, {}) == 0);
            }
            CHECK(f.contents("disk") == copy);
        }
}

TEST_CASE("many requests at once: each is done once, and a flush comes after all before it") {
    Folder f;
    for (const bool uring : {true, false}) {
        auto image = open(at(f.file("disk", 4 << 20)));
        struct Count {
            std::atomic<unsigned> done{0}, at_flush{0};
        } count;
        auto data = filled(4096, 1);
        {
            Engine engine(*image, {.uring = uring});
            Job write;
            write.operation = Operation::kWrite, write.length = 4096, write.data = data.data(), write.argument = &count;
            write.done = [](void* a, int error) { static_cast<Count*>(a)->done += error ? 1000000 : 1; };
            for (unsigned i = 0; i < 1000; ++i) {
                write.offset = i * 4096;
                engine.submit(write);
            }
            Job flush;
            flush.operation = Operation::kFlush, flush.argument = &count;
            flush.done = [](void* a, int) {
                auto* c = static_cast<Count*>(a);
                c->at_flush = c->done.load();
            };
            engine.submit(flush);
            for (unsigned i = 0; i < 20; ++i) engine.submit(write);
            engine.drain();
            CHECK(count.done == 1020);
            CHECK(count.at_flush >= 1000);
            CHECK(count.at_flush < 1000000);
            engine.submit(write);
        }
        CHECK(count.done == 1021);
    }
}

TEST_CASE("a short read is an error, by io_uring and by threads") {
    Folder f;
    for (const bool uring : {true, false}) {
        const std::string path = f.file("disk", 1 << 20);
        auto image = open(at(path));
        Engine engine(*image, {.uring = uring});
        std::filesystem::resize_file(path, 8192 + 100);
        Buffer buffer(4096);
        CHECK(run(engine, Operation::kRead, 4096, buffer.span()) == 0);
        CHECK(run(engine, Operation::kRead, 8192, buffer.span()) == EIO);
        CHECK(run(engine, Operation::kRead, 65536, buffer.span()) == EIO);
    }
}

TEST_CASE("a limit on the size of files is an error of the request") {
    Folder f;
    auto image = open(at(f.file("disk", 1 << 20)));
    Engine engine(*image, {.uring = false});
    Buffer buffer(4096);
    REQUIRE(run(engine, Operation::kRead, 0, buffer.span()) == 0);
    rlimit before{};
    getrlimit(RLIMIT_FSIZE, &before);
    const rlimit small{65536, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    const int inside = run(engine, Operation::kWrite, 4096, buffer.span());
    const int outside = run(engine, Operation::kWrite, 131072, buffer.span());
    setrlimit(RLIMIT_FSIZE, &before);
    CHECK(inside == 0);
    CHECK(outside == EFBIG);
}

TEST_CASE("errors of the storage reach the request, and the next one goes on") {
    auto disk = std::make_shared<MemoryStorage::Disk>();
    disk->bytes.resize(1 << 20);
    auto image = open(on(disk, "raw"));
    Engine engine(*image, {});
    Buffer buffer(512);
    disk->fail = [](const Event& e) { return e.offset == 4096 ? ENOSPC : 0; };
    disk->fail_read = [](u64 offset, u64) { return offset == 8192 ? EIO : 0; };
    CHECK(run(engine, Operation::kWrite, 4096, buffer.span()) == ENOSPC);
    CHECK(run(engine, Operation::kWrite, 0, buffer.span()) == 0);
    CHECK(run(engine, Operation::kRead, 8192, buffer.span()) == EIO);
    CHECK(run(engine, Operation::kRead, 0, buffer.span()) == 0);
    disk->fail = [](const Event& e) { return e.kind == Event::Kind::kFlush ? EIO : 0; };
    CHECK(run(engine, Operation::kFlush, 0, {}) == EIO);
    // What could not be flushed is not forgotten.
    disk->fail = nullptr;
    const std::size_t events = disk->log.size();
    CHECK(run(engine, Operation::kFlush, 0, {}) == 0);
    CHECK(disk->log.size() == events + 1);
}
