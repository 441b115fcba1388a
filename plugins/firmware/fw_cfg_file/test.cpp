#include "model.hpp"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "backplane/testkit/bench.hpp"

using namespace backplane;
using testkit::Board;

namespace {

struct HostFile {
    std::string path;
    explicit HostFile(std::string_view text) {
        char name[] = "/tmp/backplane-fw-XXXXXX";
        const int fd = ::mkstemp(name);
        if (fd < 0) throw std::runtime_error("no temporary file");
        ::close(fd);
        path = name;
        std::ofstream(path) << text;
    }
    ~HostFile() { ::unlink(path.c_str()); }
};

// The device that it plugs into.
struct Host {
    std::string address, name = {}, data = {};
    u32 selector = 0;
    bp_status answer = BP_OK;
    static constexpr bp_fw_cfg kTable{sizeof(bp_fw_cfg), [](void* i) { return to_bp(static_cast<Host*>(i)->address); },
                                      [](void* i, bp_str name, const void* data, size_t size) {
                                          auto* self = static_cast<Host*>(i);
                                          self->name = to_view(name);
                                          self->data.assign(static_cast<const char*>(data), size);
                                          return self->answer;
                                      },
                                      [](void* i, uint32_t selector, const void* data, size_t size) {
                                          auto* self = static_cast<Host*>(i);
                                          self->selector = selector;
                                          self->data.assign(static_cast<const char*>(data), size);
                                          return self->answer;
                                      }};
};

}  // namespace

TEST_CASE("the file goes into the directory under its address") {
    HostFile file("contents");
    Host host{"vgaroms/vgabios.bin"};
    Board b(&DeviceType<FwCfgFile>::value, {{"file", file.path}}, {});
    b.plug_into({&Host::kTable, &host});
    REQUIRE(b.start() == BP_OK);
    CHECK(host.name == "vgaroms/vgabios.bin");
    CHECK(host.data == "contents");
}

TEST_CASE("a numeric address makes it a numbered item") {
    HostFile file("contents");
    Host host{"0x8000"};
    Board b(&DeviceType<FwCfgFile>::value, {{"file", file.path}}, {});
    b.plug_into({&Host::kTable, &host});
    REQUIRE(b.start() == BP_OK);
    CHECK(host.selector == 0x8000);
    CHECK(host.data == "contents");
}

TEST_CASE("a missing file and a refusal are reported") {
    Host host{"x"};
    {
        Board b(&DeviceType<FwCfgFile>::value, {{"file", "/nonexistent/vgabios-stdvga.bin"}}, {});
        b.plug_into({&Host::kTable, &host});
        CHECK(b.start() == BP_ERR_NOT_FOUND);
        CHECK(b.failure.find("seabios") != std::string::npos);
    }
    HostFile file("contents");
    host.answer = BP_ERR_CONFLICT;
    Board b(&DeviceType<FwCfgFile>::value, {{"file", file.path}}, {});
    b.plug_into({&Host::kTable, &host});
    CHECK(b.start() == BP_ERR_CONFLICT);
}

TEST_CASE("without a device to plug into it does not start") {
    HostFile file("contents");
    Board b(&DeviceType<FwCfgFile>::value, {{"file", file.path}}, {});
    CHECK(b.start() == BP_ERR_STATE);
}
