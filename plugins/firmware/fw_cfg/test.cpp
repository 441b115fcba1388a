#include "model.hpp"

#include <catch2/catch.hpp>
#include <cstring>

#include "backplane/testkit/bench.hpp"

using namespace backplane;
using testkit::Bench;
using testkit::Board;
using testkit::Properties;

namespace {

std::string item(Board& b, u16 selector, std::size_t size) {
    b.out("selector", 0, selector, 2);
    std::string out;
    for (std::size_t i = 0; i < size; ++i) out.push_back(static_cast<char>(b.in("data", 0)));
    return out;
}
u64 number(Board& b, u16 selector, u32 bytes) {
    const std::string text = item(b, selector, bytes);
    u64 value = 0;
    for (u32 i = bytes; i-- > 0;) value = value << 8 | static_cast<u8>(text[i]);
    return value;
}
u64 big(const std::string& text, std::size_t at, u32 bytes) {
    u64 value = 0;
    for (u32 i = 0; i < bytes; ++i) value = value << 8 | static_cast<u8>(text[at + i]);
    return value;
}

// A machine whose sources hand over their contents between start() and power-on.
struct Machine : Board {
    explicit Machine(Properties properties = {}) : Board(&DeviceType<FwCfg>::value, std::move(properties), {}) {
        if (start() != BP_OK) throw std::runtime_error(failure);
    }
    bp_interface source(std::string_view address, std::string_view child = "source") {
        static constexpr bp_fw_cfg_source kTable{sizeof(bp_fw_cfg_source)};
        bp_interface host{nullptr, nullptr};
        status = attach("files", address, child, {&kTable, this}, &host);
        return host;
    }
    bp_status file(std::string_view name, std::string_view data, std::string_view child = "source") {
        const bp_interface host = source(name, child);
        if (status != BP_OK) return status;
        return table(host).put_file(host.instance, to_bp(name), data.data(), data.size());
    }
    bp_status numbered(u32 selector, std::string_view data) {
        const bp_interface host = source("");
        return table(host).put_item(host.instance, selector, data.data(), data.size());
    }
    static const bp_fw_cfg& table(bp_interface host) { return *static_cast<const bp_fw_cfg*>(host.table); }
    bp_status status = BP_OK;
};

}  // namespace

TEST_CASE("the signature is selected after reset and reads zeros past its end") {
    Bench<FwCfg> b;
    std::string text;
    for (int i = 0; i < 6; ++i) text.push_back(static_cast<char>(b.in("data", 0)));
    CHECK(text == std::string("QEMU\0\0", 6));
    b.out("selector", 0, 5, 2);
    b.reset();
    CHECK(b.in("data", 0) == 'Q');
}

TEST_CASE("the interface revision is 1: no DMA") {
    Bench<FwCfg> b;
    CHECK(number(b, 1, 4) == 1);
}

TEST_CASE("the selector takes word writes and cannot be read") {
    Bench<FwCfg> b;
    b.out("selector", 0, 1, 2);
    b.out("selector", 0, 5, 1);
    CHECK(b.in("data", 0) == 1);
    CHECK(b.in("selector", 0, 2) == 0xffff);
    CHECK(b.in("data", 0, 2) == 0xffff);
}

TEST_CASE("selecting again starts at the first byte") {
    Bench<FwCfg> b;
    CHECK(item(b, 0, 2) == "QE");
    CHECK(item(b, 0, 4) == "QEMU");
}

TEST_CASE("facts and properties become items") {
    Machine b({{"uuid", "00112233-4455-6677-8899-aabbccddeeff"},
               {"boot_menu", "true"},
               {"no_graphics", "true"},
               {"irq0_override", "false"}});
    REQUIRE(b.consume("ram.layout", "ram",
                      {{"below_4g", 0xe0000000}, {"above_4g", 0x60000000}, {"total", 0x140000000}}) == BP_OK);
    REQUIRE(b.consume("cpu.count", "cpu", {{"boot", 2}, {"max", 4}}) == BP_OK);
    b.reset(Reset::kPowerOn);
    CHECK(item(b, 2, 16) == std::string("\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff", 16));
    CHECK(number(b, 3, 8) == 0x140000000);
    CHECK(number(b, 4, 2) == 1);
    CHECK(number(b, 5, 2) == 2);
    CHECK(number(b, 0x0e, 2) == 1);
    CHECK(number(b, 0x0f, 2) == 4);
    CHECK(number(b, 0x8002, 1) == 0);
}

TEST_CASE("without facts there is one processor") {
    Bench<FwCfg> b;
    CHECK(number(b, 5, 2) == 1);
    CHECK(number(b, 0x0f, 2) == 1);
    CHECK(number(b, 0x8002, 1) == 1);
    CHECK(number(b, 0x0d, 8) == 0);
}

TEST_CASE("what pc-0.12 has not reads as zeros") {
    Bench<FwCfg> b;
    const u16 selector = GENERATE(0x0006, 0x000c, 0x0007, 0x0011, 0x8000, 0x8001, 0x8003, 0x8004, 0x0020, 0x002f,
                                  0x0030, 0x3fff, 0x8030, 0xffff);
    CHECK(item(b, selector, 4) == std::string(4, '\0'));
}

