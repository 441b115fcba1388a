#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>
#include <random>

#include "backplane/testkit/bench.hpp"
#include "model.hpp"

using namespace backplane;
using raw::Raw;
using testkit::Board;

namespace {

class Folder {
  public:
    Folder() {
        char name[] = "/tmp/backplane-raw-XXXXXX";
        if (!mkdtemp(name)) throw std::runtime_error("mkdtemp");
        path_ = name;
        chmod(name, 0755);
    }
    ~Folder() { [[maybe_unused]] const int r = std::system(("rm -rf '" + path_ + "'").c_str()); }
    std::string file(const char* name, u64 size = 0, mode_t mode = 0644) const {
        const std::string path = path_ + "/" + name;
        const int fd = open(path.c_str(), O_CREAT | O_RDWR, mode);
        if (ftruncate(fd, static_cast<off_t>(size)) != 0) throw std::runtime_error("ftruncate");
        close(fd);
        return path;
    }
    const std::string& path() const { return path_; }

  private:
    std::string path_;
};

struct Image : Board {
    explicit Image(const std::string& path, bool read_only = false)
        : Board(&DeviceType<Raw>::value, {{"file", path}, {"read_only", read_only ? "true" : "false"}}, {}) {
        device_name = "image";
    }
    Image& up() {
        if (start() != BP_OK) throw std::runtime_error(failure);
        interface = offer(BP_BLOCK_ID);
        return *this;
    }
    const bp_block& block() const { return *static_cast<const bp_block*>(interface.table); }
    bp_status submit(u32 operation, u64 offset, std::vector<u8>& data) {
        bp_block_request r{};
        r.size = sizeof r;
        r.operation = operation, r.offset = offset, r.length = data.size(), r.data = data.data();
        r.done = [](void* i, int32_t error) { static_cast<Image*>(i)->results.push_back(error); };
        r.argument = this;
        return block().submit(interface.instance, &r);
    }
    // Submits and waits.
    i32 now(u32 operation, u64 offset, std::vector<u8>& data) {
        results.clear();
        REQUIRE(submit(operation, offset, data) == BP_OK);
        settle();
        REQUIRE(results.size() == 1);
        return results[0];
    }
    void settle() {
        block().drain(interface.instance);
        run_posted();
    }
    bp_block_info info() const {
        bp_block_info i{};
        i.size = sizeof i;
        block().info(interface.instance, &i);
        return i;
    }
    bp_interface interface {};
    std::vector<i32> results;
};

std::vector<u8> filled(std::size_t size, unsigned seed) {
    std::mt19937 random(seed);
    std::vector<u8> data(size);
    for (u8& b : data) b = static_cast<u8>(random());
    return data;
}

std::vector<u8> contents(const std::string& path, u64 offset, std::size_t size) {
    std::vector<u8> data(size);
    const int fd = open(path.c_str(), O_RDONLY);
    CHECK(pread(fd, data.data(), size, static_cast<off_t>(offset)) == static_cast<ssize_t>(size));
    close(fd);
    return data;
}

bool says(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("what is written is in the file, and what is in the file is read") {
    Folder f;
    const std::string path = f.file("disk", 1 << 20);
    Image image(path);
    image.up();
    CHECK(image.info().bytes == 1 << 20);
    CHECK(image.info().read_only == 0);
    auto data = filled(4096, 1);
    CHECK(image.now(BP_BLOCK_WRITE, 8192, data) == 0);
    CHECK(contents(path, 8192, 4096) == data);
    std::vector<u8> back(8192);
    CHECK(image.now(BP_BLOCK_READ, 8192 - 2048, back) == 0);
    CHECK(std::vector<u8>(back.begin() + 2048, back.begin() + 6144) == data);
    CHECK(back[0] == 0);
    std::vector<u8> first(512);
    CHECK(image.block().read_now(image.interface.instance, 8192, first.data(), 512) == 0);
    CHECK(std::memcmp(first.data(), data.data(), 512) == 0);
}

TEST_CASE("requests are done once each, never from within submit, and a flush after all before it") {
    Folder f;
    Image image(f.file("disk", 65536));
    image.up();
    std::vector<std::vector<u8>> writes;
    for (unsigned i = 0; i < 50; ++i) writes.push_back(std::vector<u8>(512, static_cast<u8>(i)));
    for (unsigned i = 0; i < 50; ++i) REQUIRE(image.submit(BP_BLOCK_WRITE, i * 512, writes[i]) == BP_OK);
    std::vector<u8> back(512), nothing;
    REQUIRE(image.submit(BP_BLOCK_FLUSH, 0, nothing) == BP_OK);
    CHECK(image.results.empty());
    image.settle();
    CHECK(image.results == std::vector<i32>(51, 0));
    CHECK(image.now(BP_BLOCK_READ, 49 * 512, back) == 0);
    CHECK(back[0] == 49);
}

TEST_CASE("flush succeeds and waits for the writes before it") {
    Folder f;
    Image image(f.file("disk", 65536));
    image.up();
    std::vector<u8> nothing, data(512, 7);
    CHECK(image.now(BP_BLOCK_FLUSH, 0, nothing) == 0);
    REQUIRE(image.submit(BP_BLOCK_WRITE, 512, data) == BP_OK);
    REQUIRE(image.submit(BP_BLOCK_FLUSH, 0, nothing) == BP_OK);
    image.results.clear();
    image.settle();
    CHECK(image.results == std::vector<i32>{0, 0});
}

TEST_CASE("discard gives the space back and leaves zeros") {
    Folder f;
    const std::string path = f.file("disk", 1 << 20);
    Image image(path);
    image.up();
    auto data = filled(1 << 20, 2);
    CHECK(image.now(BP_BLOCK_WRITE, 0, data) == 0);
    struct stat before {
    }, after{};
    stat(path.c_str(), &before);
    std::vector<u8> span(512 << 10);
    CHECK(image.now(BP_BLOCK_DISCARD, 65536, span) == 0);
    stat(path.c_str(), &after);
    CHECK(after.st_size == 1 << 20);
    if (after.st_blocks < before.st_blocks) CHECK(contents(path, 65536, 512 << 10) == std::vector<u8>(512 << 10));
    CHECK(contents(path, 0, 65536) == std::vector<u8>(data.begin(), data.begin() + 65536));
}

TEST_CASE("requests that do not fit are refused") {
    Folder f;
    Image image(f.file("disk", 4096));
    image.up();
    std::vector<u8> sector(512), odd(100), large(8192);
    CHECK(image.submit(BP_BLOCK_READ, 4096, sector) == BP_ERR_INVALID);
    CHECK(image.submit(BP_BLOCK_READ, 0, large) == BP_ERR_INVALID);
    CHECK(image.submit(BP_BLOCK_WRITE, ~u64{511}, sector) == BP_ERR_INVALID);
    CHECK(image.submit(BP_BLOCK_READ, 100, sector) == BP_ERR_INVALID);
    CHECK(image.submit(BP_BLOCK_READ, 0, odd) == BP_ERR_INVALID);
    CHECK(image.submit(99, 0, sector) == BP_ERR_INVALID);
    CHECK(image.block().read_now(image.interface.instance, 4096, sector.data(), 512) == EINVAL);
}

TEST_CASE("a size that is no multiple of 512 is rounded down, with a warning") {
    Folder f;
    Image image(f.file("disk", 10000));
    image.up();
    CHECK(image.info().bytes == 9728);
    REQUIRE(image.log.size() == 1);
    CHECK(says(image.log[0], "10000"));
    CHECK(says(image.log[0], "272"));
    std::vector<u8> sector(512);
    CHECK(image.submit(BP_BLOCK_READ, 9728, sector) == BP_ERR_INVALID);
}

TEST_CASE("a file that shrinks under the machine is a read error") {
    Folder f;
    const std::string path = f.file("disk", 8192);
    Image image(path);
    image.up();
    REQUIRE(truncate(path.c_str(), 1024) == 0);
    std::vector<u8> sector(512);
    CHECK(image.now(BP_BLOCK_READ, 4096, sector) == EIO);
    CHECK(image.now(BP_BLOCK_READ, 512, sector) == 0);
}

TEST_CASE("errors name the file and what is wrong with it") {
    Folder f;
    const auto failure = [](const std::string& path, bp_status expected) {
        Image image(path);
        CHECK(image.start() == expected);
        if (!path.empty()) CHECK(says(image.failure, path));
        return image.failure;
    };
    CHECK(says(failure(f.path() + "/missing", BP_ERR_NOT_FOUND), "no such disk image"));
    CHECK(says(failure(f.path(), BP_ERR_INVALID), "is a directory"));
    CHECK(says(failure("", BP_ERR_INVALID), "no file was given"));
    CHECK(says(failure("/dev/null", BP_ERR_INVALID), "neither a file nor a block device"));
    const std::string fifo = f.path() + "/fifo";
    REQUIRE(mkfifo(fifo.c_str(), 0644) == 0);
    CHECK(says(failure(fifo, BP_ERR_INVALID), "neither a file nor a block device"));
    CHECK(failure(f.file("file") + "/below", BP_ERR_IO).size() > 0);
    Image directory(f.path(), true);
    CHECK(directory.start() == BP_ERR_INVALID);
    CHECK(says(directory.failure, "is a directory"));
}

TEST_CASE("a file that cannot be written is an error that says what to do") {
    Folder f;
    const std::string path = f.file("disk", 4096, 0444);
    const std::string secret = f.file("secret", 4096, 0000);
    // Permissions mean nothing to the superuser.
    const bool super = geteuid() == 0;
    if (super) REQUIRE(seteuid(65534) == 0);
    {
        Image image(path), closed(secret), reader(path, true);
        const bp_status s = image.start(), c = closed.start(), r = reader.start();
        CHECK(s == BP_ERR_READ_ONLY);
        CHECK(says(image.failure, "read_only: true"));
        CHECK(says(image.failure, "Permission denied"));
        CHECK(c == BP_ERR_IO);
        CHECK(says(closed.failure, "Permission denied"));
        CHECK(r == BP_OK);
    }
    if (super) REQUIRE(seteuid(0) == 0);
}

TEST_CASE("a read-only image takes no writes") {
    Folder f;
    Image image(f.file("disk", 4096), true);
    image.up();
    CHECK(image.info().read_only == 1);
    std::vector<u8> sector(512);
    CHECK(image.submit(BP_BLOCK_WRITE, 0, sector) == BP_ERR_READ_ONLY);
    CHECK(image.submit(BP_BLOCK_DISCARD, 0, sector) == BP_ERR_READ_ONLY);
    CHECK(image.now(BP_BLOCK_READ, 0, sector) == 0);
    std::vector<u8> nothing;
    CHECK(image.now(BP_BLOCK_FLUSH, 0, nothing) == 0);
}

TEST_CASE("two writers, or a writer and a reader, are kept apart; readers are not") {
    Folder f;
    const std::string path = f.file("disk", 4096);
    {
        Image first(path);
        first.up();
        for (const bool read_only : {false, true}) {
            Image second(path, read_only);
            CHECK(second.start() == BP_ERR_CONFLICT);
            CHECK(says(second.failure, path + " is in use"));
        }
        // The first one is none the worse for it.
        std::vector<u8> sector(512, 1);
        CHECK(first.now(BP_BLOCK_WRITE, 0, sector) == 0);
    }
    {
        Image a(path, true), b(path, true);
        a.up(), b.up();
        Image writer(path);
        CHECK(writer.start() == BP_ERR_CONFLICT);
    }
    Image again(path);
    CHECK(again.start() == BP_OK);
}

TEST_CASE("the lock holds against another process and goes with it") {
    Folder f;
    const std::string path = f.file("disk", 4096);
    int ready[2], finish[2];
    REQUIRE(pipe(ready) == 0);
    REQUIRE(pipe(finish) == 0);
    const pid_t child = fork();
    if (child == 0) {
        const int fd = open(path.c_str(), O_RDWR);
        struct flock l {};
        l.l_type = F_WRLCK;
        char byte = fcntl(fd, F_OFD_SETLK, &l) == 0 ? 'y' : 'n';
        if (write(ready[1], &byte, 1) != 1 || read(finish[0], &byte, 1) < 0) _exit(1);
        _exit(0);
    }
    char byte = 0;
    REQUIRE(read(ready[0], &byte, 1) == 1);
    REQUIRE(byte == 'y');
    Image image(path);
    CHECK(image.start() == BP_ERR_CONFLICT);
    REQUIRE(write(finish[1], "x", 1) == 1);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    Image after(path);
    CHECK(after.start() == BP_OK);
    for (const int fd : {ready[0], ready[1], finish[0], finish[1]}) close(fd);
}

TEST_CASE("stopping finishes what was submitted") {
    Folder f;
    const std::string path = f.file("disk", 1 << 20);
    std::vector<std::vector<u8>> writes;
    {
        Image image(path);
        image.up();
        for (unsigned i = 0; i < 100; ++i) writes.push_back(std::vector<u8>(4096, static_cast<u8>(i + 1)));
        for (unsigned i = 0; i < 100; ++i) REQUIRE(image.submit(BP_BLOCK_WRITE, 4096 * i, writes[i]) == BP_OK);
        DeviceType<Raw>::stop(image.interface.instance);
        CHECK(image.submit(BP_BLOCK_READ, 0, writes[0]) == BP_ERR_STATE);
        image.run_posted();
        CHECK(image.results == std::vector<i32>(100, 0));
    }
    for (unsigned i = 0; i < 100; ++i) CHECK(contents(path, 4096 * i, 1)[0] == i + 1);
}

TEST_CASE("an image that never started can be asked and stopped") {
    Folder f;
    Image image(f.path() + "/missing");
    CHECK(image.start() != BP_OK);
    const bp_interface i = image.offer(BP_BLOCK_ID);
    const auto& block = *static_cast<const bp_block*>(i.table);
    u8 sector[512];
    CHECK(block.read_now(i.instance, 0, sector, 512) == EBADF);
    block.drain(i.instance);
    bp_block_request r{};
    r.operation = BP_BLOCK_FLUSH;
    CHECK(block.submit(i.instance, &r) == BP_ERR_STATE);
}

TEST_CASE("random reads and writes agree with a copy in memory") {
    Folder f;
    Image image(f.file("disk", 256 << 10));
    image.up();
    std::vector<u8> copy(256 << 10);
    std::mt19937 random(7);
    for (unsigned i = 0; i < 3000; ++i) {
        const u64 offset = random() % 500 * 512, length = (1 + random() % 8) * 512;
        std::vector<u8> data(length);
        if (random() & 1) {
            data = filled(length, i);
            REQUIRE(image.now(BP_BLOCK_WRITE, offset, data) == 0);
            std::copy(data.begin(), data.end(), copy.begin() + static_cast<long>(offset));
        } else {
            REQUIRE(image.now(BP_BLOCK_READ, offset, data) == 0);
            REQUIRE(std::memcmp(data.data(), &copy[offset], length) == 0);
        }
    }
}
