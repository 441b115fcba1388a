#include <catch2/catch.hpp>

#include <deque>

#include "backplane/testkit/bench.hpp"
#include "model.hpp"

using namespace backplane;
using testkit::Bench;

namespace {

// A device on one of the connectors: sends what the test queues, remembers what it gets.
struct FakeDevice {
    std::deque<u8> sending;
    std::vector<u8> received;
    bp_interface port{nullptr, nullptr};

    void send(std::initializer_list<u8> bytes) {
        for (u8 b : bytes) sending.push_back(b);
        static_cast<const bp_ps2_port*>(port.table)->ready(port.instance);
    }
    static constexpr bp_ps2_device kTable{
        sizeof(bp_ps2_device),
        [](void* i) -> int32_t {
            auto& queue = static_cast<FakeDevice*>(i)->sending;
            if (queue.empty()) return -1;
            const u8 byte = queue.front();
            queue.pop_front();
            return byte;
        },
        [](void* i, uint8_t byte) { static_cast<FakeDevice*>(i)->received.push_back(byte); }};
};

struct Setup {
    FakeDevice keyboard, mouse;
    Bench<I8042> chip;
    Setup() {
        REQUIRE(chip.attach("keyboard", "", "kbd", {&FakeDevice::kTable, &keyboard}, &keyboard.port) == BP_OK);
        REQUIRE(chip.attach("mouse", "", "mouse", {&FakeDevice::kTable, &mouse}, &mouse.port) == BP_OK);
    }
    u64 status() { return chip.in("command", 0); }
    u64 data() { return chip.in("data", 0); }
    void command(u8 code) { chip.out("command", 0, code); }
    void command(u8 code, u8 argument) { command(code), chip.out("data", 0, argument); }
    u64 ask(u8 code) {
        command(code);
        REQUIRE((status() & 1) == 1);
        return data();
    }
};

}  // namespace

TEST_CASE("status and mode have their reset values") {
    Setup s;
    CHECK(s.status() == 0x18);
    CHECK(s.ask(0x20) == 0x03);
    CHECK(s.status() == 0x18);
}

TEST_CASE("the controller answers its tests") {
    Setup s;
    CHECK(s.ask(0xaa) == 0x55);
    CHECK(s.status() == 0x1c);
    CHECK(s.ask(0xab) == 0x00);
    CHECK(s.ask(0xa9) == 0x00);
    CHECK(s.ask(0xc0) == 0x00);
}

TEST_CASE("the mode byte reads back what was written, and commands change its disable bits") {
    Setup s;
    s.command(0x60, 0x61);
    CHECK(s.ask(0x20) == 0x61);
    s.command(0xa7), s.command(0xad);
    CHECK(s.ask(0x20) == 0x71);
    s.command(0xa8), s.command(0xae);
    CHECK(s.ask(0x20) == 0x41);
}

TEST_CASE("keyboard bytes come one at a time, each with its own edge of the interrupt") {
    Setup s;
    s.keyboard.send({0x1c, 0xf0, 0x1c});
    CHECK(s.status() == 0x19);
    CHECK(s.chip.line("irq_keyboard"));
    CHECK(s.data() == 0x1c);
    CHECK(s.chip.rises("irq_keyboard") == 2);
    CHECK(s.data() == 0xf0);
    CHECK(s.data() == 0x1c);
    CHECK_FALSE(s.chip.line("irq_keyboard"));
    CHECK(s.status() == 0x18);
    CHECK(s.data() == 0x1c);  // an empty buffer repeats its last byte
}

TEST_CASE("translation turns set 2 into set 1") {
    Setup s;
    s.command(0x60, 0x43);
    s.keyboard.send({0x1c, 0xf0, 0x1c, 0xe0, 0x75, 0xe0, 0xf0, 0x75, 0x83, 0xf0, 0x83,
                     0xfa, 0xab, 0x83, 0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77});
    for (const u64 expected :
         {0x1e, 0x9e, 0xe0, 0x48, 0xe0, 0xc8, 0x41, 0xc1, 0xfa, 0xab, 0x41, 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5})
        CHECK(s.data() == expected);
    CHECK(s.status() == 0x18);
}

TEST_CASE("a switched-off keyboard waits, and data written to it switches it on") {
    Setup s;
    s.command(0xad);
    s.keyboard.send({0x1c});
    CHECK(s.status() == 0x18);
    s.command(0xae);
    CHECK(s.status() == 0x19);
    CHECK(s.data() == 0x1c);
    s.command(0xad);
    s.chip.out("data", 0, 0xf4);
    CHECK(s.keyboard.received == std::vector<u8>{0xf4});
    CHECK(s.ask(0x20) == 0x03);
}

