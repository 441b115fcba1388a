#include <catch2/catch.hpp>
#include <cstring>
#include <random>

#include "kernel/space/memory_space.hpp"
#include "kernel/space/port_space.hpp"

using namespace backplane::kernel;

namespace {

// Registers that remember what was done to them and read as their own offset.
struct Probe {
    std::vector<std::string> log;
    Region region;
    explicit Probe(std::uint32_t kind, std::uint64_t length, std::uint32_t widths, std::string name = "probe") {
        region.device = std::move(name), region.name = "regs", region.kind = kind, region.length = length,
        region.widths = widths, region.instance = this;
        region.read = [](void* i, std::uint64_t offset, std::uint32_t bytes) -> std::uint64_t {
            static_cast<Probe*>(i)->log.push_back("r" + std::to_string(bytes) + "@" + std::to_string(offset));
            std::uint64_t v = 0;
            for (std::uint32_t b = 0; b < bytes; ++b) v |= ((offset + b) & 0xff) << (8 * b);
            return v;
        };
        region.write = [](void* i, std::uint64_t offset, std::uint32_t bytes, std::uint64_t value) {
            static_cast<Probe*>(i)->log.push_back("w" + std::to_string(bytes) + "@" + std::to_string(offset) + "=" +
                                                  std::to_string(value));
        };
    }
    Claim at(std::uint64_t base, int priority = 300) {
        Claim c;
        c.base = base, c.size = region.length, c.priority = priority, c.region = &region;
        return c;
    }
};

Claim ram_claim(const Ram& ram, int block, std::uint64_t base, std::uint32_t flags, int priority) {
    Claim c;
    c.base = base, c.size = ram.block(static_cast<std::size_t>(block)).size, c.priority = priority;
    c.ram = ram.block(static_cast<std::size_t>(block)).offset, c.flags = flags;
    return c;
}

}  // namespace

TEST_CASE("a word access that nobody decodes becomes two byte accesses, a dword access reads all ones") {
    PortSpace ports({});
    Probe p(BP_REGION_PORTS, 4, 1);
    ports.add(p.at(0x70));
    CHECK(ports.read(0x70, 1) == 0);
    CHECK(ports.read(0x71, 2) == 0x0201);
    CHECK(ports.read(0x70, 4) == 0xffffffff);
    ports.write(0x72, 2, 0xabcd);
    ports.write(0x70, 4, 1);
    CHECK(p.log == std::vector<std::string>{"r1@0", "r1@1", "r1@2", "w1@2=205", "w1@3=171"});
}

TEST_CASE("a register bank decodes its widths only, and only accesses that lie inside") {
    PortSpace ports({});
    Probe dword(BP_REGION_PORTS, 4, 4);
    ports.add(dword.at(0xcf8));
    CHECK(ports.read(0xcf8, 1) == 0xff);
    CHECK(ports.read(0xcf8, 2) == 0xffff);
    CHECK(ports.read(0xcf8, 4) == 0x03020100);
    CHECK(ports.read(0xcfa, 4) == 0xffffffff);
    CHECK(dword.log.size() == 1);
}

TEST_CASE("the last port straddles to the first") {
    PortSpace ports({});
    Probe last(BP_REGION_PORTS, 1, 1), first(BP_REGION_PORTS, 1, 1);
    ports.add(last.at(0xffff));
    ports.add(first.at(0));
    CHECK(ports.read(0xffff, 2) == 0x0000);
    CHECK(last.log.size() == 1);
    CHECK(first.log.size() == 1);
}

TEST_CASE("removing a port claim uncovers the one below") {
    PortSpace ports({});
    Probe low(BP_REGION_PORTS, 8, 1), high(BP_REGION_PORTS, 2, 1);
    ports.add(low.at(0x100, 100));
    const auto id = ports.add(high.at(0x102, 300));
    CHECK(ports.read(0x102, 1) == 0);
    ports.remove(id);
    CHECK(ports.read(0x102, 1) == 2);
}

TEST_CASE("two fixed claims of the same ports, direction and width conflict") {
    PortSpace ports({});
    Probe a(BP_REGION_PORTS, 8, 1), b(BP_REGION_PORTS, 8, 1), wide(BP_REGION_PORTS, 8, 4);
    Claim claim = a.at(0x1f0);
    claim.fixed = true;
    ports.add(claim);
    Claim other = b.at(0x1f7);
    other.fixed = true;
    CHECK(ports.conflict(other) != nullptr);
    CHECK(ports.conflict(wide.at(0x1f0)) == nullptr);
    b.region.read = nullptr, b.region.write = nullptr;
    CHECK(ports.conflict(other) == nullptr);
}

