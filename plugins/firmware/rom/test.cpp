#include "model.hpp"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <fstream>

#include "backplane/testkit/bench.hpp"

using namespace backplane;
using testkit::Bench;
using testkit::Board;

namespace {

// A file whose byte n holds n / 4096.
struct ImageFile {
    std::string path;
    explicit ImageFile(std::size_t size, const char* name = "image") {
        char folder[] = "/tmp/backplane-rom-XXXXXX";
        if (!::mkdtemp(folder)) throw std::runtime_error("no temporary folder");
        folder_ = folder;
        path = folder_ + "/" + name;
        std::ofstream f(path, std::ios::binary);
        for (std::size_t i = 0; i < size; ++i) f.put(static_cast<char>(i / 4096));
    }
    ~ImageFile() {
        ::unlink(path.c_str());
        ::rmdir(folder_.c_str());
    }

  private:
    std::string folder_;
};

constexpr u32 kReadOnly = BP_MAP_READ | BP_MAP_DROP_WRITE;

}  // namespace

TEST_CASE("a 128 KiB BIOS ends at 4 GiB and shows whole below 1 MiB") {
    ImageFile file(128 << 10);
    Bench<FirmwareRom> b({{"image", file.path}});
    REQUIRE(b.mappings().size() == 2);
    const auto& high = b.mappings().at(1);
    CHECK(high.base == 0xfffe0000);
    CHECK(high.size == 0x20000);
    CHECK(high.flags == kReadOnly);
    CHECK(high.priority == BP_PRIORITY_FIXED);
    const auto& low = b.mappings().at(2);
    CHECK(low.base == 0xe0000);
    CHECK(low.size == 0x20000);
    CHECK(low.offset == 0);
    CHECK(low.flags == kReadOnly);
    CHECK(b.ram_block(0)[0x1ffff] == 0x1f);
}

TEST_CASE("of a 256 KiB BIOS the upper half shows below 1 MiB") {
    ImageFile file(256 << 10);
    Bench<FirmwareRom> b({{"image", file.path}});
    CHECK(b.mappings().at(1).base == 0xfffc0000);
    CHECK(b.mappings().at(2).base == 0xe0000);
    CHECK(b.mappings().at(2).offset == 0x20000);
}

TEST_CASE("a 64 KiB BIOS shows at F0000") {
    ImageFile file(64 << 10);
    Bench<FirmwareRom> b({{"image", file.path}});
    CHECK(b.mappings().at(1).base == 0xffff0000);
    CHECK(b.mappings().at(2).base == 0xf0000);
    CHECK(b.mappings().at(2).size == 0x10000);
}

TEST_CASE("the alias can be left out") {
    ImageFile file(64 << 10);
    Bench<FirmwareRom> b({{"image", file.path}, {"low_alias", "false"}});
    CHECK(b.mappings().size() == 1);
}

TEST_CASE("without shadow RAM in the chipset the low copy is memory that each reset fills") {
    ImageFile file(256 << 10);
    Bench<FirmwareRom> b({{"image", file.path}, {"low_writable", "true"}});
    REQUIRE(b.mappings().size() == 2);
    CHECK(b.mappings().at(2).base == 0xe0000);
    CHECK(b.mappings().at(2).block == 1);
    CHECK(b.mappings().at(2).flags == (BP_MAP_READ | BP_MAP_WRITE));
    CHECK(b.ram_block(1)[0x1ffff] == 0x3f);
    b.ram_block(1)[0x1ffff] = 0;
    CHECK(b.ram_block(0)[0x3ffff] == 0x3f);
    b.reset();
    CHECK(b.ram_block(1)[0x1ffff] == 0x3f);
}

TEST_CASE("a board without 32-bit addresses ends its BIOS at 1 MiB") {
    ImageFile file(64 << 10);
    Bench<FirmwareRom> b({{"image", file.path}, {"end", "1M"}});
    REQUIRE(b.mappings().size() == 1);
    CHECK(b.mappings().at(1).base == 0xf0000);
}

TEST_CASE("an option ROM of any number of sectors stands at its base") {
    ImageFile file(38912 + 512);
    Bench<FirmwareRom> b({{"image", file.path}, {"base", "0xc0000"}});
    REQUIRE(b.mappings().size() == 1);
    CHECK(b.mappings().at(1).base == 0xc0000);
    CHECK(b.mappings().at(1).size == 40960);
    CHECK(b.ram_block(0)[38912 + 512] == 0xff);
}

