#include <algorithm>
#include <catch2/catch.hpp>
#include <numeric>

#include "boot.hpp"

using namespace backplane;
using namespace backplane::boot;

namespace {

constexpr u64 kRam = 64 << 20;
constexpr u64 kInformation = 0x9000;

void header(Blob& data, std::size_t at, u32 flags) {
    put(data, at, 0x1badb002, 4), put(data, at + 4, flags, 4), put(data, at + 8, 0u - (0x1badb002u + flags), 4);
}
Named flat(u64 load = 0x200000, u64 load_end = 0, u64 end = 0) {
    Named k{"flat", "", Blob(0x400, 0x55)};
    header(k.data, 0x100, 0x10003);
    put(k.data, 0x10c, load + 0x80, 4), put(k.data, 0x110, load, 4), put(k.data, 0x114, load_end, 4);
    put(k.data, 0x118, end, 4), put(k.data, 0x11c, load + 0x10, 4);
    return k;
}
Named elf() {
    Named k{"elf", "", Blob(0x400, 0x66)};
    std::fill(k.data.begin(), k.data.begin() + 0x100, u8{0});
    std::memcpy(k.data.data(),
                "\x7f"
                "ELF\1\1\1",
                7);
    put(k.data, 24, 0xc0200020, 4), put(k.data, 28, 52, 4), put(k.data, 42, 32, 2), put(k.data, 44, 1, 2);
    put(k.data, 52, 1, 4), put(k.data, 56, 0x100, 4), put(k.data, 60, 0xc0200000, 4), put(k.data, 64, 0x200000, 4);
    put(k.data, 68, 0x300, 4), put(k.data, 72, 0x1000, 4);
    header(k.data, 0x100, 3);
    return k;
}
const Blob& item(const Plan& plan, Item item) {
    const auto found =
        std::find_if(plan.parts.begin(), plan.parts.end(), [&](const Part& p) { return p.item == item; });
    if (found == plan.parts.end()) throw std::runtime_error("no such item");
    return found->data;
}
u64 value(const Plan& plan, Item i) { return get(item(plan, i), 0, 4); }
std::string text_at(const Plan& plan, u64 address) {
    return reinterpret_cast<const char*>(&item(plan, kInitrdData).at(address - kInformation));
}
std::string refusal(Named k, std::vector<Named> modules = {}, const std::string& append = "", u64 ram = kRam) {
    try {
        plan_multiboot(std::move(k), std::move(modules), append, ram);
    } catch (const BootError& e) {
        return e.what();
    }
    return "";
}
bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a Multiboot header is found in the first 8 KiB, with its checksum") {
    Blob data(16384);
    CHECK_FALSE(is_multiboot(data));
    header(data, 8180, 3);
    CHECK(is_multiboot(data));
    data[8188] ^= 1;
    CHECK_FALSE(is_multiboot(data));
    Blob late(16384);
    header(late, 8192, 3);
    CHECK_FALSE(is_multiboot(late));
    CHECK_FALSE(is_multiboot({}));
}

TEST_CASE("a flat kernel goes where its header says") {
    const Plan plan = plan_multiboot(flat(0x200000, 0x200200, 0x201000), {}, "", kRam);
    CHECK(value(plan, kKernelAddress) == 0x200000);
    CHECK(value(plan, kKernelEntry) == 0x200010);
    CHECK(value(plan, kKernelSize) == 0x1000);
    CHECK(item(plan, kKernelData)[0] == 0x55);
    CHECK(get(item(plan, kKernelData), 0x80, 4) == 0x1badb002);
    CHECK(item(plan, kKernelData)[0x1ff] == 0x55);
    CHECK(item(plan, kKernelData)[0x200] == 0);
    CHECK(value(plan_multiboot(flat(), {}, "", kRam), kKernelSize) == 0x380);
}

TEST_CASE("an ELF kernel goes to physical addresses and is entered by them") {
    const Plan plan = plan_multiboot(elf(), {}, "", kRam);
    CHECK(value(plan, kKernelAddress) == 0x200000);
    CHECK(value(plan, kKernelEntry) == 0x200020);
    CHECK(value(plan, kKernelSize) == 0x1000);
    CHECK(item(plan, kKernelData)[0x2ff] == 0x66);
    CHECK(item(plan, kKernelData)[0x300] == 0);
}