TEST_CASE("unclaimed ports are reported once for each direction") {
    std::vector<std::string> said;
    PortSpace ports({[&](const std::string& t) { said.push_back(t); }, {}});
    for (int i = 0; i < 3; ++i) CHECK(ports.read(0x279, 1) == 0xff);
    ports.write(0x279, 1, 0);
    CHECK(said.size() == 2);
}

TEST_CASE("memory claims win by priority, each direction for itself") {
    Ram ram(1 << 24);
    MemorySpace memory(ram, 32, {});
    const int main = ram.create("board", "ram", 1 << 20), rom = ram.create("board", "rom", 1 << 16);
    memory.add(ram_claim(ram, main, 0, BP_MAP_READ | BP_MAP_WRITE, 200));
    memory.add(ram_claim(ram, rom, 0xf0000, BP_MAP_READ | BP_MAP_DROP_WRITE, 300));
    *ram.at(ram.block(static_cast<std::size_t>(rom)).offset) = 0x55;
    memory.write(0xf0000, 1, 0x11);
    CHECK(memory.read(0xf0000, 1) == 0x55);
    CHECK(*ram.at(0xf0000) == 0);

    // Like PAM = 2: reads from the ROM, writes to the RAM below it.
    Claim shadow = ram_claim(ram, main, 0xf0000, BP_MAP_WRITE, 400);
    shadow.size = 0x10000, shadow.ram += 0xf0000;
    const auto id = memory.add(shadow);
    memory.write(0xf0000, 1, 0x22);
    CHECK(memory.read(0xf0000, 1) == 0x55);
    CHECK(*ram.at(0xf0000) == 0x22);
    memory.set_flags(id, BP_MAP_READ | BP_MAP_DROP_WRITE);
    CHECK(memory.read(0xf0000, 1) == 0x22);
    memory.write(0xf0000, 1, 0x33);
    CHECK(memory.read(0xf0000, 1) == 0x22);
}

TEST_CASE("changes between begin and end appear as one view") {
    Ram ram(1 << 24);
    int changes = 0;
    MemoryEvents events;
    events.view_changed = [&] { ++changes; };
    MemorySpace memory(ram, 32, std::move(events));
    const int block = ram.create("board", "ram", 1 << 20);
    memory.begin();
    const auto version = memory.view().version;
    const auto id = memory.add(ram_claim(ram, block, 0, BP_MAP_READ, 200));
    memory.set_flags(id, BP_MAP_READ | BP_MAP_WRITE);
    CHECK(memory.view().version == version);
    memory.end();
    CHECK(changes == 1);
    CHECK(memory.view().version == version + 1);
}

TEST_CASE("accesses of every size and alignment, over every border, agree with byte accesses") {
    Ram ram(1 << 24);
    MemorySpace memory(ram, 20, {});
    const int block = ram.create("board", "ram", 1 << 16);
    Probe wide(BP_REGION_MEMORY, 0x1000, 4), any(BP_REGION_MEMORY, 0x800, 1 | 2 | 4 | 8);
    memory.add(ram_claim(ram, block, 0, BP_MAP_READ | BP_MAP_WRITE, 200));
    memory.add(wide.at(0x4000));
    memory.add(any.at(0x5400));
    for (std::uint64_t i = 0; i < 0x10000; ++i) *ram.at(i) = static_cast<std::uint8_t>(i * 7 + 3);
    std::mt19937 random(1);
    for (int n = 0; n < 20000; ++n) {
        const std::uint32_t bytes = 1u << (random() % 4);
        const std::uint64_t address = n % 2 ? 0x3ff0 + random() % 0x2400 : random() % (1 << 20);
        std::uint64_t expected = 0;
        for (std::uint32_t b = 0; b < bytes; ++b) expected |= memory.read(address + b, 1) << (8 * b);
        REQUIRE(memory.read(address, bytes) == expected);
    }
}

TEST_CASE("a write narrower than a register's widths vanishes, a wider one is split") {
    Ram ram(1 << 24);
    MemorySpace memory(ram, 32, {});
    Probe p(BP_REGION_MEMORY, 0x1000, 4);
    memory.add(p.at(0xfee00000));
    memory.write(0xfee00010, 1, 1);
    memory.write(0xfee00010, 8, 0x0000000200000001);
    CHECK(p.log == std::vector<std::string>{"w4@16=1", "w4@20=2"});
}

TEST_CASE("unclaimed memory reads as all ones and drops writes") {
    Ram ram(1 << 24);
    int said = 0;
    MemoryEvents events;
    events.unclaimed = [&](const std::string&) { ++said; };
    MemorySpace memory(ram, 32, std::move(events));
    for (const std::uint32_t bytes : {1u, 2u, 4u, 8u}) CHECK(memory.read(0xd0000000, bytes) == all_ones(bytes));
    memory.write(0xd0000004, 4, 5);
    CHECK(said == 1);
}

