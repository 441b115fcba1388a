#include <catch2/catch.hpp>

#include "backplane/testkit/bench.hpp"
#include "model.hpp"

using namespace backplane;
using backplane::timer::I8254;

namespace {

// A clock of 1 GHz makes one input clock one nanosecond.
struct Pit : testkit::Bench<I8254> {
    Pit() : Bench({{"frequency", "1000000000"}, {"gated", "7"}, {"drive_out1", "true"}}) {
        for (const char* gate : {"gate0", "gate1", "gate2"}) drive(gate, true);
    }
    void program(unsigned channel, unsigned mode, unsigned count, bool bcd = false) {
        out("ports", 3, channel << 6 | 0x30 | mode << 1 | (bcd ? 1 : 0));
        set_count(channel, count);
    }
    void set_count(unsigned channel, unsigned count) {
        out("ports", channel, count & 0xff), out("ports", channel, count >> 8);
    }
    unsigned count(unsigned channel) {
        out("ports", 3, channel << 6);
        const auto low = static_cast<unsigned>(in("ports", channel));
        return low | static_cast<unsigned>(in("ports", channel)) << 8;
    }
    u8 status(unsigned channel) {
        out("ports", 3, 0xe0 | 2u << channel);
        return static_cast<u8>(in("ports", channel));
    }
    // Levels of a line over the next clocks, as a picture.
    std::string wave(const char* line_name, unsigned clocks) {
        std::string s;
        for (unsigned i = 0; i < clocks; ++i) {
            advance(1);
            s += line(line_name) ? '^' : '_';
        }
        return s;
    }
};

}  // namespace

TEST_CASE("mode 0 raises OUT n+1 clocks after the count was written and stays") {
    Pit pit;
    pit.program(0, 0, 4);
    CHECK_FALSE(pit.line("irq0"));
    CHECK(pit.wave("irq0", 8) == "____^^^^");
    CHECK(pit.count(0) == 0xfffd);  // it counts on
    pit.set_count(0, 2);
    CHECK(pit.wave("irq0", 4) == "__^^");
}

TEST_CASE("mode 0 stops at the first byte of a new count and while the gate is low") {
    Pit pit;
    pit.program(0, 0, 100);
    pit.advance(11);
    CHECK(pit.count(0) == 90);
    pit.drive("gate0", false);
    pit.advance(50);
    CHECK(pit.count(0) == 90);
    pit.drive("gate0", true);
    pit.advance(10);
    CHECK(pit.count(0) == 80);
    pit.out("ports", 0, 5);
    pit.advance(1000);
    CHECK(pit.count(0) == 80);
    pit.out("ports", 0, 0);
    CHECK(pit.wave("irq0", 7) == "_____^^");
}

TEST_CASE("mode 1 is a retriggerable one-shot") {
    Pit pit;
    pit.drive("gate0", false);
    pit.program(0, 1, 3);
    CHECK(pit.wave("irq0", 4) == "^^^^");
    pit.drive("gate0", true);
    CHECK(pit.wave("irq0", 6) == "___^^^");
    pit.drive("gate0", false), pit.drive("gate0", true);
    CHECK(pit.wave("irq0", 2) == "__");
    pit.drive("gate0", false), pit.drive("gate0", true);
    CHECK(pit.wave("irq0", 5) == "___^^");
}

TEST_CASE("mode 2 is low for one clock in n") {
    Pit pit;
    pit.program(0, 2, 3);
    CHECK(pit.wave("irq0", 10) == "^^_^^_^^_^");
    pit.drive("gate0", false);
    CHECK(pit.wave("irq0", 4) == "^^^^");
    pit.drive("gate0", true);
    CHECK(pit.wave("irq0", 6) == "^^_^^_");
}

TEST_CASE("mode 2 takes a new count at the end of the period") {
    Pit pit;
    pit.program(0, 2, 4);
    pit.advance(2);
    pit.set_count(0, 2);
    CHECK((pit.status(0) & 0x40) == 0x40);
    CHECK(pit.wave("irq0", 6) == "^_^_^_");
    CHECK((pit.status(0) & 0x40) == 0);
}

TEST_CASE("mode 3 is a square wave, a clock longer high for odd counts") {
    Pit pit;
    pit.program(0, 3, 4);
    CHECK(pit.wave("irq0", 10) == "^^__^^__^^");
    pit.program(0, 3, 5);
    CHECK(pit.wave("irq0", 12) == "^^^__^^^__^^");
    pit.program(0, 3, 100);
    pit.advance(1);
    CHECK(pit.count(0) == 100);
    pit.advance(10);
    CHECK(pit.count(0) == 80);  // two at a time
    pit.advance(40);
    CHECK(pit.count(0) == 100);
    CHECK_FALSE(pit.line("irq0"));
}

TEST_CASE("mode 4 strobes once, low for one clock, and a new count starts over") {
    Pit pit;
    pit.program(0, 4, 3);
    CHECK(pit.wave("irq0", 8) == "^^^_^^^^");
    pit.set_count(0, 3);
    CHECK(pit.wave("irq0", 2) == "^^");
    pit.set_count(0, 3);
    CHECK(pit.wave("irq0", 5) == "^^^_^");
    CHECK(pit.wave("irq0", 70000).find('_') == std::string::npos);
}

