// Requests that go to the host's file as they are, beside the qcow2 engine.
#include <atomic>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <cstring>

#include "image/engine.hpp"
#include "image/qcow2/create.hpp"
#include "image/qcow2/test_memory.hpp"
#include "image/qcow2/volume.hpp"
#include "image/testkit.hpp"

using namespace backplane;
using namespace backplane::image;
using namespace backplane::image::qcow2;
using backplane::image::testing::Memory;
using backplane::image::testkit::filled;
using backplane::image::testkit::Folder;
using backplane::image::testkit::rounds;

namespace {

constexpr u64 kDisk = 1 << 20, kCluster = 4096;

CreateOptions small() {
    CreateOptions o;
    o.bytes = kDisk;
    o.cluster_bits = 12;
    return o;
}

struct Disk {
    Disk() {
        REQUIRE(qcow2::create(memory, small()) == 0);
        volume = std::make_unique<Volume>(memory, Volume::Options{});
        REQUIRE(volume->open().empty());
    }
    bool direct(bool write, u64 offset, u64 length) {
        if (!volume->begin_direct(write, offset, length, host, token)) return false;
        volume->end_direct(token);
        return true;
    }
    Memory memory;
    std::unique_ptr<Volume> volume;
    u64 host = 0, token = 0;
};

}  // namespace

TEST_CASE("only data with a place of their own may be written directly, and only data may be read so") {
    Disk d;
    CHECK_FALSE(d.direct(false, 0, 512));
    REQUIRE(d.volume->write(kCluster, filled(2 * kCluster, 1)) == 0);
    for (const bool write : {false, true}) {
        CHECK(d.direct(write, kCluster, 2 * kCluster));
        CHECK(d.direct(write, kCluster + 512, 512));
        CHECK_FALSE(d.direct(write, kCluster - 512, 1024));
        CHECK_FALSE(d.direct(write, 2 * kCluster, kCluster + 512));
        CHECK_FALSE(d.direct(write, kDisk - 512, 1024));
        CHECK_FALSE(d.direct(write, kCluster, 0));
    }
    std::vector<u8> there(512);
    REQUIRE(d.direct(false, kCluster + 1024, 512));
    REQUIRE(d.memory.read(d.host, there) == 0);
    CHECK(std::memcmp(there.data(), &filled(2 * kCluster, 1)[1024], 512) == 0);

    std::string why;
    REQUIRE(d.volume->create_snapshot("shared", 0, 0, why) == 0);
    CHECK(d.direct(false, kCluster, 512));
    CHECK_FALSE(d.direct(true, kCluster, 512));
    REQUIRE(d.volume->write(kCluster, filled(512, 2)) == 0);
    CHECK(d.direct(true, kCluster, 512));
    REQUIRE(d.volume->discard(kCluster, kCluster) == 0);
    CHECK_FALSE(d.direct(false, kCluster, 512));
}

TEST_CASE("what would make the file longer is not written directly") {
    Disk d;
    REQUIRE(d.volume->write(0, filled(512, 1)) == 0);
    CHECK(d.direct(true, 0, 512));
    CHECK_FALSE(d.direct(true, 512, 512));
    REQUIRE(d.volume->write(1024, filled(512, 2)) == 0);
    CHECK(d.direct(true, 512, 512));
}

TEST_CASE("a cluster that is written directly becomes nothing else until the write is over") {
    Disk d;
    REQUIRE(d.volume->write(0, filled(kCluster, 1)) == 0);
    u64 host = 0, token = 0;
    REQUIRE(d.volume->begin_direct(true, 0, kCluster, host, token));
    REQUIRE(d.volume->discard(0, kCluster) == 0);
    REQUIRE(d.volume->flush() == 0);
    for (u64 at = kCluster; at < 64 * kCluster; at += kCluster) {
        REQUIRE(d.volume->write(at, filled(kCluster, at)) == 0);
        REQUIRE(d.direct(false, at, 512));
        CHECK(d.host != host);
    }
    d.volume->end_direct(token);
    REQUIRE(d.volume->flush() == 0);
    bool reused = false;
    for (u64 at = 64 * kCluster; at < 100 * kCluster; at += kCluster) {
        REQUIRE(d.volume->write(at, filled(kCluster, at)) == 0);
        REQUIRE(d.direct(false, at, 512));
        reused = reused || d.host == host;
    }
    CHECK(reused);
}

TEST_CASE("many requests of all kinds at once on a file agree with a copy in memory, by io_uring and by threads") {
    // Each worker has a part of the disk for itself, whose borders lie in the middle of clusters.
    struct Worker {
        Engine* engine = nullptr;
        u64 first = 0, last = 0;  // sectors
        std::mt19937_64 random;
        std::vector<u8>* copy = nullptr;
        std::vector<u8> data;
        u64 offset = 0, length = 0;
        bool reads = false;
        unsigned left = 0;
        std::atomic<int>* errors = nullptr;

        void next() {
            if (left-- == 0) return;
            const u64 sectors = last - first, n = 1 + random() % 20, at = first + random() % (sectors - n);
            offset = at * 512, length = n * 512;
            const unsigned kind = random() % 16;
            reads = kind < 5;
            Job job;
            job.operation = reads        ? Operation::kRead
                            : kind == 14 ? Operation::kFlush
                            : kind == 13 ? Operation::kZero
                                         : Operation::kWrite;
            if (job.operation == Operation::kWrite) {
                data = filled(length, random());
                std::copy(data.begin(), data.end(), copy->begin() + static_cast<long>(offset));
            } else if (job.operation == Operation::kZero) {
                std::fill_n(copy->begin() + static_cast<long>(offset), length, u8{0});
            } else {
                data.assign(length, 0xee);
            }
            job.offset = offset, job.length = length, job.data = data.data(), job.argument = this;
            job.done = [](void* a, int error) { static_cast<Worker*>(a)->done(error); };
            engine->submit(job);
        }
        void done(int error) {
            if (error || (reads && std::memcmp(data.data(), copy->data() + offset, length) != 0)) ++*errors;
            next();
        }
    };
    Folder f;
    for (const bool uring : {true, false}) {
        CAPTURE(uring);
        {
            Memory m;
            REQUIRE(qcow2::create(m, small()) == 0);
            std::vector<u8> header(m.size());
            REQUIRE(m.read(0, header) == 0);
            f.file("disk", header);
        }
        OpenOptions o;
        o.path = f / "disk";
        o.format = "qcow2";
        auto image = image::open(o);
        std::vector<u8> copy(kDisk);
        std::atomic<int> errors{0};
        {
            Engine engine(*image, {.uring = uring});
            std::vector<Worker> workers(9);
            for (unsigned i = 0; i < workers.size(); ++i) {
                workers[i].engine = &engine, workers[i].copy = &copy, workers[i].errors = &errors;
                workers[i].first = i * 221 + 3, workers[i].last = (i + 1) * 221 + 3;
                workers[i].random.seed(i + (uring ? 100 : 0)), workers[i].left = rounds(400);
            }
            for (Worker& w : workers) w.next();
            engine.drain();
        }
        CHECK(errors == 0);
        std::vector<u8> back(kDisk);
        REQUIRE(image->read(0, back) == 0);
        CHECK((back == copy));
        REQUIRE(image->flush() == 0);
        image.reset();
        image = image::open(o);
        REQUIRE(image->read(0, back) == 0);
        CHECK((back == copy));
    }
}
