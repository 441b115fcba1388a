// DMA on the test kit's board follows the kernel's rules.
#include <catch2/catch.hpp>

#include <array>

#include "backplane/testkit/bench.hpp"

using namespace backplane;

namespace {

struct Master : Device<Master> {
    static constexpr std::string_view kType = "test.master";
    using Device::Device;
    static void describe(Schema<Master>& s) {
        s.memory<&Master::read, nullptr>("registers", 0x100, 4, "", &Master::registers_);
        s.offer("test.master", &kNothing);
    }
    u64 read(u64, u32) { return 0; }
    using Device::dma_read;
    using Device::dma_write;
    static constexpr int kNothing = 0;
    Region registers_;
};

}  // namespace

TEST_CASE("on the test kit's board a transfer beyond memory is cut, one to the device's own registers refused") {
    testkit::Bench<Master> bench;
    Master& master = *static_cast<Master*>(bench.offer("test.master").instance);
    bench.memory.assign(0x2000, 0x11);
    std::array<u8, 16> data{};
    CHECK(master.dma_read(0x1ff0, data.data(), 16) == BP_OK);
    CHECK(master.dma_read(0x1ff8, data.data(), 16) == BP_ERR_INVALID);
    CHECK(data[7] == 0x11);
    CHECK(data[8] == 0xff);
    CHECK(master.dma_read(~u64{0} - 4, data.data(), 4) == BP_ERR_INVALID);
    CHECK(data[0] == 0xff);
    REQUIRE(master.registers_.map(0x1000) == BP_OK);
    CHECK(master.dma_read(0xff0, data.data(), 16) == BP_OK);
    CHECK(master.dma_read(0xff1, data.data(), 16) == BP_ERR_REENTRANT);
    CHECK(data[0] == 0xff);
    CHECK(master.dma_write(0x10ff, data.data(), 1) == BP_ERR_REENTRANT);
    CHECK(bench.memory[0x10ff] == 0x11);
    CHECK(master.dma_write(0x1100, data.data(), 1) == BP_OK);
    CHECK(bench.memory[0x1100] == 0xff);
}
