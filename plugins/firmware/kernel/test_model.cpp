#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <map>

#include "backplane/testkit/bench.hpp"
#include "model.hpp"

using namespace backplane;
using testkit::Board;
using testkit::Properties;

namespace {

struct HostFile {
    std::string path;
    explicit HostFile(const boot::Blob& data) {
        char name[] = "/tmp/backplane-kernel-XXXXXX";
        const int fd = ::mkstemp(name);
        if (fd < 0) throw std::runtime_error("no temporary file");
        ::close(fd);
        path = name;
        std::ofstream(path, std::ios::binary)
            .write(reinterpret_cast<const char*>(data.data()), static_cast<std::streamsize>(data.size()));
    }
    ~HostFile() { ::unlink(path.c_str()); }
};

boot::Blob linux_kernel() {
    boot::Blob data(0x2000);
    data[0x1f1] = 4;
    boot::put(data, 0x1fe, 0xaa55, 2);
    std::memcpy(&data[0x202], "HdrS", 4);
    boot::put(data, 0x206, 0x206, 2);
    data[0x211] = 1;
    boot::put(data, 0x22c, 0x37ffffff, 4);
    boot::put(data, 0x238, 255, 4);
    return data;
}
boot::Blob multiboot_kernel() {
    boot::Blob data(0x400);
    const u32 words[] = {0x1badb002, 0x10003, 0u - (0x1badb002u + 0x10003), 0x200000, 0x200000, 0, 0, 0x200020};
    for (std::size_t i = 0; i < std::size(words); ++i) boot::put(data, 4 * i, words[i], 4);
    return data;
}

struct Host {
    std::map<std::string, std::string> files = {};
    std::map<u32, std::string> items = {};
    static constexpr bp_fw_cfg kTable{
        sizeof(bp_fw_cfg), [](void*) { return to_bp(std::string_view("kernel")); },
        [](void* i, bp_str name, const void* data, size_t size) {
            static_cast<Host*>(i)->files[std::string(to_view(name))].assign(static_cast<const char*>(data), size);
            return bp_status{BP_OK};
        },
        [](void* i, uint32_t selector, const void* data, size_t size) {
            static_cast<Host*>(i)->items[selector].assign(static_cast<const char*>(data), size);
            return bp_status{BP_OK};
        }};
};

struct Machine : Board {
    Host host;
    explicit Machine(Properties properties) : Board(&DeviceType<BootKernel>::value, std::move(properties), {}) {
        plug_into({&Host::kTable, &host});
    }
    bp_status memory(u64 bytes) {
        return consume("ram.layout", "", {{"below_4g", bytes}, {"above_4g", 0}, {"total", bytes}});
    }
};

}  // namespace

TEST_CASE("Linux: a ROM in the directory, a place in the boot order, and items once memory is known") {
    HostFile kernel(linux_kernel()), initrd(boot::Blob(100, 7));
    Machine b({{"kernel", kernel.path}, {"initrd", initrd.path}, {"append", "quiet"}});
    REQUIRE(b.start() == BP_OK);
    CHECK(b.host.files.count("genroms/linuxboot.bin") == 1);
    CHECK(b.host.items.empty());
    REQUIRE(b.memory(64 << 20) == BP_OK);
    for (const u32 selector : {0x07, 0x08, 0x0a, 0x0b, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18})
        CHECK(b.host.items.count(selector) == 1);
    CHECK(b.host.items[0x12] == std::string(100, 7));
    CHECK(std::string(b.host.items[0x15].c_str()) == "quiet");
}

TEST_CASE("Multiboot: another ROM, and an entry point") {
    HostFile kernel(multiboot_kernel()), module(boot::Blob(100, 7));
    Machine b({{"kernel", kernel.path}, {"initrd", module.path + " a," + module.path}});
    REQUIRE(b.start() == BP_OK);
    CHECK(b.host.files.count("genroms/multiboot.bin") == 1);
    REQUIRE(b.memory(64 << 20) == BP_OK);
    CHECK(b.host.items.count(0x10) == 1);
    CHECK(b.host.items[0x12].find(module.path + " a") != std::string::npos);
}

TEST_CASE("what is given without a kernel, or is none, is refused") {
    HostFile text(boot::Blob(20000, 'x'));
    for (const Properties& p :
         {Properties{{"initrd", text.path}}, Properties{{"append", "quiet"}}, Properties{{"kernel", text.path}}}) {
        Machine b(p);
        CHECK(b.start() == BP_ERR_INVALID);
        CHECK_FALSE(b.failure.empty());
    }
    Machine missing(Properties{{"kernel", "/nonexistent/linux"}});
    CHECK(missing.start() == BP_ERR_NOT_FOUND);
    HostFile kernel(multiboot_kernel());
    Machine hole({{"kernel", kernel.path}, {"initrd", text.path + ",,"}});
    CHECK(hole.start() != BP_OK);
}

TEST_CASE("too little memory is refused when it is known") {
    HostFile kernel(linux_kernel());
    Machine b(Properties{{"kernel", kernel.path}});
    REQUIRE(b.start() == BP_OK);
    CHECK(b.memory(1 << 20) == BP_ERR_INVALID);
    CHECK(b.failure.find(kernel.path) != std::string::npos);
}

TEST_CASE("without a device to plug into it does not start") {
    HostFile kernel(linux_kernel());
    Board b(&DeviceType<BootKernel>::value, {{"kernel", kernel.path}}, {});
    CHECK(b.start() == BP_ERR_STATE);
}