TEST_CASE("a bus master reaches memory, not registers, and its writes drop cached code") {
    Ram ram(1 << 24);
    std::vector<std::pair<std::uint64_t, std::uint64_t>> dropped;
    MemoryEvents events;
    events.code_written = [&](std::uint64_t a, std::uint64_t n) { dropped.emplace_back(a, n); };
    MemorySpace memory(ram, 32, std::move(events));
    const int block = ram.create("board", "ram", 0x4000);
    Probe p(BP_REGION_MEMORY, 0x1000, 4);
    memory.add(ram_claim(ram, block, 0x1000, BP_MAP_READ | BP_MAP_WRITE, 200));
    memory.add(p.at(0x5000));
    bp_page page{};
    memory.page(0x2000, &page);
    REQUIRE(page.code_flag);
    *page.code_flag = 1;
    std::vector<std::uint8_t> data(0x2000, 0xaa);
    CHECK(memory.dma_write(0x1ff0, data.data(), 0x20));
    CHECK(dropped == std::vector<std::pair<std::uint64_t, std::uint64_t>>{{0x2000, 0x10}});
    CHECK_FALSE(memory.dma_write(0x4f00, data.data(), 0x200));
    CHECK_FALSE(memory.dma_read(0x4f00, data.data(), 0x200));
    CHECK(data[0xff] == 0xaa);
    CHECK(data[0x100] == 0xff);
    CHECK(p.log.empty());
}

TEST_CASE("a transfer's way to the device's own registers is seen, in the direction of the transfer") {
    Ram ram(1 << 24);
    MemorySpace memory(ram, 32, {});
    const int block = ram.create("board", "ram", 0x4000);
    Probe one(BP_REGION_MEMORY, 0x1000, 4), other(BP_REGION_MEMORY, 0x1000, 4);
    memory.add(ram_claim(ram, block, 0, BP_MAP_READ | BP_MAP_WRITE, 200));
    memory.add(one.at(0x2000));
    memory.add(other.at(0x3000));
    CHECK(memory.own_register(&one, 0x1000, 0x1000, true) == nullptr);
    CHECK(memory.own_register(&one, 0x1000, 0x1001, true) == &one.region);
    CHECK(memory.own_register(&other, 0, 0x3000, false) == nullptr);
    CHECK(memory.own_register(&other, 0, 0x4000, false) == &other.region);
    CHECK(memory.own_register(&one, 0xfffffff0, 0x2011, true) == &one.region);  // over the end of the space
    CHECK(memory.own_register(&one, 0x2000, 0, true) == nullptr);
    // Registers that are only written leave reads to the memory behind them.
    Probe write_only(BP_REGION_MEMORY, 0x1000, 4);
    Claim claim = write_only.at(0x1000);
    write_only.region.read = nullptr, claim.flags = BP_MAP_WRITE;
    memory.add(claim);
    CHECK(memory.own_register(&write_only, 0x1000, 4, false) == nullptr);
    CHECK(memory.own_register(&write_only, 0x1000, 4, true) == &write_only.region);
}

TEST_CASE("a page that is not wholly memory has no host address") {
    Ram ram(1 << 24);
    MemorySpace memory(ram, 32, {});
    const int block = ram.create("board", "ram", 0x3000);
    Probe p(BP_REGION_MEMORY, 0x400, 4);
    memory.add(ram_claim(ram, block, 0, BP_MAP_READ | BP_MAP_WRITE, 200));
    memory.add(p.at(0x1000));
    bp_page page{};
    memory.page(0x0fff, &page);
    CHECK(page.read == ram.at(0));
    CHECK(page.write == ram.at(0));
    memory.page(0x1800, &page);
    CHECK(page.read == nullptr);
    CHECK(page.write == nullptr);
}

TEST_CASE("the ranges of memory are those of the pages, and say what is written elsewhere and what is watched") {
    Ram ram(1 << 24);
    MemorySpace memory(ram, 32, {});
    const int block = ram.create("board", "ram", 0x6000), rom = ram.create("board", "rom", 0x1000);
    Probe p(BP_REGION_MEMORY, 0x400, 4);
    memory.add(ram_claim(ram, block, 0, BP_MAP_READ | BP_MAP_WRITE, 200));
    memory.add(p.at(0x1000));
    memory.add(ram_claim(ram, rom, 0x3000, BP_MAP_READ, 300));  // written through to the RAM below
    ram.watch(static_cast<std::size_t>(block));
    bp_memory_range r[8] = {};
    REQUIRE(memory.ranges(r, 8) == 4);
    CHECK(r[0].address == 0);
    CHECK(r[0].bytes == 0x1000);
    CHECK(r[0].host == ram.at(0));
    CHECK(r[0].dirty == ram.dirty_flag(0));
    CHECK(r[1].address == 0x2000);  // the rest of the page with registers is no whole page
    CHECK(r[1].bytes == 0x1000);
    CHECK(r[2].address == 0x3000);
    CHECK(r[2].host == ram.at(ram.block(static_cast<std::size_t>(rom)).offset));
    CHECK(r[2].writable == 0);
    CHECK(r[2].dirty == nullptr);
    CHECK(r[3].address == 0x4000);
    CHECK(r[3].bytes == 0x2000);
    CHECK(r[3].writable == 1);
    for (const bp_memory_range& range : {r[0], r[1], r[2], r[3]}) {
        bp_page page{};
        memory.page(range.address, &page);
        CHECK(page.read == range.host);
    }
    bp_memory_range few[1] = {};
    CHECK(memory.ranges(few, 1) == 4);
}

