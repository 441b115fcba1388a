// What a bus master reaches: memory, never registers, and least of all its own.
#include <catch2/catch.hpp>

#include <array>

#include "backplane/device.hpp"
#include "kernel/machine/machine.hpp"

using namespace backplane;
using namespace backplane::kernel;

namespace {

// One page of RAM at 0, registers where the board puts them, and a transfer for the asking.
struct Master final : Device<Master> {
    static constexpr std::string_view kType = "test.master";
    using Device::Device;
    u32 accesses_ = 0, block_ = 0, mapping_ = 0;
    bool ram_ = false;
    u64 read(u64, u32) { return ++accesses_; }
    void write(u64, u32, u64) { ++accesses_; }
    bp_status start() {
        if (!ram_) return BP_OK;
        const bp_ram_api& ram = slot().ram();
        if (const bp_status s = ram.create(slot().self(), to_bp("ram"), 0x1000, &block_)) return s;
        return ram.map(slot().self(), block_, 0, 0, 0x1000, BP_MAP_READ | BP_MAP_WRITE, BP_PRIORITY_RAM, &mapping_);
    }
    using Device::dma_read;
    using Device::dma_write;
    static void describe(Schema<Master>& s) {
        s.property("ram", &Master::ram_, {.doc = "with memory", .def = "false"});
        s.memory<&Master::read, &Master::write>("regs", 0x100, 4, "counts accesses");
    }
};

struct Board {
    Board() {
        registry.add(&DeviceType<Master>::value);
        const Value yaml = parse_yaml(
            "a: {type: test.master, ram: true, at: 0x1000}\n"
            "b: {type: test.master, at: 0x1100}\n",
            "board.yaml");
        BoardSpec b;
        b.name = "test";
        SpaceSpec memory;
        memory.name = "memory", memory.kind = SpaceSpec::Kind::kMemory, memory.bits = 32;
        b.spaces = {memory};
        for (const auto& e : yaml.entries()) {
            DeviceSpec d;
            d.name = e.key, d.position = e.position;
            for (const auto& x : e.value.entries()) {
                if (x.key == "type")
                    d.type = x.value.text();
                else
                    d.entries.push_back(x);
            }
            b.devices.push_back(d);
        }
        machine = std::make_unique<Machine>(b, registry, logger, tracer);
    }
    Master& device(const char* name) { return *static_cast<Master*>(machine->device(name)->object); }

    std::vector<std::string> log;
    PluginRegistry registry;
    Logger logger{[this](std::string_view line) { log.emplace_back(line); }};
    Tracer tracer;
    std::unique_ptr<Machine> machine;
};

}  // namespace

TEST_CASE("a bus master copies to and from memory") {
    Board board;
    std::array<u8, 4> data{1, 2, 3, 4}, back{};
    CHECK(board.device("b").dma_write(0xffc, data.data(), 4) == BP_OK);
    CHECK(board.device("a").dma_read(0xffc, back.data(), 4) == BP_OK);
    CHECK(back == data);
}

TEST_CASE("a transfer that reaches the device's own registers is refused as a whole, counted, and logged once") {
    Board board;
    std::array<u8, 16> data;
    for (int round = 0; round < 2; ++round) {
        data.fill(0);
        CHECK(board.device("a").dma_write(0xff8, data.data(), 16) == BP_ERR_REENTRANT);
        CHECK(board.device("a").dma_read(0xff8, data.data(), 16) == BP_ERR_REENTRANT);
        CHECK(data[0] == 0xff);
        CHECK(data[15] == 0xff);
    }
    const u64 all = 0;
    CHECK(board.device("a").dma_write(0xff8, &all, 8) == BP_OK);
    CHECK(board.device("a").dma_write(0xff8, data.data(), 9) == BP_ERR_REENTRANT);
    CHECK(board.machine->memory_read(0xff8, 8) == 0);
    CHECK(board.device("a").accesses_ == 0);
    board.logger.flush();
    REQUIRE(board.log.size() == 1);
    CHECK(board.log[0].find("DMA to ff8 refused: these are its own registers (regs)") != std::string::npos);
    CHECK(board.machine->report().find("a: refused DMA to its own registers: 5") != std::string::npos);
}

TEST_CASE("another device's registers are no memory to a bus master, but do not stop the part that is") {
    Board board;
    std::array<u8, 16> data{};
    CHECK(board.device("b").dma_read(0xff8, data.data(), 16) == BP_ERR_INVALID);
    CHECK(data[7] == 0);
    CHECK(data[8] == 0xff);
    data.fill(0x55);
    CHECK(board.device("b").dma_write(0xff8, data.data(), 16) == BP_ERR_INVALID);
    CHECK(board.machine->memory_read(0xff8, 8) == 0x5555555555555555);
    CHECK(board.device("b").dma_write(0x10f0, data.data(), 16) == BP_ERR_INVALID);
    CHECK(board.device("a").accesses_ == 0);
    CHECK(board.machine->report().find("refused") == std::string::npos);
}
