#include <catch2/catch.hpp>

#include "backplane/testkit/bench.hpp"
#include "model.hpp"

using namespace backplane;
using testkit::Bench;
using Codes = std::vector<int>;

namespace {

struct Keyboard : Bench<Ps2Keyboard> {
    const bp_interface device = offer(BP_PS2_DEVICE_ID), keys = offer(BP_KEYBOARD_ID);

    void send(std::initializer_list<u8> bytes) {
        for (const u8 b : bytes) static_cast<const bp_ps2_device*>(device.table)->receive(device.instance, b);
    }
    int take() { return static_cast<const bp_ps2_device*>(device.table)->take(device.instance); }
    Codes all() {
        Codes codes;
        for (int b = take(); b >= 0; b = take()) codes.push_back(b);
        return codes;
    }
    int key(u32 code, bool down) { return static_cast<const bp_keyboard*>(keys.table)->key(keys.instance, code, down); }
    Codes tap(u32 code) {
        key(code, true), key(code, false);
        return all();
    }
};

constexpr i64 kMillisecond = 1'000'000;

}  // namespace

TEST_CASE("after power-on keys are sent in set 2") {
    Keyboard k;
    CHECK(k.tap(0x1e) == Codes{0x1c, 0xf0, 0x1c});
    CHECK(k.tap(0x148) == Codes{0xe0, 0x75, 0xe0, 0xf0, 0x75});
    CHECK(k.tap(0x41) == Codes{0x83, 0xf0, 0x83});
    CHECK(k.take() == -1);
}

TEST_CASE("commands are answered") {
    Keyboard k;
    k.send({0xff});
    CHECK(k.all() == Codes{0xfa, 0xaa});
    k.send({0xf2});
    CHECK(k.all() == Codes{0xfa, 0xab, 0x83});
    k.send({0xee});
    CHECK(k.all() == Codes{0xee});
    k.send({0xed, 0x07});
    CHECK(k.all() == Codes{0xfa, 0xfa});
    k.send({0xf3, 0x00, 0xf4, 0xf5, 0xf6, 0x00});
    CHECK(k.all() == Codes{0xfa, 0xfa, 0xfa, 0xfa, 0xfa, 0xfa});
    k.send({0x05});
    CHECK(k.all() == Codes{0xfe});
    k.send({0xef});
    CHECK(k.all() == Codes{0xfe});
}

TEST_CASE("the last byte is sent again on request") {
    Keyboard k;
    k.send({0xf2});
    k.all();
    k.send({0xfe});
    CHECK(k.all() == Codes{0x83});
}

TEST_CASE("the scan code set can be read and changed") {
    Keyboard k;
    k.send({0xf0, 0x00});
    CHECK(k.all() == Codes{0xfa, 0xfa, 0x02});
    k.send({0xf0, 0x01});
    CHECK(k.all() == Codes{0xfa, 0xfa});
    CHECK(k.tap(0x148) == Codes{0xe0, 0x48, 0xe0, 0xc8});
    k.send({0xf0, 0x03, 0xf0, 0x00});
    CHECK(k.all() == Codes{0xfa, 0xfa, 0xfa, 0xfa, 0x03});
    k.send({0xf0, 0x04});
    CHECK(k.all() == Codes{0xfa, 0xfe});
}

TEST_CASE("set 3 knows which keys report their release, and lets the host choose") {
    Keyboard k;
    k.send({0xf0, 0x03});
    k.all();
    CHECK(k.tap(0x1e) == Codes{0x1c});
    CHECK(k.tap(0x2a) == Codes{0x12, 0xf0, 0x12});
    CHECK(k.tap(0x148) == Codes{0x63});
    k.send({0xf8});
    CHECK(k.all() == Codes{0xfa});
    CHECK(k.tap(0x148) == Codes{0x63, 0xf0, 0x63});
    k.send({0xfd, 0x63, 0x1c, 0xf4});
    CHECK(k.all() == Codes{0xfa, 0xfa, 0xfa, 0xfa});
    CHECK(k.tap(0x148) == Codes{0x63});
    CHECK(k.tap(0x1e) == Codes{0x1c});
    CHECK(k.tap(0x30) == Codes{0x32, 0xf0, 0x32});
}

