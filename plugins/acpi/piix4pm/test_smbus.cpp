#include <catch2/catch.hpp>

#include "smbus.hpp"

using namespace backplane;

namespace {

constexpr u8 kDone = 2, kError = 4;

struct Bus : SmbusHost {
    // Runs one transfer and returns the status.
    u8 run(u32 protocol, u8 address, u8 command) {
        write(0, 0xff);
        write(3, command);
        write(4, address);
        write(2, static_cast<u8>(0x40 | protocol << 2));
        return read(0);
    }
    void store(u8 address, u8 at, u8 value) {
        write(5, value);
        run(2, address, at);
    }
};

}  // namespace

TEST_CASE("all eight EEPROMs answer and read zeros") {
    Bus bus;
    for (u8 address = 0xa0; address < 0xb0; address += 2) {
        CHECK(bus.run(0, address, 0) == kDone);
        bus.write(5, 0x55);
        CHECK(bus.run(2, address | 1, 0x10) == kDone);
        CHECK(bus.read(5) == 0);
    }
}

TEST_CASE("where nothing is, the transfer fails") {
    Bus bus;
    CHECK(bus.run(0, 0x9e, 0) == kError);
    CHECK(bus.run(2, 0xb1, 0) == kError);
    CHECK(bus.read(5) == 0xff);
    bus.write(0, 0);
    CHECK(bus.read(0) == 0);
}

TEST_CASE("unknown protocols fail") {
    Bus bus;
    CHECK(bus.run(4, 0xa1, 0) == kError);
    CHECK(bus.run(6, 0xa1, 0) == kError);
    CHECK(bus.run(7, 0xa1, 0) == kError);
}

TEST_CASE("bytes and words are stored and read back") {
    Bus bus;
    bus.write(5, 0x34);
    bus.write(6, 0x12);
    CHECK(bus.run(3, 0xa4, 0x20) == kDone);
    bus.write(5, 0);
    bus.write(6, 0);
    CHECK(bus.run(3, 0xa5, 0x20) == kDone);
    CHECK(bus.read(5) == 0x34);
    CHECK(bus.read(6) == 0x12);
    CHECK(bus.run(2, 0xa5, 0x21) == kDone);
    CHECK(bus.read(5) == 0x12);
    // Another chip is untouched.
    CHECK(bus.run(2, 0xa7, 0x21) == kDone);
    CHECK(bus.read(5) == 0);
}

TEST_CASE("receiving bytes goes on from the pointer and wraps") {
    Bus bus;
    bus.store(0xa0, 0xff, 0x11);
    bus.store(0xa0, 0x00, 0x22);
    CHECK(bus.run(1, 0xa0, 0xff) == kDone);  // send byte: sets the pointer
    CHECK(bus.run(1, 0xa1, 0) == kDone);
    CHECK(bus.read(5) == 0x11);
    CHECK(bus.run(1, 0xa1, 0) == kDone);
    CHECK(bus.read(5) == 0x22);
}

TEST_CASE("a block read takes its length from the chip and comes through the FIFO") {
    Bus bus;
    bus.store(0xa0, 0x40, 3);
    for (u8 i = 0; i < 3; ++i) bus.store(0xa0, 0x41 + i, 0xa0 + i);
    CHECK(bus.run(5, 0xa1, 0x40) == kDone);
    CHECK(bus.read(5) == 3);
    bus.read(2);
    CHECK(bus.read(7) == 0xa0);
    CHECK(bus.read(7) == 0xa1);
    bus.read(2);  // resets the index
    CHECK(bus.read(7) == 0xa0);
}

TEST_CASE("a block longer than the FIFO is cut") {
    Bus bus;
    bus.store(0xa0, 0x40, 0xff);
    CHECK(bus.run(5, 0xa1, 0x40) == kDone);
    for (int i = 0; i < 100; ++i) bus.read(7);
    bus.write(5, 0xff);
    CHECK(bus.run(5, 0xa0, 0xf0) == kDone);
}

TEST_CASE("a reset keeps the EEPROMs' contents, power-on clears them") {
    Bus bus;
    bus.store(0xa0, 5, 0x77);
    bus.reset();
    CHECK(bus.run(2, 0xa1, 5) == kDone);
    CHECK(bus.read(5) == 0x77);
    bus.power_on();
    CHECK(bus.run(2, 0xa1, 5) == kDone);
    CHECK(bus.read(5) == 0);
}
