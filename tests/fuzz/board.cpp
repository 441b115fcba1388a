// A hostile guest in front of a whole board: random accesses of all widths to every port and register bank, with the
// clock running and resets in between. Nothing may crash, hang or trip a sanitizer.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <random>

#include "kernel/machine/machine.hpp"

using namespace backplane;
using namespace backplane::kernel;

namespace {

std::string environment(const char* name) {
    const char* text = std::getenv(name);
    return text ? text : "";
}

int cases() {
    const std::string text = environment("BACKPLANE_RANDOM_CASES");
    return text.empty() ? 150'000 : std::atoi(text.c_str());
}

// 4 MiB with a partition table, gone when the test ends.
struct Disk {
    std::string path = "/tmp/backplane-fuzz-" + std::to_string(::getpid()) + ".img";
    Disk() {
        std::ofstream out(path, std::ios::binary);
        std::string data(4 << 20, '\0');
        data[510] = '\x55', data[511] = '\xaa';
        out << data;
    }
    ~Disk() { ::unlink(path.c_str()); }
};

void attack(const std::string& board, const std::vector<Setting>& settings, unsigned seed) {
    SearchPaths search = SearchPaths::standard();
    search.machines = {environment("BACKPLANE_MACHINES")};
    PluginRegistry registry;
    registry.scan(environment("BACKPLANE_PLUGIN_PATH"));
    Logger logger([](std::string_view) {});
    logger.configure("*=debug");
    Tracer tracer;
    BoardRequest request;
    request.machine = board;
    request.settings = settings;
    request.settings.push_back({"clock.mode", "deterministic", "test"});
    MachineOptions options;
    options.search = search;
    const BoardSpec spec = load_board(request, search);
    Machine machine(spec, registry, logger, tracer, options);

    // Ports that answer are hit more often than the rest; PCI configuration likewise.
    std::vector<u32> ports;
    for (const Instance& d : machine.devices())
        if (const Value* at = d.spec->find("at"); at && !at->is_null()) {
            const auto add = [&](const Value& v) {
                for (const Value* one : v.as_list())
                    if (const u64 base = std::strtoull(one->text().c_str(), nullptr, 0); base < kPorts)
                        for (u32 i = 0; i < 16; ++i) ports.push_back(static_cast<u32>(base) + i);
            };
            if (at->is_map())
                for (const auto& e : at->entries()) add(e.value);
            else
                add(*at);
        }
    const std::vector<u64> banks = {0x0,        0x7c00,     0xa0000,    0xb8000,    0xc0000,    0xf0000,
                                    0xe0000000, 0xfec00000, 0xfed00000, 0xfee00000, 0xfffffff0, 0x100000000};
    std::mt19937 random(seed);
    const int total = cases();
    for (int n = 0; n < total; ++n) {
        const u32 bytes = 1u << (random() % 3);
        const u64 value = random() % 3 ? random() : (random() % 2 ? 0 : 0xffffffff);
        switch (random() % 16) {
            case 0:
            case 1:
            case 2:
            case 3: machine.port_write(ports[random() % ports.size()], bytes, value); break;
            case 4:
            case 5:
            case 6: machine.port_read(ports[random() % ports.size()], bytes); break;
            case 7: machine.port_write(random() % kPorts, bytes, value); break;
            case 8: machine.port_read(random() % kPorts, bytes); break;
            case 9:
            case 10: {
                machine.port_write(0xcf8, 4,
                                   0x80000000u | (random() % 4) << 11 | (random() % 4) << 8 | (random() & 0xfc));
                if (random() % 2)
                    machine.port_write(0xcfc + random() % 4, bytes, value);
                else
                    machine.port_read(0xcfc + random() % 4, bytes);
                break;
            }
            case 11:
            case 12:
                machine.memory_write(banks[random() % banks.size()] + random() % 0x1000,
                                     bytes == 4 && n % 3 == 0 ? 8 : bytes, value);
                break;
            case 13: machine.memory_read(banks[random() % banks.size()] + random() % 0x1000, bytes); break;
            case 14: machine.advance(random() % (n % 97 ? 100'000 : 50'000'000)); break;
            default:
                if (random() % 512 == 0)
                    machine.reset();
                else
                    machine.memory_read(random() * u64{16}, bytes);
                break;
        }
    }
    machine.advance(1'000'000'000);
    CHECK(machine.report().size() > 0);
    CHECK(machine.state_text().size() > 0);
}

}  // namespace

TEST_CASE("pc-0.12 survives a guest that writes at random") {
    const Disk disk;
    for (unsigned seed = 1; seed <= 3; ++seed)
        attack("pc-0.12", {{"hda", disk.path, "test"}, {"memory", "16M", "test"}}, seed);
}

TEST_CASE("isapc survives a guest that writes at random") { attack("isapc", {}, 7); }
