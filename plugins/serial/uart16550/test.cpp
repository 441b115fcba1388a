#include <catch2/catch.hpp>

#include "backplane/testkit/bench.hpp"
#include "model.hpp"

using namespace backplane;
using backplane::serial::Uart16550;

namespace {

struct Terminal {
    std::string shown;
    u32 accepts = ~0u;
    const bp_char_receiver* receiver = nullptr;
    void* instance = nullptr;
    std::string typed;
    unsigned room_calls = 0;
    void feed() {
        const u32 n = std::min<u32>(receiver->room(instance), static_cast<u32>(typed.size()));
        if (!n) return;
        receiver->receive(instance, reinterpret_cast<const u8*>(typed.data()), n);
        typed.erase(0, n);
    }
    void type(const std::string& text) { typed += text, feed(); }
    static constexpr bp_chardev kTable{
        sizeof(bp_chardev),
        [](void* i, const u8* data, u32 count) -> u32 {
            Terminal& t = *static_cast<Terminal*>(i);
            const u32 n = std::min(count, t.accepts);
            t.accepts -= n;
            t.shown.append(reinterpret_cast<const char*>(data), n);
            return n;
        },
        [](void* i, const bp_char_receiver* receiver, void* instance) {
            static_cast<Terminal*>(i)->receiver = receiver;
            static_cast<Terminal*>(i)->instance = instance;
        },
        [](void* i) { ++static_cast<Terminal*>(i)->room_calls, static_cast<Terminal*>(i)->feed(); }};
};

struct Port {
    explicit Port(testkit::Properties p = {}) : uart(p, {{"backend", {&Terminal::kTable, &terminal}}}) {}
    u8 in(unsigned reg) { return static_cast<u8>(uart.in("ports", reg)); }
    void out(unsigned reg, unsigned value) { uart.out("ports", reg, value); }
    void send(const std::string& text) {
        for (char c : text) {
            for (int i = 0; i < 100 && !(in(5) & 0x20); ++i) uart.advance(1000);
            out(0, static_cast<u8>(c));
        }
    }
    bool irq() { return uart.line("irq"); }
    Terminal terminal;
    testkit::Bench<Uart16550> uart;
};

}  // namespace

TEST_CASE("values after reset") {
    Port p;
    CHECK(p.in(1) == 0);
    CHECK(p.in(2) == 0x01);
    CHECK(p.in(3) == 0);
    CHECK(p.in(4) == 0x08);
    CHECK(p.in(5) == 0x60);
    CHECK(p.in(6) == 0xb0);
    p.out(3, 0x80);
    CHECK(p.in(0) == 12);
    CHECK(p.in(1) == 0);
}

TEST_CASE("the divisor latch hides data and enables") {
    Port p;
    p.out(3, 0x83);
    p.out(0, 1), p.out(1, 2);
    p.out(3, 0x03);
    CHECK(p.in(1) == 0);
    CHECK(p.terminal.shown.empty());
    p.out(3, 0x83);
    CHECK((p.in(0) == 1 && p.in(1) == 2));
    p.out(7, 0x5a);
    CHECK(p.in(7) == 0x5a);
}