TEST_CASE("of a block's pages those are visited that hold something") {
    Ram ram(1 << 24);
    ram.create("board", "below", 0x2000);
    const auto block = static_cast<std::size_t>(ram.create("board", "ram", 0x40000));
    const int above = ram.create("board", "above", 0x2000);
    std::uint8_t* bytes = ram.at(ram.block(block).offset);
    const auto visited = [&] {
        std::vector<std::pair<std::uint64_t, int>> pages;
        ram.visit_pages(block,
                        [&](std::uint64_t offset, const std::uint8_t* page) { pages.emplace_back(offset, page[7]); });
        return pages;
    };
    *ram.at(ram.block(static_cast<std::size_t>(above)).offset) = 1;
    CHECK(visited().empty());
    bytes[0x3007] = 3;
    bytes[0x9000] = 0;  // touched, and zero all the same
    bytes[0x3f007] = 9;
    bytes[0x3ffff] = 1;
    CHECK(visited() == std::vector<std::pair<std::uint64_t, int>>{{0x3000, 3}, {0x3f000, 9}});
}

TEST_CASE("a mapping for system management mode is there in its views only") {
    Ram ram(1 << 24);
    MemorySpace memory(ram, 32, {});
    const int main = ram.create("board", "ram", 1 << 16), other = ram.create("board", "other", 1 << 12);
    memory.add(ram_claim(ram, main, 0, BP_MAP_READ | BP_MAP_WRITE, 200));
    const auto id = memory.add(ram_claim(ram, other, 0x1000, 0, 400));
    // Whether a view sees the block `other`: by reading, by writing and by page.
    const auto seen = [&](std::uint32_t view) {
        std::uint8_t* inside = ram.at(ram.block(static_cast<std::size_t>(other)).offset);
        std::uint8_t* below = ram.at(0x1000);
        *inside = 1, *below = 2;
        const bool read = memory.read(0x1000, 1, view) == 1;
        memory.write(0x0fff, 2, 0x3300, view);  // also across the border
        const bool written = *inside == 0x33;
        CHECK((*below == 0x33) == !written);
        bp_page page;
        memory.page(0x1000, &page, view);
        CHECK(read == written);
        CHECK((page.read == inside) == read);
        CHECK((memory.read(0x0fff, 2, view) >> 8) == 0x33);
        return read;
    };
    const auto views = [&] {
        return std::vector<bool>{seen(BP_VIEW_NORMAL), seen(BP_VIEW_SMM), seen(BP_VIEW_SMM_CODE)};
    };
    CHECK(views() == std::vector<bool>{false, false, false});
    memory.set_flags(id, BP_MAP_READ | BP_MAP_WRITE | BP_MAP_SMM);
    CHECK(views() == std::vector<bool>{false, true, true});
    std::uint8_t byte = 0;
    *ram.at(0x1000) = 0x44;
    CHECK(memory.dma_read(0x1000, &byte, 1));
    CHECK(byte == 0x44);
    memory.set_flags(id, BP_MAP_READ | BP_MAP_WRITE | BP_MAP_SMM_CODE);
    CHECK(views() == std::vector<bool>{false, false, true});
    memory.set_flags(id, BP_MAP_READ | BP_MAP_WRITE);
    CHECK(views() == std::vector<bool>{true, true, true});
}

TEST_CASE("code cached from memory that only system management mode sees is dropped when the block changes") {
    Ram ram(1 << 24);
    std::vector<std::uint64_t> dropped;
    MemoryEvents events;
    events.code_written = [&](std::uint64_t address, std::uint64_t) { dropped.push_back(address); };
    MemorySpace memory(ram, 32, events);
    const int block = ram.create("board", "other", 1 << 12);
    memory.add(ram_claim(ram, block, 0x5000, BP_MAP_READ | BP_MAP_WRITE | BP_MAP_SMM, 400));
    const std::uint64_t offset = ram.block(static_cast<std::size_t>(block)).offset;
    *ram.code_flag(offset) = 1;
    memory.touched(offset + 8, 4);
    CHECK(dropped == std::vector<std::uint64_t>{0x5008});
}