TEST_CASE("the kernel is told its command line, the loader's name and its modules") {
    std::vector<Named> modules{{"one", "a b", Blob(5000, 1)}, {"two", "", Blob(10, 2)}};
    const Plan plan = plan_multiboot(elf(), modules, "quiet", kRam);
    const Blob& info = item(plan, kInitrdData);
    CHECK(value(plan, kInitrdAddress) == kInformation);
    CHECK(get(info, 0, 4) == 0x20e);
    CHECK(text_at(plan, get(info, 16, 4)) == "elf quiet");
    CHECK(text_at(plan, get(info, 64, 4)) == "backplane");
    REQUIRE(get(info, 20, 4) == 2);
    const std::size_t table = get(info, 24, 4) - kInformation;
    CHECK(table % 4 == 0);
    CHECK(get(info, table, 4) == 0x201000);
    CHECK(get(info, table + 4, 4) == 0x201000 + 5000);
    CHECK(text_at(plan, get(info, table + 8, 4)) == "one a b");
    CHECK(get(info, table + 16, 4) == 0x203000);
    CHECK(text_at(plan, get(info, table + 24, 4)) == "two");
    CHECK(value(plan, kKernelSize) == 0x3000 + 10);
    CHECK(item(plan, kKernelData)[0x1000] == 1);
    CHECK(item(plan, kKernelData)[0x3000] == 2);
}

TEST_CASE("a module list is cut at commas, but not at double ones") {
    const std::vector<Named> list = split_modules("a b c,d,e,,f g");
    REQUIRE(list.size() == 3);
    CHECK(list[0].name == "a");
    CHECK(list[0].words == "b c");
    CHECK(list[1].name == "d");
    CHECK(list[2].name == "e,f");
    CHECK(list[2].words == "g");
    CHECK(split_modules("a,").back().name.empty());
}

TEST_CASE("what cannot be loaded is refused with its offset") {
    Named k = elf();
    header(k.data, 0x100, 0x13);
    CHECK(has(refusal(k), "offset 104h"));
    k = elf(), k.data[4] = 2;
    CHECK(has(refusal(k), "64-bit"));
    k = elf(), put(k.data, 28, 0xfffffff0, 4);
    CHECK(has(refusal(k), "table"));
    k = elf(), put(k.data, 44, 0xffff, 2);
    CHECK(has(refusal(k), "table"));
    k = elf(), put(k.data, 44, 0, 2);
    CHECK(has(refusal(k), "no segment"));
    k = elf(), put(k.data, 56, 0xfffffff0, 4);
    CHECK(has(refusal(k), "not in the file"));
    k = elf(), put(k.data, 72, 0xffffffff, 4);
    CHECK(has(refusal(k), "memory up to 4000000h"));
    k = elf(), put(k.data, 64, 0x8000, 4);
    CHECK(has(refusal(k), "below 10000h"));
    k = flat(0x200000, 0x1ffff0);
    CHECK(has(refusal(k), "load_end_addr"));
    k = flat(0x200000, 0x200200, 0x200100);
    CHECK(has(refusal(k), "bss_end_addr"));
    k = flat(0x200000, 0x200200, 0xffffffff);
    CHECK(has(refusal(k), "memory up to"));
    k = flat(), put(k.data, 0x10c, 0x200101, 4);
    CHECK(has(refusal(k), "do not match"));
    k = {"plain", "", Blob(0x400)};
    header(k.data, 0, 3);
    CHECK(has(refusal(k), "no ELF file"));
    CHECK(has(refusal(elf(), {{"large", "", Blob(70 << 20)}}), "large: this module does not fit"));
    CHECK(has(refusal(elf(), {}, std::string(0x7000, 'x')), "there is room for"));
    k = elf(), k.data.resize(40);
    put(k.data, 12, 0x1badb002, 4), put(k.data, 16, 3, 4), put(k.data, 20, 0u - (0x1badb002u + 3), 4);
    CHECK(has(refusal(k), "ends in its ELF header"));
}

TEST_CASE("a video mode is not set, and that is said") {
    Named k = elf();
    header(k.data, 0x100, 7);
    CHECK(plan_multiboot(k, {}, "", kRam).warnings.size() == 1);
}

TEST_CASE("boot ROMs are option ROMs with a boot entry") {
    for (const Blob& rom : {linux_boot_rom(), multiboot_boot_rom()}) {
        CHECK(get(rom, 0, 2) == 0xaa55);
        REQUIRE(rom[2] * 512u == rom.size());
        CHECK(static_cast<u8>(std::accumulate(rom.begin(), rom.end(), 0)) == 0);
        const std::size_t pnp = get(rom, 0x1a, 2);
        CHECK(std::memcmp(&rom[pnp], "$PnP", 4) == 0);
        const auto first = rom.begin() + static_cast<std::ptrdiff_t>(pnp);
        CHECK(static_cast<u8>(std::accumulate(first, first + 32, 0)) == 0);
        CHECK(get(rom, pnp + 0x1a, 2) != 0);
    }
}
