#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include "backplane/testkit/bench.hpp"
#include "image/qcow2/create.hpp"
#include "model.hpp"

using namespace backplane;
using qcow2_disk::Qcow2;
using testkit::Board;

namespace {

// An empty image that is gone with the object.
class File {
  public:
    File() {
        const int fd = mkstemp(path_);
        if (fd < 0) throw std::runtime_error("mkstemp");
        close(fd);
        image::qcow2::CreateOptions o;
        o.bytes = 1 << 20;
        if (image::qcow2::create(*image::open_file(path_, {}), o) != 0) throw std::runtime_error("create");
    }
    ~File() { std::remove(path_); }
    std::string path() const { return path_; }

  private:
    char path_[40] = "/tmp/backplane-qcow2-XXXXXX";
};

struct Disk : Board {
    explicit Disk(const std::string& path) : Board(&DeviceType<Qcow2>::value, {{"file", path}}, {}) {
        device_name = "image";
    }
    const bp_block& block() const { return *static_cast<const bp_block*>(interface.table); }
    i32 now(u32 operation, u64 offset, std::vector<u8>& data) {
        i32 result = -1;
        bp_block_request r{};
        r.size = sizeof r;
        r.operation = operation, r.offset = offset, r.length = data.size(), r.data = data.data();
        r.done = [](void* i, int32_t error) { *static_cast<i32*>(i) = error; };
        r.argument = &result;
        REQUIRE(block().submit(interface.instance, &r) == BP_OK);
        block().drain(interface.instance);
        run_posted();
        return result;
    }
    bp_interface interface {};
};

}  // namespace

TEST_CASE("what is written to a qcow2 disk is there the next time") {
    const File file;
    std::vector<u8> data(4096, 0x5a), none;
    {
        Disk disk(file.path());
        REQUIRE(disk.start() == BP_OK);
        disk.interface = disk.offer(BP_BLOCK_ID);
        bp_block_info info{};
        info.size = sizeof info;
        disk.block().info(disk.interface.instance, &info);
        CHECK(info.bytes == 1 << 20);
        CHECK(disk.now(BP_BLOCK_WRITE, 100 * 512, data) == 0);
        CHECK(disk.now(BP_BLOCK_FLUSH, 0, none) == 0);
    }
    Disk disk(file.path());
    REQUIRE(disk.start() == BP_OK);
    disk.interface = disk.offer(BP_BLOCK_ID);
    std::vector<u8> back(4096);
    CHECK(disk.now(BP_BLOCK_READ, 100 * 512, back) == 0);
    CHECK(back == data);
}

TEST_CASE("a file that is not qcow2 is refused with the place in it") {
    const File file;
    std::FILE* f = std::fopen(file.path().c_str(), "r+");
    REQUIRE(f != nullptr);
    std::fputs("no qcow2", f);
    std::fclose(f);
    Disk disk(file.path());
    CHECK(disk.start() != BP_OK);
    CHECK(disk.failure.find("offset 0") != std::string::npos);
}