TEST_CASE("keyboard data goes before mouse data, and mouse data is marked") {
    Setup s;
    s.command(0x60, 0x03);
    s.command(0xa7), s.command(0xad);
    s.mouse.send({0x08});
    s.keyboard.send({0x1c});
    s.command(0x60, 0x03);
    CHECK(s.status() == 0x19);
    CHECK(s.data() == 0x1c);
    CHECK(s.status() == 0x39);
    CHECK(s.chip.line("irq_mouse"));
    CHECK_FALSE(s.chip.line("irq_keyboard"));
    CHECK(s.data() == 0x08);
    CHECK_FALSE(s.chip.line("irq_mouse"));
}

TEST_CASE("interrupts can be switched off in the mode byte") {
    Setup s;
    s.command(0x60, 0x00);
    s.keyboard.send({0x1c});
    CHECK(s.status() == 0x19);
    CHECK_FALSE(s.chip.line("irq_keyboard"));
    s.command(0x60, 0x01);
    CHECK(s.chip.line("irq_keyboard"));
}

TEST_CASE("bytes are looped back through both output buffers") {
    Setup s;
    s.command(0xd2, 0x5a);
    CHECK(s.status() == 0x19);
    CHECK(s.data() == 0x5a);
    s.command(0xa7);
    s.command(0xd3, 0xa5);
    CHECK(s.status() == 0x39);
    CHECK(s.chip.line("irq_mouse"));
    CHECK(s.data() == 0xa5);
}

TEST_CASE("command D4h sends one byte to the mouse, the next goes to the keyboard") {
    Setup s;
    s.command(0xd4, 0xf4);
    s.chip.out("data", 0, 0xed);
    CHECK(s.mouse.received == std::vector<u8>{0xf4});
    CHECK(s.keyboard.received == std::vector<u8>{0xed});
}

TEST_CASE("the output port switches A20 and reads back") {
    Setup s;
    CHECK(s.chip.line("a20"));
    CHECK(s.ask(0xd0) == 0x03);
    s.command(0xd1, 0xdd);
    CHECK_FALSE(s.chip.line("a20"));
    CHECK(s.ask(0xd0) == 0x01);
    s.command(0xdf);
    CHECK(s.chip.line("a20"));
    s.command(0xdd);
    CHECK_FALSE(s.chip.line("a20"));
    s.chip.drive("a20_state", true);
    CHECK(s.ask(0xd0) == 0x03);
    s.mouse.send({0x08});
    s.command(0xd0);
    CHECK(s.data() == 0x08);
    CHECK(s.data() == 0x23);
    CHECK(s.chip.requests.empty());
}

TEST_CASE("two ways lead to a reset of the machine") {
    Setup s;
    s.command(0xfe);
    REQUIRE(s.chip.requests.size() == 1);
    CHECK(s.chip.requests[0].what == BP_REQUEST_RESET);
    s.command(0xd1, 0x02);
    CHECK(s.chip.requests.size() == 2);
    s.command(0xff);
    CHECK(s.chip.requests.size() == 2);
}

TEST_CASE("without a device on the port the controller answers itself") {
    Bench<I8042> chip;
    chip.out("data", 0, 0xff);
    CHECK(chip.in("data", 0) == 0xfe);
}

TEST_CASE("a connector takes one device") {
    Setup s;
    FakeDevice second;
    CHECK(s.chip.attach("keyboard", "", "kbd2", {&FakeDevice::kTable, &second}, &second.port) == BP_ERR_CONFLICT);
    CHECK(s.chip.failure.find("kbd2") != std::string::npos);
}

TEST_CASE("a reset empties the buffers and switches A20 on") {
    Setup s;
    s.command(0x60, 0x00);
    s.command(0xdd);
    s.command(0xd2, 0x11);
    s.chip.reset();
    CHECK(s.status() == 0x18);
    CHECK(s.chip.line("a20"));
    CHECK(s.ask(0x20) == 0x03);
}

TEST_CASE("saved state brings unread answers back") {
    Setup s, t;
    s.command(0x20), s.command(0xd0);
    REQUIRE(t.chip.load(s.chip.save()) == BP_OK);
    CHECK(t.data() == 0x03);
    CHECK(t.data() == 0x13);
}
