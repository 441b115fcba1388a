// A processor with memory and the two ports that the guests of tests/guests/cpu know.
#pragma once

#include <catch2/catch.hpp>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "cpu.hpp"

namespace backplane::interp::guest_test {

struct Machine {
    std::vector<u8> ram = std::vector<u8>(16u << 20);
    std::vector<u8> flags = std::vector<u8>(4096);
    bp_vcpu vcpu{};
    std::string text;
    bool ended = false;
    Cpu cpu;

    explicit Machine(std::string_view model = "pentium2") {
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
        cpu.model = find_model(model);
        cpu.attach(&vcpu, &bus);
        cpu.reset(true);
    }
    void run(const std::string& image) {
        std::memcpy(&ram[0x7c00], image.data(), image.size());
        cpu.set_segment_real(kCs, 0);
        cpu.eip = 0x7e00;  // behind the boot sector
        cpu.run();
    }
};

inline std::string contents(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    REQUIRE(file);
    std::ostringstream all;
    all << file.rdbuf();
    return all.str();
}

inline std::vector<std::string> lines(const std::string& text) {
    std::vector<std::string> all;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) all.push_back(line);
    return all;
}

}  // namespace backplane::interp::guest_test