TEST_CASE("sent characters arrive in order and the status follows") {
    Port p;
    p.out(3, 0x03);
    p.out(0, 'H');
    CHECK((p.in(5) & 0x60) == 0x20);  // in the shift register
    p.out(0, 'i');
    CHECK((p.in(5) & 0x60) == 0x00);
    p.uart.advance(10'000);
    CHECK((p.in(5) & 0x60) == 0x60);
    CHECK(p.terminal.shown == "Hi");
}

TEST_CASE("a back end that is full loses nothing") {
    Port p;
    p.out(3, 0x03), p.out(2, 0x01);
    p.terminal.accepts = 3;
    for (char c : std::string("0123456789")) p.out(0, static_cast<u8>(c));
    p.uart.advance(100'000'000);
    CHECK(p.terminal.shown == "012");
    CHECK((p.in(5) & 0x60) == 0);
    p.terminal.accepts = ~0u;
    p.uart.advance(2'000'000);
    CHECK(p.terminal.shown == "0123456789");
    CHECK((p.in(5) & 0x60) == 0x60);
}

TEST_CASE("a late timer does not make the transmitter slower than the clock") {
    Port p;
    p.out(3, 0x03);
    for (char c : std::string("a line of more than sixteen characters")) {
        p.uart.time += 1'000;
        CHECK((p.in(5) & 0x60) == 0x60);
        p.out(0, static_cast<u8>(c));
    }
    CHECK(p.terminal.shown == "a line of more than sixteen characters");
}

TEST_CASE("characters take their time at the programmed rate if told to") {
    Port p(testkit::Properties{{"pace", "baud"}});
    p.out(3, 0x03);
    p.out(0, 'x');
    p.uart.advance(1'040'000);  // 9600 baud, 10 bits: 1041666 ns
    CHECK((p.in(5) & 0x40) == 0);
    p.uart.advance(2'000);
    CHECK((p.in(5) & 0x40) == 0x40);
}

TEST_CASE("input without FIFOs comes one by one as the guest reads") {
    Port p;
    p.out(3, 0x03), p.out(1, 0x01);
    p.terminal.type("abc");
    CHECK(p.terminal.typed == "bc");
    CHECK(p.irq());
    CHECK(p.in(2) == 0x04);
    CHECK((p.in(5) & 0x01) == 0x01);
    std::string seen;
    for (int i = 0; i < 5; ++i) {
        if (p.in(5) & 1) seen += static_cast<char>(p.in(0));
        p.uart.advance(10'000);
    }
    CHECK(seen == "abc");
    CHECK_FALSE(p.irq());
    CHECK((p.in(5) & 0x02) == 0);
    CHECK(p.in(0) == 'c');  // an empty receiver repeats
}

TEST_CASE("the receive FIFO interrupts at its trigger level and after a pause") {
    Port p;
    p.out(3, 0x03), p.out(2, 0x81), p.out(1, 0x01);  // trigger 8
    CHECK(p.in(2) == 0xc1);
    p.terminal.type("1234567");
    CHECK_FALSE(p.irq());
    p.uart.advance(4 * 1041666 + 10);
    CHECK(p.irq());
    CHECK(p.in(2) == 0xcc);
    p.in(0);
    CHECK_FALSE(p.irq());
    p.terminal.type("89");
    CHECK(p.in(2) == 0xc4);
    p.in(0);
    CHECK(p.in(2) == 0xc1);
}

TEST_CASE("a FIFO takes sixteen characters and the rest waits") {
    Port p;
    p.out(3, 0x03), p.out(2, 0x01);
    p.terminal.type(std::string(20, 'z'));
    CHECK(p.terminal.typed.size() == 4);
    for (int i = 0; i < 16; ++i) p.in(0);
    CHECK((p.in(5) & 1) == 0);
    p.uart.advance(10'000);
    CHECK(p.terminal.typed.empty());
    CHECK((p.in(5) & 3) == 1);
}

TEST_CASE("the transmitter interrupt comes on enabling and on emptying, and reading IIR ends it") {
    Port p;
    p.out(1, 0x02);
    CHECK(p.irq());
    CHECK(p.in(2) == 0x02);
    CHECK_FALSE(p.irq());
    CHECK(p.in(2) == 0x01);
    p.out(0, 'a'), p.out(0, 'b');
    CHECK_FALSE(p.irq());
    p.uart.advance(1'000);
    CHECK(p.irq());
    p.out(1, 0x00), p.out(1, 0x02);
    CHECK(p.in(2) == 0x02);
}

TEST_CASE("interrupt sources have an order") {
    Port p;
    p.out(3, 0x03);
    p.out(1, 0x0f);
    p.terminal.receiver->line_break(p.terminal.instance);
    p.uart.drive("ring", true), p.uart.drive("ring", false);
    CHECK(p.in(2) == 0x06);
    CHECK((p.in(5) & 0x1f) == 0x19);
    CHECK(p.in(2) == 0x04);
    CHECK(p.in(0) == 0);
    CHECK(p.in(2) == 0x02);
    CHECK(p.in(2) == 0x00);
    CHECK(p.in(6) == 0xb4);
    CHECK(p.in(2) == 0x01);
}

TEST_CASE("errors in the FIFO show when their character comes to the front") {
    Port p;
    p.out(3, 0x03), p.out(2, 0x01);
    p.terminal.type("a");
    p.terminal.receiver->line_break(p.terminal.instance);
    CHECK((p.in(5) & 0x9e) == 0x80);
    p.in(0);
    CHECK((p.in(5) & 0x9e) == 0x98);
    CHECK((p.in(5) & 0x9e) == 0x00);
}

TEST_CASE("loopback joins transmitter and receiver, and modem outputs and inputs") {
    Port p;
    p.out(3, 0x03);
    p.out(4, 0x10);
    CHECK(p.in(6) == 0x0b);  // CTS, DSR and DCD fell
    CHECK(p.in(6) == 0x00);
    p.out(4, 0x1f);
    CHECK(p.in(6) == 0xfb);
    p.out(4, 0x1b);
    CHECK(p.in(6) == 0xb4);  // trailing edge of RI
    p.out(0, 0x42);
    CHECK(p.in(0) == 0x42);
    CHECK(p.terminal.shown.empty());
    p.terminal.type("k");
    CHECK((p.in(5) & 1) == 0);
    p.out(4, 0x08);
    p.uart.advance(10'000);
    CHECK(p.in(0) == 'k');
}

TEST_CASE("overrun in loopback keeps the FIFO or replaces the single buffer") {
    Port p;
    p.out(3, 0x03), p.out(4, 0x10);
    p.out(0, 'a'), p.uart.advance(10'000), p.out(0, 'b');
    CHECK((p.in(5) & 0x02) == 0x02);
    CHECK(p.in(0) == 'b');
    p.out(2, 0x01);
    for (int i = 0; i < 17; ++i) p.out(0, 'a' + static_cast<unsigned>(i)), p.uart.advance(10'000);
    CHECK((p.in(5) & 0x02) == 0x02);
    for (int i = 0; i < 16; ++i) CHECK(p.in(0) == 'a' + i);
}

TEST_CASE("a guest that sets a break in loopback receives it") {
    Port p;
    p.out(4, 0x10);
    p.out(3, 0x43);
    CHECK((p.in(5) & 0x11) == 0x11);
}

TEST_CASE("switching the FIFOs clears the receiver but loses no output") {
    Port p;
    p.out(3, 0x03), p.out(2, 0x01);
    p.terminal.type("abc");
    for (char c : std::string("out")) p.out(0, static_cast<u8>(c));
    p.out(2, 0x00);
    CHECK((p.in(5) & 1) == 0);
    CHECK(p.in(2) == 0x01);
    CHECK(p.terminal.shown == "out");
}

TEST_CASE("five-bit characters are cut") {
    Port p;
    p.out(3, 0x00);
    p.out(0, 0xff);
    CHECK(p.terminal.shown == "\x1f");
}

TEST_CASE("OUT2 gates the interrupt if the board says so") {
    Port p(testkit::Properties{{"out2_gates_irq", "true"}});
    p.out(4, 0x00);
    p.out(1, 0x02);
    CHECK_FALSE(p.irq());
    p.out(4, 0x08);
    CHECK(p.irq());
}

TEST_CASE("a reset sends what was accepted") {
    Port p;
    p.out(3, 0x03), p.out(2, 0x01);
    for (char c : std::string("last words")) p.out(0, static_cast<u8>(c));
    p.uart.reset();
    CHECK(p.terminal.shown == "last words");
    CHECK(p.in(5) == 0x60);
}

TEST_CASE("without a back end everything is sent nowhere") {
    testkit::Bench<Uart16550> uart;
    uart.out("ports", 0, 'x');
    uart.advance(10'000);
    CHECK(uart.in("ports", 5) == 0x60);
}

TEST_CASE("state survives a save and load") {
    Port p, q;
    p.out(3, 0x03), p.out(2, 0x01), p.out(1, 0x01);
    p.terminal.type("xyz");
    p.in(0);
    REQUIRE(q.uart.load(p.uart.save()) == BP_OK);
    CHECK(q.in(0) == 'y');
    CHECK(q.in(0) == 'z');
}