TEST_CASE("mode 5 strobes after a rising gate") {
    Pit pit;
    pit.program(0, 5, 2);
    CHECK(pit.wave("irq0", 5) == "^^^^^");
    pit.drive("gate0", false), pit.drive("gate0", true);
    CHECK(pit.wave("irq0", 5) == "^^_^^");
}

TEST_CASE("BCD counts in decimal") {
    Pit pit;
    pit.program(0, 2, 0x1000, true);
    pit.advance(2);
    CHECK(pit.count(0) == 0x0999);
    pit.advance(999);
    CHECK(pit.count(0) == 0x1000);
    pit.program(0, 0, 0, true);
    pit.advance(1 + 9999);
    CHECK(pit.count(0) == 1);
    CHECK_FALSE(pit.line("irq0"));
    pit.advance(2);
    CHECK(pit.line("irq0"));
    CHECK(pit.count(0) == 0x9999);
}

TEST_CASE("a latched count stands still until it is read") {
    Pit pit;
    pit.program(1, 2, 0x1234);
    pit.advance(1 + 0x34);
    pit.out("ports", 3, 0x40);
    pit.advance(100);
    pit.out("ports", 3, 0x40);  // ignored: the first one is unread
    CHECK(pit.in("ports", 1) == 0x00);
    CHECK(pit.in("ports", 1) == 0x12);
    CHECK(pit.count(1) == 0x1234 - 0x34 - 100);
}

TEST_CASE("one-byte accesses transfer one byte") {
    Pit pit;
    pit.out("ports", 3, 0x54);  // channel 1, low byte, mode 2
    pit.out("ports", 1, 18);
    pit.advance(1 + 5);
    CHECK(pit.in("ports", 1) == 13);
    CHECK(pit.in("ports", 1) == 13);
    pit.out("ports", 3, 0xa4);  // channel 2, high byte
    pit.out("ports", 2, 3);
    pit.advance(1 + 0x80);
    CHECK(pit.in("ports", 2) == 2);
}

TEST_CASE("read-back latches status before count, for several counters at once") {
    Pit pit;
    pit.program(0, 3, 1000), pit.program(2, 0, 50);
    CHECK((pit.status(2) & 0xff) == 0x70);  // OUT low, null count, both bytes, mode 0
    pit.advance(11);
    pit.out("ports", 3, 0xca);  // count and status of 0 and 2
    pit.advance(3);
    CHECK(pit.in("ports", 0) == 0xb6);
    CHECK(pit.in("ports", 0) == (980 & 0xff));
    CHECK(pit.in("ports", 0) == 980 >> 8);
    CHECK(pit.in("ports", 2) == 0x30);
    CHECK(pit.in("ports", 2) == 40);
    CHECK(pit.in("ports", 2) == 0);
}

TEST_CASE("the control port cannot be read") {
    Pit pit;
    CHECK(pit.in("ports", 3) == 0xff);
}

TEST_CASE("inhibit keeps irq0 low while the counter runs") {
    Pit pit;
    pit.drive("inhibit", true);
    pit.program(0, 2, 10);
    const unsigned before = pit.rises("irq0");
    pit.advance(100);
    CHECK(pit.rises("irq0") == before);
    pit.drive("inhibit", false);
    pit.advance(100);
    CHECK(pit.rises("irq0") >= before + 9);
}

TEST_CASE("the PC's clock loses nothing in a day") {
    testkit::Bench<I8254> pit;
    pit.out("ports", 3, 0x34), pit.out("ports", 0, 0xa9), pit.out("ports", 0, 0x04);  // 1193 clocks
    const unsigned before = pit.rises("irq0");
    pit.advance(86'400'000'000'000 / 100);
    CHECK(pit.rises("irq0") - before == 864ull * 1193182 / 1193);
}

TEST_CASE("counts of 1 in modes 2 and 3 hang nothing") {
    Pit pit;
    for (unsigned mode : {2u, 3u, 6u, 7u}) {
        pit.program(0, mode, 1);
        pit.advance(100'000);
        CHECK(pit.line("irq0"));
        pit.set_count(0, 4);
        const unsigned before = pit.rises("irq0");
        pit.advance(400);
        CHECK(pit.rises("irq0") - before >= 99);
    }
}

TEST_CASE("without a gate the ungated channels run and channel 2 stands") {
    testkit::Bench<I8254> pit;
    for (unsigned channel : {0u, 2u}) {
        pit.out("ports", 3, channel << 6 | 0x30), pit.out("ports", channel, 0), pit.out("ports", channel, 1);
    }
    pit.advance(1'000'000);
    CHECK(pit.line("irq0"));
    CHECK_FALSE(pit.line("out2"));
    pit.drive("gate2", true);
    pit.advance(1'000'000);
    CHECK(pit.line("out2"));
}

TEST_CASE("state survives a save and load") {
    Pit pit, other;
    pit.program(0, 3, 7), pit.program(2, 2, 5);
    pit.advance(9);
    other.time = pit.time;
    REQUIRE(other.load(pit.save()) == BP_OK);
    CHECK(other.count(0) == pit.count(0));
    other.advance(3), pit.advance(3);
    CHECK(other.wave("irq0", 40) == pit.wave("irq0", 40));
}

TEST_CASE("a count that is too large for its base survives a save and load") {
    Pit pit, other;
    pit.program(0, 2, 0x6996);
    pit.advance(9);
    pit.out("ports", 3, 0x35);  // to decimal
    other.time = pit.time;
    const auto saved = pit.save();
    REQUIRE(other.load(saved) == BP_OK);
    CHECK(other.save() == saved);
}