TEST_CASE("a BIOS that is no multiple of 64 KiB is refused") {
    ImageFile file(100000);
    Board b(&DeviceType<FirmwareRom>::value, {{"image", file.path}}, {});
    CHECK(b.start() == BP_ERR_INVALID);
    CHECK(b.failure.find("multiple of 65536") != std::string::npos);
}

TEST_CASE("empty, oversized and missing images are refused with a reason") {
    {
        ImageFile file(0);
        Board b(&DeviceType<FirmwareRom>::value, {{"image", file.path}}, {});
        CHECK(b.start() == BP_ERR_INVALID);
        CHECK(b.failure.find("empty") != std::string::npos);
    }
    {
        ImageFile file((16 << 20) + 65536);
        Board b(&DeviceType<FirmwareRom>::value, {{"image", file.path}}, {});
        CHECK(b.start() == BP_ERR_INVALID);
    }
    {
        Board b(&DeviceType<FirmwareRom>::value, {{"image", "/nonexistent/bios.bin"}}, {});
        CHECK(b.start() == BP_ERR_NOT_FOUND);
        CHECK(b.failure.find("apt install seabios") != std::string::npos);
    }
    {
        Board b(&DeviceType<FirmwareRom>::value, {{"image", "/tmp"}}, {});
        CHECK(b.start() == BP_ERR_IO);
    }
}

namespace {

struct Seen {
    u64 base, size, offset;
    u32 flags;
    bool operator==(const Seen&) const = default;
};
std::vector<Seen> seen(Board& b) {
    std::vector<Seen> out;
    for (const auto& [id, m] : b.mappings()) out.push_back({m.base, m.size, m.offset, m.flags});
    return out;
}
std::vector<Seen> placed(std::size_t size, const char* place, testkit::Properties more = {}) {
    ImageFile file(size);
    more.emplace_back("image", file.path), more.emplace_back("place", place);
    Bench<FirmwareRom> b(more);
    return seen(b);
}

}  // namespace

TEST_CASE("a BIOS that ends at 1 MiB also shows below 4 GiB") {
    CHECK(placed(64 << 10, "0xf0000") ==
          std::vector<Seen>{{0xf0000, 0x10000, 0, kReadOnly}, {0xffff0000, 0x10000, 0, kReadOnly}});
    CHECK(placed(256 << 10, "0xc0000") ==
          std::vector<Seen>{{0xc0000, 0x40000, 0, kReadOnly}, {0xfffc0000, 0x40000, 0, kReadOnly}});
}

TEST_CASE("a BIOS that lies anywhere shows below 4 GiB, and its last 128 KiB below 1 MiB") {
    CHECK(placed(4096, "0x8000000") == std::vector<Seen>{{0x8000000, 0x1000, 0, kReadOnly},
                                                         {0xfffff000, 0x1000, 0, kReadOnly},
                                                         {0xff000, 0x1000, 0, kReadOnly}});
    CHECK(placed(256 << 10, "0x8000000") == std::vector<Seen>{{0x8000000, 0x40000, 0, kReadOnly},
                                                              {0xfffc0000, 0x40000, 0, kReadOnly},
                                                              {0xe0000, 0x20000, 0x20000, kReadOnly}});
    CHECK(placed(128 << 10, "0xfffe0000") ==
          std::vector<Seen>{{0xfffe0000, 0x20000, 0, kReadOnly}, {0xe0000, 0x20000, 0, kReadOnly}});
}

TEST_CASE("a placed BIOS that is writable below 1 MiB is memory there") {
    constexpr u32 kMemory = BP_MAP_READ | BP_MAP_WRITE;
    CHECK(placed(64 << 10, "0xf0000", {{"low_writable", "true"}}) ==
          std::vector<Seen>{{0xffff0000, 0x10000, 0, kReadOnly}, {0xf0000, 0x10000, 0, kMemory}});
}

TEST_CASE("a place where the image hides its own end, or has no room, is refused") {
    ImageFile file(128 << 10);
    for (const char* place : {"0xd0000", "0xffff0000", "0xfffd0000", "0x1001", "0x100000000"}) {
        Board b(&DeviceType<FirmwareRom>::value, {{"image", file.path}, {"place", place}}, {});
        CHECK(b.start() == BP_ERR_INVALID);
    }
    ImageFile odd(5000);
    Board b(&DeviceType<FirmwareRom>::value, {{"image", odd.path}, {"place", "0xf0000"}}, {});
    CHECK(b.start() == BP_ERR_INVALID);
}