TEST_CASE("an empty directory counts no files") {
    Bench<FwCfg> b;
    CHECK(item(b, 0x19, 8) == std::string(8, '\0'));
}

TEST_CASE("files stand in the directory in big-endian order and under their selectors") {
    Machine b;
    REQUIRE(b.file("vgaroms/vgabios.bin", "abcdef") == BP_OK);
    REQUIRE(b.file("genroms/x.rom", std::string(0x12345, 'x')) == BP_OK);
    b.reset(Reset::kPowerOn);
    const std::string d = item(b, 0x19, 4 + 2 * 64);
    CHECK(big(d, 0, 4) == 2);
    CHECK(big(d, 4, 4) == 6);
    CHECK(big(d, 8, 2) == 0x20);
    CHECK(big(d, 10, 2) == 0);
    CHECK(std::strcmp(d.c_str() + 12, "vgaroms/vgabios.bin") == 0);
    CHECK(d.substr(12 + 19, 56 - 19) == std::string(56 - 19, '\0'));
    CHECK(big(d, 68, 4) == 0x12345);
    CHECK(big(d, 72, 2) == 0x21);
    CHECK(std::strcmp(d.c_str() + 76, "genroms/x.rom") == 0);
    CHECK(item(b, 0x20, 7) == std::string("abcdef\0", 7));
    CHECK(item(b, 0x21, 2) == "xx");
}

TEST_CASE("a numbered item from a source replaces the device's own") {
    Machine b;
    REQUIRE(b.numbered(0x8000, "tables") == BP_OK);
    REQUIRE(b.numbered(0x0004, std::string("\1\0", 2)) == BP_OK);
    b.reset(Reset::kPowerOn);
    CHECK(item(b, 0x8000, 7) == std::string("tables\0", 7));
    CHECK(number(b, 4, 2) == 1);
}

TEST_CASE("bad contributions are refused") {
    Machine b;
    CHECK(b.file(std::string(56, 'n'), "x") == BP_ERR_INVALID);
    CHECK(b.file(std::string(55, 'n'), "x") == BP_OK);
    CHECK(b.numbered(0x19, "x") == BP_ERR_CONFLICT);
    CHECK(b.numbered(0x20, "x") == BP_ERR_CONFLICT);
    CHECK(b.numbered(0x30, "x") == BP_ERR_INVALID);
    CHECK(b.numbered(0x4001, "x") == BP_ERR_INVALID);
    CHECK(b.numbered(0x10000, "x") == BP_ERR_INVALID);
    CHECK(b.numbered(0x11, "x") == BP_OK);
    CHECK(b.numbered(0x11, "x") == BP_ERR_CONFLICT);
    REQUIRE(b.file("twice", "x", "first") == BP_OK);
    CHECK(b.file("twice", "x", "second") == BP_ERR_CONFLICT);
    CHECK(b.failure.find("first") != std::string::npos);
}

TEST_CASE("the directory has sixteen slots") {
    Machine b;
    for (int i = 0; i < 16; ++i) REQUIRE(b.file("file" + std::to_string(i), "x") == BP_OK);
    CHECK(b.file("one more", "x") == BP_ERR_CONFLICT);
}

TEST_CASE("sleep states are a file for firmware that asks for it") {
    Bench<FwCfg> b(Properties{{"sleep_states", "true"}});
    const std::string d = item(b, 0x19, 4 + 64);
    CHECK(big(d, 0, 4) == 1);
    CHECK(std::strcmp(d.c_str() + 12, "etc/system-states") == 0);
    CHECK(item(b, 0x20, 6) == std::string("\x80\0\0\x81\x80\x80", 6));
}

TEST_CASE("a bad UUID is refused") {
    const char* text = GENERATE("", "00112233-4455-6677-8899-aabbccddeef", "00112233-4455-6677-8899-aabbccddeefg",
                                "001122334-455-6677-8899-aabbccddeeff");
    Board b(&DeviceType<FwCfg>::value, {{"uuid", text}}, {});
    CHECK(b.start() == BP_ERR_INVALID);
}

TEST_CASE("writes change nothing") {
    Bench<FwCfg> b;
    b.out("selector", 0, 0x4000, 2);
    b.out("data", 0, 'X');
    CHECK(item(b, 0, 4) == "QEMU");
}

TEST_CASE("a restored device goes on where the saved one stood") {
    Bench<FwCfg> b;
    CHECK(item(b, 0, 2) == "QE");
    Bench<FwCfg> other;
    REQUIRE(other.load(b.save()) == BP_OK);
    CHECK(other.in("data", 0) == 'M');
}

