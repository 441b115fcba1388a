#include <catch2/catch.hpp>

#include "backplane/testkit/bench.hpp"
#include "model.hpp"

using namespace backplane;
using testkit::Bench;
using Codes = std::vector<int>;

namespace {

struct Mouse : Bench<Ps2Mouse> {
    const bp_interface device = offer(BP_PS2_DEVICE_ID), pointer = offer(BP_MOUSE_ID);

    Codes send(std::initializer_list<u8> bytes) {
        Codes answers;
        for (const u8 b : bytes) {
            static_cast<const bp_ps2_device*>(device.table)->receive(device.instance, b);
            for (const int a : all()) answers.push_back(a);
        }
        return answers;
    }
    int take() { return static_cast<const bp_ps2_device*>(device.table)->take(device.instance); }
    Codes all() {
        Codes codes;
        for (int b = take(); b >= 0; b = take()) codes.push_back(b);
        return codes;
    }
    void move(i32 dx, i32 dy, i32 wheel = 0, u32 buttons = 0) {
        static_cast<const bp_mouse*>(pointer.table)->move(pointer.instance, dx, dy, wheel, buttons);
    }
};

constexpr i64 kMillisecond = 1'000'000;

}  // namespace

TEST_CASE("commands are answered") {
    Mouse m;
    CHECK(m.send({0xff}) == Codes{0xfa, 0xaa, 0x00});
    CHECK(m.send({0xf2}) == Codes{0xfa, 0x00});
    CHECK(m.send({0xe9}) == Codes{0xfa, 0x00, 0x02, 100});
    CHECK(m.send({0xe8, 0x03, 0xf3, 40, 0xe7, 0xf4, 0xe9}) ==
          Codes{0xfa, 0xfa, 0xfa, 0xfa, 0xfa, 0xfa, 0xfa, 0x30, 0x03, 40});
    CHECK(m.send({0xf6, 0xe9}) == Codes{0xfa, 0xfa, 0x00, 0x02, 100});
    CHECK(m.send({0xe1}) == Codes{0xfe});
    CHECK(m.send({0xee, 0x55, 0xe9, 0xec}) == Codes{0xfa, 0x55, 0xe9, 0xfa});
}

TEST_CASE("rates in sequence turn on the wheel and the side buttons") {
    Mouse m;
    m.send({0xf3, 200, 0xf3, 100, 0xf3, 80});
    CHECK(m.send({0xf2}) == Codes{0xfa, 0x03});
    m.send({0xf3, 200, 0xf3, 200, 0xf3, 80});
    CHECK(m.send({0xf2}) == Codes{0xfa, 0x04});
    m.send({0xff});
    CHECK(m.send({0xf2}) == Codes{0xfa, 0x00});
}

TEST_CASE("motion is reported while the mouse is enabled, with Y upwards") {
    Mouse m;
    m.move(5, 3);
    CHECK(m.all().empty());
    m.send({0xf4});
    m.move(5, 3, 0, BP_MOUSE_LEFT);
    CHECK(m.all() == Codes{0x29, 0x05, 0xfd});
    m.advance(20 * kMillisecond);
    m.move(-1, -2, 0, BP_MOUSE_LEFT);
    CHECK(m.all() == Codes{0x19, 0xff, 0x02});
}

TEST_CASE("large motion is spread over packets of at most 127") {
    Mouse m;
    m.send({0xf4});
    m.move(300, 0);
    CHECK(m.all() == Codes{0x08, 127, 0});
    m.advance(11 * kMillisecond);
    CHECK(m.all() == Codes{0x08, 127, 0});
    m.advance(11 * kMillisecond);
    CHECK(m.all() == Codes{0x08, 46, 0});
    m.advance(11 * kMillisecond);
    CHECK(m.all().empty());
}

TEST_CASE("packets keep to the sample rate, but both edges of a click arrive") {
    Mouse m;
    m.send({0xf4});
    m.move(1, 0);
    m.move(1, 0);
    CHECK(m.all().size() == 3);
    m.move(0, 0, 0, BP_MOUSE_RIGHT);
    m.move(0, 0, 0, 0);
    CHECK(m.all() == Codes{0x0a, 1, 0, 0x08, 0, 0});
}

TEST_CASE("wheel and side buttons make a fourth byte") {
    Mouse m;
    m.send({0xf3, 200, 0xf3, 100, 0xf3, 80, 0xf4});
    m.move(0, 0, -1);
    CHECK(m.all() == Codes{0x08, 0, 0, 0xff});
    m.send({0xf3, 200, 0xf3, 200, 0xf3, 80, 0xf4});
    m.advance(20 * kMillisecond);
    m.move(0, 0, 1, BP_MOUSE_SIDE);
    CHECK(m.all() == Codes{0x08, 0, 0, 0x11});
}

TEST_CASE("in remote mode the host asks") {
    Mouse m;
    m.send({0xf0});
    m.move(7, 0);
    CHECK(m.all().empty());
    CHECK(m.send({0xeb}) == Codes{0xfa, 0x08, 7, 0});
    CHECK(m.send({0xeb}) == Codes{0xfa, 0x08, 0, 0});
}

TEST_CASE("a command breaks off a packet") {
    Mouse m;
    m.send({0xf4});
    m.move(1, 1);
    CHECK(m.take() == 0x28);
    CHECK(m.send({0xf5}) == Codes{0xfa});
}

TEST_CASE("2:1 scaling changes what stream mode reports") {
    Mouse m;
    m.send({0xe7, 0xf4});
    m.move(4, -10);
    CHECK(m.all() == Codes{0x08, 6, 20});
}

TEST_CASE("saved state holds motion that was not sent yet") {
    Mouse m, copy;
    m.send({0xf4});
    m.move(200, 0);
    REQUIRE(copy.load(m.save()) == BP_OK);
    CHECK(copy.all() == Codes{0x08, 127, 0});
    copy.advance(20 * kMillisecond);
    CHECK(copy.all() == Codes{0x08, 73, 0});
}