TEST_CASE("a command in place of an argument is carried out") {
    Keyboard k;
    k.send({0xed, 0xf2});
    CHECK(k.all() == Codes{0xfa, 0xfa, 0xab, 0x83});
}

TEST_CASE("answers overtake scan codes that wait") {
    Keyboard k;
    k.key(0x1e, true);
    k.send({0xed, 0x02});
    CHECK(k.all() == Codes{0xfa, 0xfa, 0x1c});
}

TEST_CASE("a disabled keyboard reports no keys") {
    Keyboard k;
    k.send({0xf5});
    CHECK(k.all() == Codes{0xfa});
    CHECK(k.tap(0x1e).empty());
    k.send({0xf4});
    k.all();
    CHECK_FALSE(k.tap(0x1e).empty());
}

TEST_CASE("Print Screen and Pause send what the other keys make of them") {
    Keyboard k;
    CHECK(k.tap(0x137) == Codes{0xe0, 0x12, 0xe0, 0x7c, 0xe0, 0xf0, 0x7c, 0xe0, 0xf0, 0x12});
    CHECK(k.tap(0x146) == Codes{0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77});
    k.key(0x1d, true), k.all();
    CHECK(k.tap(0x146) == Codes{0xe0, 0x7e, 0xe0, 0xf0, 0x7e});
    CHECK(k.tap(0x137) == Codes{0xe0, 0x7c, 0xe0, 0xf0, 0x7c});
    k.key(0x1d, false), k.key(0x38, true), k.all();
    CHECK(k.tap(0x137) == Codes{0x84, 0xf0, 0x84});
}

TEST_CASE("a held key repeats after the delay and at the rate that were set") {
    Keyboard k;
    k.key(0x1e, true);
    CHECK(k.all() == Codes{0x1c});
    CHECK(k.key(0x1e, true) == 1);  // the host repeats too: ignored
    CHECK(k.all().empty());
    k.advance(499 * kMillisecond);
    CHECK(k.all().empty());
    k.advance(2 * kMillisecond);
    CHECK(k.all() == Codes{0x1c});
    k.advance(92 * kMillisecond);
    CHECK(k.all() == Codes{0x1c});
    k.key(0x1e, false);
    k.all();
    k.advance(2000 * kMillisecond);
    CHECK(k.all().empty());
    k.send({0xf3, 0x00});
    k.all();
    k.key(0x1e, true), k.all();
    k.advance(251 * kMillisecond);
    CHECK(k.all() == Codes{0x1c});
    k.advance(34 * kMillisecond);
    CHECK(k.all() == Codes{0x1c});
}

TEST_CASE("a full buffer refuses presses but has room for the releases") {
    Keyboard k;
    int presses = 0;
    while (k.key(0x1e, true) == 1) {
        REQUIRE(k.key(0x1e, false) == 1);
        REQUIRE(++presses < 256);
    }
    CHECK(presses > 60);
    const Codes codes = k.all();
    CHECK(codes.size() == static_cast<std::size_t>(presses) * 3);
    CHECK(codes.back() == 0x1c);
    CHECK(k.key(0x1e, true) == 1);
}

TEST_CASE("codes that no key has are ignored") {
    Keyboard k;
    for (const u32 code : {0u, 0x80u, 0x100u, 0x200u, 0xffffffffu}) CHECK(k.key(code, true) == 1);
    CHECK(k.take() == -1);
}

TEST_CASE("saved state holds the queue, the set and the held keys") {
    Keyboard k, copy;
    k.send({0xf0, 0x01});
    k.all();
    k.key(0x2a, true), k.key(0x1e, true);
    REQUIRE(copy.load(k.save()) == BP_OK);
    CHECK(copy.all() == Codes{0x2a, 0x1e});
    copy.key(0x2a, false);
    CHECK(copy.all() == Codes{0xaa});
}
