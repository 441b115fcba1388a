// Whole programs: the guests of tests/guests/cpu, assembled by the build, print every event they meet. The expected
// texts agree with QEMU's TCG except where that leaves the manual: limits and null selectors are not checked there, RF,
// EXT and RSVD|P bits of error codes and images, INT1, LOCK MOV, general detect, the T bit, the delay of traps behind
// MOV SS.
#include <catch2/catch.hpp>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "cpu.hpp"

using namespace backplane::interp;

namespace {

struct Machine {
    std::vector<u8> ram = std::vector<u8>(16u << 20);
    std::vector<u8> flags = std::vector<u8>(4096);
    bp_vcpu vcpu{};
    std::string text;
    bool ended = false;
    Cpu cpu;

    Machine() {
        bp_cpu_bus bus{};
        bus.size = sizeof bus;
        bus.self = this;
        bus.page = [](void* self, u64 address, int, bp_page* out) {
            auto* m = static_cast<Machine*>(self);
            *out = bp_page{};
            if (address >= m->ram.size()) return;
            out->read = out->write = &m->ram[address & ~0xfffull];
            out->code_flag = &m->flags[address >> 12];
        };
        bus.read = [](void*, u64, u32 bytes, int) -> u64 { return bytes == 8 ? ~0ull : (1ull << bytes * 8) - 1; };
        bus.write = [](void*, u64, u32, u64, int) {};
        bus.port_read = [](void*, u32 port, u32 bytes) -> u64 {
            return port == 0xe9 && bytes == 1 ? 0xe9 : (1ull << bytes * 8) - 1;
        };
        bus.port_write = [](void* self, u32 port, u32, u64 value) {
            auto* m = static_cast<Machine*>(self);
            if (port == 0xe9) m->text += static_cast<char>(value);
            if (port != 0xf4) return;
            m->ended = true;
            m->vcpu.attention |= BP_ATTENTION_STOP;
        };
        bus.lock = [](void*) {};
        bus.unlock = [](void*) {};
        bus.now = [](void* self) -> i64 { return static_cast<i64>(static_cast<Machine*>(self)->cpu.count); };
        vcpu.deadline = 50000000;
        cpu.host.apic_base = [](void*) -> i64 { return 0xfee00900; };
        cpu.attach(&vcpu, &bus);
        cpu.reset(true);
    }
};

std::string contents(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    REQUIRE(file);
    std::ostringstream all;
    all << file.rdbuf();
    return all.str();
}

std::vector<std::string> lines(const std::string& text) {
    std::vector<std::string> all;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) all.push_back(line);
    return all;
}

}  // namespace

TEST_CASE("the CPU guests meet the events they expect") {
    const std::string name = GENERATE("protection", "v86", "paging", "tasks", "debug", "limits", "modes");
    const std::string image = contents(std::string(BACKPLANE_GUEST_IMAGES) + "/" + name + ".bin");
    const auto expected = lines(contents(std::string(BACKPLANE_GUEST_SOURCES) + "/expected/" + name + ".txt"));
    Machine m;
    std::memcpy(&m.ram[0x7c00], image.data(), image.size());
    m.cpu.set_segment_real(kCs, 0);
    m.cpu.eip = 0x7e00;  // behind the boot sector
    m.cpu.run();
    INFO(name);
    const auto got = lines(m.text);
    for (std::size_t i = 0; i < got.size() && i < expected.size(); ++i) {
        INFO("line " << i + 1);
        REQUIRE(got[i] == expected[i]);
    }
    REQUIRE(got.size() == expected.size());
    REQUIRE(m.ended);
}