TEST_CASE("drives with a place in the boot order make a file, lowest first") {
    Machine b;
    REQUIRE(b.consume("disk.boot", "0", {{"index", 7}, {"path", 0, "/first"}}) == BP_OK);
    REQUIRE(b.consume("disk.boot", "2", {{"index", 0}, {"path", 0, "/second"}}) == BP_OK);
    CHECK(b.consume("disk.boot", "3", {{"index", 7}, {"path", 0, "/third"}}) != BP_OK);
    b.reset(Reset::kPowerOn);
    const std::string directory = item(b, 0x19, 4 + 64);
    CHECK(directory[3] == 1);
    CHECK(std::string(directory.c_str() + 12) == "bootorder");
    CHECK(item(b, 0x20, 15) == std::string("/second\n/first\0", 15));
}

TEST_CASE("an option ROM that is to be booted comes before all drives") {
    Machine b;
    REQUIRE(b.consume("disk.boot", "0", {{"index", 0}, {"path", 0, "/first"}}) == BP_OK);
    REQUIRE(b.consume("rom.boot", "", {{"path", 0, "/rom@genroms/x.bin"}}) == BP_OK);
    CHECK(b.consume("rom.boot", "", {{"path", 0, "/rom@genroms/y.bin"}}) == BP_ERR_CONFLICT);
    b.reset(Reset::kPowerOn);
    CHECK(item(b, 0x20, 26) == std::string("/rom@genroms/x.bin\n/first\0", 26));
}

TEST_CASE("a logical geometry of its own needs a firmware that reads it") {
    for (const u64 bytes : {128u << 10, 256u << 10}) {
        Machine b;
        REQUIRE(b.consume("firmware.image", "", {{"bytes", bytes}, {"name", 0, "small.bin"}}) == BP_OK);
        REQUIRE(b.consume("disk.geometry", "0", {{"logical_given", 0}, {"lheads", 5}}) == BP_OK);
        const bp_status status = b.consume(
            "disk.geometry", "1",
            {{"logical_given", 1}, {"lcylinders", 1000}, {"lheads", 43}, {"lsectors", 63}, {"path", 0, "/disk"}});
        CHECK((status == BP_OK) == (bytes > 128 << 10));
        if (status != BP_OK) {
            CHECK(b.failure.find("small.bin") != std::string::npos);
            continue;
        }
        b.reset(Reset::kPowerOn);
        CHECK(item(b, 0x20, 17) == std::string("/disk 1000 43 63\0", 17));
    }
}

namespace {

constexpr u64 kRequest = 0x1000;

u32 swapped(u32 v) { return v >> 24 | (v >> 8 & 0xff00) | (v << 8 & 0xff0000) | v << 24; }
// Returns the control word afterwards.
u32 request(Board& b, u32 control, u32 size, u64 address) {
    const u32 words[] = {swapped(control), swapped(size), swapped(static_cast<u32>(address >> 32)),
                         swapped(static_cast<u32>(address))};
    std::memcpy(&b.memory[kRequest], words, sizeof words);
    b.out("dma", 0, 0, 4);
    b.out("dma", 4, swapped(kRequest), 4);
    u32 answer;
    std::memcpy(&answer, &b.memory[kRequest], 4);
    return swapped(answer);
}

}  // namespace

TEST_CASE("DMA is announced and tells its signature, or is not there") {
    Bench<FwCfg> without, with(Properties{{"dma", "true"}});
    CHECK(number(with, 1, 4) == 3);
    CHECK(with.in("dma", 0, 4) == swapped(0x51454d55));
    CHECK(with.in("dma", 4, 4) == swapped(0x20434647));
    CHECK(without.in("dma", 0, 4) == 0xffffffff);
    CHECK(request(without, 0x0000000a, 4, 0x2000) == 0x0000000a);
}

TEST_CASE("a request copies an item to memory, and zeros past its end") {
    Bench<FwCfg> b(Properties{{"dma", "true"}});
    std::fill_n(&b.memory[0x2000], 16, u8{0xee});
    CHECK(request(b, 0x0000000a, 6, 0x2000) == 0);
    CHECK(std::memcmp(&b.memory[0x2000], "QEMU\0\0\xee", 7) == 0);
    CHECK(request(b, 0x00000008, 0, 0) == 0);  // select
    CHECK(request(b, 0x00000004, 2, 0) == 0);  // skip
    CHECK(request(b, 0x00000002, 2, 0x2000) == 0);
    CHECK(std::memcmp(&b.memory[0x2000], "MU", 2) == 0);
    CHECK(b.in("data", 0) == 0);
}

TEST_CASE("requests that cannot be served say so") {
    Bench<FwCfg> b(Properties{{"dma", "true"}});
    CHECK(request(b, 0x00000010, 4, 0x2000) == 1);
    CHECK(request(b, 0x0000000a, 4, 0xfffffffff000) == 1);
    CHECK(request(b, 0x0000000a, 0xffffffff, 0x2000) == 1);
    CHECK(request(b, 0x00000004, 0xffffffff, 0) == 0);
    CHECK(request(b, 0x00000002, 2, 0x2000) == 0);
    CHECK(b.memory[0x2000] == 0);
    b.out("dma", 0, 0xffffffff, 4);
    b.out("dma", 4, 0xffffffff, 4);
}
