#include <catch2/catch.hpp>

#include "gdb/packet.hpp"

namespace backplane::gdb {

using Kind = Decoder::Kind;

TEST_CASE("a packet is data and its checksum, with what has a meaning escaped") {
    CHECK(framed("OK") == "$OK#9a");
    CHECK(framed("") == "$#00");
    CHECK(framed("a}$#*") == "$a}]}\x04}\x03}\x0a#c3");
}

TEST_CASE("what was framed comes out again, in however many pieces it arrives") {
    std::string every;
    for (int c = 0; c < 256; ++c) every += static_cast<char>(c);
    const std::string wire = "+" + framed(every);
    for (const std::size_t step : {std::size_t{1}, std::size_t{7}, wire.size()}) {
        Decoder d;
        std::vector<std::string> got;
        for (std::size_t at = 0; at < wire.size(); at += step) {
            std::string_view bytes = std::string_view(wire).substr(at, step);
            while (const auto piece = d.next(bytes)) {
                CHECK(piece->kind == Kind::kPacket);
                got.push_back(piece->text);
            }
        }
        REQUIRE(got.size() == 1);
        CHECK(got[0] == every);
    }
}

TEST_CASE("a wrong checksum, a repeat, an interrupt and a packet that is too long are told apart") {
    Decoder d;
    const std::string long_one = framed(std::string(kPacketSize + 1, 'm'));
    const std::string wire = "$OK#9b-\x03$x#zz" + long_one + "$lost$OK#9a";
    std::string_view bytes = wire;
    CHECK(d.next(bytes)->kind == Kind::kDamaged);
    CHECK(d.next(bytes)->kind == Kind::kRepeat);
    CHECK(d.next(bytes)->kind == Kind::kInterrupt);
    CHECK(d.next(bytes)->kind == Kind::kDamaged);
    CHECK(d.next(bytes)->kind == Kind::kTooLong);
    const auto last = d.next(bytes);
    REQUIRE(last);
    CHECK(last->kind == Kind::kPacket);
    CHECK(last->text == "OK");
    CHECK(!d.next(bytes));
}

TEST_CASE("numbers have at most 64 bits") {
    std::string_view text = "ffffffffffffffff,1";
    CHECK(take_hex(text) == ~u64{0});
    CHECK(text == ",1");
    text = "10000000000000000";
    CHECK(!take_hex(text));
    text = "x";
    CHECK(!take_hex(text));
    CHECK(unhex("4f4B") == "OK");
    CHECK(!unhex("4f4"));
    CHECK(!unhex("4g"));
    CHECK(hex("\xff!") == "ff21");
}

}  // namespace backplane::gdb
